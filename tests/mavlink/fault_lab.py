"""Faults, when they begin, what flies meanwhile, and what a safe end is: shared by the tests of every link."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol, cast

import numpy as np
import pytest
from flying import STEP_S, Fault, FlyingStandin
from standin import AUTO, OFFBOARD

from corvids.deploy.contract import Limits
from corvids.deploy.fallback import Fallback, FallbackGains
from corvids.deploy.pilot import Decision, Pilot
from corvids.deploy.px4.flight import Link, Px4Flight
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.runtime import fly
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.envelope import Fence, envelope_of
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Supervisor

LIMITS = Limits((0.5, 18.0), 9.80665, (4.0, 4.0, 2.0), 0.8)
FENCE = Fence()
PLACE = ("place_x_w_m", "place_y_w_m", "place_z_w_m")


REHEARSED_S = 2.0 * STEP_S
"""How long before a state a rehearsal is over, in a world that goes on in steps [s]: where there is time for it."""


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
        self.rehearsals = 0
        self._last: Decision | None = None

    def decide(self, readings, now_s: float, command) -> Decision:
        place = np.asarray(command) + np.array([math.cos(1.5 * now_s), math.sin(1.5 * now_s), 0.0])
        known = bool(np.isfinite(readings.stamp_s[0]) and abs(now_s - readings.stamp_s[0]) < 0.25)
        known &= bool(np.isfinite(readings.pos_w).all())
        with np.errstate(all="ignore"):
            thrust_n, rates = self._law.command(readings.pos_w, readings.vel_w, readings.quat_wb, place[None])
        self._last = Decision((thrust_n, rates), np.array([known]), {})
        return self._last

    def rehearse(self) -> None:
        """Overwrites the last decision's arrays, as pilots may: with what nobody could fly."""
        self.rehearsals += 1
        if self._last:
            self._last.thrust_n[:], self._last.rate_b_radps[:] = math.inf, math.nan


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


class Sky(Protocol):
    """Where PX4's side of the link flies, in virtual time."""

    def pause(self, seconds: float) -> None:
        """Fly on for that long while the runtime does nothing."""
        ...


def fault_in(kind: str, phase: str, seed: int) -> Fault:
    """A fault that begins in that phase, a little later for each seed."""
    start_s = PHASES[phase] + 0.013 * seed
    return dataclasses.replace(KINDS[kind], start_s=start_s, end_s=start_s + KINDS[kind].end_s)


def flown(link: Link, sky: Sky, pilot: CirclingPilot, **options: Any) -> set[State]:
    """Arm, engage, circle and land over that link in 20 s, with rehearsals; the supervisor's states."""
    supervisor = Supervisor(envelope_of(LIMITS), Fallback(LIMITS), FENCE)
    said = {1.1: Word.ARM, 2.2: Word.ENGAGE, 12.0: Word.LAND}
    visited = set()

    def words(state: State) -> frozenset[Word]:
        visited.add(state)
        return frozenset(said.pop(moment) for moment in [*said] if moment <= link.now_s)

    plant = Px4Flight(
        link,
        supervisor,
        cast(Pilot, pilot),
        ThrustMap(20.0, 0.0, 0.0, 0.0),
        hover_thrust_n=9.80665,
        rehearses=True,
        words=words,
        **options,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corvids.deploy.px4.flight.SPARE_S", REHEARSED_S)
        fly(
            cast(Pilot, pilot),
            plant,
            lambda now_s: np.array([0.0, 0.0, 1.5]),
            seconds=20.0,
            guard=plant.guard,
        )
    sky.pause(3.0)  # the runtime has ended: what happens to a vehicle that was left alone
    return visited


def check_safe(px4: FlyingStandin) -> None:
    assert not px4.crashed, px4.crashed
    assert px4.farthest_m < 3.0, "left the outer fence"
    assert px4.main != OFFBOARD or not px4.armed, "nobody streams any more, and PX4 knows"
    assert px4.main == AUTO or not px4.armed
