"""A vehicle's state as PX4 reports it, in our frames and on our clock, whichever link it came over."""

from __future__ import annotations

import dataclasses
import math

from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple

PLACE_STD_MAX_M = 1.0
"""A place that PX4's estimator itself says it knows less well is none [m]: the estimator tells on, as fresh as ever,
long after the last measurement of it."""
FUTURE_MAX_S = 0.02
"""A stamp may lie this far in the future (clocks disagree a little)."""
_NAN3 = (math.nan, math.nan, math.nan)


@dataclasses.dataclass
class VehicleState:
    """The newest state. World ENU, body FLU, stamps on our clock; NaN before the first."""

    pose_stamp_s: float = math.nan
    """When position and velocity were estimated [s]."""
    attitude_stamp_s: float = math.nan
    """When attitude and rates were [s]."""
    pos_w: Triple = _NAN3
    """[m]."""
    vel_w: Triple = _NAN3
    """[m/s]."""
    quat_wb: Quaternion = (math.nan, math.nan, math.nan, math.nan)
    omega_b: Triple = _NAN3
    """[rad/s]."""
    resets: int = 0
    """Changes of PX4's reset counter."""
    specific_force_b_mps2: Triple = _NAN3
    """Of the newest IMU sample."""
    gyro_b_radps: Triple = _NAN3
    """Likewise."""
    _reset_counter: int | None = None

    @property
    def stamp_s(self) -> float:
        """When the older half was taken [s]; NaN while one is missing."""
        is_whole = math.isfinite(self.pose_stamp_s + self.attitude_stamp_s)
        return min(self.pose_stamp_s, self.attitude_stamp_s) if is_whole else math.nan

    @property
    def stamps_s(self) -> tuple[float, float]:
        """Of both halves."""
        return self.pose_stamp_s, self.attitude_stamp_s

    def count_resets(self, counter: int) -> None:
        """Take in PX4's reset counter."""
        if self._reset_counter is not None:
            self.resets += counter != self._reset_counter
        self._reset_counter = counter


def is_news(stamp_s: float, newest_s: float, now_s: float) -> bool:
    """Whether a sample stamped ``stamp_s`` is to be used: neither from the future nor older than the newest known.

    A newest known that lies in the future itself, since a clock went back, forbids nothing.
    """
    return not (stamp_s > now_s + FUTURE_MAX_S or stamp_s <= newest_s <= now_s + FUTURE_MAX_S)


def is_place(*variances_m2: float) -> bool:
    """Whether a place with these variances is known; so it is where nothing is said of them (NaN)."""
    return not any(variance_m2 > PLACE_STD_MAX_M**2 for variance_m2 in variances_m2)


def finite(*vectors: Triple) -> bool:
    """Whether every component is a number."""
    return math.isfinite(sum(sum(vector) for vector in vectors))


def unit(quat: tuple[float, ...]) -> Quaternion | None:
    """A quaternion of length one; None for what is none."""
    w, x, y, z = quat
    norm = math.hypot(w, x, y, z)
    if not 0.9 < norm < 1.1:
        return None
    return w / norm, x / norm, y / norm, z / norm
