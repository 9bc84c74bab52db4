"""PX4's clock where nothing is echoed, as on ROS 2: from the stamps of its messages and their arrivals alone.

An arrival minus its stamp is the clocks' offset plus the time under way, and nothing is ever under way for less than
the least. :mod:`corvids.deploy.mocap.arrival_clock` fits a line to crystals; PX4's clock may run a percent slow, in
lockstep with its simulator, or start anew in flight, and is followed within half a second, without a line.
"""

from __future__ import annotations

import math

WINDOW_S, ROUND_TRIPS_S = 0.5, 20.0
"""The quickest arrival, and the quickest round trip, are looked for in the present stretch of so long [s] and in the
one before."""
JUMP_S = 0.1
"""Stamps that differ by more [s] from what is expected mean delays, or another clock."""
AHEAD, LATE_S = 3, 0.5
"""So many stamps in a row that would have arrived before they were sent, or stamps that are late for so long [s], mean
that the clock was set anew."""


class _Least:
    """The least number of the present stretch and of the one before."""

    def __init__(self, stretch_s: float) -> None:
        self._stretch_s = stretch_s
        self._present = self._before = math.inf
        self._since_s = math.nan

    @property
    def value(self) -> float:
        """Infinity before the first."""
        return min(self._present, self._before)

    def take_in(self, value: float, now_s: float) -> None:
        """One more, at ``now_s`` [s]."""
        if not now_s - self._since_s <= self._stretch_s:  # True for the first, too
            self._before, self._present, self._since_s = self._present, math.inf, now_s
        self._present = min(self._present, value)


class Px4Clock:
    """Offset of PX4's clock."""

    def __init__(self) -> None:
        self.resets = 0
        self.under_way_s = 0.0
        """The least time under way [s]: half of the quickest round trip."""
        self._arrivals, self._round_trips = _Least(WINDOW_S), _Least(ROUND_TRIPS_S)
        self._ahead = 0
        self._late_since_s = math.nan

    @property
    def is_known(self) -> bool:
        """Whether there was an arrival."""
        return math.isfinite(self._arrivals.value)

    def take_in(self, remote_s: float, received_s: float) -> None:
        """What was stamped ``remote_s`` arrived at ``received_s`` on our clock [s]."""
        sample_s = received_s - remote_s
        if not math.isfinite(sample_s):
            return
        if not self.is_known:
            self._start(sample_s, received_s)
            return
        excess_s = sample_s - self._arrivals.value
        self._ahead = self._ahead + 1 if excess_s < -JUMP_S else 0
        if excess_s <= JUMP_S:
            self._late_since_s = math.nan
        elif math.isnan(self._late_since_s):
            self._late_since_s = received_s
        if self._ahead >= AHEAD or received_s - self._late_since_s > LATE_S:
            self.resets += 1
            self._round_trips = _Least(ROUND_TRIPS_S)
            self._start(sample_s, received_s)
        elif abs(excess_s) <= JUMP_S:
            self._arrivals.take_in(sample_s, received_s)

    def take_round_trip(self, round_trip_s: float, now_s: float) -> None:
        """What went to PX4 and back was there at ``now_s`` on our clock, after ``round_trip_s`` [s]."""
        self._round_trips.take_in(round_trip_s, now_s)
        self.under_way_s = 0.5 * self._round_trips.value

    def ours_s(self, remote_s: float) -> float:
        """A stamp of the other clock on ours [s]; NaN before the first arrival."""
        return remote_s + self._offset_s()

    def theirs_s(self, ours_s: float) -> float:
        """A time of ours on the other clock [s]; NaN before the first arrival."""
        return ours_s - self._offset_s()

    def _offset_s(self) -> float:
        return self._arrivals.value - self.under_way_s if self.is_known else math.nan

    def _start(self, sample_s: float, received_s: float) -> None:
        self._arrivals = _Least(WINDOW_S)
        self._arrivals.take_in(sample_s, received_s)
        self._ahead, self._late_since_s = 0, math.nan
