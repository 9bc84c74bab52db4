"""What a member believes of where its load is measured."""

from __future__ import annotations

import math

import pytest

from corvids.deploy.supervision.checks import Thresholds
from corvids.deploy.supervision.load_watch import LoadWatch

LIMITS = Thresholds(load_range_max_m=2.0, load_speed_max_mps=10.0, load_age_max_s=0.2, future_max_s=0.02)
VEHICLE_W = (0.0, 0.0, 2.0)
LEVEL = (1.0, 0.0, 0.0, 0.0)
NAN = math.nan


def watch_at(x_m: float = 0.0, stamp_s: float = 1.0) -> LoadWatch:
    """One that has seen its load there."""
    watch = LoadWatch(LIMITS)
    assert watch.believes(stamp_s, stamp_s, (x_m, 0.0, 1.0, *LEVEL), VEHICLE_W)
    return watch


@pytest.mark.parametrize(
    ("stamp_s", "x_m", "is_believed"),
    [
        (1.004, 0.09, True),  # within 10 m/s over the least time that counts
        (1.004, 0.11, False),
        (1.1, 0.99, True),
        (1.1, 1.01, False),
        (1.3, 1.5, True),  # what was seen that long ago says nothing any more
        (1.3, 1.8, False),  # 2.06 m from the vehicle
    ],
)
def test_a_load_can_be_as_far_as_its_cable_reaches_and_it_can_have_come(stamp_s, x_m, is_believed):
    watch = watch_at()
    assert watch.believes(stamp_s, stamp_s, (x_m, 0.0, 1.0, *LEVEL), VEHICLE_W) is is_believed
    assert bool(watch.doubt) is not is_believed
    assert watch.stamp_s == (stamp_s if is_believed else 1.0)


@pytest.mark.parametrize(
    ("stamp_s", "pose", "vehicle_w"),
    [
        (NAN, (0.0, 0.0, 1.0, *LEVEL), VEHICLE_W),
        (1.1, (NAN, 0.0, 1.0, *LEVEL), VEHICLE_W),
        (1.1, (0.0, 0.0, 1.0, NAN, 0.0, 0.0, 0.0), VEHICLE_W),
        (1.1, (0.0, 0.0, 1.0, *LEVEL), (NAN, 0.0, 2.0)),
        (1.0, (0.0, 0.0, 1.0, *LEVEL), VEHICLE_W),  # the same once more
        (0.9, (0.5, 0.0, 1.0, *LEVEL), VEHICLE_W),  # came late
        (1.2, (0.0, 0.0, 1.0, *LEVEL), VEHICLE_W),  # of the future
    ],
)
def test_what_is_no_new_pose_changes_nothing(stamp_s, pose, vehicle_w):
    watch = watch_at()
    assert not watch.believes(1.1, stamp_s, pose, vehicle_w)
    assert (watch.stamp_s, watch.doubt) == (1.0, "")
    assert not watch.believes(1.1, 1.1, (1.01, 0.0, 1.0, *LEVEL), VEHICLE_W), "it knows where the load was"
    assert watch.believes(1.1, 1.1, (0.0, 0.0, 1.0, *LEVEL), VEHICLE_W)


def test_after_its_clock_was_set_back_it_believes_again():
    watch = watch_at(stamp_s=1000.0)
    assert watch.believes(5.0, 5.0, (1.0, 0.0, 1.0, *LEVEL), VEHICLE_W)
    assert watch.stamp_s == 5.0
