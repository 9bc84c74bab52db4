"""The filter that estimates the ball's position and velocity from its measured positions.

A Kalman filter on ballistic flight with drag. The measurement noise is the same along every axis, so the three axes
share one 2×2 covariance and the filter is a few dozen operations. A bounce is recognised by what it does: the ball was
falling and is now far above where it should be. The vertical velocity is then mirrored (a juggled ball leaves about as
fast as it came) and its variance reopened. Any other measurement outside the gate is an outlier: it is skipped, and
after a few in a row the filter starts afresh from the measurement.

The same function runs inside the simulator's sensing and, exported as a stage of the policy file, on the vehicle.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, where

GRAVITY_MPS2 = 9.80665


@dataclasses.dataclass(frozen=True)
class BallFilterConfig:
    """Tuning of the ball filter."""

    measurement_std_m: float = 0.004
    """Standard deviation of one measured coordinate [m]."""
    accel_std_mps2: float = 2.0
    """Unmodelled acceleration between two measurements [m/s²], standard deviation."""
    drag_per_m: float = 0.032
    """Quadratic drag that the prediction uses [1/m]."""
    gate: float = 25.0
    """Squared distance of a measurement from its prediction, in variances, above which it is not believed."""
    bounce_std_mps: float = 0.8
    """Standard deviation of each velocity component just after a bounce [m/s]."""
    start_std_mps: float = 3.0
    """Standard deviation of each velocity component when the filter starts [m/s]."""
    rejections_max: int = 3
    """Outliers in a row after which the filter starts afresh."""


class BallEstimate(NamedTuple):
    """Memory of the filter, valid at the time of the last measurement that it took in."""

    pos_w: Vec3
    """Centre [m], world."""
    vel_w: Vec3
    """Velocity [m/s], world."""
    pos_var: Scalar
    """Variance of each position coordinate [m²]."""
    cov: Scalar
    """Covariance of position and velocity along an axis [m²/s]."""
    vel_var: Scalar
    """Variance of each velocity component [m²/s²]."""
    rejected: Scalar
    """Outliers in a row so far."""


UNKNOWN_BALL = BallEstimate(Vec3(0.0, 0.0, 1.0), Vec3(0.0, 0.0, 0.0), 1e4, 0.0, 9.0, 0.0)
"""Estimate before the first measurement, which it will take over whatever it is."""


def coast(pos_w: Vec3, vel_w: Vec3, ahead_s: Scalar, drag_per_m: Scalar) -> tuple[Vec3, Vec3]:
    """Position and velocity after ``ahead_s`` [s] of free flight, to second order in time."""
    pull = -drag_per_m * vel_w.norm()
    accel = Vec3(vel_w.x * pull, vel_w.y * pull, vel_w.z * pull - GRAVITY_MPS2)
    return pos_w + vel_w * ahead_s + accel * (0.5 * ahead_s * ahead_s), vel_w + accel * ahead_s


def ball_filter(
    estimate: BallEstimate, measured_w: Vec3, elapsed_s: Scalar, config: BallFilterConfig
) -> BallEstimate:
    """Take in one measured position [m, world], ``elapsed_s`` [s] after the one before."""
    noise = config.measurement_std_m**2
    pos, vel = coast(estimate.pos_w, estimate.vel_w, elapsed_s, config.drag_per_m)
    speed_var = (config.accel_std_mps2 * elapsed_s) * (config.accel_std_mps2 * elapsed_s)
    pos_var = estimate.pos_var + elapsed_s * (
        2.0 * estimate.cov + elapsed_s * (estimate.vel_var + 0.25 * speed_var)
    )
    cov = estimate.cov + elapsed_s * (estimate.vel_var + 0.5 * speed_var)
    vel_var = estimate.vel_var + speed_var

    innovation = measured_w - pos
    total = pos_var + noise
    surprise = innovation.norm2() > config.gate * total
    is_far_above = (innovation.z > 0.0) & (innovation.z * innovation.z > config.gate * total)
    bounced = is_far_above & (vel.z < 0.0)
    lost = surprise & ~bounced & (estimate.rejected >= config.rejections_max - 1)
    skipped = surprise & ~bounced & ~lost

    gain_pos, gain_vel = pos_var / total, cov / total
    left = noise / total  # 1 - gain_pos, which float32 would round to 0 where the ball is not yet known
    restart = bounced | lost
    mirrored = Vec3(vel.x, vel.y, torch.where(bounced, -vel.z, vel.z))
    taken_pos = where(restart, measured_w, pos + innovation * gain_pos)
    taken_vel = where(restart, mirrored, vel + innovation * gain_vel)
    new_vel_var = torch.where(bounced, config.bounce_std_mps**2, config.start_std_mps**2)
    return BallEstimate(
        where(skipped, pos, taken_pos),
        where(skipped, vel, taken_vel),
        torch.where(restart, noise, torch.where(skipped, pos_var, left * pos_var)),
        torch.where(restart, 0.0, torch.where(skipped, cov, left * cov)),
        torch.where(restart, new_vel_var, torch.where(skipped, vel_var, vel_var - gain_vel * cov)),
        torch.where(skipped, estimate.rejected + 1.0, 0.0),
    )
