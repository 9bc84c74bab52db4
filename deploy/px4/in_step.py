"""Ticks in step with the states that they answer: no state waits for its tick, and late ones do not disturb the others.

Ticks lie on a grid, states come when they come. The grid is moved, slowly, until one state is expected in the middle
of the last interval between states before each tick is due; the tick comes as soon as that one is there, or when it is
due.
"""

from __future__ import annotations

import math

GAIN = 0.1
"""Of the filters, per state or tick."""
GAP_S = 0.1
"""Longer intervals between states are gaps [s]."""
SELDOM = 1.5
"""Where states come more seldom than ticks by this factor, there is nothing to be in step with."""


class InStep:
    """When to tick, for one vehicle."""

    def __init__(self, period_s: float) -> None:
        """``period_s``: of the ticks."""
        self._period_s = period_s
        self._interval_s = self._lag_s = self._shift_s = 0.0
        self._stamp_s = math.nan

    def note(self, stamp_s: float, now_s: float) -> None:
        """The newest state known at ``now_s`` is stamped ``stamp_s`` [s]."""
        step_s = stamp_s - self._stamp_s
        if step_s == 0.0 or math.isnan(stamp_s):
            return
        self._stamp_s = stamp_s
        if 0.0 < step_s < GAP_S:
            # From nothing the first interval is believed at once.
            gain = GAIN if self._interval_s else 1.0
            self._interval_s += gain * (step_s - self._interval_s)
            self._lag_s += gain * (min(max(now_s - stamp_s, 0.0), GAP_S) - self._lag_s)

    def due_s(self, grid_s: float) -> float:
        """When the tick that lies at ``grid_s`` [s] is due."""
        return grid_s + self._shift_s

    def expected_s(self, due_s: float) -> float:
        """When the state is expected that the tick due at ``due_s`` [s] is to answer; where none is, then."""
        return due_s - 0.5 * self._interval_s if self._is_with_states() else due_s

    def is_time(self, due_s: float) -> bool:
        """Whether the state that the tick due at ``due_s`` [s] is to answer is there."""
        return self._is_with_states() and self._usual_s() > due_s - self._interval_s

    def answer(self, due_s: float) -> None:
        """The tick that was due at ``due_s`` [s] comes now; the grid moves towards the states' time."""
        if not self.is_time(due_s):
            return
        interval_s = self._interval_s
        ahead_s = self._usual_s() - (due_s - 0.5 * interval_s)
        shift_s = self._shift_s + GAIN * max(-0.5 * interval_s, min(ahead_s, 0.5 * interval_s))
        # Moving on by a whole interval changes nothing but which state a tick answers.
        self._shift_s = shift_s - interval_s * round(shift_s / interval_s)

    def _is_with_states(self) -> bool:
        return 0.0 < self._interval_s < SELDOM * self._period_s

    def _usual_s(self) -> float:
        """When the newest state would have arrived had it been under way as long as usual."""
        return self._stamp_s + self._lag_s
