"""What a mirrored network does in a mirror is what the mirror shows; and a quadrotor really flies so."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.packing import leaf_names
from corvids.controllers.rate_loop import gains_of
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.mdp.mirrors import CTBR, MATRIX, QUATERNION, SAME, SPIN, VECTOR, Signs, asymmetry
from corvids.envs.mdp.task import PolicyInputs
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import AT_REST
from corvids.envs.simulator import Simulator
from corvids.envs.tasks import TASKS
from corvids.errors import CorvidsError
from corvids.training.mirrored_mlp import MirroredMLP, MirroredNormalization
from corvids.vehicle import load_vehicle, vehicle_names

PLANES = {"x": 0, "y": 1}
INPUTS = (*VECTOR, SAME, *SPIN, *MATRIX)


def reflected(numbers: torch.Tensor, signs: tuple[Signs, ...], plane: int) -> torch.Tensor:
    return numbers * torch.tensor([pair[plane] for pair in signs], dtype=numbers.dtype)


def network(*hidden: int, outputs: tuple[Signs, ...] = CTBR, seed: int = 0) -> MirroredMLP:
    torch.manual_seed(seed)
    return MirroredMLP(INPUTS, outputs, hidden or (32, 16, 24), "elu").double()


def some(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(
        (count, len(INPUTS)), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("plane", PLANES.values(), ids=PLANES)
@given(seed=st.integers(0, 1000))
def test_a_reflected_input_has_the_reflected_output_whatever_the_weights(plane: int, seed: int):
    mlp, numbers = network(seed=seed), some(20, seed)
    plain, mirrored = mlp(numbers), mlp(reflected(numbers, INPUTS, plane))
    torch.testing.assert_close(mirrored, reflected(plain, CTBR, plane))
    assert (plain.std(dim=0) > 1e-3).all()  # and it is not nothing


def test_the_plain_network_computes_the_same():
    mlp = network()
    torch.testing.assert_close(mlp.plain().double()(some(20)), mlp(some(20)), atol=1e-6, rtol=1e-5)


def test_every_weight_learns_and_stays_mirrored():
    mlp, numbers = network(), some(64)
    optimizer = torch.optim.Adam(mlp.parameters(), lr=1e-2)
    before = [weight.detach().clone() for weight in mlp.parameters()]
    for _ in range(20):
        optimizer.zero_grad()
        (mlp(numbers) - numbers[:, :4]).square().mean().backward()
        optimizer.step()
    for old, new in zip(before, mlp.parameters(), strict=True):
        assert (old != new).any()
    torch.testing.assert_close(mlp(reflected(numbers, INPUTS, 0)), reflected(mlp(numbers), CTBR, 0))


def test_it_learns_from_one_side_what_is_to_be_done_on_the_other():
    """Taught to turn about the axis in which a thing lies aside, for things on the right only."""
    mlp, numbers = network(64, 64), some(2000)
    right = numbers.clone()
    right[:, 1] = -right[:, 1].abs()
    optimizer = torch.optim.Adam(mlp.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (mlp(right)[:, 1] - torch.tanh(3.0 * right[:, 1])).square().mean().backward()
        optimizer.step()
    left = reflected(right, INPUTS, 1)
    error = (mlp(left)[:, 1] - torch.tanh(3.0 * left[:, 1])).square().mean().sqrt()
    assert error < 0.1


def test_normalisation_moves_only_what_looks_the_same_in_a_mirror():
    scale = MirroredNormalization(INPUTS)
    numbers = some(500).float() * 3.0 + 2.0
    scale.update(numbers)
    for plane in PLANES.values():
        torch.testing.assert_close(
            scale(reflected(numbers, INPUTS, plane)), reflected(scale(numbers), INPUTS, plane)
        )
    same = [pair == SAME for pair in INPUTS]
    torch.testing.assert_close(scale(numbers)[:, same].mean(dim=0), torch.zeros(sum(same)), atol=1e-3, rtol=0)


def test_a_width_that_does_not_split_into_four_is_refused():
    with pytest.raises(CorvidsError, match="30 units must be a multiple"):
        network(30)


# --- The signs of what policies and critics see -----------------------------------------------------------------------

_SIGNALS: tuple[tuple[Signs, ...], ...] = (
    VECTOR, VECTOR, QUATERNION, SPIN, (SAME,), VECTOR, VECTOR, (SAME,),
)  # fmt: skip
"""Of :class:`PolicyInputs`, in order, but for the command."""
_MEMORY = {"juggle": (SAME, *VECTOR), "hover": VECTOR, "track": VECTOR}
_COMMAND = {"juggle": (*VECTOR, SAME), "hover": VECTOR, "track": (*VECTOR, *VECTOR)}


@pytest.mark.parametrize("plane", PLANES.values(), ids=PLANES)
@pytest.mark.parametrize("name", TASKS)
def test_what_is_observed_of_a_mirrored_scene_is_mirrored(name: str, plane: int):
    task, random = TASKS[name](load_vehicle("air")), torch.Generator().manual_seed(0)
    signals = (*_SIGNALS, _COMMAND[name])

    def draw(signs: tuple[Signs, ...]) -> torch.Tensor:
        return torch.rand((50, len(signs)), dtype=torch.float64, generator=random) - 0.3

    given = PolicyInputs(*(draw(signs) for signs in signals))
    given.command[:, 3:4].abs_()  # an apex lies above
    given = given._replace(quat_wb=torch.nn.functional.normalize(given.quat_wb, dim=1))
    memory, actions = draw(_MEMORY[name]), draw(CTBR * 3)
    seen = task.observe(given, memory, actions)
    there = PolicyInputs(*(reflected(n, s, plane) for n, s in zip(given, signals, strict=True)))
    kept, done = reflected(memory, _MEMORY[name], plane), reflected(actions, CTBR * 3, plane)
    torch.testing.assert_close(task.observe(there, kept, done), reflected(seen, task.MIRRORS, plane))
    torch.testing.assert_close(
        task.remember(there, kept, 0.02), reflected(task.remember(given, memory, 0.02), _MEMORY[name], plane)
    )


_STATE = {
    "body.pos_w": VECTOR, "body.vel_w": VECTOR, "body.quat_wb": QUATERNION, "body.omega_b": SPIN,
    "ball.pos_w": VECTOR, "ball.vel_w": VECTOR, "ball.spin_w": SPIN,
}  # fmt: skip
_ROTORS = {"x": (3, 2, 1, 0), "y": (2, 3, 0, 1)}
"""Which rotor, in PX4's order, takes whose place in the mirror."""


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("vehicle", vehicle_names())
def test_a_mirrored_quadrotor_flies_the_mirrored_flight(vehicle: str, plane: str):
    """Half a second of random commands, a ball hit on the way: mirrored start and commands, mirrored end."""
    model, random = load_vehicle(vehicle), torch.Generator().manual_seed(0)
    with_ball = model.racket is not None
    simulator = Simulator(
        world_params(model, BallConfig(), 0.002, with_ball), gains_of(model, 0.002), 16, with_ball=with_ball,
        dtype=torch.float64, compile_kernels=False,
    )  # fmt: skip
    names, rows = leaf_names(AT_REST), simulator.rows
    simulator.state[names.index("body.pos_w.z")] = 50.0
    simulator.state[names.index("ball.pos_w.z")] = 50.3
    for field in ("body.vel_w", "body.omega_b", "ball.vel_w"):
        start = names.index(f"{field}.x")
        simulator.state[start : start + 3] += 0.3 * torch.randn(
            3, rows, 1, dtype=torch.float64, generator=random
        )
    before = simulator.state.clone()
    commands = 0.5 + 0.5 * torch.randn(25, 4, rows, 1, dtype=torch.float64, generator=random)
    commands[:, 0] = model.weight_n * (1.0 + 0.3 * commands[:, 0])
    here = flight(simulator, before, commands)
    there = flight(simulator, turned_over(before, names, plane), turned_over(commands, None, plane))
    seen = [row for row, name in enumerate(names) if name.startswith((*_STATE, "rotors."))]
    torch.testing.assert_close(there[seen], turned_over(here, names, plane)[seen], atol=1e-9, rtol=0)
    if with_ball:
        hits = (
            here[names.index("impact.racket_count")].sum() + here[names.index("ball.vel_w.z")].gt(0.0).sum()
        )
        assert hits > 0


