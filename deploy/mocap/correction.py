"""What PX4 says of its vehicle, corrected by what motion capture sees of it.

PX4's estimator follows motion capture slowly where its IMU is noisy, and takes no tilt from it at all. But over a tenth
of a second what it says changes as the vehicle does. So place and velocity are PX4's plus an offset that follows what
is seen, by a second-order filter, and attitude is PX4's behind a rotation that follows it.

A vehicle that was seen and is not seen any more is nowhere: its place and velocity grow old, until the supervisor has
PX4 hold. PX4's own word would be another place, and, with nothing else to live on, one that drifts. Its attitude and
rates live on its IMU, and go on.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque

from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.envelope import Triple

BANDWIDTH_RADPS = 15.0
"""Of the offset of place and velocity: what is best between a tracker good to 3 mm at 125 Hz and an accelerometer with
a noise of 1 m/s² a reading at 250 Hz; with a tenth of that noise it costs 1 cm/s."""
TURN_PS = 10.0
"""How fast the rotation follows."""
STEP_MAX_S = 0.02
"""Longest time between two sights that a gain is made for [s]."""
UNSEEN_MAX_S = 0.25
"""After a longer gap the offset begins afresh [s], and until then nobody knows where the vehicle is."""
FAR_M, FAR_RAD = 0.15, math.radians(20.0)
"""PX4 that is off by more, or turned by more, was reset, or follows something else: the offset begins afresh."""
AGREEING = 5
"""Where PX4 does not say that it was reset, so many sights in a row have to agree on that: a picture in which the
vehicle was taken for something else must not move it."""
AHEAD_MAX_S = 0.1
"""An offset is taken to go on changing for so long [s]."""
KEPT = 32
"""So many of PX4's states are kept, a quarter of a second of them."""
_ZERO: Triple = (0.0, 0.0, 0.0)


