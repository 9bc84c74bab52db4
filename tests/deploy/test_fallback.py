"""The fallback law alone: signs and limits by hand, then whole flights in the native simulator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from corvids.controllers.packing import map_leaves, pack
from corvids.controllers.rate_loop import Four, gains_of
from corvids.controllers.spatial import Quat, Vec3
from corvids.deploy.contract import Limits
from corvids.deploy.fallback import Fallback
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import AT_REST
from corvids.envs.simulator import Simulator
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
LIMITS = Limits(
    (0.0, AIR.limits.thrust_max_n), AIR.weight_n, AIR.limits.rate_max_radps, AIR.limits.tilt_max_rad
)
LEVEL = np.array([[1.0, 0.0, 0.0, 0.0]])
ORIGIN = np.zeros((1, 3))
UNKNOWN = np.full((1, 3), np.nan)


def about(axis: str, angle: float) -> np.ndarray:
    """Quaternion of a turn about a body axis."""
    quat = np.zeros((1, 4))
    quat[0, 0], quat[0, 1 + "xyz".index(axis)] = math.cos(angle / 2), math.sin(angle / 2)
    return quat


def test_level_at_the_place_it_asks_for_its_weight_and_no_rates():
    thrust_n, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, LEVEL, ORIGIN)
    np.testing.assert_allclose(thrust_n, AIR.weight_n)
    np.testing.assert_allclose(rates, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("place", "axis", "sign"),
    [
        ((1.0, 0.0, 0.0), 1, 1.0),
        ((-1.0, 0.0, 0.0), 1, -1.0),
        ((0.0, 1.0, 0.0), 0, -1.0),
        ((0.0, -1.0, 0.0), 0, 1.0),
    ],
)
def test_it_tilts_towards_the_place(place, axis, sign):
    """In FLU, pitching by +θ about y tips body z towards +x; rolling by +θ about x tips it towards -y."""
    _, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, LEVEL, np.array([place]))
    assert sign * rates[0, axis] > 1.0
    np.testing.assert_allclose(np.delete(rates[0], axis), 0.0, atol=1e-9)


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("angle", [-2.5, -0.6, 0.6, 2.5])
def test_it_turns_back_to_level(axis, angle):
    _, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, about(axis, angle), ORIGIN)
    index = "xyz".index(axis)
    assert rates[0, index] * angle < 0.0
    np.testing.assert_allclose(np.delete(rates[0], index), 0.0, atol=1e-9)


def test_upside_down_it_rolls_and_does_not_push():
    """At exactly 180° every direction leads back; a rate of zero would be a trap."""
    thrust_n, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, about("x", math.pi), ORIGIN)
    assert abs(rates[0, 0]) > 5.0 and thrust_n[0] == 0.0


def test_yaw_is_turned_to_zero():
    _, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, about("z", 0.5), ORIGIN)
    np.testing.assert_allclose(rates[0], [0.0, 0.0, -0.5], atol=1e-9)


def test_without_a_position_it_brakes_and_without_a_velocity_it_levels():
    fallback, moving = Fallback(LIMITS), np.array([[2.0, 0.0, 0.0]])
    _, braking = fallback.command(UNKNOWN, moving, LEVEL, ORIGIN)
    assert braking[0, 1] < -1.0
    thrust_n, levelling = fallback.command(UNKNOWN, UNKNOWN, about("y", 0.3), UNKNOWN)
    np.testing.assert_allclose(levelling[0], [0.0, -6.0 * 0.3, 0.0], atol=1e-9)
    np.testing.assert_allclose(thrust_n, AIR.weight_n * math.cos(0.3))


def test_without_an_attitude_it_asks_for_its_weight_and_no_rates():
    for quat in (np.full((1, 4), np.nan), np.zeros((1, 4))):
        thrust_n, rates = Fallback(LIMITS).command(ORIGIN, ORIGIN, quat, np.ones((1, 3)))
        np.testing.assert_allclose(thrust_n, AIR.weight_n)
        np.testing.assert_array_equal(rates, 0.0)


def test_commands_are_finite_and_within_limits_whatever_is_said():
    rng = np.random.default_rng(0)
    values = rng.choice([0.0, 1.0, -50.0, 1e6, np.nan, np.inf], (4, 5000, 4))
    with np.errstate(all="ignore"):
        thrust_n, rates = Fallback(LIMITS).command(
            values[0, :, :3], values[1, :, :3], values[2], values[3, :, :3]
        )
    assert np.isfinite(thrust_n).all() and np.isfinite(rates).all()
    assert thrust_n.min() >= 0.0 and thrust_n.max() <= LIMITS.thrust_n[1]
    assert (np.abs(rates) <= LIMITS.rate_max_radps).all()


def test_it_recovers_in_the_native_simulator():
    """From up to 70° of tilt, 2 m/s and 2 m away: at the place after six seconds, upright and still."""
    worlds = 12
    simulator = Simulator(
        world_params(AIR, BallConfig(), 0.005, with_ball=False), gains_of(AIR, 0.005), worlds,
        physics_hz=200, rate_loop_hz=200, with_ball=False, compile_kernels=False,
    )  # fmt: skip
    rng = np.random.default_rng(1)

    def some(size: float) -> Vec3:
        return Vec3(*torch.tensor(rng.uniform(-size, size, (3, simulator.rows)), dtype=torch.float32))

    zero, place = torch.zeros(simulator.rows), Vec3(0.0, 0.0, 8.0)
    state = map_leaves(lambda leaf: zero + leaf, AT_REST)
    state = state._replace(
        body=RigidBody(place + some(1.15), some(1.15), Quat.from_roll_pitch_yaw(*some(0.85)), some(2.0)),
        rotors=Four(*(zero + math.sqrt(1.0 / AIR.thrust_to_weight),) * 4),
    )
    hover = torch.tensor([AIR.weight_n, 0.0, 0.0, 0.0]).reshape(4, 1, 1).expand(4, simulator.rows, 1)
    simulator.state.copy_(pack(state)[..., None])
    simulator.command.copy_(hover)
    fallback, no_delay = Fallback(LIMITS), torch.zeros(simulator.rows, 1)

    def seen() -> list[np.ndarray]:
        return [torch.cat(tuple(part), dim=1).double().numpy() for part in simulator.world.body[:3]]

    with torch.inference_mode():
        for _ in range(300):
            pos, vel, quat = seen()
            thrust_n, rates = fallback.command(pos, vel, quat, np.tile((0.0, 0.0, 8.0), (simulator.rows, 1)))
            command = torch.tensor(np.concatenate((thrust_n[:, None], rates), axis=1).T, dtype=torch.float32)
            simulator.step(command[..., None], no_delay)
            assert pos[:, 2].min() > 4.0
    pos, vel, _ = seen()
    assert np.linalg.norm(pos - np.array((0.0, 0.0, 8.0)), axis=1).max() < 0.05
    assert np.linalg.norm(vel, axis=1).max() < 0.05
    assert simulator.world.body.quat_wb.body_z().z.min() > 0.999
