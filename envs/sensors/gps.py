"""One satellite navigation receiver: its fixes err slowly and a little at random, and are on their way for a while.

The slow error (orbits, clocks, ionosphere, reflections) is a first-order Gauss-Markov process on each axis, in its
steady state from the start; what differs from fix to fix, and velocities, err at random. Figures are those that makers
of receivers state, not measured ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from typing import NamedTuple

import numpy as np

from corvids.envs.engines.engine import Array

Triple = tuple[float, float, float]
"""x, y, z: world ENU."""

RATE_HZ = 10.0
"""How often it has a fix."""
DELAY_S = 0.1
"""How old a fix is when it arrives [s]."""
DRIFT_S = 600.0
"""Correlation time of the slow error [s]."""


@dataclasses.dataclass(frozen=True)
class Grade:
    """How good a receiver is: standard deviations on an axis, horizontal ones and the vertical one."""

    drift_m: tuple[float, float]
    """Of the slow error [m]."""
    noise_m: tuple[float, float]
    """Of what differs from fix to fix [m]."""
    speed_mps: tuple[float, float]
    """Of velocities [m/s]."""
    fix_type: int
    """As MAVLink counts: 3 in three dimensions, 6 with all carrier phases resolved."""
    satellites: int

    @property
    def accuracy_m(self) -> tuple[float, float]:
        """What it says of its places: standard deviations [m], horizontal (one axis) and vertical."""
        return math.hypot(self.drift_m[0], self.noise_m[0]), math.hypot(self.drift_m[1], self.noise_m[1])


GRADES = {
    "standard": Grade((1.2, 2.0), (0.1, 0.2), (0.05, 0.1), fix_type=3, satellites=14),
    "rtk": Grade((0.008, 0.015), (0.006, 0.01), (0.05, 0.1), fix_type=6, satellites=20),
}
"""Receivers by name: one that stands alone (half of its places within 1.4 m), and one that is told the errors of a
reference nearby (1 cm)."""


class Fix(NamedTuple):
    """Where a receiver believes it was."""

    stamp_s: float
    """When it was there [s]."""
    pos_w: Triple
    """[m]."""
    vel_w: Triple
    """[m/s]."""
    grade: Grade
    """The receiver's."""


class GpsReceiver:
    """A queue of fixes, of which at most one arrives at a time."""

    def __init__(self, grade: Grade, rng: np.random.Generator) -> None:
        self.grade, self._rng = grade, rng
        self._drift_std, self._noise_std, self._speed_std = (
            np.array([horizontal, horizontal, vertical])
            for horizontal, vertical in (grade.drift_m, grade.noise_m, grade.speed_mps)
        )
        self._drift = rng.normal(0.0, self._drift_std)
        self._looked_s = self._due_s = 0.0
        self._under_way: deque[Fix] = deque()

    def look(self, stamp_s: float, pos_w: Array, vel_w: Array) -> None:
        """The antenna is at ``pos_w`` (3,) [m], with ``vel_w`` (3,) [m/s]: take a fix, if one is due."""
        if stamp_s < self._due_s - 1e-9:
            return
        kept = math.exp(-(stamp_s - self._looked_s) / DRIFT_S)
        self._looked_s, self._due_s = stamp_s, max(self._due_s + 1.0 / RATE_HZ, stamp_s)
        rng = self._rng
        self._drift = kept * self._drift + math.sqrt(1.0 - kept**2) * rng.normal(0.0, self._drift_std)
        x, y, z = (pos_w + self._drift + rng.normal(0.0, self._noise_std)).tolist()
        vx, vy, vz = (vel_w + rng.normal(0.0, self._speed_std)).tolist()
        self._under_way.append(Fix(stamp_s, (x, y, z), (vx, vy, vz), self.grade))

    def arrived(self, now_s: float) -> Fix | None:
        """The fix that has arrived by ``now_s`` [s] and was not handed out yet, if there is one."""
        if self._under_way and self._under_way[0].stamp_s + DELAY_S <= now_s + 1e-9:
            return self._under_way.popleft()
        return None
