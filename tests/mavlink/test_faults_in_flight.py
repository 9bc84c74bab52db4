"""The whole runtime against a flying stand-in: every kind of fault, in every phase, and the vehicle stays safe."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

import numpy as np
import pytest
from fault_lab import FENCE, KINDS, LIMITS, PHASES, REHEARSED_S, CirclingPilot, check_safe
from flying import FlyingStandin, VirtualLink
from standin import OFFBOARD, POSCTL

from corvids.deploy.fallback import Fallback
from corvids.deploy.pilot import Pilot
from corvids.deploy.px4.flight import Px4Flight
from corvids.deploy.px4.mavlink_link import MavlinkLink
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.runtime import fly
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.envelope import envelope_of
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Supervisor


class PilotedLink(VirtualLink):
    """A pilot takes over just after a heartbeat, and flies out of the fence before the next one."""

    def step(self) -> None:
        super().step()
        if self.now_s == pytest.approx(9.012):
            self.px4.main, self.px4.sub = POSCTL, 0
        if self.now_s == pytest.approx(9.112):
            self.px4.truth.pos_ned = (5.0, 0.0, -1.5)


class SlowlyDisarming(FlyingStandin):
    """Disarms two seconds after it has landed, and goes back to OFFBOARD then, as v1.17 does."""

    landed_s = math.inf

    def advance(self, now_s: float) -> None:
        was_armed = self.armed
        super().advance(now_s)
        if was_armed and not self.armed:
            self.landed_s = min(self.landed_s, now_s)
            if now_s < self.landed_s + 2.0:
                self.armed = True
            else:
                self.main, self.sub = OFFBOARD, 0


class LandedLink(VirtualLink):
    """PX4 says whether it has landed."""

    px4: SlowlyDisarming

    def _report(self, now_s: float) -> None:
        super()._report(now_s)
        if self._steps % 50 == 0:
            self._heard(self.px4.landed(self.px4.landed_s < math.inf))


class PausableLink(VirtualLink):
    """Pauses the runtime where a fault says so: after a tick, before the next wait."""

    paused_s = 0.0

    def wait(self, until_s: float):
        yield from super().wait(until_s)
        if self.paused_s:
            seconds, self.paused_s = self.paused_s, 0.0
            self.pause(seconds)


@pytest.fixture(autouse=True)
def _there_is_time_to_rehearse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corvids.deploy.px4.flight.SPARE_S", REHEARSED_S)


def flight(
    kind: str, phase: str, seed: int, pilot: CirclingPilot | None = None
) -> tuple[FlyingStandin, set[State]]:
    """Fly for 20 s with that fault; PX4's side, and the supervisor's states."""
    start_s = PHASES[phase] + 0.013 * seed
    template = KINDS[kind]
    fault = dataclasses.replace(template, start_s=start_s, end_s=start_s + template.end_s)
    px4 = FlyingStandin(full_thrust_mps2=20.0)
    return px4, flown(PausableLink(px4, fault, seed), pilot or CirclingPilot())


def flown(link: VirtualLink, pilot: CirclingPilot) -> set[State]:
    """Fly for 20 s over that link; the supervisor's states."""
    supervisor = Supervisor(envelope_of(LIMITS), Fallback(LIMITS), FENCE)
    said = {1.0: Word.ARM, 2.2: Word.ENGAGE, 12.0: Word.LAND}
    visited = set()

    def words(state: State) -> frozenset[Word]:
        visited.add(state)
        due = [moment for moment in said if moment <= link.now_s]
        return frozenset(said.pop(moment) for moment in due)

    plant = Px4Flight(
        MavlinkLink(link, Peer()),
        supervisor,
        cast(Pilot, pilot),
        ThrustMap(20.0, 0.0, 0.0, 0.0),
        hover_thrust_n=9.80665,
        rehearses=True,
        words=words,
    )
    fly(cast(Pilot, pilot), plant, lambda now_s: np.array([0.0, 0.0, 1.5]), seconds=20.0, guard=plant.guard)
    link.pause(3.0)  # the runtime has ended: what happens to a vehicle that was left alone
    return visited


def test_without_a_fault_it_flies_and_lands():
    px4, visited = flight("duplicates", "landing", 0, pilot := CirclingPilot())
    check_safe(px4)
    assert visited >= {State.READY, State.ARMED, State.ENGAGING, State.POLICY, State.LANDING}
    assert not px4.armed
    assert px4.farthest_m > 0.8, "the policy circled"
    assert pilot.rehearsals > 500, "rehearsals are part of the faults' flights"


def test_px4_that_leaves_land_after_the_landing_has_landed():
    px4 = SlowlyDisarming(full_thrust_mps2=20.0)
    visited = flown(LandedLink(px4), CirclingPilot())
    assert visited >= {State.POLICY, State.LANDING, State.READY} and State.FAILED not in visited
    assert not px4.armed


def test_a_pilot_who_takes_over_has_the_last_word():
    px4 = FlyingStandin(full_thrust_mps2=20.0)
    visited = flown(PilotedLink(px4), CirclingPilot())
    assert State.POLICY in visited and not visited & {State.LANDING, State.FAILED}
    assert px4.main == POSCTL


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_while_the_policy_flies(kind: str):
    px4, visited = flight(kind, "policy", 0)
    check_safe(px4)
    assert State.POLICY in visited


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_in_every_phase(kind: str, phase: str, seed: int):
    px4, _ = flight(kind, phase, seed)
    check_safe(px4)
