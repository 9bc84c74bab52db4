"""Two engines that share no integrator and no contact must tell the same story."""

from __future__ import annotations

import numpy as np
import pytest
from engine_lab import fly_wildly, with_racket

from corvids.envs.engines.engine import TICK_S
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.vehicle import vehicle_names

WORLDS = 6


@pytest.mark.parametrize("name", vehicle_names())
def test_two_seconds_of_aggressive_flight_agree(lab, name: str):
    """Same motor commands, with wind and spin: within 1 cm and 1°, as the project promises; measured: 0.5 mm, 0.05°."""
    vehicle = with_racket(name)
    engines = lab.make("native", vehicle, WORLDS), lab.make("mujoco", vehicle, WORLDS, integrator="rk4")
    apart = fly_wildly(vehicle, engines, height_m=100.0, ball_m=200.0)
    assert apart.fastest_radps > 3.0  # the most that px4_sih's rotors can do; the others pass 10
    assert apart.speed_mps > 5.0
    assert apart.pos_m < 0.01
    assert apart.angle_deg < 1.0
    assert apart.ball_pos_m < 1e-4
    assert apart.specific_force_mps2 < 0.05


def impacts(lab, worlds: int, *, offset_m, tilt_rad, vehicle_vel, ball_vel, spin, seed: int):
    """A start, 20 ms before balls meet tilted, moving, turning rackets; and who should be struck how fast."""
    rng = np.random.default_rng(seed)
    tilt, azimuth = rng.uniform(tilt_rad[0], tilt_rad[1], worlds), rng.uniform(0.0, 2.0 * np.pi, worlds)
    axis = np.stack((np.cos(azimuth), np.sin(azimuth), 0.0 * azimuth), axis=1)
    quat = np.concatenate((np.cos(tilt / 2)[:, None], axis * np.sin(tilt / 2)[:, None]), axis=1)
    normal = np.stack((np.sin(azimuth) * np.sin(tilt), -np.cos(azimuth) * np.sin(tilt), np.cos(tilt)), axis=1)
    across = np.cross(normal, axis)
    distance, angle = offset_m * np.sqrt(rng.random(worlds)), rng.uniform(0.0, 2.0 * np.pi, worlds)
    offset = (axis * np.cos(angle)[:, None] + across * np.sin(angle)[:, None]) * distance[:, None]

    def ball_of(size: float) -> np.ndarray:
        direction = rng.normal(size=(worlds, 3))
        return size * direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.random((worlds, 1))

    pos = np.tile((0.0, 0.0, 5.0), (worlds, 1))
    vel, omega = ball_of(vehicle_vel), ball_of(1.5)
    ball = -normal * rng.uniform(ball_vel[0], ball_vel[1], worlds)[:, None] + ball_of(0.5) + vel
    arm = normal * 0.095 + offset  # racket's height and ball's radius
    closing = -np.sum((ball - vel - np.cross(omega, arm)) * normal, axis=1)
    start = lab.start(
        lab.air,
        worlds,
        pos_w=pos,
        vel_w=vel,
        quat_wb=quat,
        omega_b=omega,
        ball_pos_w=pos + arm - (ball - vel) * 0.02,
        ball_vel_w=ball,
        ball_spin_w=ball_of(spin),
    )
    return start, closing


def outgoing(lab, kind: str, start, ticks: int):
    """Final state, and impacts on the face and elsewhere, of a flight at hover thrust."""
    worlds = len(start.pos_w)
    engine = lab.make(kind, lab.air, worlds)
    engine.reset(start, world_params(lab.air, BallConfig(), TICK_S))
    racket, other = np.zeros(worlds, int), np.zeros(worlds, int)
    for _ in range(ticks):
        engine.step(np.full(worlds, lab.air.weight_n), np.zeros((worlds, 3)))
        racket += engine.contacts.racket
        other += engine.contacts.other
    return engine.state, racket, other, engine.contacts.racket_ball_pos_w


@pytest.mark.parametrize(
    ("where", "limit"),
    [
        ({"offset_m": 0.01, "tilt_rad": (0.0, 0.5), "vehicle_vel": 0.0}, 0.02),
        ({"offset_m": 0.03, "tilt_rad": (0.0, 0.5), "vehicle_vel": 1.0}, 0.02),
        ({"offset_m": 0.03, "tilt_rad": (0.5, 0.87), "vehicle_vel": 3.0}, 0.02),
    ],
    ids=["centre", "off-centre, moving", "tilted to 50°, moving fast"],
)
def test_one_bounce_agrees(lab, where, limit):
    """The ball's velocity relative to the vehicle, after the impact: within 2 %."""
    start, closing = impacts(lab, 200, ball_vel=(1.5, 6.0), spin=10.0, seed=3, **where)
    ours, ours_racket, ours_other, ours_pos = outgoing(lab, "native", start, 18)
    theirs, their_racket, their_other, their_pos = outgoing(lab, "mujoco", start, 18)
    assert closing.min() > 0.8
    for count in (ours_racket, their_racket):
        np.testing.assert_array_equal(count, 1)
    for count in (ours_other, their_other):
        np.testing.assert_array_equal(count, 0)
    relative = ours.ball_vel_w - ours.vel_w
    error = np.linalg.norm(relative - (theirs.ball_vel_w - theirs.vel_w), axis=1)
    assert np.max(error / np.linalg.norm(relative, axis=1)) < limit
    assert np.abs(ours.vel_w - theirs.vel_w).max() < 0.02
    assert np.linalg.norm(ours_pos - their_pos, axis=1).max() < 0.005


def test_a_flight_through_the_rate_loop_agrees(lab):
    """Both engines fly the same rate loop: half a second of turning, 1 mm and 0.1° apart at most."""
    vehicle, ticks = lab.air, 250
    params = world_params(vehicle, BallConfig(), TICK_S)
    states = []
    for kind in ("native", "mujoco"):
        engine = lab.make(kind, vehicle, 1)
        engine.reset(lab.start(vehicle, 1), params)
        for tick in range(ticks):
            sign = 1.0 if tick < 125 else -1.0
            engine.step(np.array([1.2 * vehicle.weight_n]), sign * np.array([[1.5, -1.0, 0.5]]))
        states.append(engine.state)
    ours, theirs = states
    assert np.linalg.norm(ours.pos_w - theirs.pos_w) < 0.003
    assert 2.0 * np.degrees(np.arccos(min(1.0, abs(float(np.sum(ours.quat_wb * theirs.quat_wb)))))) < 0.3
