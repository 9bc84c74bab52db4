"""Steering thrust, and cancelling what a cable does, against arithmetic and closed loops of a few lines."""

from __future__ import annotations

import math

import pytest
import torch

from corvids.controllers.force_compensation import (
    AccelerationCommand,
    CompensationGains,
    CompensationState,
    compensate,
    filter_part,
)
from corvids.controllers.geometric import PositionGains, SteeringGains, follow_position, steer
from corvids.controllers.spatial import Quat, Vec3
from corvids.vehicle import GRAVITY_MPS2

G = GRAVITY_MPS2
GAINS = SteeringGains(6.5, 2.0, Vec3(8.0, 8.0, 3.0), 25.0)
LEVEL = Quat(*(torch.tensor([value], dtype=torch.float64) for value in (1.0, 0.0, 0.0, 0.0)))


def vec(x: float, y: float, z: float) -> Vec3:
    return Vec3(*(torch.tensor([value], dtype=torch.float64) for value in (x, y, z)))


def attitudes() -> Quat:
    """A grid of attitudes, each also as its antipodal quaternion."""
    angles = torch.linspace(-3.0, 3.0, 7, dtype=torch.float64)
    roll, pitch, yaw = (a.flatten() for a in torch.meshgrid(angles, 0.4 * angles, angles, indexing="ij"))
    grid = Quat.from_roll_pitch_yaw(roll, pitch, yaw)
    return Quat(*(torch.cat((part, -part)) for part in grid))


def test_hovering_level_needs_its_weight_and_no_rates():
    order = steer(vec(0.0, 0.0, 0.0), LEVEL, 0.6, GAINS)
    assert order.thrust_n.item() == pytest.approx(0.6 * G)
    assert [rate.item() for rate in order.rate_b] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_small_errors_by_hand():
    # 1 m/s² forward tilts the specific force by atan(1/g) = 0.1016 rad about +y: 6.5·2·sin(0.0508) = 0.660 rad/s.
    rates = steer(vec(1.0, 0.0, 0.0), LEVEL, 0.6, GAINS).rate_b
    assert [rate.item() for rate in rates] == pytest.approx([0.0, 0.660, 0.0], abs=1e-3)
    # To the left: about −x.
    rates = steer(vec(0.0, 1.0, 0.0), LEVEL, 0.6, GAINS).rate_b
    assert [rate.item() for rate in rates] == pytest.approx([-0.660, 0.0, 0.0], abs=1e-3)
    turned = Quat.from_roll_pitch_yaw(*(torch.tensor([a], dtype=torch.float64) for a in (0.0, 0.0, 0.2)))
    assert steer(vec(0.0, 0.0, 0.0), turned, 0.6, GAINS).rate_b.z.item() == pytest.approx(-0.4)
    assert steer(vec(0.0, 0.0, 0.0), turned, 0.6, GAINS, heading_rad=0.2).rate_b.z.item() == pytest.approx(
        0.0
    )


def test_a_quaternion_and_its_antipode_are_one_attitude():
    quat = attitudes()
    order = steer(vec(2.0, -1.0, 3.0), quat, 0.6, GAINS)
    for part in (order.thrust_n, *order.rate_b):
        first, second = part.chunk(2)
        torch.testing.assert_close(first, second)


def test_thrust_turns_to_where_it_must_point_from_every_attitude():
    quat, accel = attitudes(), vec(2.0, -1.0, 3.0)
    wanted = torch.tensor([2.0, -1.0, 3.0 + G], dtype=torch.float64)
    wanted = wanted / wanted.norm()

    def cosine() -> torch.Tensor:
        return torch.stack(tuple(quat.body_z()), dim=-1) @ wanted

    start = cosine()
    for step in range(1500):
        rate_b = steer(accel, quat, 0.6, GAINS).rate_b
        quat = quat.turned(rate_b * 0.002)
        if step == 0:
            assert (cosine() >= start - 1e-9).all()
    assert cosine().min() > 1.0 - 1e-6
    assert quat.yaw().abs().max() < 0.15  # heading follows; at a tilt, yaw of body x is not quite body yaw


