"""When a flight rehearses what it will do: in virtual time, where states come as they are told to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
from fault_lab import FENCE, LIMITS, CirclingPilot, Contract

from corvids.deploy.fallback import Fallback
from corvids.deploy.pilot import Decision, Pilot
from corvids.deploy.px4.flight import Link, Px4Flight
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.runtime import fly
from corvids.deploy.supervision.checks import Autopilot
from corvids.deploy.supervision.envelope import envelope_of
from corvids.deploy.supervision.supervisor import Supervisor

INTERVAL_S, LATE_S, JITTER_S = 0.004, 0.0005, 0.0003


class Sky:
    """A link on which a level vehicle says where it is, and its pilot, on one virtual clock."""

    def __init__(self, work_s: float = 0.0004) -> None:
        """``work_s``: what a decision takes, and its rehearsal."""
        self.work_s = work_s
        self.now_s, self.state, self.autopilot = 0.0, VehicleState(), Autopilot()
        self.is_kept = False
        self.arrived: list[float] = []
        self.decided: list[float] = []
        self.rehearsed: list[float] = []
        self.pauses: dict[int, float] = {}
        """How long decisions by their number take [s] that take longer than others."""
        self.oversleeps_s: list[tuple[float, float]] = []
        """When a wait that ends then takes longer, and how much [s]."""
        self.pilot = CirclingPilot()
        self._rng, self._count, self._next_s = random.Random(0), 0, LATE_S

    def wait(self, until_s: float) -> Iterator[None]:
        while self._next_s <= until_s:
            self.now_s = max(self.now_s, self._next_s)
            self.arrived.append(self._next_s)
            state = self.state
            state.pose_stamp_s = state.attitude_stamp_s = self._count * INTERVAL_S
            state.pos_w, state.vel_w, state.omega_b = (
                (0.0, 0.0, 1.0),
                (0.0, 0.0, 0.0),
                (1e-6 * self._count, 0.0, 0.0),
            )
            state.quat_wb = (1.0, 0.0, 0.0, 0.0)
            self._count += 1
            self._next_s = self._count * INTERVAL_S + LATE_S + self._rng.uniform(0.0, JITTER_S)
            yield
        self.now_s = max(self.now_s, until_s)
        if self.oversleeps_s and self.now_s >= self.oversleeps_s[0][0]:
            self.now_s += self.oversleeps_s.pop(0)[1]

    def decide(self, *arguments: Any) -> Decision:
        self.decided.append(self.now_s)
        self.now_s += self.work_s + self.pauses.get(len(self.decided), 0.0)
        return self.pilot.decide(*arguments)

    def rehearse(self) -> None:
        self.rehearsed.append(self.now_s)
        self.now_s += self.work_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pilot, name)


def flown(sky: Sky, control_hz: float, in_step: bool, rehearses: bool = True) -> Sky:
    sky.pilot.contract = Contract(control_hz)
    supervisor = Supervisor(envelope_of(LIMITS), Fallback(LIMITS), FENCE)
    pilot = cast(Pilot, sky)
    plant = Px4Flight(
        cast(Link, sky), supervisor, pilot, ThrustMap(20.0, 0.0, 0.0, 0.0),
        hover_thrust_n=9.8, in_step=in_step, rehearses=rehearses,
    )  # fmt: skip
    fly(pilot, plant, lambda now_s: np.array([0.0, 0.0, 1.0]), seconds=4.0, guard=plant.guard)
    return sky


def settled(sky: Sky) -> tuple[np.ndarray, np.ndarray, float]:
    """Ticks of the second half, rehearsals meanwhile, and how long a state waited for its tick at most."""
    ticks, rehearsals = np.array(sky.decided), np.array(sky.rehearsed)
    half_s = ticks[len(ticks) // 2]
    late, arrived = ticks[ticks > half_s], np.array(sky.arrived)
    waited_s = late - arrived[np.searchsorted(arrived, late, side="right") - 1]
    return late, rehearsals[(rehearsals > half_s) & (rehearsals < late[-1])], waited_s.max()


@pytest.mark.parametrize("control_hz", [250.0, 125.0, 50.0])
def test_it_rehearses_once_a_tick_two_milliseconds_before_the_state_comes(control_hz: float):
    ticks, rehearsals, waited_s = settled(flown(Sky(), control_hz, in_step=True))
    assert len(rehearsals) == len(ticks)
    ahead_s = ticks - rehearsals
    assert ahead_s.min() > 0.0015 and ahead_s.max() < 0.0025
    assert waited_s < 1e-9, "no state waits for it"


def test_it_rehearses_before_a_tick_that_is_due_by_the_clock():
    sky = flown(Sky(), 50.0, in_step=False)
    assert np.array(sky.decided[1:]) - np.array(sky.rehearsed) == pytest.approx(0.002)


@pytest.mark.parametrize("work_s", [0.0015, 0.003, 0.006])
def test_slow_decisions_are_rehearsed_earlier(work_s: float):
    ticks, rehearsals, waited_s = settled(flown(Sky(work_s), 50.0, in_step=True))
    assert len(rehearsals) == len(ticks)
    assert waited_s < 1e-9
    by_clock = flown(Sky(work_s), 50.0, in_step=False)
    assert np.diff(by_clock.decided[5:]) == pytest.approx(0.02), "none is late"


def test_decisions_that_leave_no_time_are_hardly_rehearsed():
    ticks, rehearsals, _ = settled(flown(Sky(0.0025), 250.0, in_step=True))
    assert len(rehearsals) < 0.1 * len(ticks)


def test_one_that_was_interrupted_does_not_end_rehearsing():
    sky = Sky()
    rehearse = sky.rehearse

    def interrupted() -> None:
        rehearse()
        sky.now_s += 0.05 if len(sky.rehearsed) == 300 else 0.0

    sky.rehearse = interrupted
    ticks, rehearsals, _ = settled(flown(sky, 250.0, in_step=True))
    assert len(rehearsals) == len(ticks)


def test_who_is_late_does_not_rehearse():
    sky = Sky()
    sky.pauses = {500: 0.0034, 600: 0.02}
    flown(sky, 250.0, in_step=True)
    for number in sky.pauses:
        began_s, next_s = sky.decided[number - 1], sky.decided[number]
        assert not [moment for moment in sky.rehearsed if began_s < moment <= next_s]


@pytest.mark.parametrize("in_step", [True, False])
def test_who_oversleeps_does_not_rehearse(in_step: bool):
    sky = Sky()
    sky.oversleeps_s = [(1.0, 0.004), (2.0, 0.004)] if in_step else [(0.9979, 0.005), (1.9979, 0.005)]
    asleep = [*sky.oversleeps_s]
    flown(sky, 50.0, in_step=in_step)
    assert not sky.oversleeps_s
    for from_s, _ in asleep:
        next_s = next(moment for moment in sky.decided if moment > from_s)
        assert not [moment for moment in sky.rehearsed if from_s + 0.003 < moment <= next_s]


def test_it_rehearses_nothing_unless_told_to():
    assert flown(Sky(), 250.0, in_step=True, rehearses=False).rehearsed == []
