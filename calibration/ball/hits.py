"""Bounces of a ball on the racket: where, how fast, and how fast away again."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from corvids.calibration.ball.flights import Flights
from corvids.calibration.readers.record import Channel
from corvids.vehicle import GRAVITY_MPS2, Vehicle

POSE_WINDOW_S = 0.1
"""The racket's motion is taken from so long before a hit: the hit itself kicks the vehicle."""
REACH_M = 0.12
"""A bounce further from the racket's face than this is on something else."""
LEAST_CLOSING_MPS = 0.5
"""Slower hits are not used: the speed's error would be a large part of it."""
_NUDGE = 1e-5


@dataclasses.dataclass(frozen=True)
class Hits:
    """H bounces on the racket. Body axes FLU."""

    time_s: np.ndarray
    """Shape (H,)."""
    centre_b_m: np.ndarray
    """Shape (H, 3): ball's centre relative to the middle of the racket's face."""
    before_b_mps: np.ndarray
    """Shape (H, 3): ball's velocity relative to the racket's point that it hits, before."""
    change_b_mps: np.ndarray
    """Shape (H, 3): change of the ball's velocity."""
    covariance: np.ndarray
    """Shape (H, 6, 6): of these two, by the noise of the recording."""
    others: int
    """Bounces on anything else."""
    is_posed: bool
    """Whether the racket's pose was measured; else it is taken as at rest and level, its place unknown."""

    def __len__(self) -> int:
        return len(self.time_s)


def find_hits(flights: Flights, pose: Channel | None, vehicle: Vehicle) -> Hits:
    """The bounces between flights that follow each other, sorted into those on ``vehicle``'s racket and others."""
    rows: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = []
    others = 0
    for index in np.flatnonzero(flights.follows):
        time_s, place, before, after = _meeting(flights, int(index))
        ball_var = flights.velocity_std_mps[[index - 1, index]] ** 2
        if pose is None:
            if before[2] < -LEAST_CLOSING_MPS and after[2] > 0.0:
                velocities, covariance = _relative(_AT_REST, np.zeros(3), before, after, ball_var)
                rows.append((time_s, np.zeros(3), velocities, covariance))
            continue
        motion = _motion(pose, time_s)
        if motion is None:
            others += 1
            continue
        arm = place - motion.pos
        velocities, covariance = _relative(motion, arm, before, after, ball_var)
        racket = vehicle.racket
        middle = np.zeros(3) if racket is None else np.array(racket.position_b_m)
        normal = np.array([0.0, 0.0, 1.0]) if racket is None else np.array(racket.normal_b)
        radius = 0.1 if racket is None else racket.radius_m
        offset = _matrix(motion.quat).T @ arm - middle
        height = float(offset @ normal)
        aside = float(np.linalg.norm(offset - height * normal))
        if abs(height) < REACH_M and aside < radius + 0.05 and velocities[:3] @ normal < -LEAST_CLOSING_MPS:
            rows.append((time_s, offset, velocities, covariance))
        else:
            others += 1
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    velocities = np.array(columns[2], float).reshape(-1, 6)
    return Hits(
        time_s=np.array(columns[0], float),
        centre_b_m=np.array(columns[1], float).reshape(-1, 3),
        before_b_mps=velocities[:, :3],
        change_b_mps=velocities[:, 3:],
        covariance=np.array(columns[3], float).reshape(-1, 6, 6),
        others=others,
        is_posed=pose is not None,
    )


def _meeting(flights: Flights, index: int) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Time, place, and velocities before and after the bounce between flight ``index`` and the one before it."""
    drag = flights.drag_per_m

    def accel(vel: np.ndarray) -> np.ndarray:
        return -drag * np.linalg.norm(vel) * vel - np.array([0.0, 0.0, GRAVITY_MPS2])

    end, begin = flights.last[index - 1], flights.first[index]
    end_s, begin_s = flights.time_s[index - 1][-1], flights.time_s[index][0]
    pos_a, vel_a, pos_b, vel_b = end[:3], end[3:], begin[:3], begin[3:]
    acc_a, acc_b = accel(vel_a), accel(vel_b)
    time_s = 0.5 * (end_s + begin_s)
    # Where the two paths are nearest to each other; both are continued to the same moment.
    for _ in range(3):
        a, b = time_s - end_s, time_s - begin_s
        apart = pos_b + vel_b * b + 0.5 * acc_b * b * b - pos_a - vel_a * a - 0.5 * acc_a * a * a
        closing = vel_b + acc_b * b - vel_a - acc_a * a
        time_s = float(np.clip(time_s - (apart @ closing) / (closing @ closing), end_s, begin_s))
    a, b = time_s - end_s, time_s - begin_s
    place = 0.5 * (pos_a + vel_a * a + 0.5 * acc_a * a * a + pos_b + vel_b * b + 0.5 * acc_b * b * b)
    return time_s, place, vel_a + acc_a * a, vel_b + acc_b * b


class _Motion(NamedTuple):
    """A racket's motion at one moment. World."""

    pos: np.ndarray
    vel: np.ndarray
    quat: np.ndarray
    turning: np.ndarray
    """Shape (4,): how the quaternion changes [1/s]."""
    covariance: np.ndarray
    """Shape (11, 11): of velocity, quaternion, and its change."""