def test_too_little_specific_force_keeps_the_attitude():
    tilted = Quat.from_roll_pitch_yaw(*(torch.tensor([a], dtype=torch.float64) for a in (0.5, 0.0, 0.0)))
    order = steer(vec(0.0, 0.0, -G), tilted, 0.6, GAINS)
    assert order.thrust_n.item() == pytest.approx(0.0, abs=1e-9)
    assert [rate.item() for rate in order.rate_b] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_position_errors_are_limited_per_axis():
    gains = PositionGains(4.0, 3.0, 5.0)
    accel = follow_position(vec(1.0, 0.0, 10.0), vec(0.0, -0.5, 0.0), gains, vec(0.0, 0.0, 1.0))
    assert [part.item() for part in accel] == pytest.approx([4.0, -1.5, 6.0])


DT_S = 0.004


def fly(pull_n: Vec3, believed_kg: float, seconds: float) -> tuple[Vec3, Quat, CompensationState]:
    """A point with thrust, ideal rates and a lag of 33 ms, told to stay, under a force from outside."""
    mass, tau = 0.6168, 0.033
    gains = CompensationGains(believed_kg, filter_part(tau, DT_S), filter_part(0.02, DT_S), 40.0, GAINS)
    hover = torch.tensor([believed_kg * G], dtype=torch.float64)
    state, thrust = CompensationState(hover, vec(0.0, 0.0, 0.0)), hover
    quat = LEVEL
    command = AccelerationCommand(vec(0.0, 0.0, 0.0), vec(0.0, 0.0, 0.0))
    accel = vec(0.0, 0.0, 0.0)
    for _ in range(round(seconds / DT_S)):
        force_w = quat.body_z() * thrust + pull_n
        accel = force_w * (1.0 / mass) + vec(0.0, 0.0, -G)
        state, order = compensate(state, command, quat.unrotate(force_w * (1.0 / mass)), quat, gains)
        thrust = thrust + (order.thrust_n - thrust) * (1.0 - math.exp(-DT_S / tau))
        quat = quat.turned(order.rate_b * DT_S)
    return accel, quat, state


@pytest.mark.parametrize("believed_kg", [0.6168, 0.6017, 0.55])
def test_a_cable_is_cancelled_whatever_the_mass_is_believed_to_be(believed_kg: float):
    """5 N down and 2 N aside: no acceleration remains, because what mass error leaves is felt as force too."""
    accel, quat, state = fly(vec(2.0, 0.0, -5.0), believed_kg, 2.0)
    assert max(abs(part.item()) for part in accel) < 1e-3
    # Thrust leans against the pull: tan = 2 / (0.6168·g + 5).
    lean = math.acos(quat.body_z().z.item())
    assert math.tan(lean) == pytest.approx(2.0 / (0.6168 * G + 5.0), rel=1e-3)
    assert quat.body_z().x.item() < 0.0
    if believed_kg == 0.6168:
        assert [p.item() for p in state.outside_w] == pytest.approx(
            [2.0 / 0.6168, 0.0, -5.0 / 0.6168], abs=1e-2
        )


def test_a_change_of_thrust_is_not_taken_for_a_force():
    """Climbing at once: the estimate stays at zero, since the model of thrust lags as the rotors do."""
    gains = CompensationGains(0.6, filter_part(0.033, DT_S), filter_part(0.02, DT_S), 40.0, GAINS)
    thrust = torch.tensor([0.6 * G], dtype=torch.float64)
    state = CompensationState(thrust, vec(0.0, 0.0, 0.0))
    command = AccelerationCommand(vec(0.0, 0.0, 6.0), vec(0.0, 0.0, 0.0))
    for _ in range(50):
        state, order = compensate(state, command, vec(0.0, 0.0, 0.0)._replace(z=thrust / 0.6), LEVEL, gains)
        thrust = thrust + (order.thrust_n - thrust) * filter_part(0.033, DT_S)
        assert max(abs(part.item()) for part in state.outside_w) < 1e-9
    assert thrust.item() == pytest.approx(0.6 * (G + 6.0), rel=1e-2)


def test_an_estimate_has_a_limit():
    gains = CompensationGains(0.6, 0.1, 1.0, 10.0, GAINS)
    state = CompensationState(torch.tensor([6.0], dtype=torch.float64), vec(0.0, 0.0, 0.0))
    command = AccelerationCommand(vec(0.0, 0.0, 0.0), vec(0.1, -0.2, 0.0))
    state, order = compensate(state, command, vec(90.0, 0.0, 10.0), LEVEL, gains)
    assert [part.item() for part in state.outside_w] == pytest.approx([10.0, 0.0, 0.0])
    assert order.rate_b.x.item() == pytest.approx(0.1)  # the reference passes through
