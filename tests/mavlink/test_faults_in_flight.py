"""The whole runtime against a flying stand-in: every kind of fault, in every phase, and the vehicle stays safe."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

import numpy as np
import pytest
from flying import Fault, FlyingStandin, VirtualLink
from standin import AUTO, OFFBOARD

from corvids.deploy.checks import Word
from corvids.deploy.contract import Limits
from corvids.deploy.envelope import Fence, envelope_of
from corvids.deploy.fallback import Fallback, FallbackGains
from corvids.deploy.mavlink_link import MavlinkLink
from corvids.deploy.mavlink_peer import Peer
from corvids.deploy.pilot import Decision, Pilot
from corvids.deploy.px4_flight import Px4Flight
from corvids.deploy.px4_thrust import ThrustMap
from corvids.deploy.reactions import State
from corvids.deploy.runtime import fly
from corvids.deploy.supervisor import Supervisor

LIMITS = Limits((0.5, 18.0), 9.80665, (4.0, 4.0, 2.0), 0.8)
FENCE = Fence()
PLACE = ("place_x_w_m", "place_y_w_m", "place_z_w_m")


@dataclasses.dataclass
class Contract:
    control_hz: float = 50.0
    command: tuple[str, ...] = PLACE


class CirclingPilot:
    """Stands for a policy: circles of 1 m around the place, at 1.5 m/s, by a brisk controller of its own."""

    rows, ball, contract = 1, None, Contract()

    def __init__(self) -> None:
        gains = FallbackGains(2.0, 3.0, 8.0, 1.0, 1.5, 0.6)
        self._law = Fallback(LIMITS, gains)

    def decide(self, readings, now_s: float, command) -> Decision:
        place = np.asarray(command) + np.array([math.cos(1.5 * now_s), math.sin(1.5 * now_s), 0.0])
        known = bool(np.isfinite(readings.stamp_s[0]) and abs(now_s - readings.stamp_s[0]) < 0.25)
        known &= bool(np.isfinite(readings.pos_w).all())
        with np.errstate(all="ignore"):
            thrust_n, rates = self._law.command(readings.pos_w, readings.vel_w, readings.quat_wb, place[None])
        return Decision(thrust_n, rates, np.array([known]), {})


KINDS: dict[str, Fault] = {
    "signal stops": Fault(no_telemetry=True),
    **{f"gap of {ms} ms": Fault(end_s=1e-3 * ms, no_telemetry=True) for ms in (50, 150, 300, 500)},
    "frozen values": Fault(end_s=2.0, frozen=True),
    "time jumps": Fault(once=lambda link: setattr(link.px4, "boot_s", link.px4.boot_s - 3.0)),
    "clock starts anew": Fault(once=lambda link: setattr(link.px4, "boot_s", link.now_s)),
    "not a number": Fault(end_s=1.0, not_a_number=True),
    "packet loss of 30 %": Fault(loss=0.3),
    "reordering": Fault(jitter_s=0.03),
    "duplicates": Fault(duplicate=True),
    "pause of 200 ms": Fault(once=lambda link: setattr(link, "paused_s", 0.2)),
    "kill -9": Fault(once=lambda link: setattr(link, "paused_s", 20.0)),
    "link cut": Fault(cut=True),
    "battery sag": Fault(battery=10, once=lambda link: setattr(link.px4, "full_thrust_mps2", 16.0)),
    "estimator reset": Fault(
        once=lambda link: (
            setattr(link.px4, "reset_counter", link.px4.reset_counter + 1),
            setattr(link.px4.truth, "pos_ned", (0.5 + link.px4.truth.pos_ned[0], *link.px4.truth.pos_ned[1:])),
        )
    ),
    "garbage and strangers": Fault(garbage=True),
}  # fmt: skip
PHASES = {"streaming": 2.4, "climbing": 4.0, "settled": 6.5, "policy": 9.0, "landing": 12.4}
"""When the fault begins [s]: engaged at 2.2 s, off-board at 3.2 s, told to land at 12 s."""


class PausableLink(VirtualLink):
    """Pauses the runtime where a fault says so: after a tick, before the next wait."""

    paused_s = 0.0

    def wait(self, until_s: float):
        yield from super().wait(until_s)
        if self.paused_s:
            seconds, self.paused_s = self.paused_s, 0.0
            self.pause(seconds)


def flight(kind: str, phase: str, seed: int) -> tuple[FlyingStandin, set[State]]:
    """Fly for 20 s with that fault; PX4's side, and the supervisor's states."""
    start_s = PHASES[phase] + 0.013 * seed
    template = KINDS[kind]
    fault = dataclasses.replace(template, start_s=start_s, end_s=start_s + template.end_s)
    px4 = FlyingStandin(full_thrust_mps2=20.0)
    link = PausableLink(px4, fault, seed)
    supervisor = Supervisor(envelope_of(LIMITS), Fallback(LIMITS), FENCE)
    said = {1.0: Word.ARM, 2.2: Word.ENGAGE, 12.0: Word.LAND}
    visited = set()

    def words(state: State) -> frozenset[Word]:
        visited.add(state)
        due = [moment for moment in said if moment <= link.now_s]
        return frozenset(said.pop(moment) for moment in due)

    pilot = cast(Pilot, CirclingPilot())
    plant = Px4Flight(
        MavlinkLink(link, Peer()),
        supervisor,
        pilot,
        ThrustMap(20.0, 0.0, 0.0, 0.0),
        hover_thrust_n=9.80665,
        words=words,
    )
    fly(pilot, plant, lambda now_s: np.array([0.0, 0.0, 1.5]), seconds=20.0, guard=plant.guard)
    link.pause(3.0)  # the runtime has ended: what happens to a vehicle that was left alone
    return px4, visited


def check_safe(px4: FlyingStandin) -> None:
    assert not px4.crashed, px4.crashed
    assert px4.farthest_m < 3.0, "left the outer fence"
    assert px4.main != OFFBOARD or not px4.armed, "nobody streams any more, and PX4 knows"
    assert px4.main == AUTO


def test_without_a_fault_it_flies_and_lands():
    px4, visited = flight("duplicates", "landing", 0)
    check_safe(px4)
    assert visited >= {State.READY, State.ARMED, State.ENGAGING, State.POLICY, State.LANDING}
    assert not px4.armed
    assert px4.farthest_m > 0.8, "the policy circled"


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
