"""How far another clock is from ours, from echoes of time stamps."""

from __future__ import annotations

import math
from collections import deque

ROUND_TRIPS = 20
"""Round trips remembered, to know what a quick one is."""
SLOW = 2.0
"""A round trip longer than the quickest remembered by this factor (and a millisecond) says little."""
GAIN, DRIFT_GAIN = 0.3, 0.02
"""Of the filter, per sample: in offset, and in its drift."""
JUMP_S, JUMPS = 0.1, 3
"""So many samples in a row that differ by so much mean that the other clock was set anew."""


class ClockOffset:
    """Offset and drift of a remote clock, by an alpha-beta filter over quick round trips."""

    def __init__(self) -> None:
        self.samples = self.resets = 0
        self.round_trip_s = math.nan
        """Of the newest echo [s]."""
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self._jumps = 0
        self._at_s, self._offset_s, self._drift = math.nan, math.nan, 0.0

    @property
    def is_known(self) -> bool:
        """Whether there was a sample."""
        return self.samples > 0

    def take_in(self, sent_s: float, remote_s: float, received_s: float) -> bool:
        """An echo: sent and received on our clock, stamped ``remote_s`` between on the other; whether it was used."""
        self.round_trip_s = received_s - sent_s
        if not 0.0 <= self.round_trip_s <= 1.0:
            return False
        self._round_trips.append(self.round_trip_s)
        if self.round_trip_s > SLOW * min(self._round_trips) + 1e-3:
            return False
        middle_s = 0.5 * (sent_s + received_s)
        offset_s = middle_s - remote_s
        if self.is_known and abs(offset_s - self._at(middle_s)) > JUMP_S:
            self._jumps += 1
            if self._jumps < JUMPS:
                return False
            self.samples = 0
            self.resets += 1
        self._jumps = 0
        if not self.is_known:
            self._offset_s, self._drift = offset_s, 0.0
        elif middle_s > self._at_s:
            error_s = offset_s - self._at(middle_s)
            self._offset_s = self._at(middle_s) + GAIN * error_s
            self._drift += DRIFT_GAIN * error_s / max(middle_s - self._at_s, 0.02)
            self._drift = min(max(self._drift, -0.05), 0.05)
        self._at_s = middle_s
        self.samples += 1
        return True

    def ours_s(self, remote_s: float) -> float:
        """A stamp of the other clock on ours [s]; NaN before the first sample."""
        return remote_s + self._at(remote_s + self._offset_s)

    def _at(self, ours_s: float) -> float:
        return self._offset_s + self._drift * (ours_s - self._at_s)