def flight(simulator: Simulator, state: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
    simulator.state = state.clone()
    for command in commands:
        simulator.step(command, torch.zeros(simulator.rows, 1, dtype=torch.float64))
    return simulator.state


def turned_over(numbers: torch.Tensor, names: list[str] | None, plane: str) -> torch.Tensor:
    """A packed state (rows by ``names``) or commands (ticks, 4, ...) in the mirror."""
    there, side = numbers.clone(), PLANES[plane]
    if names is None:
        for row, signs in enumerate(CTBR):
            there[:, row] *= signs[side]
        return there
    for field, signs in _STATE.items():
        start = next(row for row, name in enumerate(names) if name.startswith(f"{field}."))
        for offset, pair in enumerate(signs):
            there[start + offset] *= pair[side]
    first = next(row for row, name in enumerate(names) if name.startswith("rotors."))
    there[first : first + 4] = numbers[[first + other for other in _ROTORS[plane]]]
    return there


@pytest.mark.parametrize("task", ["juggle", "hover"])
def test_an_environment_has_signs_for_all_it_shows(task: str):
    config = EnvConfig(task=task, vehicle="air" if task == "juggle" else "x500")
    env = Environment(config, 16, compile_kernels=False)
    for group, numbers in env.observations.items():
        assert len(env.mirrors[group]) == numbers.shape[1]


@pytest.mark.parametrize("vehicle", vehicle_names())
def test_the_shipped_vehicles_are_symmetric(vehicle: str):
    assert asymmetry(load_vehicle(vehicle)) is None


def test_what_a_mirror_would_show_elsewhere_is_named():
    air = load_vehicle("air")
    assert air.racket is not None
    hubs = ((0.12, -0.088388, 0.0), *air.rotors.position_b_m[1:])
    odd = dataclasses.replace(air, rotors=dataclasses.replace(air.rotors, position_b_m=hubs))
    assert "the rotor at [0.12, -0.088388, 0.0] m has no counterpart across the y-z plane" in (
        asymmetry(odd) or ""
    )
    tilted = (math.sin(0.05), 0.0, math.cos(0.05))
    odd = dataclasses.replace(air, racket=dataclasses.replace(air.racket, normal_b=tilted))
    assert asymmetry(odd) == "its racket is 0.000 m off the middle and tilted by 0.050 rad"
