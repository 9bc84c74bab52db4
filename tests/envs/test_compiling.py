"""Compiling changes the speed and nothing else; where nothing can compile, a warning says so."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.rate_loop import gains_of
from corvids.envs.compiling import CACHE_LINE_FLOATS, compiled, padded
from corvids.envs.nominal import BallConfig, world_params
from corvids.envs.simulator import Simulator
from corvids.vehicle import load_vehicle

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler"
)


@given(st.integers(1, 200_000))
def test_a_row_is_the_shortest_odd_number_of_cache_lines_that_holds_all_worlds(worlds: int):
    rows = padded(worlds)
    assert rows % CACHE_LINE_FLOATS == 0
    assert (rows // CACHE_LINE_FLOATS) % 2 == 1
    assert worlds <= rows < worlds + 2 * CACHE_LINE_FLOATS


def double(x: torch.Tensor) -> torch.Tensor:
    return 2.0 * x


def test_a_function_that_is_not_to_be_compiled_stays_itself():
    assert compiled(double, enabled=False) is double


def test_without_a_compiler_a_warning_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler found \(g\+\+ or clang\+\+\)"):
        assert compiled(double) is double


@needs_compiler
def test_functions_that_differ_in_what_they_close_over_are_compiled_apart():
    """The compiler is told to check shapes alone, so nothing but a code object of its own keeps two closures apart."""

    def scaling(factor: float):
        def scale(x: torch.Tensor) -> torch.Tensor:
            return torch.relu(factor * x) + x

        return scale

    thrice, minus = compiled(scaling(3.0)), compiled(scaling(-1.0))
    x = torch.tensor([-2.0, 1.0])
    assert thrice(x).tolist() == [-2.0, 4.0]
    assert minus(x).tolist() == [0.0, 1.0]
    assert thrice(x).tolist() == [-2.0, 4.0]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("rate_loop_hz", [500, 250])
def test_the_compiled_simulator_flies_as_the_uncompiled_one(rate_loop_hz: int):
    """A ball dropped from 5 cm meets the racket within the 100 ms; in float32 the order of operations shows."""
    vehicle = load_vehicle("air")
    states = []
    for compile_kernels in (False, True):
        simulator = Simulator(
            world_params(vehicle, BallConfig(), 0.002), gains_of(vehicle, 1.0 / rate_loop_hz), 40,
            rate_loop_hz=rate_loop_hz, compile_kernels=compile_kernels,
        )  # fmt: skip
        random = torch.Generator().manual_seed(0)
        world = simulator.world
        world.body.pos_w.z.fill_(2.0)
        world.ball.pos_w.z.copy_(2.145 + 0.02 * torch.rand(world.ball.pos_w.z.shape, generator=random))
        for rotor in world.rotors:
            rotor.fill_(0.5)
        command = torch.randn(4, simulator.rows, 1, generator=random)
        command[0] = vehicle.weight_n
        delay = torch.randint(0, 6, (simulator.rows, 1), generator=random).float()
        for _ in range(5):
            simulator.step(command, delay)
        states.append(simulator.state)
        assert simulator.world.impact.racket_count.min() >= 1.0
    torch.testing.assert_close(states[1], states[0], rtol=2e-3, atol=2e-3)
