"""The whole runtime against a flying stand-in: every kind of fault, in every phase, and the vehicle stays safe."""

from __future__ import annotations

import math

import pytest
from fault_lab import KINDS, PHASES, CirclingPilot, check_safe, fault_in, flown
from flying import FlyingStandin, VirtualLink
from pymavlink.dialects.v20 import common
from standin import AUTO, LAND, LOITER, OFFBOARD, POSCTL, RTL, TERMINATION

from corvids.deploy.px4.mavlink_link import MavlinkLink
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.supervision.reactions import State


class PilotedLink(VirtualLink):
    """A pilot takes over just after a heartbeat, and flies out of the fence before the next one."""

    def step(self) -> None:
        super().step()
        if self.now_s == pytest.approx(9.012):
            self.px4.main, self.px4.sub = POSCTL, 0
        if self.now_s == pytest.approx(9.112):
            self.px4.truth.pos_ned = (5.0, 0.0, -1.5)


class FailingLink(VirtualLink):
    """PX4 leaves OFFBOARD by itself just after a heartbeat."""

    failure: tuple[int, int, int] = (AUTO, LAND, common.MAV_STATE_CRITICAL)
    """Main mode, sub-mode and status from then on."""

    def step(self) -> None:
        super().step()
        if self.now_s == pytest.approx(9.012):
            self.px4.fail(*self.failure)


class LandingPilotedLink(VirtualLink):
    """A pilot takes over from LAND, 1.2 m above the ground."""

    says_landed: bool | None = None
    """What PX4 says of it meanwhile, perhaps wrongly, if it says anything."""

    def step(self) -> None:
        super().step()
        if self.now_s == pytest.approx(13.032):
            assert (self.px4.main, self.px4.sub) == (AUTO, LAND)
            self.px4.main, self.px4.sub = POSCTL, 0

    def _report(self, now_s: float) -> None:
        super()._report(now_s)
        if self._steps % 50 == 0 and self.says_landed is not None:
            self._heard(self.px4.landed(self.says_landed and now_s > 12.5))


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


def flight(
    kind: str, phase: str, seed: int, pilot: CirclingPilot | None = None
) -> tuple[FlyingStandin, set[State]]:
    """Fly with that fault; PX4's side, and the supervisor's states."""
    px4 = FlyingStandin(full_thrust_mps2=20.0)
    return px4, flown_over(PausableLink(px4, fault_in(kind, phase, seed), seed), pilot)


def flown_over(link: VirtualLink, pilot: CirclingPilot | None = None) -> set[State]:
    """Fly over that link; the supervisor's states."""
    return flown(MavlinkLink(link, Peer()), link, pilot or CirclingPilot())


def test_without_a_fault_it_flies_and_lands():
    px4, visited = flight("duplicates", "landing", 0, pilot := CirclingPilot())
    check_safe(px4)
    assert visited >= {State.READY, State.ARMED, State.ENGAGING, State.POLICY, State.LANDING}
    assert not px4.armed
    assert px4.farthest_m > 0.8, "the policy circled"
    assert pilot.rehearsals > 500, "rehearsals are part of the faults' flights"


def test_px4_that_leaves_land_after_the_landing_has_landed():
    px4 = SlowlyDisarming(full_thrust_mps2=20.0)
    visited = flown_over(LandedLink(px4))
    assert visited >= {State.POLICY, State.LANDING, State.READY} and State.FAILED not in visited
    assert not px4.armed


def test_a_pilot_who_takes_over_has_the_last_word():
    px4 = FlyingStandin(full_thrust_mps2=20.0)
    visited = flown_over(PilotedLink(px4))
    assert State.POLICY in visited and not visited & {State.LANDING, State.FAILED}
    assert px4.main == POSCTL


@pytest.mark.parametrize(
    "failure",
    [
        (AUTO, RTL, common.MAV_STATE_CRITICAL),
        (AUTO, LOITER, common.MAV_STATE_CRITICAL),
        (TERMINATION, 0, common.MAV_STATE_FLIGHT_TERMINATION),
    ],
)
def test_px4_that_fails_by_itself_is_no_pilot_who_takes_over(failure: tuple[int, int, int]):
    link = FailingLink(FlyingStandin(full_thrust_mps2=20.0))
    link.failure = failure
    visited = flown_over(link)
    assert visited >= {State.POLICY, State.FAILED} and State.LANDING not in visited
    assert (link.px4.main, link.px4.sub) == failure[:2], "its failsafe is left alone"


@pytest.mark.parametrize("says_landed", [None, False, True])
def test_a_pilot_who_takes_over_from_land_has_the_last_word(says_landed: bool | None):
    link = LandingPilotedLink(FlyingStandin(full_thrust_mps2=20.0))
    link.says_landed = says_landed
    visited = flown_over(link)
    assert State.LANDING in visited and State.FAILED not in visited
    assert (link.px4.main, link.px4.armed) == (POSCTL, True)
    assert link.px4.truth.pos_ned[2] == pytest.approx(-1.0, abs=0.05), "held"


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
