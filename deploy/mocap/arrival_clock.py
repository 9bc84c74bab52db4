"""How far another clock is from ours, from arrivals alone: for a sender that echoes nothing.

What arrives was on its way for a least time and, mostly, longer. The quickest packets of each second lie on a line over
the sender's time, whose slope is the drift of its clock. The least time itself cannot be seen: it must be known.
"""

from __future__ import annotations

import itertools
import math

BUCKET_S, BUCKETS = 1.0, 30
"""The quickest packet of each so long time is remembered, and so many of them."""
DRIFT_MAX = 1e-3
"""No crystal is worse."""
JUMP_S, JUMPS = 0.5, 10
"""So many packets in a row, this far from the line, mean that the other clock was set anew."""

_Quickest = tuple[float, float]
"""Of a bucket: arrival [s], and arrival less stamp [s]."""


class ArrivalClock:
    """Offset and drift of a clock whose packets took ``least_s`` [s] at least."""

    def __init__(self, least_s: float = 0.0) -> None:
        self._least_s = least_s
        self._start_over()
        self.resets = 0

    def _start_over(self) -> None:
        self._quickest: list[_Quickest] = []
        self._bucket_ends_s = -math.inf
        self._at_s, self._offset_s, self._drift, self._jumps = 0.0, math.nan, 0.0, 0

    @property
    def is_known(self) -> bool:
        """Whether anything has arrived."""
        return bool(self._quickest)

    def take_in(self, remote_s: float, arrived_s: float) -> None:
        """A packet that was stamped ``remote_s`` on the other clock has arrived [s]."""
        transit_s = arrived_s - remote_s
        if self.is_known and abs(transit_s - self._at(arrived_s)) > JUMP_S:
            self._jumps += 1
            if self._jumps >= JUMPS:
                self._start_over()
                self.resets += 1
            else:
                return
        self._jumps = 0
        if arrived_s >= self._bucket_ends_s:
            self._quickest = [*self._quickest[1 - BUCKETS :], (arrived_s, transit_s)]
            self._bucket_ends_s = arrived_s + BUCKET_S
        elif transit_s < self._quickest[-1][1]:
            self._quickest[-1] = (arrived_s, transit_s)
        else:
            return
        self._fit()

    def ours_s(self, remote_s: float) -> float:
        """A stamp of the other clock on ours [s]; NaN before the first packet."""
        return remote_s + self._at(remote_s + self._offset_s) - self._least_s

    def _at(self, ours_s: float) -> float:
        return self._offset_s + self._drift * (ours_s - self._at_s)

    def _fit(self) -> None:
        """The edge of the lower convex hull that passes below the middle of what is remembered."""
        hull: list[_Quickest] = []
        for point in self._quickest:
            while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
                hull.pop()
            hull.append(point)
        middle_s = 0.5 * (self._quickest[0][0] + self._quickest[-1][0])
        first, last = hull[0], hull[0]
        for left, right in itertools.pairwise(hull):
            if left[0] <= middle_s <= right[0]:
                first, last = left, right
        self._at_s, self._offset_s = last
        span_s = last[0] - first[0]
        # A line through few seconds says more of the network than of the clock.
        drift = (last[1] - first[1]) / span_s if span_s > 5.0 * BUCKET_S else 0.0
        self._drift = min(max(drift, -DRIFT_MAX), DRIFT_MAX)


def _turns_down(one: _Quickest, two: _Quickest, three: _Quickest) -> bool:
    """Whether ``two`` lies above the line from ``one`` to ``three``, or on it."""
    across = (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0])
    return across <= 0.0
