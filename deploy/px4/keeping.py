"""Watches whether set-points still come, and knows what PX4 is to be sent when they do not: no links, no clock.

When set-points are late, level attitude and hover thrust take their place; when they stay away PX4 is asked to hold, or
to land where it does not, and from then on no set-point counts until the operator engages anew: PX4 would go back to
OFFBOARD by itself as soon as a stream resumes. Should PX4 do neither, its own COM_OF_LOSS_T acts.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import NamedTuple

from corvids.deploy.px4.channels import HOLDS
from corvids.deploy.supervision.checks import Autopilot, Mode
from corvids.deploy.supervision.supervisor import Request

HEARTBEAT_LATE_S = 1.5
"""PX4 tells its mode once a second: so long [s] it may be in OFFBOARD without the keeper knowing."""


class Level(NamedTuple):
    """What to fly where set-points fail to come: level."""

    yaw_ned_rad: float
    """Heading [rad from north]."""
    thrust: float
    """PX4's normalised thrust."""


@dataclasses.dataclass(frozen=True)
class KeeperConfig:
    """When the keeper acts."""

    stale_s: float = 0.04
    """Set-points older than this are replaced."""
    hold_s: float = 0.2
    """Older than this, PX4 is asked to hold."""
    every_s: float = 0.02
    """Time between the keeper's own set-points."""
    ask_every_s: float = 0.25
    """Time between its requests."""
    land_s: float = 1.5
    """PX4 that does not hold so long after it was asked to is asked to land: it holds only where it knows its place on
    the globe. Its mode is heard once a second."""
    silent_s: float = 4.5
    """PX4 that does neither for so long is left to its own failsafe: nothing is sent any more."""
    linger_s: float = 5.0
    """A keeper that has nothing to keep ends so long after the runtime was last heard."""
    gone_s: float = 60.0
    """Nothing is left to keep of an autopilot that has not been heard for so long."""


class Keeping(enum.Enum):
    """What the keeper is doing."""

    IDLE = "idle"
    """Nobody streams."""
    RELAYING = "relaying"
    """Set-points come."""
    LEVELLING = "levelling"
    """They are late: level and hover instead."""
    HOLDING = "holding"
    """They stayed away: PX4 is asked to hold, or else to land; none counts until the operator engages."""


class StreamWatch:
    """The keeper's mind."""

    def __init__(self, config: KeeperConfig | None = None) -> None:
        self.config = config or KeeperConfig()
        self.keeping = Keeping.IDLE
        self.has_hold = False
        """Whether PX4 was asked to hold, since the operator engaged, and nobody has chosen another mode since."""
        self._is_reached = False
        """Whether it has been seen to."""
        self._turn = b""
        self._level = Level(0.0, 0.0)
        self._setpoint_s = self._own_s = self._asked_s = self._holding_s = -1e9

    def engage(self, turn: bytes) -> None:
        """The operator's word to engage; ``turn`` tells it from others."""
        self.keeping, self.has_hold, self._turn = Keeping.IDLE, False, turn

    def release(self) -> None:
        """Nobody streams any more."""
        if self.keeping is not Keeping.HOLDING:
            self.keeping = Keeping.IDLE

    def setpoint(self, level: Level, now_s: float) -> bool:
        """A set-point came, and what to fly without the next one; whether it counts."""
        if self.keeping is Keeping.HOLDING:
            return False
        self._level, self._setpoint_s = level, now_s
        self.keeping = Keeping.RELAYING
        return True

    def watch(self, now_s: float, autopilot: Autopilot) -> tuple[Level | None, Request | None]:
        """To be called every few milliseconds; what to send to the autopilot now."""
        mode = autopilot.mode
        self.has_hold &= mode is Mode.HOLD or (mode is Mode.OFFBOARD and not self._is_reached)
        self._is_reached = self.has_hold and mode is Mode.HOLD
        if self.keeping is Keeping.IDLE:
            return None, None
        config, age_s = self.config, now_s - self._setpoint_s
        if self.keeping is not Keeping.HOLDING:
            if age_s <= config.stale_s:
                return None, None
            self.keeping, self._holding_s = Keeping.LEVELLING, now_s
            if age_s > config.hold_s:
                self.keeping = Keeping.HOLDING
        is_offboard = mode is Mode.OFFBOARD
        if not is_offboard and age_s > config.hold_s + HEARTBEAT_LATE_S:
            return None, None
        waited_s = now_s - self._holding_s
        if waited_s > config.silent_s:
            return None, None
        level = request = None
        if now_s - self._own_s >= config.every_s:
            self._own_s, level = now_s, self._level
        # Whoever flies in another mode is not disturbed.
        if self.keeping is Keeping.HOLDING and is_offboard and now_s - self._asked_s >= config.ask_every_s:
            self._asked_s = now_s
            request = Request.HOLD if waited_s <= config.land_s else Request.LAND
            self.has_hold = request is Request.HOLD
        return level, request

    def news(self) -> bytes | None:
        """What the runtime must know now; see :data:`corvids.deploy.px4.channels.HOLDS`."""
        return HOLDS + self._turn + bytes([self.has_hold]) if self.keeping is Keeping.HOLDING else None

    def has_nothing_to_keep(self, now_s: float, autopilot: Autopilot, guides: bool = False) -> bool:
        """Whether nobody would miss it; a vehicle that it ``guides`` by motion capture does as long as it is armed."""
        # PX4 goes back to OFFBOARD as it disarms after a landing: its mode says nothing any more.
        if not now_s - autopilot.heard_s <= self.config.gone_s or not autopilot.armed:
            return True
        if guides:
            return False
        return self.keeping is Keeping.IDLE or autopilot.mode is not Mode.OFFBOARD


class KeeperNews:
    """What a runtime's keeper has told since the operator's last word to engage."""

    def __init__(self) -> None:
        self.is_held = self.is_kept = False
        """Whether set-points do not count any more, and whether PX4 holds for the keeper."""
        self._turn = 0

    def engage(self) -> bytes:
        """Begin anew; what to tell the keeper with the word."""
        self._turn = (self._turn + 1) % 256
        self.is_held = self.is_kept = False
        return bytes([self._turn])

    def hear(self, said: bytes) -> None:
        """What it said; of another word than the last it counts nothing."""
        if said[:2] == HOLDS + bytes([self._turn]):
            self.is_held, self.is_kept = True, said[2:] == b"\x01"
