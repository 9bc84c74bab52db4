"""Ticks in step with states: a play of arrivals and ticks in virtual time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from corvids.deploy.px4.in_step import InStep


def play(
    period_s: float, interval_s: float, phase_s: float, late: Callable[[int], float], ticks: int = 2000
) -> tuple[list[float], list[float], int]:
    """Times of ticks, how long each new state waited for its tick, and how many states there were.

    State ``k`` is stamped ``phase + k·interval`` and arrives ``late(k)`` after.
    """
    step = InStep(period_s)
    count = round(ticks * period_s / interval_s)
    arrivals = sorted((phase_s + k * interval_s + late(k), phase_s + k * interval_s) for k in range(count))
    times, waits, now_s, next_, seen = [], [], 0.0, 0, None
    for tick in range(ticks):
        due_s = max(step.due_s(tick * period_s), now_s)
        fresh = None
        while not step.is_time(step.due_s(tick * period_s)):
            if next_ == len(arrivals) or arrivals[next_][0] > due_s:
                now_s = due_s
                break
            arrived_s, stamp_s = arrivals[next_]
            now_s, next_ = max(now_s, arrived_s), next_ + 1
            step.note(stamp_s, now_s)
            fresh = arrived_s
        step.answer(step.due_s(tick * period_s))
        times.append(now_s)
        if fresh is not None and fresh != seen:
            waits.append(now_s - fresh)
            seen = fresh
    return times, waits, count


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize(
    ("period_s", "interval_s"), [(0.004, 0.004), (0.02, 0.01), (0.02, 0.004), (0.02, 0.02)]
)
def test_in_step_no_state_waits(phase: float, period_s: float, interval_s: float):
    rng = random.Random(0)
    times, waits, _ = play(
        period_s, interval_s, phase * interval_s, lambda k: 0.0005 + rng.uniform(0.0, 2e-4)
    )
    settled = waits[200:]
    assert len(settled) > 1700, "nearly every tick answers a state that has just come"
    assert max(settled) < 1e-4
    assert (times[-1] - times[100]) / (len(times) - 101) == pytest.approx(period_s, rel=1e-3), (
        "the rate is kept"
    )


def test_a_state_that_comes_late_costs_one_tick_alone():
    """Each hundredth state is late by more than half an interval: its tick cannot wait, the others go on as before."""
    times, waits, states = play(0.004, 0.004, 0.001, lambda k: 0.0035 if k % 100 == 50 else 0.0005)
    assert len(times) == 2000
    assert len(waits) > 0.98 * states
    assert sorted(waits[200:])[int(0.97 * len(waits[200:]))] < 1e-4


def test_ticks_keep_their_rate_where_states_are_seldom_or_stop():
    times, _, _ = play(0.02, 0.1, 0.0, lambda k: 0.001, ticks=200)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.02] * 199)
    step = InStep(0.004)
    for k in range(100):
        step.note(0.004 * k, 0.004 * k + 0.001)
    assert step.is_time(0.4)
    assert not step.is_time(0.5), "that state is long past"


def test_a_state_rate_that_drifts_against_the_ticks_is_followed():
    _, waits, _ = play(0.004, 0.00404, 0.0, lambda k: 0.0005, ticks=5000)
    settled = waits[200:]
    assert sorted(settled)[int(0.98 * len(settled))] < 1e-4
