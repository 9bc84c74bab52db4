"""A ball that bounces on a moving, tilted racket: integrated here by its own equations, logged with noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.spatial.transform import Rotation

from corvids.calibration.readers.ball_record import BallRecord, ball_record
from corvids.calibration.readers.csv_table import Table

GRAVITY_MPS2 = 9.80665
POSE_STEP_S, STEP_S = 0.004, 0.001
NEAR_M = 1.2
"""The racket never gets as high as this."""
PLACE_STD_M, ATTITUDE_STD_RAD = 0.0003, 0.002
"""Noise of the vehicle's pose, from sample to sample."""
MIDDLE_B = np.array([0.0, 0.0, 0.055])
"""Middle of the racket's face on the vehicle, as the vehicle file ``air`` has it."""


@dataclasses.dataclass(frozen=True)
class Planted:
    """What is true."""

    drag_per_m: float = 0.05
    radius_m: float = 0.04
    sweet: float = 0.80
    rim: float = 0.62
    sweet_radius_m: float = 0.03
    tilt_rad: tuple[float, float] = (0.012, -0.008)
    """Of the normal towards the body's x and y."""
    grip: float = 0.25
    """Share of the slip that friction takes away."""
    moved_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How far the racket is from where the vehicle file has it, body."""

    @property
    def normal_b(self) -> np.ndarray:
        """The racket's true normal."""
        normal = np.array([*self.tilt_rad, 1.0])
        return normal / np.linalg.norm(normal)


def juggle(planted: Planted, seed: int, hits: int = 40, noise_m: float = 0.002) -> BallRecord:
    """A recording of ``hits`` bounces by a heavy vehicle that places its racket under the ball."""
    rng = np.random.default_rng(seed)
    samples: list[np.ndarray] = []
    time_s, next_s = 0.0, 0.0
    ball, vel = np.array([0.0, 0.0, 1.9]), np.zeros(3)
    place, lift = np.array([0.0, 0.0, 0.9]), np.zeros(3)
    turns = rng.uniform(0.0, 6.0, 2)
    middle = MIDDLE_B + planted.moved_m
    for _ in range(hits):
        # Where the ball will come down to the height of the racket, and where on the racket it shall hit.
        path = _fall(ball, vel, planted, place[2] + 0.095)
        duration = STEP_S * (len(path) - 1)
        aside = 0.048 * np.sqrt(rng.uniform()) * _direction(rng)
        goal = np.array([*(path[-1, :2] - aside), place[2]])
        rise = 0.45 + 0.05 * rng.uniform()
        start, start_vel = place, lift

        def racket(
            since: float, start=start, start_vel=start_vel, goal=goal, rise=rise, time_s=time_s, T=duration
        ):
            place, lift = _hermite(start, start_vel, goal, np.array([0.0, 0.0, rise]), since / T, T)
            return place, lift, *_attitude(time_s + since, turns)

        def gap(ball: np.ndarray, since: float, racket=racket) -> float:
            place, _, matrix, _ = racket(since)
            return (ball - place - matrix @ middle) @ (matrix @ planted.normal_b) - planted.radius_m

        step, apart, before = 0, gap(path[0, :3], 0.0), 0.0
        while True:
            since = STEP_S * step
            if step >= len(path):
                path = np.concatenate((path, _advance(path[-1:], planted)))
            if path[step, 2] < NEAR_M:
                before, apart = apart, gap(path[step, :3], since)
                if apart <= 0.0 and step > 5:
                    break
            if time_s + since >= next_s - 1e-9:
                pose = np.concatenate((racket(since)[0], _quat(time_s + since, turns)))
                samples.append(np.concatenate(([time_s + since], path[step, :3], pose)))
                next_s += POSE_STEP_S
            step += 1
        late = STEP_S * apart / (apart - before)  # since the touch, as the gap closed evenly
        since -= late
        place, lift, matrix, omega = racket(since)
        ball, vel = np.split(path[step] + late / STEP_S * (path[step - 1] - path[step]), 2)
        normal = matrix @ planted.normal_b
        relative = vel - lift - np.cross(omega, ball - planted.radius_m * normal - place)
        offset = matrix.T @ (ball - place) - middle
        aside_m = np.linalg.norm(offset - (offset @ planted.normal_b) * planted.normal_b)
        bounce = planted.sweet if aside_m < planted.sweet_radius_m else planted.rim
        closing = relative @ normal
        vel = vel - (1.0 + bounce) * closing * normal - planted.grip * (relative - closing * normal)
        time_s += since
    table = np.array(samples)
    table[:, 1:4] += rng.normal(0.0, noise_m, (len(table), 3))
    table[:, 4:7] += rng.normal(0.0, PLACE_STD_M, (len(table), 3))
    turn = Rotation.from_rotvec(rng.normal(0.0, ATTITUDE_STD_RAD, (len(table), 3)))
    table[:, 7:] = (Rotation.from_quat(table[:, [8, 9, 10, 7]]) * turn).as_quat()[:, [3, 0, 1, 2]]
    names = ("time_s", "ball_x_m", "ball_y_m", "ball_z_m", "vehicle_x_m", "vehicle_y_m", "vehicle_z_m")
    quats = ("vehicle_qw", "vehicle_qx", "vehicle_qy", "vehicle_qz")
    return ball_record(Table("planted.csv", "0" * 64, dict(zip(names + quats, table.T, strict=True))))


