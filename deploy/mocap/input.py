"""Motion capture in the runtime: a ball for the policy file's filter, in place of a simulated one."""

from __future__ import annotations

import math

from corvids.deploy.mocap.ball_markers import BallMarkers, Body
from corvids.deploy.mocap.correction import MocapCorrection
from corvids.deploy.mocap.relay import RUNTIME, pose_of
from corvids.deploy.mocap.state_stream import Frame, StateReceiver
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.envelope import Triple

PENDING_MAX = 64
"""Measurements kept for a runtime that does not fetch them."""
RISE_MIN_M, DROP_M, NEAR_M = 0.3, 0.3, 0.35
"""A hit counts once the ball has risen so far after it; a ball so far below the vehicle is dropped; a ball is hit
within so far above the vehicle."""
UNSEEN_MAX_S = 0.25
"""A ball that was not seen for longer may have been carried: that it is higher now is no hit."""


class MocapInput:
    """Takes in what the keeper hands on, and hands out measured places of the ball."""

    def __init__(self, vehicle: int, ball: int) -> None:
        """Numbers of rigid bodies; ``ball`` 0: one of the markers, see :mod:`corvids.deploy.mocap.ball_markers`."""
        self.receiver = StateReceiver(RUNTIME)
        self.markers = BallMarkers()
        self.score = Score()
        self._correction = MocapCorrection()
        self._vehicle_number, self._ball_number = vehicle, ball
        self._vehicle = Body()
        self._measured: list[tuple[float, Triple]] = []
        self._told_s = -math.inf

    @property
    def hits(self) -> int:
        """Counted hits."""
        return self.score.hits

    @property
    def drops(self) -> int:
        """How often the ball fell past the vehicle."""
        return self.score.drops

    @property
    def state(self) -> VehicleState:
        """See :class:`corvids.deploy.mocap.correction.MocapCorrection`."""
        return self._correction.state

    def hear(self, said: VehicleState) -> None:
        """PX4's newest state."""
        self._correction.hear(said)

    def release(self) -> None:
        """Nobody here holds it."""

    def take_in(self, datagram: bytes, now_s: float) -> None:
        """A packet of the state stream, received at ``now_s`` [s]. Nothing in it raises."""
        frame = self.receiver.take_in(datagram, now_s)
        if frame is None:
            return
        pose = pose_of(self._vehicle_number, frame)
        # A picture that took something else for the vehicle says nothing of the ball either.
        if pose is not None and self._correction.see(frame.stamp_s, pose.pos_w_m, pose.quat_wb):
            self._vehicle = Body(pose.pos_w_m, pose.quat_wb)
        place = self._ball_in(frame)
        if place is not None:
            self.score.take_in(place[2], self._vehicle.pos_w[2], frame.stamp_s)
            self._measured = [*self._measured[1 - PENDING_MAX :], (frame.stamp_s, place)]

    def measure(self, now_s: float, state: VehicleState) -> list[tuple[float, Triple]]:
        """Stamps [s] and places [m] of the ball that have arrived since the last call."""
        if math.isfinite(sum(state.pos_w)) and not math.isfinite(sum(self._vehicle.pos_w)):
            self._vehicle = Body(state.pos_w, state.quat_wb)  # it has been seen by nothing but PX4 so far
        measured, self._measured = self._measured, []
        return measured

    def figures_due(self, now_s: float) -> dict[str, float] | None:
        """Once a second, how the stream fares: its timing, and what became of its packets."""
        if now_s - self._told_s < 1.0:
            return None
        self._told_s = now_s
        counters = {name: float(count) for name, count in vars(self.receiver.counters).items()}
        return {**self.receiver.timing.summary(), **counters, "ball_switches": float(self.markers.switches)}

    def _ball_in(self, frame: Frame) -> Triple | None:
        if self._ball_number:
            pose = pose_of(self._ball_number, frame)
            return pose.pos_w_m if pose else None
        places = [point.pos_w_m for point in frame.points]
        return self.markers.take_in(frame.stamp_s, places, self._vehicle)


class Score:
    """Counts hits and drops by what is seen: the heights of ball and vehicle."""

    def __init__(self) -> None:
        self.hits = self.drops = 0
        self._lowest_m = self._before_m = self._seen_s = math.nan
        self._is_counted = self._is_dropped = True

    def take_in(self, ball_m: float, vehicle_m: float, stamp_s: float) -> None:
        """The next measurement: heights [m], taken at ``stamp_s`` [s]."""
        above_m = ball_m - vehicle_m
        if not stamp_s - self._seen_s <= UNSEEN_MAX_S:
            self._before_m, self._is_counted = math.nan, True
        self._seen_s = stamp_s
        if above_m < -DROP_M:
            self.drops += not self._is_dropped
            self._is_dropped = self._is_counted = True
        elif above_m > 0.0:
            self._is_dropped = False
        if ball_m < self._before_m and -DROP_M < above_m < NEAR_M:  # it comes down on the racket
            self._lowest_m, self._is_counted = ball_m, False
        elif not self._is_counted and ball_m - self._lowest_m >= RISE_MIN_M:
            self.hits += 1
            self._is_counted = True
        self._before_m = ball_m
