"""Limits of commands and places."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from supervisor_lab import ENVELOPE, FENCE, LIMITS

from corvids.deploy.supervision.envelope import Fence, envelope_of
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(ANY, st.tuples(ANY, ANY, ANY))
def test_whatever_is_clipped_lies_inside(thrust_n: float, rates: tuple[float, float, float]):
    clipped = ENVELOPE.clip(thrust_n, rates)
    assert ENVELOPE.contains(*clipped)
    if ENVELOPE.contains(thrust_n, rates):
        assert clipped == (thrust_n, rates)


def test_policy_file_and_vehicle_file_both_bind():
    air = load_vehicle("air")
    policy = dataclasses.replace(LIMITS, thrust_n=(0.5, 99.0), rate_max_radps=(1.0, 99.0, 99.0))
    envelope = envelope_of(policy, air)
    assert envelope.thrust_n == (0.5, air.limits.thrust_max_n)
    assert envelope.rate_max_radps == (1.0, *air.limits.rate_max_radps[1:])
    assert envelope.hover_thrust_n == air.weight_n


def test_a_policy_for_another_vehicle_is_refused():
    with pytest.raises(CorvidsError, match=r"which weighs 20\.2"):
        envelope_of(dataclasses.replace(LIMITS, thrust_n=(0.5, 15.0)), load_vehicle("x500"))


@pytest.mark.parametrize(
    "wrong", [{"low_w_m": (2.5, -3.0, -0.5)}, {"braking_mps2": 0.0}, {"reaction_s": math.nan}]
)
def test_a_fence_that_cannot_be_is_refused(wrong: dict):
    with pytest.raises(CorvidsError, match="fence"):
        Fence(**wrong)


ALMOST = Fence((-3.0 - 1e-9, -3.0 - 1e-9, -0.5 - 1e-9), (3.0 + 1e-9, 3.0 + 1e-9, 4.0 + 1e-9))
COORDINATE = st.floats(-20.0, 20.0)
PLACE = st.tuples(COORDINATE, COORDINATE, COORDINATE)


@given(PLACE)
def test_places_to_hold_lie_within_the_inner_fence(pos_w: tuple[float, float, float]):
    held_w = FENCE.inside(pos_w)
    assert FENCE.can_stop(held_w, (0.0, 0.0, 0.0))
    assert FENCE.inside(held_w) == held_w


@given(PLACE, PLACE)
@example((0.0, 0.0, 5.0), (0.0, 0.0, -3.0))  # outside, on the way back in
def test_who_is_within_the_inner_fence_can_brake_in_the_outer_one(pos_w, vel_w):
    """Worst case in closed form: as fast as now for the reaction time, then the certain deceleration."""
    if not FENCE.can_stop(pos_w, vel_w):
        return
    speed = math.hypot(*vel_w)
    for step in range(101):
        time_s = (FENCE.reaction_s + speed / FENCE.braking_mps2) * step / 100.0
        braking_s = max(0.0, time_s - FENCE.reaction_s)
        travelled = time_s - (0.5 * FENCE.braking_mps2 * braking_s**2 / speed if speed > 0.0 else 0.0)
        x, y, z = (p + v * travelled for p, v in zip(pos_w, vel_w, strict=True))
        assert ALMOST.contains((x, y, z))
