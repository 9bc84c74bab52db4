"""PX4's clock, told from arrivals: offset, drift, delays, jumps."""

from __future__ import annotations

import math
import random

import pytest

from corvids.deploy.px4.clock import Px4Clock


def fed(
    clock: Px4Clock, start_s: float, seconds: float, offset_s: float, delay=lambda: 0.001, drift=0.0
) -> float:
    """Stamps every 10 ms from a clock whose zero was at ``offset_s`` on ours; the end."""
    for step in range(round(seconds / 0.01)):
        now_s = start_s + 0.01 * step
        clock.take_in((now_s - offset_s) * (1.0 - drift), now_s + delay())
    return start_s + seconds


def test_the_quickest_arrivals_tell_the_offset():
    clock, rng = Px4Clock(), random.Random(0)
    assert math.isnan(clock.ours_s(1.0))
    fed(clock, 100.0, 2.0, 40.0, lambda: 0.002 + rng.expovariate(200.0))
    assert clock.ours_s(62.0) == pytest.approx(102.002, abs=3e-4)
    clock.under_way_s = 0.002
    assert clock.ours_s(62.0) == pytest.approx(102.0, abs=3e-4)
    assert clock.theirs_s(102.0) == pytest.approx(62.0, abs=3e-4)


@pytest.mark.parametrize("drift", [0.01, -0.01])
def test_a_drifting_clock_is_followed(drift: float):
    """PX4 in lockstep with its own simulator runs a percent slow."""
    clock = Px4Clock()
    end_s = fed(clock, 0.0, 20.0, 0.0, drift=drift)
    assert clock.ours_s((end_s - 0.01) * (1.0 - drift)) == pytest.approx(end_s - 0.009, abs=0.011)
    assert clock.resets == 0


def test_late_arrivals_do_not_make_old_states_young():
    clock = Px4Clock()
    now_s = fed(clock, 0.0, 2.0, 0.0)
    for step in range(40):  # what had queued up for 0.4 s arrives at once
        clock.take_in(now_s + 0.01 * step, now_s + 0.4)
    assert clock.ours_s(now_s) == pytest.approx(now_s + 0.001, abs=1e-6)
    assert clock.resets == 0


def test_a_clock_that_jumps_ahead_is_believed_at_the_third_stamp():
    clock = Px4Clock()
    now_s = fed(clock, 0.0, 1.0, 0.0)
    for step in range(3):
        assert clock.ours_s(now_s) == pytest.approx(now_s + 0.001, abs=1e-6)
        clock.take_in(now_s + 0.01 * step + 3.0, now_s + 0.01 * step + 0.001)
    assert clock.resets == 1
    assert clock.ours_s(now_s + 3.0) == pytest.approx(now_s + 0.001, abs=1e-6)


def test_a_clock_that_starts_anew_is_believed_after_half_a_second():
    clock = Px4Clock()
    now_s = fed(clock, 100.0, 1.0, 0.0)
    now_s = fed(clock, now_s, 0.4, now_s)
    assert clock.resets == 0
    start_s = now_s - 0.4
    fed(clock, now_s, 0.3, start_s)
    assert clock.resets == 1
    assert clock.ours_s(0.7) == pytest.approx(start_s + 0.701, abs=1e-6)


def test_the_quickest_round_trip_of_a_while_says_how_long_things_are_under_way():
    """One that was slow must not move any stamp: those that follow would be older than the ones before."""
    clock = Px4Clock()
    clock.take_round_trip(0.004, 9.0)
    clock.take_in(3.0, 10.0)
    for step in range(100):
        clock.take_round_trip(0.080 if step % 2 else 0.006, 10.0 + step)
        assert clock.under_way_s <= 0.003, step
    assert clock.ours_s(3.0) == pytest.approx(9.997), "of before it is forgotten"


def test_a_clock_set_anew_is_reached_in_its_own_time():
    clock = Px4Clock()
    clock.take_in(3.0, 10.0)
    clock.take_round_trip(0.002, 10.0)
    for step in range(3):
        clock.take_in(1000.0 + step, 11.0 + step)
    assert clock.resets == 1
    assert clock.under_way_s == pytest.approx(0.001), "until there is a newer one"
    clock.take_round_trip(0.020, 14.0)
    assert clock.under_way_s == pytest.approx(0.010)
