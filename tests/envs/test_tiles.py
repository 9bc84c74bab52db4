"""The simulator's control step in one call flies as the physics on tensors does, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from corvids.controllers.packing import leaf_names
from corvids.controllers.rate_loop import gains_of
from corvids.envs.compiled.native_code import find_compiler, load
from corvids.envs.episodes.randomization import Draws, Randomization
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import AT_REST
from corvids.envs.simulator import Simulator
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")
AIR = load_vehicle("air")
NOMINAL = world_params(AIR, BallConfig(), 0.002)
WORLDS, STEPS = 40, 15


def simulator(
    *, compile_kernels: bool, dtype=torch.float64, rate_loop_hz: int = 500, **options: Any
) -> Simulator:
    """Randomized worlds in flight, a ball falling onto each or past it."""
    made = Simulator(
        NOMINAL, gains_of(AIR, 1.0 / rate_loop_hz, dtype=torch.float64), WORLDS, rate_loop_hz=rate_loop_hz, dtype=dtype,
        compile_kernels=compile_kernels, **options,
    )  # fmt: skip
    random = torch.Generator().manual_seed(0)
    made.params.copy_(Draws(Randomization(), NOMINAL, torch.device("cpu"), random).params(made.rows))
    world = made.world
    world.body.pos_w.z.fill_(2.0)
    world.ball.pos_w.z.copy_(2.145 + 0.02 * torch.rand(world.ball.pos_w.z.shape, generator=random))
    world.ball.pos_w.x.copy_(0.25 * torch.rand(world.ball.pos_w.x.shape, generator=random))
    for rotor in world.rotors:
        rotor.fill_(0.5)
    return made


def fly(made: Simulator, steps: int = STEPS) -> Simulator:
    """The same commands for all, each after a delay of its own."""
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        command = torch.randn(made.rows, 4, generator=random).to(made.dtype).t().unsqueeze(-1)
        command[0] = AIR.weight_n
        made.step(command, torch.randint(0, 6, (made.rows, 1), generator=random).to(made.dtype))
    return made


@pytest.mark.parametrize("rate_loop_hz", [500, 250])
def test_the_compiled_simulator_flies_as_the_uncompiled_one(rate_loop_hz: int):
    plain, tiled = (
        fly(simulator(compile_kernels=compiled, rate_loop_hz=rate_loop_hz)) for compiled in (False, True)
    )
    assert plain.world.impact.racket_count.sum() > 10.0
    assert plain.world.impact.other_count.sum() > 10.0
    torch.testing.assert_close(tiled.state, plain.state, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(tiled.history, plain.history, rtol=1e-8, atol=1e-8)
    assert int(tiled.newest) == int(plain.newest) == STEPS * 5 % 32
    torch.testing.assert_close(tiled.command, plain.command, rtol=0, atol=0)


def test_in_single_precision_it_errs_no_more_than_tensors_do():
    exact = fly(simulator(compile_kernels=False)).state
    errors = [
        (fly(simulator(compile_kernels=compiled, dtype=torch.float32)).state - exact).abs().mean()
        for compiled in (False, True)
    ]
    assert errors[1] < 2.0 * errors[0]


def test_without_a_ball_only_the_vehicle_moves():
    plain, tiled = (fly(simulator(compile_kernels=compiled, with_ball=False)) for compiled in (False, True))
    torch.testing.assert_close(tiled.state, plain.state, rtol=1e-8, atol=1e-8)


def test_every_number_of_threads_gives_the_same_numbers():
    before, states = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            states.append(fly(simulator(compile_kernels=True, dtype=torch.float32)).state)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*states)


@pytest.mark.parametrize("name", ["body.vel_w.y", "rotors.r2", "rate_loop.integral.x"])
def test_what_is_not_a_number_shows_and_stays_in_its_world(name: str):
    whole, broken = (simulator(compile_kernels=True, dtype=torch.float32) for _ in range(2))
    broken.state[leaf_names(AT_REST).index(name), 17] = float("nan")
    flown, wrong = fly(whole).state, fly(broken).state
    others = torch.arange(whole.rows) != 17
    assert torch.equal(wrong[:, others], flown[:, others])
    assert wrong[:3, 17].isnan().any()


def test_a_compiler_that_fails_is_quoted_in_one_line():
    with pytest.raises(
        CorvidsError, match=r"failed: .*error.*; repair it, or run without compiling"
    ) as caught:
        load("this is not C++")
    assert "\n" not in str(caught.value)


def test_tensors_that_compiled_code_would_misread_are_refused():
    made = simulator(compile_kernels=True)
    command, delay = made.command, torch.zeros(made.rows, 1, dtype=made.dtype)
    with pytest.raises(
        CorvidsError, match=rf"must be contiguous, of torch\.float64, with {made.rows} worlds"
    ):
        made.step(command[:, :WORLDS], delay)
    with pytest.raises(CorvidsError, match=r"tensor of torch\.float32, shape \(4, 48, 1\)"):
        made.step(command.float(), delay)
