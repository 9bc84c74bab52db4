"""What PX4 streams: how often each message comes, how old it is then, and whose clocks tell."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from pymavlink.dialects.v20 import common

from corvids.commands.doctoring.line import Line, Verdict
from corvids.deploy.px4.mavlink_peer import STREAMS_HZ, Peer, PeerConfig

STATE_AGE_MAX_S = 0.06
"""Policies train with states that are up to so old [s]."""
APART_MAX_S, LEAP_MAX_S = 1.0, 0.01
"""How far this computer's date may be from PX4's, and how far it may be set anew while we listen [s]."""
KNOWN_SINCE_S = 1.4e9
"""A date before this (2014) is none: it counts from a computer's start [s since 1970]."""


class Need(NamedTuple):
    """How much depends on a stream."""

    least_hz: float
    without: Verdict
    fix: str


FASTER = "raise the link's data rate (MAV_*_RATE)"
NEEDS = {
    "ODOMETRY": Need(50.0, "no-go", f"at least 50 Hz: {FASTER}"),
    "ATTITUDE_QUATERNION": Need(
        50.0, "warn", f"at least 50 Hz, or attitude and rates are ODOMETRY's, unfiltered: {FASTER}"
    ),
    "HIGHRES_IMU": Need(25.0, "warn", f"at least 25 Hz; a team's inner loop lives on it: {FASTER}"),
    "CURRENT_MODE": Need(
        0.1, "warn", "so a pilot's change of mode is heard by heartbeat, up to a second late"
    ),
    "ESTIMATOR_STATUS": Need(
        1.0, "warn", "so a place that nothing measures any more is noticed late, by its uncertainty alone"
    ),
    "EXTENDED_SYS_STATE": Need(0.5, "warn", "so nobody knows whether it is on the ground"),
    "BATTERY_STATUS": Need(0.5, "warn", "so nobody notices a low battery: set up PX4's power monitor"),
}
"""Those that something depends on. The place on the globe has a line of its own, and the command that PX4 follows
(ATTITUDE_TARGET), which comes in flight at the latest, is there to be looked at."""


class Listener(Peer):
    """Our end of the conversation, which notes how old messages are as they arrive."""

    def __init__(self, config: PeerConfig | None = None) -> None:
        super().__init__(config, time.time())
        self.ages_s: dict[str, list[float]] = {}
        """Of messages with a stamp, by name, once the clocks were compared [s]."""
        self.apart_s = math.nan
        """PX4's date less this computer's, as it said last [s]; NaN where it knows none."""
        self.date_ahead_s = time.time() - time.monotonic()
        """This computer's date less its clock that is never set, when it began to listen [s]."""

    def take_in(self, datagram: bytes, now_s: float) -> None:
        before = dict(self.arrivals)
        super().take_in(datagram, now_s)
        for name in self.arrivals:
            if self.arrivals[name] > before.get(name, 0):
                self._note(name, self.messages[name], now_s)

    def _note(self, name: str, message: Any, now_s: float) -> None:
        stamp_s = _stamp_s(message)
        if name == "SYSTEM_TIME":
            unix_s = 1e-6 * message.time_unix_usec
            self.apart_s = unix_s - time.time() if unix_s > KNOWN_SINCE_S else math.nan
        elif stamp_s is not None and self.reader.clock.is_known:
            self.ages_s.setdefault(name, []).append(now_s - self.reader.clock.ours_s(stamp_s))


def stream_lines(peer: Listener, seconds: float) -> Iterator[Line]:
    """One line for every stream that PX4 was asked for, after ``seconds`` [s]."""
    for number, asked_hz in STREAMS_HZ.items():
        name = common.mavlink_map[number].msgname
        rate_hz = peer.arrivals.get(name, 0) / seconds
        found = f"{rate_hz:.0f} Hz, asked for {asked_hz:.0f} Hz"
        age_s = statistics.median(peer.ages_s[name]) if name in peer.ages_s else math.nan
        if math.isfinite(age_s):
            found += f"; {1e3 * age_s:.0f} ms old as it arrives"
        need = NEEDS.get(name)
        if need is not None and rate_hz < need.least_hz:
            yield Line(name, found, need.without, need.fix)
        elif need is not None and age_s > STATE_AGE_MAX_S:
            yield Line(name, found, "warn", f"policies train with up to {1e3 * STATE_AGE_MAX_S:.0f} ms")
        else:
            yield Line(name, found, "go")


def date_line(peer: Listener) -> Line:
    """This computer's date beside PX4's, and whether it was set while we listened. Flights use neither: they go by
    clocks that are never set, which TIMESYNC compares; records, signatures and stamps by PTP do use dates."""
    leap_s = time.time() - time.monotonic() - peer.date_ahead_s
    found = (
        "PX4 knows no date" if math.isnan(peer.apart_s) else f"{abs(peer.apart_s):.1f} s from PX4's by date"
    )
    if abs(leap_s) > LEAP_MAX_S:
        return Line("clock", f"{found}; leapt by {leap_s:.2f} s", "warn", "wait until NTP or PTP has settled")
    if abs(peer.apart_s) > APART_MAX_S:
        fix = "set both by NTP or GPS, or records and PX4's logs bear different dates"
        return Line("clock", found, "warn", fix)
    return Line("clock", found, "go")


def _stamp_s(message: Any) -> float | None:
    """When it was taken, on PX4's clock [s]; None where it does not say."""
    if hasattr(message, "time_usec"):
        return 1e-6 * message.time_usec
    return 1e-3 * message.time_boot_ms if hasattr(message, "time_boot_ms") else None