_AT_REST = _Motion(np.zeros(3), np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4), np.zeros((11, 11)))


def _motion(pose: Channel, time_s: float) -> _Motion | None:
    """The motion just before ``time_s``; None in a gap."""
    chosen = (pose.time_s <= time_s) & (pose.time_s > time_s - POSE_WINDOW_S)
    if chosen.sum() < 8 or time_s - pose.time_s[chosen][-1] > 3.5 * pose.interval_s:
        return None
    since, values = pose.time_s[chosen] - time_s, pose.values[chosen].copy()
    quat = values[:, 3:]
    quat *= np.sign(quat @ quat[-1])[:, None] + (quat @ quat[-1] == 0.0)[:, None]
    # The racket accelerates into a hit, ever faster, so its velocity then is not its mean velocity before: parabolas
    # through half as long a stretch err as much by noise, and are too slow besides.
    powers = np.vander(since / POSE_WINDOW_S, 4, increasing=True)
    found, *_ = np.linalg.lstsq(powers, values, rcond=None)
    square = ((values - powers @ found) ** 2).sum(axis=0) / (len(since) - 4)
    place_var, turn_var = square[:3].sum() / 3.0, square[3:].sum() / 3.0  # a quaternion has three freedoms
    # Of a value and its slope, at the end.
    scale = np.array([1.0, 1.0 / POSE_WINDOW_S])
    end = np.linalg.inv(powers.T @ powers)[:2, :2] * np.outer(scale, scale)
    covariance = np.zeros((11, 11))
    covariance[:3, :3] = end[1, 1] * place_var * np.eye(3)
    covariance[3:, 3:] = np.kron(end, turn_var * np.eye(4))
    length = np.linalg.norm(found[0, 3:])
    slope = found[1] / POSE_WINDOW_S
    return _Motion(found[0, :3], slope[:3], found[0, 3:] / length, slope[3:] / length, covariance)


def _relative(
    motion: _Motion, arm: np.ndarray, before: np.ndarray, after: np.ndarray, ball_var: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ball's velocity relative to the racket before a hit, and its change, body axes: (6,), covariance (6, 6).

    ``arm``: from the body's origin to the ball; ``ball_var`` (2,): variances of its velocity before and after.
    """

    def velocities(x: np.ndarray) -> np.ndarray:
        vel, quat, slope, first, second = np.split(x, (3, 7, 11, 14))
        quat, slope = quat / np.linalg.norm(quat), slope / np.linalg.norm(quat)
        # omega_w = 2 · vector part of (dq/dt · conjugate(q))
        (w, v), (dw, dv) = (quat[0], quat[1:]), (slope[0], slope[1:])
        omega_w = 2.0 * (-dw * v + w * dv - np.cross(dv, v))
        turn = _matrix(quat).T
        return np.concatenate((turn @ (first - vel - np.cross(omega_w, arm)), turn @ (second - first)))

    at = np.concatenate((motion.vel, motion.quat, motion.turning, before, after))
    nudges = _NUDGE * np.eye(len(at))
    slopes = np.stack([velocities(at + one) - velocities(at - one) for one in nudges], -1) / (2.0 * _NUDGE)
    covariance = np.zeros((17, 17))
    covariance[:11, :11] = motion.covariance
    covariance[11:, 11:] = np.diag(np.repeat(ball_var, 3))
    return velocities(at), slopes @ covariance @ slopes.T


def _matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix of a unit quaternion, scalar first."""
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
