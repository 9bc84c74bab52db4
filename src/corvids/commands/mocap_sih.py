"""``corvids mocap sih``: PX4's own simulator seen by a motion capture system, with a ball over its vehicle.

The ball flies by the physics that policies train with, against what the simulator knows to be true. As by somebody's
hand it is brought over the vehicle once that has come to rest in the air, held there for a moment, and let go.
"""

from __future__ import annotations

import math

from corvids.deploy.mocap.bridge import Tally
from corvids.deploy.mocap.sih_truth import SihReader, Truth
from corvids.deploy.mocap.state_packet import BodyPose, Point
from corvids.deploy.mocap.state_stream import StateSender
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.virtual_ball import VirtualBall
from corvids.vehicle import Vehicle

VEHICLE = 1
"""Number of the vehicle's body."""
STD_M = 0.01
"""What the truth's places are good to [m]: they come in steps of 11 mm."""
HEIGHT_MIN_M, SPEED_MAX_MPS, REST_S, HOLD_S = 0.5, 0.3, 1.0, 1.0
"""The ball comes when the vehicle has been above that height, and slower, for so long; it is held for so long."""


class SihBridge:
    """From SIH's truth to a state stream."""

    def __init__(self, sender: StateSender, vehicle: Vehicle, apex_m: float, seed: int = 0) -> None:
        """``apex_m``: how high above where it would lie on the racket the ball is held [m]."""
        self.reader = SihReader()
        self.ball = VirtualBall(vehicle, apex_m, BallConfig(), seed)
        self.tally = Tally()
        self._sender = sender
        self._moved_s, self._brought_s = -math.inf, math.inf
        self._drops = 0

    def take_in(self, datagram: bytes, now_s: float) -> bytes | None:
        """A datagram of PX4's; what to send on."""
        truth = self.reader.take_in(datagram, now_s)
        if truth is None:
            return None
        # All at once: what is on its way for a while elsewhere is seen in the same picture as the vehicle here.
        places = [place for _, place in self.ball.measure(math.inf, truth)]
        points = tuple(Point(0, place) for place in places[-1:] if self._is_there(truth))
        stamp_ns = round(1e9 * now_s)
        self.tally.frames += 1
        self.tally.malformed = self.reader.malformed
        return self._sender.state(
            stamp_ns, stamp_ns, (BodyPose(VEHICLE, truth.pos_w, truth.quat_wb, STD_M),), points
        )

    def _is_there(self, truth: Truth) -> bool:
        """Whether the ball is: bring it and let it go when it is time."""
        if self.ball.drops > self._drops:
            self._drops, self._brought_s = self.ball.drops, math.inf
        if truth.pos_w[2] < HEIGHT_MIN_M or math.hypot(*truth.vel_w) > SPEED_MAX_MPS:
            self._moved_s = truth.stamp_s
        if self._brought_s == math.inf and truth.stamp_s - self._moved_s > REST_S:
            self._brought_s = truth.stamp_s
            self.ball.keep_in_place()
        if truth.stamp_s - self._brought_s > HOLD_S:
            self.ball.release()
        return self._brought_s < math.inf
