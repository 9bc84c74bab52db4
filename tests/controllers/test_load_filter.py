"""The load filter is the fading-memory filter that it says it is, in position and in attitude."""

from __future__ import annotations

import math

import pytest
import torch

from corvids.controllers.load_filter import (
    UNKNOWN_LOAD,
    LoadEstimate,
    LoadFilterConfig,
    load_filter,
    rotation_between,
)
from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3

CONFIG = LoadFilterConfig()
DT_S = 0.01
LONG_AGO_S = torch.full((1, 1), 10.0, dtype=torch.float64)


def vec(x: float, y: float, z: float) -> Vec3:
    return Vec3(*(torch.full((1, 1), part, dtype=torch.float64) for part in (x, y, z)))


def unknown(worlds: int = 1) -> LoadEstimate:
    return map_leaves(lambda leaf: torch.full((worlds, 1), leaf, dtype=torch.float64), UNKNOWN_LOAD)


def distance(a: tuple, b: tuple) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(a, b, strict=True))


def test_the_first_measurement_is_taken_over_as_it_is():
    pos, quat = vec(1.0, 2.0, 3.0), Quat.from_roll_pitch_yaw(*vec(0.1, -0.2, 2.0))
    moving = unknown()._replace(vel_w=vec(9.0, 9.0, 9.0), omega_b=vec(9.0, 9.0, 9.0))
    taken = load_filter(moving, pos, quat, LONG_AGO_S, CONFIG)
    assert distance(taken.pos_w, pos) == distance(taken.quat_wb, quat) == 0.0
    assert distance(taken.vel_w, vec(0.0, 0.0, 0.0)) == distance(taken.omega_b, vec(0.0, 0.0, 0.0)) == 0.0


def test_a_constant_twist_is_followed_without_lag():
    vel, omega = vec(1.0, -2.0, 0.5), vec(0.8, 0.3, -1.5)
    pos, quat = vec(0.0, 0.0, 1.0), Quat.from_roll_pitch_yaw(*vec(0.3, 0.2, 0.1))
    estimate = load_filter(unknown(), pos, quat, LONG_AGO_S, CONFIG)
    step = torch.full((1, 1), DT_S, dtype=torch.float64)
    for _ in range(100):  # 33 times its memory
        pos, quat = pos + vel * DT_S, quat.turned(omega * DT_S)
        estimate = load_filter(estimate, pos, quat, step, CONFIG)
    assert distance(estimate.pos_w, pos) < 1e-9
    assert distance(estimate.vel_w, vel) < 1e-7
    assert float(rotation_between(estimate.quat_wb, quat).norm()) < 1e-5  # the innovation is to first order
    assert distance(estimate.omega_b, omega) < 1e-4


def test_noise_is_reduced_as_the_textbook_says():
    """Zarchan & Musoff, Fundamentals of Kalman Filtering, fading-memory filters: variances of the second order."""
    worlds, std = 4000, 0.002
    random = torch.Generator().manual_seed(0)
    estimate, level = unknown(worlds), Quat.from_roll_pitch_yaw(*(torch.zeros(worlds, 1).double(),) * 3)
    step = torch.full((worlds, 1), DT_S, dtype=torch.float64)
    for index in range(60):
        shaken = Vec3(*(std * torch.randn(worlds, 1, dtype=torch.float64, generator=random) for _ in "xyz"))
        tilt = Vec3(*(std * torch.randn(worlds, 1, dtype=torch.float64, generator=random) for _ in "xyz"))
        elapsed = step if index else step + 10.0
        estimate = load_filter(estimate, shaken, level.turned(tilt), elapsed, CONFIG)
    fade = math.exp(-DT_S / CONFIG.memory_s)
    pos_std = std * math.sqrt((1 - fade) * (1 + 4 * fade + 5 * fade**2) / (1 + fade) ** 3)
    vel_std = std / DT_S * math.sqrt(2 * (1 - fade) ** 3 / (1 + fade) ** 3)
    for found, expected in (
        (estimate.pos_w, pos_std),
        (rotation_between(level, estimate.quat_wb), pos_std),
        (estimate.vel_w, vel_std),
        (estimate.omega_b, vel_std),
    ):
        rms = float(torch.stack(tuple(found)).square().mean().sqrt())
        assert rms == pytest.approx(expected, rel=0.03)


def test_both_quaternions_of_an_attitude_are_one_measurement():
    quat = Quat.from_roll_pitch_yaw(*vec(0.1, 0.0, 3.1))
    start = load_filter(unknown(), vec(0.0, 0.0, 0.0), quat, LONG_AGO_S, CONFIG)
    near = quat.turned(vec(0.0, 0.0, 0.1))
    step = torch.full((1, 1), DT_S, dtype=torch.float64)
    one, other = (
        load_filter(start, vec(0.0, 0.0, 0.0), Quat(*(part * sign for part in near)), step, CONFIG)
        for sign in (1.0, -1.0)
    )
    assert distance(one.quat_wb, other.quat_wb) < 1e-15
    assert distance(one.omega_b, other.omega_b) < 1e-12
    assert float(one.omega_b.z) > 0.5
