"""Finding another clock's offset."""

from __future__ import annotations

import random

import pytest

from corvids.deploy.clock_offset import ClockOffset


def echo(
    clock: ClockOffset, now_s: float, offset_s: float, out_s: float = 0.001, back_s: float = 0.001
) -> bool:
    """One round trip with a clock that shows ours less ``offset_s``."""
    return clock.take_in(now_s, now_s + out_s - offset_s, now_s + out_s + back_s)


def test_a_constant_offset_is_found_exactly():
    clock = ClockOffset()
    assert not clock.is_known
    for i in range(10):
        assert echo(clock, 100.0 + 0.1 * i, 42.0)
    assert clock.ours_s(59.0) == pytest.approx(101.0, abs=1e-9)


def test_slow_and_impossible_round_trips_do_not_count():
    clock = ClockOffset()
    echo(clock, 100.0, 42.0)
    assert not echo(clock, 100.1, 42.0, out_s=0.05)
    assert not clock.take_in(100.2, 58.0, 100.1)
    assert not clock.take_in(100.2, 58.0, 105.0)
    assert clock.samples == 1


def test_a_drift_of_a_hundredth_is_followed():
    """PX4's simulated clock in lockstep was seen to run 1 % slow."""
    rng, clock = random.Random(1), ClockOffset()
    for i in range(300):
        now_s = 100.0 + 0.1 * i
        echo(
            clock, now_s, 42.0 + 0.01 * (now_s - 100.0), rng.uniform(5e-4, 1.5e-3), rng.uniform(5e-4, 1.5e-3)
        )
    now_s = 130.0
    assert clock.ours_s(now_s - 42.3) == pytest.approx(now_s, abs=1.5e-3)


def test_a_restart_of_the_other_clock_is_noticed_after_three_echoes():
    clock = ClockOffset()
    for i in range(10):
        echo(clock, 100.0 + 0.1 * i, 42.0)
    used = [echo(clock, 101.0 + 0.1 * i, 101.0) for i in range(4)]
    assert used == [False, False, True, True]
    assert clock.resets == 1
    assert clock.ours_s(0.5) == pytest.approx(101.5, abs=1e-6)
