"""The loop's clock discipline, on a plant that is only a clock."""

from __future__ import annotations

import math
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from corvids.deploy import runtime
from corvids.deploy.pilot import Decision
from corvids.deploy.runtime import Tick, fly


class Clock:
    """A plant whose ``receive`` may come back late."""

    def __init__(self, start_s: float = 5.0, late_s: dict[int, float] | None = None) -> None:
        self.now_s = start_s
        self.late_s = late_s or {}
        self.due: list[float] = []
        self.sent: list[np.ndarray] = []

    def receive(self, until_s: float) -> Any:
        self.now_s = max(self.now_s, until_s) + self.late_s.get(len(self.due), 0.0)
        self.due.append(until_s)
        return None

    def send(self, thrust_n: np.ndarray, rate_b_radps: np.ndarray) -> None:
        self.sent.append(thrust_n.copy())


class Forgetful(Clock):
    """Keeps nothing of what is sent."""

    def receive(self, until_s: float) -> Any:
        self.now_s = until_s

    def send(self, thrust_n: np.ndarray, rate_b_radps: np.ndarray) -> None:
        pass


class Echo:
    """Commands the first component of the task command as thrust; the second row is on fallback every other tick."""

    rows = 2
    contract = SimpleNamespace(control_hz=50.0)

    def __init__(self) -> None:
        self.ticks = 0

    def decide(self, readings: Any, now_s: float, command: np.ndarray) -> Decision:
        self.ticks += 1
        by_policy = np.array([True, self.ticks % 2 == 0])
        return Decision((np.full(2, command[0]), np.zeros((2, 3))), by_policy, {})


def echo() -> Any:
    """The pilot of these tests, which is not a real one."""
    return Echo()


def test_ticks_lie_on_a_grid_that_does_not_drift():
    plant = Clock(start_s=5.0)
    flight = fly(echo(), plant, lambda _: np.zeros(1), seconds=20.0)
    assert flight.ticks == 1000 and flight.skipped == 0
    np.testing.assert_array_equal(plant.due, [5.0 + k * 0.02 for k in range(1000)])
    np.testing.assert_allclose(flight.by_policy, [1.0, 0.5])


def test_a_little_late_is_not_made_up_for_and_much_too_late_is_skipped():
    """Tick 3 comes 15 ms late: the next is due on the grid. Tick 6 comes 47 ms late: two grid points are gone."""
    plant, ticks = Clock(0.0, {3: 0.015, 6: 0.047}), []
    flight = fly(echo(), plant, lambda _: np.zeros(1), seconds=0.2, recorder=ticks.append)
    np.testing.assert_allclose(plant.due, [0.0, 0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.18], atol=1e-12)
    assert flight.ticks == 8 and flight.skipped == 2
    np.testing.assert_allclose([tick.late_s for tick in ticks], [0, 0, 0, 0.015, 0, 0, 0.047, 0], atol=1e-12)


def test_the_task_command_may_change_in_flight():
    plant = Clock(0.0)
    fly(echo(), plant, lambda now_s: np.array([1.0 if now_s < 0.05 else 2.0]), seconds=0.1)
    assert [float(thrust[0]) for thrust in plant.sent] == [1.0, 1.0, 1.0, 2.0, 2.0]


def test_a_flight_ends_when_it_is_told_to():
    seen: list[Tick] = []
    plant = Clock(0.0)
    flight = fly(
        echo(),
        plant,
        lambda _: np.zeros(1),
        seconds=9.0,
        recorder=seen.append,
        until=lambda tick: tick.now_s >= 0.1,
    )
    assert flight.ticks == len(seen) == 6
    assert flight.compute_max_s >= flight.compute_median_s >= 0.0


def test_a_flight_without_end_ends_when_it_is_told_to():
    plant = Clock(5.0)
    flight = fly(
        echo(), plant, lambda _: np.zeros(1), seconds=math.inf, until=lambda tick: tick.now_s > 24.99
    )
    assert flight.ticks == 1001
    np.testing.assert_array_equal(plant.due, [5.0 + k * 0.02 for k in range(1001)])


@pytest.mark.parametrize("takes_s", [0.0, 0.03])
def test_what_a_decision_takes_is_told_on_the_plants_clock(takes_s: float):
    """A machine may be as slow as it likes where time is simulated; where it passes, the guard must know."""
    plant, pilot, told = Clock(0.0), echo(), []
    decide = pilot.decide

    def decide_slowly(*arguments: Any) -> Decision:
        time.sleep(0.002)
        plant.now_s += takes_s
        return decide(*arguments)

    pilot.decide = decide_slowly
    fly(
        pilot,
        plant,
        lambda _: np.zeros(1),
        seconds=0.1,
        guard=lambda now, task, made, took: told.append(took),
    )
    np.testing.assert_allclose(told, takes_s, atol=1e-12)
    assert plant.sent == [], "the guard forbade it"


def test_a_long_flight_needs_no_more_memory_than_a_short_one(monkeypatch):
    monkeypatch.setattr(runtime, "RECENT", 100)
    peaks = []
    for seconds in (10.0, 40.0):
        plant = Forgetful(0.0)
        tracemalloc.start()
        fly(echo(), plant, lambda _: np.zeros(1), seconds=seconds)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 10_000, "bytes; 1500 more ticks, of which one number alone takes 32"


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_is_no_flight(seconds):
    plant = Clock()
    assert fly(echo(), plant, lambda _: np.zeros(1), seconds=seconds).ticks == 0
    assert not plant.due
