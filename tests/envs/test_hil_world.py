"""A world that a real autopilot flies: what its sensors feel, and its ball."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.hil_world import AWAY_S, BAROMETER_STD_M, COMPASS_STD_RAD, HilWorld
from corvids.envs.sensors.gps import GRADES
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
G = 9.80665
HOVER = math.sqrt(AIR.weight_n / AIR.max_thrust_n)
"""Motor command at which an air vehicle hovers: its thrust is quadratic in it."""


def make() -> HilWorld:
    return HilWorld(MujocoEngine(AIR, 1, compile_kernels=False), AIR, 0.6, BallConfig(), seed=0)


def force_of(felt):
    return felt.specific_force_b_mps2


def omega_of(felt):
    return felt.omega_b_radps


def test_its_imu_is_as_noisy_as_it_is_told():
    noise = []
    for factor in (1.0, 10.0):
        world = HilWorld(
            MujocoEngine(AIR, 1, compile_kernels=False), AIR, 0.6, BallConfig(), seed=0, imu_noise=factor
        )
        felt = flown(world, 0.0, 2.0)[-200:]
        noise.append([np.std([part(f) for f in felt], axis=0).mean() for part in (force_of, omega_of)])
    assert noise[0] == pytest.approx([0.1, 0.01], rel=0.1)
    assert noise[1] == pytest.approx([1.0, 0.1], rel=0.1)


def flown(world: HilWorld, command: float, seconds: float) -> list:
    return [world.advance((command,) * 4) for _ in range(round(seconds / world.step_s))]


def airborne() -> HilWorld:
    """A vehicle about 0.7 m up, rising at not quite 2 m/s."""
    world = make()
    flown(world, 1.0, 0.1)
    flown(world, HOVER, 0.3)
    return world


def test_on_the_ground_it_feels_its_weight():
    felt = flown(make(), 0.0, 0.5)
    mean = np.mean([f.specific_force_b_mps2 for f in felt], axis=0)
    assert mean == pytest.approx((0.0, 0.0, G), abs=0.05)
    assert np.std([f.omega_b_radps for f in felt]) == pytest.approx(0.01, rel=0.2)
    assert felt[0].height_w_m == pytest.approx(AIR.airframe.ground_clearance_m, abs=0.01)


def test_the_tracker_sends_at_125_hz_and_late():
    world = make()
    felt = flown(world, 1.0, 0.4)
    sent = [f for f in felt if f.tracked_pos_w_m]
    assert len(sent) == 50
    speed = world.state.vel_w[0, 2]
    behind = world.state.pos_w[0, 2] - sent[-1].tracked_pos_w_m[2]
    assert behind == pytest.approx(0.02 * speed, rel=0.1, abs=0.01), "20 ms, at several m/s"


def test_with_gps_nobody_tracks_it_and_compass_and_barometer_err():
    engine = MujocoEngine(AIR, 1, compile_kernels=False)
    world = HilWorld(engine, AIR, 0.6, BallConfig(), seed=0, gps=GRADES["rtk"])
    felt = flown(world, 0.0, 4.0)
    assert not any(f.tracked_pos_w_m for f in felt)
    fixes = [f.fix for f in felt if f.fix]
    assert len(fixes) == 40, "ten a second, 0.1 s late; the first was taken at once"
    assert np.linalg.norm(np.array(fixes[-1].pos_w) - world.place()) < 0.1
    assert np.std([f.height_w_m for f in felt]) == pytest.approx(BAROMETER_STD_M, rel=0.1)
    tilts = np.array([2.0 * np.array(f.quat_wb[1:]) for f in felt])
    assert tilts.std(axis=0) == pytest.approx(COMPASS_STD_RAD, rel=0.1)
    assert np.abs(tilts[:, :2].mean(axis=0)) == pytest.approx(0.0, abs=0.001)
    assert 0.001 < abs(tilts[:, 2].mean()) < math.radians(4.0), "what a calibration left, about the vertical"


def test_the_ball_is_held_over_the_racket_then_falls_and_comes_back():
    world = make()
    flown(world, 0.0, 0.3)
    held = [pos_w for _, pos_w in world.measure(world.now_s, None)]
    over = AIR.airframe.ground_clearance_m + 0.055 + 0.04 + 0.6
    assert held[-1] == pytest.approx((0.0, 0.0, over), abs=0.015)
    before = world.state
    world.release()
    assert np.array_equal(world.state.pos_w, before.pos_w), "the vehicle is where it was"
    flown(world, 0.0, 0.2)
    fallen = world.measure(world.now_s, None)[-1]
    assert fallen[1][2] == pytest.approx(over - 0.5 * G * 0.18**2, abs=0.03), "0.18 s: it arrives 20 ms late"


def test_a_hit_pushes_the_vehicle_and_counts():
    world = airborne()
    world.release()
    before = world.state.vel_w[0, 2]
    felt = flown(world, HOVER, 0.8)
    assert world.hits == 1
    assert min(f.specific_force_b_mps2[2] for f in felt) < 0.0, "the accelerometer feels the blow"
    assert world.state.vel_w[0, 2] < before


def test_a_dropped_ball_is_out_of_sight_for_a_while():
    world = airborne()
    world.release()
    for _ in range(1000):
        world.advance((1.05 * HOVER, 0.95 * HOVER, 0.95 * HOVER, 1.05 * HOVER))  # rolls away from under it
        if world.drops:
            break
    assert world.drops == 1
    world.measure(world.now_s, None)
    flown(world, 0.0, AWAY_S - 0.1)
    assert world.measure(world.now_s, None) == []
    world.release()
    flown(world, 0.0, 0.3)
    assert world.measure(world.now_s, None)
