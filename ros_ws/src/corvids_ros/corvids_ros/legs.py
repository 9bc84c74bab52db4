"""Statistics of a flight without end: of its legs, one after the other. No ROS."""

from __future__ import annotations

import numpy as np

from corvids.deploy.runtime import Flight, Tick

LEG_S = 10.0
"""A leg is so long [s]."""


class Legs:
    """Looks at ticks. The loop knows nothing of legs: to start it anew would start another grid."""

    def __init__(self, period_s: float) -> None:
        """``period_s``: of the ticks."""
        self.last: Flight | None = None
        """The last whole leg; None during the first."""
        self._period_s = period_s
        self._ticks: list[tuple[int, np.ndarray, float]] = []
        """Of each in this leg: how many were left out after it, who flew, and time to compute [s]."""
        self._began_s = 0.0

    def note(self, tick: Tick) -> None:
        """One more."""
        if self._ticks and tick.now_s - self._began_s >= LEG_S - 0.5 * self._period_s:
            self.last = self._flight()
            self._ticks = []
        if not self._ticks:
            self._began_s = tick.now_s
        self._ticks.append((tick.missed(self._period_s), tick.decision.by_policy.copy(), tick.compute_s))

    def _flight(self) -> Flight:
        skipped, by_policy, compute_s = zip(*self._ticks, strict=True)
        share = np.mean(by_policy, axis=0)
        return Flight(len(self._ticks), sum(skipped), share, float(np.median(compute_s)), max(compute_s))
