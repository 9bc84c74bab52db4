"""Features on tensors (n, ·) say the same as the physics' own vectors and rotations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.rate_loop import gains_of
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.mdp.features import (
    GRAVITY_MPS2,
    GUIDANCE_MAX_MPS2,
    Motion,
    Present,
    carried_on,
    guidance,
    into_body,
    rotation_matrix,
    scaled,
    turned,
)
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.simulator import Simulator
from corvids.vehicle import load_vehicle

seeds = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def attitudes(seed: int, count: int = 20) -> torch.Tensor:
    """Unit quaternions (n, 4), half a turn about each axis among them."""
    return torch.cat(
        (torch.nn.functional.normalize(normal(seed, count, 4), dim=1), torch.eye(4, dtype=torch.float64))
    )


@given(seeds)
def test_a_rotation_matrix_is_that_of_the_quaternion(seed: int):
    quat = attitudes(seed)
    matrix = rotation_matrix(quat).reshape(-1, 3, 3)
    columns = Quat(*quat.t()).matrix()
    torch.testing.assert_close(matrix, torch.stack([column.stack() for column in columns], dim=2))
    torch.testing.assert_close(rotation_matrix(-quat).reshape(-1, 3, 3), matrix)  # q and -q are one attitude
    vector = normal(seed + 1, 3)
    torch.testing.assert_close(matrix @ vector, Quat(*quat.t()).rotate(Vec3(*vector)).stack())


@given(seeds, st.floats(1e-6, 0.5))
def test_turning_errs_by_the_third_power_of_the_half_angle(seed: int, angle: float):
    """The exact turn is (cos h, sin h · axis), h = angle/2; (1 - h²/2, h · axis) is off by h³/6 and h⁴/24 at most."""
    quat = attitudes(seed)
    axis = torch.nn.functional.normalize(normal(seed + 1, len(quat), 3), dim=1)
    half = torch.tensor(angle / 2, dtype=torch.float64)
    exact = Quat(*quat.t()).multiply(Quat(half.cos(), *(half.sin() * axis).t()))
    error = (turned(quat, axis * angle) - torch.stack(tuple(exact), dim=1)).norm(dim=1).max()
    assert error <= half**3 / 6 + half**4 / 24 + 1e-15


def test_turning_agrees_with_the_physics_at_the_angles_of_a_signals_age():
    """6 rad/s over 80 ms, the most that `air` turns while a message travels: 0.48 rad."""
    quat, rotation = attitudes(0), torch.nn.functional.normalize(normal(1, 24, 3), dim=1) * 0.48
    physics = Quat(*quat.t()).turned(Vec3(*rotation.t()))
    torch.testing.assert_close(turned(quat, rotation), torch.stack(tuple(physics), dim=1), atol=3e-3, rtol=0)


# --- Prediction -----------------------------------------------------------------------------------------------------


def motion(count: int, **given: torch.Tensor) -> Motion:
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double().expand(count, 4)
    zero = torch.zeros(count, 3, dtype=torch.float64)
    return Motion(zero, zero, level, zero)._replace(**given)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_vehicle_that_hovers_drifts_on_as_it_did():
    vel = normal(0, 4, 3)
    after = carried_on(
        motion(4, vel_w=vel),
        column(*[GRAVITY_MPS2] * 4),
        torch.zeros(4, 3).double(),
        column(0, 0.02, 0.05, 0.08),
    )
    torch.testing.assert_close(after.pos_w, vel * column(0, 0.02, 0.05, 0.08))
    torch.testing.assert_close(after.vel_w, vel)
    torch.testing.assert_close(after.matrix_wb, rotation_matrix(motion(4).quat_wb))
    assert not after.omega_b.any()


def test_thrust_and_gravity_act_meanwhile():
    """Level and at 2 g for 0.1 s: 1 g up, 0.98 m/s, 4.9 cm. On its side (roll 90°): y loses what z gained."""
    side = torch.tensor([[0.5**0.5, 0.5**0.5, 0.0, 0.0]], dtype=torch.float64)
    up = carried_on(motion(1), column(2 * GRAVITY_MPS2), torch.zeros(1, 3).double(), column(0.1))
    assert up.vel_w[0].tolist() == pytest.approx([0.0, 0.0, 0.980665])
    assert up.pos_w[0].tolist() == pytest.approx([0.0, 0.0, 0.0490333], abs=1e-6)
    aside = carried_on(motion(1, quat_wb=side), column(10.0), torch.zeros(1, 3).double(), column(0.1))
    assert aside.vel_w[0].tolist() == pytest.approx([0.0, -1.0, -0.980665])


def test_prediction_is_nearer_the_vehicle_than_what_was_seen_even_in_a_sharp_turn():
    """`air` in the simulator's own physics: half a second of random full turns, then 60 ms without being told.

    The commands are what the policy knows; the rotors' lag, the rate loop and drag are what it does not.
    """
    plant = flown(worlds=64, ticks=25)
    before, after, thrust_mps2, rates = plant
    told = carried_on(before, thrust_mps2, rates, torch.full((64, 1), 0.06, dtype=torch.float64))
    naive = before._replace(
        pos_w=before.pos_w + before.vel_w * 0.06, quat_wb=turned(before.quat_wb, before.omega_b * 0.06)
    )

    def facing(seen: Motion) -> Present:
        return Present(seen.pos_w, seen.vel_w, rotation_matrix(seen.quat_wb), seen.omega_b)

    for name, guess, prediction, truth, share in zip(
        Present._fields, facing(naive), told, facing(after), (0.6, 0.5, 0.7, 0.6), strict=True
    ):
        assert (prediction - truth).norm() < share * (guess - truth).norm(), name


def flown(worlds: int, ticks: int) -> tuple[Motion, Motion, torch.Tensor, torch.Tensor]:
    """Motion at a tick and three ticks later, with one command held all the while; and that command."""
    air, random = load_vehicle("air"), torch.Generator().manual_seed(0)
    simulator = Simulator(
        world_params(air, BallConfig(), 0.002), gains_of(air, 0.002), worlds, physics_hz=500, rate_loop_hz=500,
        control_hz=50, with_ball=False, dtype=torch.float64, compile_kernels=False,
    )  # fmt: skip
    rows, seen = simulator.rows, []
    simulator.state[2] = 100.0  # high over the ground
    thrust_n, rates = torch.zeros(rows, 1).double(), torch.zeros(rows, 3).double()
    for tick in range(ticks + 3):
        if tick == ticks - 2 or (tick < ticks - 2 and tick % 6 == 0):
            thrust_n = 5.0 + 20.0 * torch.rand((rows, 1), dtype=torch.float64, generator=random)
            rates = 12.0 * (2.0 * torch.rand((rows, 3), dtype=torch.float64, generator=random) - 1.0)
            rates[:, 2] *= 0.1
        command = torch.cat((thrust_n, rates), dim=1).t().unsqueeze(-1)
        simulator.step(command, torch.zeros(rows, 1, dtype=torch.float64))
        seen.append(simulator.state[:13, :, 0].t().clone())
    before, after = (
        Motion(s[:worlds, :3], s[:worlds, 3:6], s[:worlds, 6:10], s[:worlds, 10:13])
        for s in (seen[ticks - 1], seen[ticks + 2])
    )
    return before, after, thrust_n[:worlds] / air.body.mass_kg, rates[:worlds]


# --- Guidance -------------------------------------------------------------------------------------------------------


@given(st.floats(0.2, 1.0), st.floats(-0.4, 0.4), st.floats(-1.0, 1.0))
def test_guidance_arrives_at_rest(until_s: float, aside_m: float, vel_mps: float):
    """Followed to the end, the law leaves neither miss nor velocity; asked again on the way it says the same."""
    pos, vel, steps = torch.zeros(1, 2).double(), torch.full((1, 2), vel_mps).double(), 400
    target = torch.full((1, 2), aside_m, dtype=torch.float64)
    step_s = (until_s - 0.1) / steps  # within the last 0.1 s the law holds back
    for step in range(steps):
        left = until_s - step * step_s
        accel = guidance(target - pos, vel, torch.full((1, 1), left, dtype=torch.float64))
        if accel.norm() > 24.9:
            return  # it was limited
        pos, vel = pos + vel * step_s + 0.5 * accel * step_s**2, vel + accel * step_s
    # A cubic path that ends at rest: what is left of it 0.1 s before the end is 6d/t² = 4v/t apart.
    span = torch.tensor(0.1 / until_s)
    wanted = target - (target * 3 - vel_mps * until_s) * span**2 + (target * 2 - vel_mps * until_s) * span**3
    torch.testing.assert_close(pos, wanted.double(), atol=2e-3, rtol=0)


def test_guidance_asks_for_no_more_than_a_vehicle_can():
    accel = guidance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), torch.full((1, 1), 0.1))
    assert accel[0].tolist() == pytest.approx([0.6 * GUIDANCE_MAX_MPS2, 0.8 * GUIDANCE_MAX_MPS2])


@given(seeds)
def test_a_vector_in_the_body_is_turned_back_by_the_attitude(seed: int):
    quat, vector = attitudes(seed), normal(seed + 1, 24, 3)
    back = Quat(*quat.t()).rotate(Vec3(*into_body(rotation_matrix(quat), vector).t())).stack()
    torch.testing.assert_close(back, vector)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_keep_the_precision_of_their_inputs(dtype: torch.dtype):
    quat, vec = attitudes(2).to(dtype), normal(3, 24, 3).to(dtype)
    after = carried_on(Motion(vec, vec, quat, vec), vec[:, :1], vec, vec[:, :1])
    outputs = (rotation_matrix(quat), turned(quat, vec), *after, guidance(vec[:, :2], vec[:, 1:], vec[:, :1]))
    assert {output.dtype for output in outputs} == {dtype}


def test_parts_are_scaled_side_by_side():
    joined = scaled((2.0, torch.ones(3, 1)), (0.5, torch.ones(3, 2)))
    assert joined.tolist() == [[2.0, 0.5, 0.5]] * 3
