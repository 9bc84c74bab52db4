"""PX4's clock where nothing is echoed, as on ROS 2: from the stamps of its messages and their arrivals alone.

An arrival minus its stamp is the clocks' offset plus the time under way, and nothing is ever under way for less than
the least. :mod:`corvids.deploy.mocap.arrival_clock` fits a line to crystals; PX4's clock may run a percent slow, in
lockstep with its simulator, or start anew in flight, and is followed within half a second, without a line.
"""

from __future__ import annotations

import math

WINDOW_S = 0.5
"""The quickest arrival is looked for in the present stretch of so long [s] and in the one before."""
JUMP_S = 0.1
"""Stamps that differ by more [s] from what is expected mean delays, or another clock."""
AHEAD, LATE_S = 3, 0.5
"""So many stamps in a row that would have arrived before they were sent, or stamps that are late for so long [s], mean
that the clock was set anew."""


class Px4Clock:
    """Offset of PX4's clock."""

    def __init__(self) -> None:
        self.resets = 0
        self.under_way_s = 0.0
        """The least time under way [s]."""
        self._least_s = self._before_s = math.inf
        self._since_s = math.nan
        self._ahead = 0
        self._late_since_s = math.nan

    @property
    def is_known(self) -> bool:
        """Whether there was an arrival."""
        return math.isfinite(self._since_s)

    def take_in(self, remote_s: float, received_s: float) -> None:
        """What was stamped ``remote_s`` arrived at ``received_s`` on our clock [s]."""
        sample_s = received_s - remote_s
        if not math.isfinite(sample_s):
            return
        if not self.is_known:
            self._start(sample_s, received_s)
            return
        excess_s = sample_s - min(self._least_s, self._before_s)
        self._ahead = self._ahead + 1 if excess_s < -JUMP_S else 0
        if excess_s <= JUMP_S:
            self._late_since_s = math.nan
        elif math.isnan(self._late_since_s):
            self._late_since_s = received_s
        if self._ahead >= AHEAD or received_s - self._late_since_s > LATE_S:
            self.resets += 1
            self._start(sample_s, received_s)
        elif abs(excess_s) <= JUMP_S:
            if received_s - self._since_s > WINDOW_S:
                self._before_s, self._least_s, self._since_s = self._least_s, math.inf, received_s
            self._least_s = min(self._least_s, sample_s)

    def ours_s(self, remote_s: float) -> float:
        """A stamp of the other clock on ours [s]; NaN before the first arrival."""
        return remote_s + self._offset_s()

    def theirs_s(self, ours_s: float) -> float:
        """A time of ours on the other clock [s]; NaN before the first arrival."""
        return ours_s - self._offset_s()

    def _offset_s(self) -> float:
        return min(self._least_s, self._before_s) - self.under_way_s if self.is_known else math.nan

    def _start(self, sample_s: float, received_s: float) -> None:
        self._least_s, self._before_s, self._since_s = sample_s, math.inf, received_s
        self._ahead, self._late_since_s = 0, math.nan
