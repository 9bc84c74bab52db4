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
WORK_S = 0.0004
"""What a decision takes, and its rehearsal."""


class Sky:
    """A link on which a level vehicle says where it is, and its pilot, on one virtual clock."""

    def __init__(self) -> None:
        self.now_s, self.state, self.autopilot = 0.0, VehicleState(), Autopilot()
        self.arrived: list[float] = []
        self.decided: list[float] = []
        self.rehearsed: list[float] = []
        self.pauses: dict[int, float] = {}
        """How long decisions by their number take [s] that take longer than others."""
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

    def decide(self, *arguments: Any) -> Decision:
        self.decided.append(self.now_s)
        self.now_s += WORK_S + self.pauses.get(len(self.decided), 0.0)
        return self.pilot.decide(*arguments)

    def rehearse(self) -> None:
        self.rehearsed.append(self.now_s)
        self.now_s += WORK_S

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


@pytest.mark.parametrize("control_hz", [250.0, 125.0, 50.0])
def test_it_rehearses_once_a_tick_two_milliseconds_before_the_state_comes(control_hz: float):
    sky = flown(Sky(), control_hz, in_step=True)
    ticks, rehearsals = np.array(sky.decided), np.array(sky.rehearsed)
    settled = ticks[len(ticks) // 2 :]
    last = rehearsals[np.searchsorted(rehearsals, settled) - 1]
    assert len(np.unique(last)) == len(settled), "one for each"
    ahead_s = settled - last
    assert ahead_s.min() > 0.0015 and ahead_s.max() < 0.0025
    arrived = np.array(sky.arrived)
    waited_s = settled - arrived[np.searchsorted(arrived, settled, side="right") - 1]
    assert waited_s.max() < 1e-9, "no state waits for it"


def test_it_rehearses_before_a_tick_that_is_due_by_the_clock():
    sky = flown(Sky(), 50.0, in_step=False)
    assert np.array(sky.decided[1:]) - np.array(sky.rehearsed) == pytest.approx(0.002)


def test_who_is_late_does_not_rehearse():
    sky = Sky()
    sky.pauses = {500: 0.0034, 600: 0.02}
    flown(sky, 250.0, in_step=True)
    for number in sky.pauses:
        began_s, next_s = sky.decided[number - 1], sky.decided[number]
        assert not [moment for moment in sky.rehearsed if began_s < moment <= next_s]


def test_it_rehearses_nothing_unless_told_to():
    assert flown(Sky(), 250.0, in_step=True, rehearses=False).rehearsed == []
