"""Measurements of one ball's position: taken at a rate, noisy, and on their way for a while."""

from __future__ import annotations

from collections import deque

import numpy as np

from corvids.envs.plants.conditions import BALL_RATE_HZ, condition_named

Triple = tuple[float, float, float]
"""x, y, z."""

NOISE_M = condition_named("noisy").ball_std_m
"""Noise of a measurement, each axis: as in the condition ``noisy``."""
DELAY_S = condition_named("noisy").delay_s[0]
"""How long one takes to arrive: the least in that condition [s]."""


class BallSightings:
    """A queue of measurements, oldest first."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._due_s = -np.inf
        self._under_way: deque[tuple[float, Triple]] = deque()

    def look(self, stamp_s: float, pos_w: Triple) -> None:
        """The ball is at ``pos_w`` [m]: measure it, if a measurement is due."""
        if stamp_s < self._due_s:
            return
        self._due_s = max(self._due_s + 1.0 / BALL_RATE_HZ, stamp_s - 1.0 / BALL_RATE_HZ)
        x, y, z = (c + n for c, n in zip(pos_w, self._rng.normal(0.0, NOISE_M, 3).tolist(), strict=True))
        self._under_way.append((stamp_s, (x, y, z)))

    def arrived(self, now_s: float) -> list[tuple[float, Triple]]:
        """Stamps [s] and places [m] of those that have arrived by ``now_s`` since the last call."""
        out = []
        while self._under_way and self._under_way[0][0] + DELAY_S <= now_s:
            out.append(self._under_way.popleft())
        return out

    def forget(self) -> None:
        """What is under way does not arrive."""
        self._under_way.clear()
