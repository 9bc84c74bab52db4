"""PX4's frames and ours, against rotation matrices written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvids.deploy.px4.frames import enu_ned, flu_frd, level_ned, quat_enu_ned, rotate, yaw_ned_rad

NUMBER = st.floats(-1.0, 1.0)
QUATS = st.tuples(NUMBER, NUMBER, NUMBER, NUMBER).filter(lambda q: math.hypot(*q) > 0.1)
ENU_FROM_NED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FLU_FROM_FRD = np.diag([1, -1, -1])


def matrix(quat) -> np.ndarray:
    """Columns: the turned axes."""
    return np.array([rotate(quat, axis) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]).T


def unit(quat):
    norm = math.hypot(*quat)
    return tuple(component / norm for component in quat)


@given(QUATS)
def test_an_attitude_is_turned_on_both_sides(quat):
    quat_ned = unit(quat)
    ours = quat_enu_ned(quat_ned)
    assert math.hypot(*ours) == pytest.approx(1.0)
    assert matrix(ours) == pytest.approx(ENU_FROM_NED @ matrix(quat_ned) @ FLU_FROM_FRD.T, abs=1e-12)


@given(QUATS)
def test_there_and_back_is_the_same(quat):
    quat_ned = unit(quat)
    assert quat_enu_ned(quat_enu_ned(quat_ned)) == pytest.approx(quat_ned, abs=1e-12)
    assert enu_ned(enu_ned(quat[:3])) == quat[:3]
    assert flu_frd(flu_frd(quat[:3])) == quat[:3]


def test_known_attitudes():
    half = math.sqrt(0.5)
    assert quat_enu_ned((1.0, 0.0, 0.0, 0.0)) == pytest.approx((half, 0, 0, half)), (
        "north is 90° left of east"
    )
    assert quat_enu_ned((half, 0, 0, half)) == pytest.approx((1.0, 0, 0, 0)), "heading east, level"
    # Nose up by 0.2 rad while heading north: PX4's pitch +0.2. Our x axis then points north and up.
    ours = quat_enu_ned((math.cos(0.1), 0.0, math.sin(0.1), 0.0))
    assert rotate(ours, (1.0, 0.0, 0.0)) == pytest.approx((0.0, math.cos(0.2), math.sin(0.2)))
    # Right side down by 0.2 rad (PX4's roll +0.2), heading north: our y axis, left, points west and up.
    ours = quat_enu_ned((math.cos(0.1), math.sin(0.1), 0.0, 0.0))
    assert rotate(ours, (0.0, 1.0, 0.0)) == pytest.approx((-math.cos(0.2), 0.0, math.sin(0.2)))


def test_vectors():
    assert enu_ned((1.0, 2.0, -3.0)) == (2.0, 1.0, 3.0)
    assert flu_frd((1.0, 2.0, -3.0)) == (1.0, -2.0, 3.0)


@pytest.mark.parametrize("yaw", [-3.0, -1.0, 0.0, 0.5, 1.5707, 3.1])
def test_heading(yaw: float):
    assert yaw_ned_rad(quat_enu_ned(level_ned(yaw))) == pytest.approx(yaw, abs=1e-9)
