"""Bounces of a ball on the racket: where, how fast, and how fast away again."""

from __future__ import annotations

import dataclasses

import numpy as np

from corvids.calibration.ball_flights import Flights
from corvids.calibration.record import Channel
from corvids.vehicle import GRAVITY_MPS2, Vehicle

POSE_WINDOW_S = 0.05
"""The racket's motion is taken from so long before a hit: the hit itself kicks the vehicle."""
REACH_M = 0.12
"""A bounce further from the racket's face than this is on something else."""
LEAST_CLOSING_MPS = 0.5
"""Slower hits are not used: the speed's error would be a large part of it."""


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
        if pose is None:
            if before[2] < -LEAST_CLOSING_MPS and after[2] > 0.0:
                rows.append((time_s, np.zeros(3), before, after - before))
            continue
        motion = _motion(pose, time_s)
        if motion is None:
            others += 1
            continue
        pos, vel, matrix, omega_w = motion
        centre_b = matrix.T @ (place - pos)
        point_vel = vel + np.cross(omega_w, place - pos)
        racket = vehicle.racket
        middle = np.zeros(3) if racket is None else np.array(racket.position_b_m)
        normal = np.array([0.0, 0.0, 1.0]) if racket is None else np.array(racket.normal_b)
        radius = 0.1 if racket is None else racket.radius_m
        offset = centre_b - middle
        height = float(offset @ normal)
        aside = float(np.linalg.norm(offset - height * normal))
        relative = matrix.T @ (before - point_vel)
        if abs(height) < REACH_M and aside < radius + 0.05 and relative @ normal < -LEAST_CLOSING_MPS:
            rows.append((time_s, offset, relative, matrix.T @ (after - before)))
        else:
            others += 1
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return Hits(
        time_s=np.array(columns[0], float),
        centre_b_m=np.array(columns[1], float).reshape(-1, 3),
        before_b_mps=np.array(columns[2], float).reshape(-1, 3),
        change_b_mps=np.array(columns[3], float).reshape(-1, 3),
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


def _motion(pose: Channel, time_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Position, velocity, rotation matrix and angular velocity (world) just before ``time_s``; None in a gap."""
    chosen = (pose.time_s <= time_s) & (pose.time_s > time_s - POSE_WINDOW_S)
    if chosen.sum() < 6 or time_s - pose.time_s[chosen][-1] > 3.5 * pose.interval_s:
        return None
    since, values = pose.time_s[chosen] - time_s, pose.values[chosen].copy()
    quat = values[:, 3:]
    quat *= np.sign(quat @ quat[-1])[:, None] + (quat @ quat[-1] == 0.0)[:, None]
    # The racket accelerates into a hit, so its velocity then is not its mean velocity before.
    _, vel, pos = np.polyfit(since, values[:, :3], 2)
    _, slope, now = np.polyfit(since, quat, 2)
    now = now / np.linalg.norm(now)
    # omega_w = 2 · vector part of (dq/dt · conjugate(q))
    w, v, dw, dv = now[0], now[1:], slope[0], slope[1:]
    omega_w = 2.0 * (-dw * v + w * dv - np.cross(dv, v))
    return pos, vel, _matrix(now), omega_w


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
