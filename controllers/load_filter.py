"""The filter that estimates a carried load's pose and twist from its measured poses.

A fading-memory filter of second degree (Morrison 1969): a constant-velocity prediction, corrected by fixed shares of
the innovation that follow from one time constant. Attitude is filtered the same way in the group: its innovation is a
rotation vector in the body frame. The same function runs inside the simulator's sensing and on every drone.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Quat, Scalar, Vec3, smaller, where


@dataclasses.dataclass(frozen=True)
class LoadFilterConfig:
    """Tuning of the load filter."""

    memory_s: float = 0.03
    """Time constant with which measurements are forgotten [s]."""
    restart_s: float = 0.5
    """After so long without a measurement the next one is taken over as it is, at rest [s]."""


class LoadEstimate(NamedTuple):
    """Memory of the filter, valid at the time of the last measurement that it took in."""

    pos_w: Vec3
    """Pose point [m], world."""
    vel_w: Vec3
    """Velocity of the pose point [m/s], world."""
    quat_wb: Quat
    """Attitude: rotates the load's axes into the world's."""
    omega_b: Vec3
    """Angular velocity [rad/s], load's axes."""


_ZERO = Vec3(0.0, 0.0, 0.0)
UNKNOWN_LOAD = LoadEstimate(_ZERO, _ZERO, Quat(1.0, 0.0, 0.0, 0.0), _ZERO)
"""Estimate before the first measurement; claim it to be older than ``restart_s``."""


def load_filter(
    estimate: LoadEstimate, pos_w: Vec3, quat_wb: Quat, elapsed_s: Scalar, config: LoadFilterConfig
) -> LoadEstimate:
    """Take in one measured pose [m, world; rotates load into world], ``elapsed_s`` [s] after the one before."""
    lost = elapsed_s > config.restart_s
    step_s = smaller(elapsed_s, config.restart_s)
    fade = torch.exp(step_s * (-1.0 / config.memory_s))
    share = 1.0 - fade * fade
    # Of the innovation, per second; the floor keeps two measurements of one moment apart from 0/0.
    rate = (1.0 - fade) * (1.0 - fade) / torch.clamp(step_s, min=1e-4)

    ahead_w = estimate.pos_w + estimate.vel_w * step_s
    miss_w = pos_w - ahead_w
    ahead = estimate.quat_wb.turned(estimate.omega_b * step_s)
    turn_b = rotation_between(ahead, quat_wb)
    return LoadEstimate(
        where(lost, pos_w, ahead_w + miss_w * share),
        where(lost, _like(pos_w), estimate.vel_w + miss_w * rate),
        Quat(
            *(
                torch.where(lost, new, old)
                for new, old in zip(quat_wb, ahead.turned(turn_b * share), strict=True)
            )
        ),
        where(lost, _like(pos_w), estimate.omega_b + turn_b * rate),
    )


def rotation_between(start: Quat, end: Quat) -> Vec3:
    """Twice the vector part [rad] of the rotation from ``start`` to ``end``, in the axes of ``start``.

    The rotation vector where that is small; never longer than 2, and of either of two signs at half a turn.
    """
    between = start.conjugate().multiply(end)
    sign = torch.where(between.w < 0.0, -2.0, 2.0)
    return Vec3(between.x * sign, between.y * sign, between.z * sign)


def _like(v: Vec3) -> Vec3:
    return Vec3(*(torch.zeros_like(component) for component in v))
