"""Poses of ball, load and vehicle from motion capture: PoseStamped or Odometry. No ROS: looked at by their fields."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from corvids.deploy.mocap.state_packet import DISTANCE_MAX_M
from corvids.deploy.mocap.state_stream import AGE_MAX_S, FUTURE_MAX_S
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.px4.state import VehicleState, unit
from corvids.deploy.supervision.envelope import Triple

KEPT = 100
"""Measurements kept for a runtime that is busy."""


class Pose(NamedTuple):
    """Where something was: world ENU, on our clock."""

    stamp_s: float
    pos_w: Triple
    quat_wb: Quaternion | None
    """None where the message has none."""


class PoseSource:
    """Takes in the poses of one object; serves as the flight's ball."""

    def __init__(self, frame: str) -> None:
        """``frame``: what the messages must call the world, empty for anything."""
        self.received = self.foreign = self.malformed = self.ill_timed = 0
        """Messages; of them in another frame, not numbers, and stamped as a state stream's must not be: too old, in the
        future, or not after the one before."""
        self.newest: Pose | None = None
        self._frame = frame
        self._stamp: tuple[int, int] | None = None
        """The newest pose's, as its sender wrote it."""
        self._arrived: list[tuple[float, Triple]] = []

    @property
    def stamp_s(self) -> float:
        """When the newest pose was measured [s], NaN before the first."""
        return self.newest.stamp_s if self.newest else math.nan

    def take_in(self, message: Any, now_s: float, unix_s: float) -> Pose | None:
        """A message received at ``now_s`` on our clock, ``unix_s`` on the one that stamps it [s]; the pose in it."""
        self.received += 1
        if self._frame and message.header.frame_id != self._frame:
            self.foreign += 1
            return None
        pose = message.pose if hasattr(message.pose, "position") else message.pose.pose  # Odometry nests it
        place, turn = pose.position, pose.orientation
        pos_w = (float(place.x), float(place.y), float(place.z))
        stamp = message.header.stamp
        said, stamp_s = (stamp.sec, stamp.nanosec), stamp.sec + 1e-9 * stamp.nanosec + (now_s - unix_s)
        if not max(map(abs, pos_w)) <= DISTANCE_MAX_M or not math.isfinite(sum(pos_w)):
            self.malformed += 1
            return None
        # One from the future would make PX4's estimator refuse all that follow until then.
        is_timely = now_s - AGE_MAX_S <= stamp_s <= now_s + FUTURE_MAX_S
        # A source that starts anew is heard a second later at most: what is timely then is newer than the newest. Two
        # readings of our clocks turn one stamp into two: that one comes twice is seen by what its sender wrote.
        if not is_timely or stamp_s <= self.stamp_s or said == self._stamp:
            self.ill_timed += 1
            return None
        self._stamp = said
        quat = (float(turn.w), float(turn.x), float(turn.y), float(turn.z))
        self.newest = Pose(stamp_s, pos_w, unit(quat) if math.isfinite(sum(quat)) else None)
        self._arrived = [*self._arrived[1 - KEPT :], (stamp_s, pos_w)]
        return self.newest

    def measure(self, now_s: float, state: VehicleState) -> list[tuple[float, Triple]]:
        """Stamps [s] and places [m] that have arrived since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived
