"""What a member of a team does when its policy cannot fly: it stays where it is, and its inner loop bears its cable.

Plain numpy, no policy file. The command is an acceleration: a proportional and damping law towards the place at which
the fallback took over, limited; without a position it brakes, without a velocity it asks for none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STIFFNESS_PS2 = 4.0
"""Wanted acceleration per distance from the place."""
DAMPING_PS = 3.5
"""Wanted acceleration per velocity."""


class MemberFallback:
    """Holds for each of ``rows`` members where it is to stay."""

    def __init__(self, rows: int, accel_max_mps2: float) -> None:
        self._accel_max_mps2 = accel_max_mps2
        self._place_w = np.full((rows, 3), np.nan)

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Forget the places of ``rows`` (mask, (rows,); all if None)."""
        self._place_w[... if rows is None else rows] = np.nan

    def sink(self, by_m: float) -> None:
        """Move all places down."""
        self._place_w[:, 2] -= by_m

    def command(self, rows: NDArray[np.bool_], pos_w: Array, vel_w: Array) -> Array:
        """Acceleration [m/s², world] (n, 3) of the n members in ``rows`` (mask), at ``pos_w`` [m] and ``vel_w`` [m/s].

        Both may be NaN where unknown.
        """
        place_w = np.where(np.isnan(self._place_w[rows]), pos_w, self._place_w[rows])
        self._place_w[rows] = place_w
        wanted = np.nan_to_num((place_w - pos_w) * STIFFNESS_PS2) - np.nan_to_num(vel_w * DAMPING_PS)
        return np.clip(wanted, -self._accel_max_mps2, self._accel_max_mps2)
