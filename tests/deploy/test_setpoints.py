"""Setpoint files: written and read back, refused in one line; the follower obeys, learns thrust, and calls back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from corvids.deploy.contract import Limits
from corvids.deploy.setpoint_follower import SetpointFollower, tilt_rad
from corvids.deploy.setpoints import (
    COLUMNS,
    FlightLimits,
    Setpoints,
    Span,
    make_setpoints,
    read_setpoints,
    to_bytes,
)
from corvids.errors import CorvidsError

G = 9.80665
FENCE = FlightLimits((-1.0, -1.0, 0.5), (1.0, 1.0, 2.5), 2.0, 0.6)
COMMANDS = Limits((0.0, 30.0), G, (8.0, 8.0, 2.0), 0.8)
"""A vehicle of 1 kg."""


class Seen(NamedTuple):
    stamp_s: np.ndarray
    pos_w: np.ndarray
    vel_w: np.ndarray
    quat_wb: np.ndarray
    omega_b: np.ndarray
    ball_stamp_s: np.ndarray
    ball_pos_w: np.ndarray


def seen(pos=(0.0, 0.0, 1.5), vel=(0.0, 0.0, 0.0), quat=(1.0, 0.0, 0.0, 0.0)) -> Seen:
    pos_w, vel_w, quat_wb = (np.array([value], float) for value in (pos, vel, quat))
    none = np.zeros((1, 0))
    return Seen(np.zeros(1), pos_w, vel_w, quat_wb, np.zeros((1, 3)), none, none[..., None] * np.zeros(3))


def hover(count: int = 400, **columns) -> Setpoints:
    samples = np.zeros((count, len(COLUMNS)))
    samples[:, 2] = 1.5
    for name, value in columns.items():
        samples[:, COLUMNS.index(name)] = value
    return make_setpoints("air", 100.0, FENCE, (Span("hover", 0.0, count / 100.0),), samples)


def test_a_file_reads_back_as_it_was_written(tmp_path: Path):
    path = tmp_path / "plan.json"
    given = hover(vel_x_w_mps=np.linspace(0.0, 0.1, 400), thrust_share_1=0.125)
    path.write_bytes(to_bytes(given))
    assert read_setpoints(path) == given
    assert given.seconds == 4.0 and given.array().shape == (400, 10)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "is no setpoint file"),
        ({"version": 2}, "version = 2 must be 1"),
        ({"rate_hz": 5.0}, "must be from 20 to 500 Hz"),
        ({"columns": ["x"]}, "columns must be place_x_w_m"),
        ({"samples": []}, "samples is empty"),
        ({"samples": [[0.0, 0.0, 1.5]]}, "samples[0] has 3 numbers"),
        ({"samples": [[0.0, 0.0, 9.0, *[0.0] * 7]]}, "outside the fence"),
        ({"samples": [[0.0, 0.0, "up", *[0.0] * 7]]}, "samples[0][2] = 'up' must be a finite number"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, change: dict, says: str):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(to_bytes(hover(3))) | change))
    with pytest.raises(CorvidsError) as error:
        read_setpoints(path)
    assert says in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_no_file_makes_the_reader_fail_otherwise(tmp_path: Path, content: bytes):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(CorvidsError, match=r"plan\.json"):
        read_setpoints(path)


def test_at_the_place_the_excitation_is_all_that_is_added():
    follower = SetpointFollower(
        [hover(rate_y_b_radps=1.5, rate_z_b_radps=9.0, thrust_share_1=0.25)], COMMANDS
    )
    thrust_n, rate = follower.step(seen(), 0)
    np.testing.assert_allclose(thrust_n, 1.25 * G)
    np.testing.assert_allclose(rate, [[0.0, 1.5, 2.0]])  # yaw: as fast as the vehicle may


def test_a_moving_place_is_flown_at_without_lag():
    """On the reference, moving with it, with a constant velocity: there is nothing to correct."""
    samples = np.zeros((400, len(COLUMNS)))
    samples[:, 0], samples[:, 2] = 0.5 * np.arange(400) / 400, 1.5
    samples[:, 3] = 0.125
    follower = SetpointFollower([make_setpoints("air", 100.0, FENCE, (), samples)], COMMANDS)
    thrust_n, rate = follower.step(seen(pos=(samples[200, 0], 0.0, 1.5), vel=(0.125, 0.0, 0.0)), 200)
    np.testing.assert_allclose(thrust_n, G, rtol=1e-6)
    np.testing.assert_allclose(rate, 0.0, atol=1e-6)


def test_weak_thrust_is_learned():
    """A vertical point mass whose thrust is a quarter weaker than commanded: 9 s later it is where it should be.

    Without learning it would hang 0.25·g / (1.5·3) = 0.54 m too low for good; it sinks little more than that once.
    """
    follower, height, speed = SetpointFollower([hover(900)], COMMANDS), 1.5, 0.0
    lowest = height
    for index in range(900):
        thrust_n, _ = follower.step(seen(pos=(0.0, 0.0, height), vel=(0.0, 0.0, speed)), index)
        speed += 0.01 * (0.75 * thrust_n[0] - G)
        height += 0.01 * speed
        lowest = min(lowest, height)
    assert height == pytest.approx(1.5, abs=0.01) and lowest > 1.5 - 1.2 * 0.545


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"pos": (1.1, 0.0, 1.5)}, "left the fence"),
        ({"vel": (0.0, 2.1, 0.0)}, "faster than 2 m/s: 2.1"),
        ({"quat": (np.cos(0.31), np.sin(0.31), 0.0, 0.0)}, "tilted more than 34°: 35.5"),
        ({"pos": (np.nan, 0.0, 1.5)}, "state is unknown"),
    ],
)
def test_whoever_leaves_the_limits_is_called_back_for_good(state: dict, says: str):
    follower = SetpointFollower([hover(thrust_share_1=0.5, rate_x_b_radps=2.0)], COMMANDS)
    follower.step(seen(), 0)
    assert follower.stopped[0] == -1
    follower.step(seen(**state), 1)
    assert follower.stopped[0] == 1 and says in (follower.reasons[0] or "")
    thrust_n, rate = follower.step(seen(), 2)
    np.testing.assert_allclose(thrust_n, G, rtol=0.01)
    np.testing.assert_allclose(rate, 0.0, atol=1e-9)


def test_tilt_is_the_angle_from_the_vertical():
    half = 0.5 * np.array([0.0, 0.3, 1.2, 3.0])
    about_x = np.stack((np.cos(half), np.sin(half), 0.0 * half, 0.0 * half), axis=1)
    about_z = np.stack((np.cos(half), 0.0 * half, 0.0 * half, np.sin(half)), axis=1)
    np.testing.assert_allclose(tilt_rad(about_x), 2.0 * half, atol=1e-12)
    np.testing.assert_allclose(tilt_rad(about_z), 0.0, atol=1e-12)
