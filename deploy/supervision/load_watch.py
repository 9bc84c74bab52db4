"""Which of a load's measured poses one member believes: its cable says how far off a load can be, and nothing jumps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from corvids.deploy.supervision.checks import Thresholds
from corvids.deploy.supervision.envelope import Triple

STEP_S = 0.01
"""Time between two poses below which their distance is no measure of a speed [s]."""


class LoadWatch:
    """One member's."""

    def __init__(self, limits: Thresholds) -> None:
        self._limits = limits
        self.stamp_s = math.nan
        """When the load was measured last where it can be [s]; NaN before the first such pose."""
        self.doubt = ""
        """Why the newest pose was not believed; empty where it was."""
        self._place_w: Triple = (math.nan, math.nan, math.nan)

    def believes(self, now_s: float, stamp_s: float, pose: Sequence[float], vehicle_w: Triple) -> bool:
        """Whether the load can have been at ``pose`` (x, y, z [m, world], quaternion) at ``stamp_s`` [s].

        A pose that is no newer than the one believed last, of the future, or not finite is not one, and raises no
        doubt; nothing is believed while the vehicle's own place (``vehicle_w`` [m]) is not known. What was believed so
        long ago that the load is lost says nothing of where it can be now.
        """
        limits = self._limits
        latest_s = now_s + limits.future_max_s
        if self.stamp_s > latest_s:  # the clock was set back
            self.stamp_s = math.nan
        if (
            not math.isfinite(stamp_s + sum(pose) + sum(vehicle_w))
            or stamp_s > latest_s
            or stamp_s <= self.stamp_s
        ):
            return False
        x, y, z, *_ = pose
        far_m, since_s = math.dist((x, y, z), vehicle_w), stamp_s - self.stamp_s
        moved_m = math.dist((x, y, z), self._place_w) if since_s <= limits.load_age_max_s else 0.0
        self.doubt = ""
        if far_m > limits.load_range_max_m:
            self.doubt = f"{far_m:.2f} m from the vehicle"
        elif moved_m > limits.load_speed_max_mps * max(since_s, STEP_S):
            self.doubt = f"{moved_m:.2f} m from where it was {since_s:.3f} s before"
        else:
            self.stamp_s, self._place_w = stamp_s, (x, y, z)
        return not self.doubt
