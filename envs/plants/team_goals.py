"""Where a load is wanted in evaluations, written down: goals that stand, and figures of eight in place and attitude.

All in numpy, trials along the first axis; a pose is position [m, world] and roll, pitch, yaw [rad, intrinsic z-y-x].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corvids.envs.mdp.goal_path import PREVIEWS_S

Array = NDArray[np.float64]

RAMP_S = 3.0
"""A figure's phase starts from rest and has its full rate after so long."""
FIGURE_M = (0.0, 0.0, 1.2)
"""Middle of the figures of eight."""
FIGURE_ROLL_RAD, FIGURE_PITCH_RAD = math.radians(15.0), math.radians(10.0)
"""Amplitudes in attitude: a lemniscate of roll and pitch, in step with the one of position."""
_DIFFERENCE_S = 0.002


class Goals(NamedTuple):
    """Goal of every trial."""

    pose: Array
    """Where it stands, or the middle of its figure, (trials, 6)."""
    amplitude_m: float
    """Half the length of the figure, along x; its width along y is half of that."""
    omega_radps: float
    """Full rate of its phase."""


def standing(pose: Array) -> Goals:
    """Goals that stand at ``pose`` (trials, 6)."""
    return Goals(pose, 0.0, 0.0)


def figure(trials: int, speed_mps: float, accel_mps2: float) -> Goals:
    """Gerono's lemniscate, x = A·sin φ, y = A/2·sin 2φ, with these largest speed and acceleration.

    Its speed is largest in the middle, √2·A·ω; its acceleration where sin²φ = 17/32, A·ω²·√(17²/64).
    """
    omega = accel_mps2 / (17.0 / 8.0) * math.sqrt(2.0) / speed_mps
    pose = np.tile((*FIGURE_M, 0.0, 0.0, 0.0), (trials, 1))
    return Goals(pose, speed_mps / (math.sqrt(2.0) * omega), omega)


def pose_at(goals: Goals, time_s: float) -> Array:
    """Poses (trials, 6) at ``time_s`` [s]."""
    pose = goals.pose.copy()
    if goals.omega_radps > 0.0:
        ramped = min(max(time_s, 0.0), RAMP_S)
        # The integral of 3u² - 2u³, a rate that rises smoothly.
        share = ramped / RAMP_S
        phase = RAMP_S * (share**3 - 0.5 * share**4) + max(time_s - RAMP_S, 0.0)
        phase *= goals.omega_radps
        one, two = math.sin(phase), math.sin(2.0 * phase)
        pose[:, 0] += goals.amplitude_m * one
        pose[:, 1] += 0.5 * goals.amplitude_m * two
        pose[:, 3] += FIGURE_ROLL_RAD * one
        pose[:, 4] += FIGURE_PITCH_RAD * two
    return pose


def command_at(goals: Goals, time_s: float) -> Array:
    """The task command (trials, 34) at ``time_s``: as :data:`corvids.envs.mdp.goal_path.COMMAND`."""
    now = pose_at(goals, time_s)
    quat = quaternions(now[:, 3:])
    # Differences about the moment: what comes later is told by a policy from these, times 360 per second.
    before, after = (pose_at(goals, time_s + side * _DIFFERENCE_S) for side in (-0.5, 0.5))
    vel_w = (after[:, :3] - before[:, :3]) / _DIFFERENCE_S
    omega_b = rotations_between(quaternions(before[:, 3:]), quaternions(after[:, 3:])) / _DIFFERENCE_S
    parts = [now[:, :3], quat, vel_w, omega_b]
    for ahead_s in PREVIEWS_S:
        ahead = pose_at(goals, time_s + ahead_s)
        parts += [ahead[:, :3], quaternions(ahead[:, 3:])]
    return np.concatenate(parts, axis=1)


def quaternions(angles: Array) -> Array:
    """Attitudes (n, 4) of roll, pitch and yaw (n, 3) [rad]."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(angles.T / 2), np.sin(angles.T / 2)
    return np.stack(
        (
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ),
        axis=1,
    )


def rotations_between(start: Array, end: Array) -> Array:
    """Rotation vectors (n, 3) [rad] from attitudes ``start`` to ``end`` (n, 4), in the axes of ``start``."""
    w, v, other_w, other = start[:, :1], start[:, 1:], end[:, :1], end[:, 1:]
    real = (w * other_w).sum(1) + (v * other).sum(1)
    vector = w * other - other_w * v - np.cross(v, other)
    vector = np.where(real[:, None] < 0.0, -vector, vector)
    sine = np.linalg.norm(vector, axis=1)
    angle = 2.0 * np.arctan2(sine, np.abs(real))
    return vector * (angle / np.maximum(sine, 1e-12))[:, None]