class MocapCorrection:
    """Follows one vehicle."""

    def __init__(self) -> None:
        self.state = VehicleState()
        """PX4's state, corrected; the same object all the time."""
        self._said: deque[tuple[float, VehicleState]] = deque(maxlen=KEPT)
        self._seen_s = -math.inf
        self._off_m = self._off_mps = _ZERO
        self._turn: Quaternion = (1.0, 0.0, 0.0, 0.0)
        self._restarts = 0
        """How often the offset began afresh: each is a jump, as a reset of PX4's estimator is."""
        self._resets_said: int | None = None
        """PX4's resets when the offset was right last, if it was."""
        self._far: list[tuple[float, tuple[Triple, Quaternion]]] = []
        """When the last sights were that do not agree with offset and rotation, but with each other; and theirs."""

    def hear(self, said: VehicleState) -> None:
        """PX4's newest state."""
        stamp_s = said.stamp_s
        if math.isfinite(stamp_s) and not (self._said and self._said[-1][1].stamps_s == said.stamps_s):
            self._said.append((stamp_s, dataclasses.replace(said)))
        since_s = said.pose_stamp_s - self._seen_s
        if UNSEEN_MAX_S < since_s < math.inf or self._is_reset(said):
            self.state.attitude_stamp_s, self.state.omega_b = said.attitude_stamp_s, said.omega_b
            self.state.quat_wb = _times(self._turn, said.quat_wb)
            return
        vars(self.state).update(vars(said))
        self.state.resets += self._restarts
        if since_s <= UNSEEN_MAX_S:
            off_m = _plus(self._off_m, self._off_mps, min(max(since_s, 0.0), AHEAD_MAX_S))
            self.state.pos_w, self.state.vel_w = _plus(said.pos_w, off_m), _plus(said.vel_w, self._off_mps)
            self.state.quat_wb = _times(self._turn, said.quat_wb)

    def see(self, stamp_s: float, pos_w: Triple, quat_wb: Quaternion) -> bool:
        """Motion capture saw the vehicle there at ``stamp_s`` on our clock [s]; whether that is believed."""
        if not self._said or not stamp_s > max(self._seen_s, self._far[-1][0] if self._far else -math.inf):
            return False
        said_s, said = min(self._said, key=lambda each: abs(each[0] - stamp_s))
        if not abs(said_s - stamp_s) <= AHEAD_MAX_S:
            return False
        elapsed_s = stamp_s - self._seen_s
        there = _plus(said.pos_w, said.vel_w, stamp_s - said.pose_stamp_s)
        so = _times(said.quat_wb, _rotation(said.omega_b, stamp_s - said.attitude_stamp_s))
        off_m, turn = _plus(pos_w, there, -1.0), _times(quat_wb, _inverse(so))
        expected_m = _plus(self._off_m, self._off_mps, elapsed_s if elapsed_s <= UNSEEN_MAX_S else 0.0)
        missed_m = _plus(off_m, expected_m, -1.0)
        begins_afresh = elapsed_s > UNSEEN_MAX_S or _is_far((_ZERO, self._turn), (missed_m, turn))
        if begins_afresh and not self._agree(stamp_s, off_m, turn) and not self._is_reset(said):
            return False
        self._seen_s, self._resets_said = stamp_s, said.resets
        self._far.clear()
        if begins_afresh:
            self._restarts += 1
            self._off_m, self._off_mps, self._turn = off_m, _ZERO, turn
            return True
        step_s = min(elapsed_s, STEP_MAX_S)
        gain = 1.0 - math.exp(-math.sqrt(2.0) * BANDWIDTH_RADPS * step_s)
        self._off_m = _plus(expected_m, missed_m, gain)
        self._off_mps = _plus(self._off_mps, missed_m, BANDWIDTH_RADPS**2 * step_s)
        self._turn = _between(self._turn, turn, 1.0 - math.exp(-TURN_PS * step_s))
        return True

    def _is_reset(self, said: VehicleState) -> bool:
        """Whether PX4 was reset since: it is off by what nobody knows."""
        return self._resets_said not in (None, said.resets)

    def _agree(self, stamp_s: float, off_m: Triple, turn: Quaternion) -> bool:
        """Whether enough sights in a row, with this one, agree on something else than what was right last."""
        if self._far:
            far_s, far = self._far[-1]
            if stamp_s - far_s > UNSEEN_MAX_S or _is_far(far, (off_m, turn)):
                self._far.clear()
        self._far.append((stamp_s, (off_m, turn)))
        return len(self._far) >= AGREEING


def _is_far(a: tuple[Triple, Quaternion], b: tuple[Triple, Quaternion]) -> bool:
    """Whether one is too far from the other to come from the same."""
    along = abs(sum(p * q for p, q in zip(a[1], b[1], strict=True)))
    return math.dist(a[0], b[0]) > FAR_M or along < math.cos(0.5 * FAR_RAD)


def _plus(a: Triple, b: Triple, times: float = 1.0) -> Triple:
    return a[0] + b[0] * times, a[1] + b[1] * times, a[2] + b[2] * times


def _times(a: Quaternion, b: Quaternion) -> Quaternion:
    """Rotation ``b``, then ``a``."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _inverse(quat: Quaternion) -> Quaternion:
    w, x, y, z = quat
    return w, -x, -y, -z


def _rotation(omega_b: Triple, seconds: float) -> Quaternion:
    """By a constant rate [rad/s] over some milliseconds."""
    x, y, z = (0.5 * seconds * rate for rate in omega_b)
    norm = math.sqrt(1.0 + x * x + y * y + z * z)
    return 1.0 / norm, x / norm, y / norm, z / norm


def _between(a: Quaternion, b: Quaternion, share: float) -> Quaternion:
    """From ``a`` towards ``b``, the short way."""
    sign = math.copysign(1.0, sum(p * q for p, q in zip(a, b, strict=True)))
    w, x, y, z = (p + (sign * q - p) * share for p, q in zip(a, b, strict=True))
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    return w / norm, x / norm, y / norm, z / norm