def _advance(state: np.ndarray, planted: Planted) -> np.ndarray:
    """One step (classical Runge-Kutta) of a state (1, 6), on plain numbers: arrays so small take ten times as long."""
    x, vel = state[0, :3].tolist(), state[0, 3:].tolist()

    def accel(vel: list[float]) -> list[float]:
        drag = planted.drag_per_m * math.sqrt(vel[0] * vel[0] + vel[1] * vel[1] + vel[2] * vel[2])
        return [-drag * vel[0], -drag * vel[1], -GRAVITY_MPS2 - drag * vel[2]]

    def ahead(slope: list[float], step_s: float) -> list[float]:
        return [v + step_s * a for v, a in zip(vel, slope, strict=True)]

    a1 = accel(vel)
    v2 = ahead(a1, 0.5 * STEP_S)
    a2 = accel(v2)
    v3 = ahead(a2, 0.5 * STEP_S)
    a3 = accel(v3)
    v4 = ahead(a3, STEP_S)
    a4 = accel(v4)
    sixth = STEP_S / 6.0
    place = [
        p + sixth * (a + 2.0 * b + 2.0 * c + d) for p, a, b, c, d in zip(x, vel, v2, v3, v4, strict=True)
    ]
    speed = [
        v + sixth * (a + 2.0 * b + 2.0 * c + d) for v, a, b, c, d in zip(vel, a1, a2, a3, a4, strict=True)
    ]
    return np.array([place + speed])


def _fall(ball: np.ndarray, vel: np.ndarray, planted: Planted, height_m: float) -> np.ndarray:
    """States (n, 6) until the ball falls through ``height_m``."""
    path = [np.concatenate((ball, vel))[None]]
    while path[-1][0, 2] > height_m or path[-1][0, 5] > 0.0:
        path.append(_advance(path[-1], planted))
    return np.concatenate(path)


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _hermite(
    start: np.ndarray,
    start_vel: np.ndarray,
    goal: np.ndarray,
    goal_vel: np.ndarray,
    share: float,
    duration: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity on a cubic between two states."""
    s2, s3 = share**2, share**3
    pos = (
        (2 * s3 - 3 * s2 + 1) * start
        + (s3 - 2 * s2 + share) * duration * start_vel
        + (3 * s2 - 2 * s3) * goal
        + (s3 - s2) * duration * goal_vel
    )
    vel = (
        (6 * s2 - 6 * share) * (start - goal) / duration
        + (3 * s2 - 4 * share + 1) * start_vel
        + (3 * s2 - 2 * share) * goal_vel
    )
    return pos, vel


def _angles(time_s: float, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roll and pitch of a hovering vehicle, and their rates."""
    rate = np.array([2.0, 2.6])
    return 0.03 * np.sin(rate * time_s + turns), 0.03 * rate * np.cos(rate * time_s + turns)


def _quat(time_s: float, turns: np.ndarray) -> np.ndarray:
    """Attitude, scalar first: roll about the vehicle's x after pitch about the world's y."""
    (roll, pitch), _ = _angles(time_s, turns)
    a, b = np.array([np.cos(pitch / 2), np.sin(pitch / 2)]), np.array([np.cos(roll / 2), np.sin(roll / 2)])
    return np.array([a[0] * b[0], a[0] * b[1], a[1] * b[0], -a[1] * b[1]])


def _attitude(time_s: float, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation matrix R_y(pitch)·R_x(roll) and angular velocity in the world."""
    (roll, pitch), (roll_rate, pitch_rate) = _angles(time_s, turns)
    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    matrix = np.array([[cp, sp * sr, sp * cr], [0.0, cr, -sr], [-sp, cp * sr, cp * cr]])
    return matrix, np.array([roll_rate * cp, pitch_rate, -roll_rate * sp])
