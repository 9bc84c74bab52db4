"""Where a load is wanted: a pose that stands, or swings along each of its six coordinates.

Each coordinate (position [m], then roll, pitch and yaw [rad], intrinsic z-y-x) is a centre and a harmonic about it;
an amplitude of 0 makes a pose that stands. On component tensors of any one shape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.episodes.randomization import Draws

PATH_ROWS = 24
"""Centres, amplitudes, frequencies [rad/s] and phases [rad] of the six coordinates."""
PREVIEWS_S = (0.1, 0.3, 0.6)
"""How far ahead [s] a policy is told its goal."""
PLACE_M = ((-1.0, 1.0), (-1.0, 1.0), (0.5, 1.5))
"""Where goals lie (Zeng et al., arXiv 2508.01522)."""
SWING = (0.8, 0.8, 0.25, 0.3, 0.3, 0.5)
"""Largest amplitudes of goals that move [m and rad]."""
SWING_RADPS = (0.4, 1.6)
"""Their frequencies."""
FAST = 3.0
"""How much further fast ones swing in place: up to 3.8 m/s and 6 m/s² along each axis."""
_DIFFERENCE_S = 0.01


class Pose(NamedTuple):
    """Where a load is wanted at one moment."""

    pos_w: Vec3
    quat_wb: Quat


COMMAND = (
    "pos_x_w_m", "pos_y_w_m", "pos_z_w_m", "quat_w", "quat_x", "quat_y", "quat_z",
    "vel_x_w_mps", "vel_y_w_mps", "vel_z_w_mps", "omega_x_b_radps", "omega_y_b_radps", "omega_z_b_radps",
    *(f"{name}_in_{ahead:g}s" for ahead in PREVIEWS_S
      for name in ("pos_x_w_m", "pos_y_w_m", "pos_z_w_m", "quat_w", "quat_x", "quat_y", "quat_z")),
)  # fmt: skip
"""Components of a policy's command: pose, twist, and the poses to come."""


def some_path(
    draws: Draws, count: int, tilt_rad: float, moving_share: float, fast_share: float = 0.0
) -> torch.Tensor:
    """Paths (PATH_ROWS, count) within the range of goals, a ``moving_share`` of which swing about their centre.

    A ``fast_share`` of those swing :data:`FAST` times as far in x and y. Roll and pitch of the centre are at most
    ``tilt_rad``. All ranges shrink with the draws' ``command_share``.
    """
    share = draws.config.command_share
    low, high = torch.tensor(PLACE_M, device=draws.device).t()[..., None]
    place = 0.5 * (low + high) + (draws.uniform((0.0, 1.0), 3, count) - 0.5) * (high - low) * share
    tilt = draws.uniform((-tilt_rad * share, tilt_rad * share), 2, count)
    yaw = draws.uniform((-math.pi * share, math.pi * share), 1, count)
    moving = draws.uniform((0.0, 1.0), 1, count) < moving_share
    swing = torch.tensor(SWING, device=draws.device)[:, None] * draws.uniform((0.2, 1.0), 6, count)
    frequency, phase = draws.uniform(SWING_RADPS, 6, count), draws.uniform((0.0, 2.0 * math.pi), 6, count)
    if fast_share:
        swing[:2] *= torch.where(draws.uniform((0.0, 1.0), 1, count) < fast_share, FAST, 1.0)
    return torch.cat((place, tilt, yaw, swing * moving * share, frequency, phase))


def pose_at(path: tuple[Scalar, ...], ahead_s: float = 0.0) -> Pose:
    """The pose ``ahead_s`` [s] from now."""
    parts = (path[i : i + 6] for i in range(0, PATH_ROWS, 6))
    x, y, z, roll, pitch, yaw = (
        center + amplitude * torch.sin(phase + frequency * ahead_s)
        for center, amplitude, frequency, phase in zip(*parts, strict=True)
    )
    return Pose(Vec3(x, y, z), Quat.from_roll_pitch_yaw(roll, pitch, yaw))


def moved(path: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
    """The path ``tick_s`` [s] later."""
    frequency, phase = path[12:18], path[18:24]
    return (*path[:18], *(p + w * tick_s for p, w in zip(phase, frequency, strict=True)))


def command_of(path: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """The policy's command (:data:`COMMAND`)."""
    now = pose_at(path)
    vel_w = [
        amplitude * frequency * torch.cos(phase)
        for amplitude, frequency, phase in zip(path[6:9], path[12:15], path[18:21], strict=True)
    ]
    before, after = (pose_at(path, side * _DIFFERENCE_S).quat_wb for side in (-0.5, 0.5))
    turned = before.conjugate().multiply(after)
    omega_b = [part * (2.0 / _DIFFERENCE_S) for part in turned[1:]]
    ahead = (pose_at(path, ahead_s) for ahead_s in PREVIEWS_S)
    previews = [component for pose in ahead for component in (*pose.pos_w, *pose.quat_wb)]
    return (*now.pos_w, *now.quat_wb, *vel_w, *omega_b, *previews)
