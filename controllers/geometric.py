"""From a wanted acceleration to collective thrust and body rates; and a position controller on top of it.

The tilt that puts thrust along the wanted specific force comes first, heading after it, as in PX4's attitude control.
Pure functions of tensors of one shape, usually ``(worlds, drones)``; world ENU, body FLU.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Quat, Scalar, Vec3, clip, larger
from corvids.vehicle import GRAVITY_MPS2

LEAST_SPECIFIC_FORCE_MPS2 = 2.0
"""Below so much wanted specific force its direction means little, and the present attitude is kept the more."""
LEAST_HALF_COSINE = 0.1
"""Bounds the tilt error's gain where thrust should point opposite to where it does."""


class SteeringGains(NamedTuple):
    """How attitude follows."""

    tilt_ps: Scalar
    """Body rate per tilt error [1/s]; PX4's ``MC_ROLL_P``."""
    heading_ps: Scalar
    """Yaw rate per heading error [1/s]; PX4's ``MC_YAW_P``."""
    rate_max_radps: Vec3
    """Largest body rates commanded."""
    thrust_max_n: Scalar
    """Largest collective thrust commanded."""


class PositionGains(NamedTuple):
    """How position follows: ``a = kp·(p_ref - p) + kd·(v_ref - v)``, within a limit."""

    stiffness_ps2: Scalar
    damping_ps: Scalar
    accel_max_mps2: Scalar
    """Largest correction in each axis."""


def steer(
    accel_w: Vec3,
    quat_wb: Quat,
    mass_kg: Scalar,
    gains: SteeringGains,
    rate_ref_b: Vec3 | None = None,
    heading_rad: Scalar = 0.0,
) -> RateCommand:
    """Thrust and body rates that make a vehicle of ``mass_kg`` accelerate by ``accel_w`` [m/s²] against gravity.

    ``rate_ref_b`` is added to the body rates. Thrust is the wanted specific force's part along body z, so that a
    vehicle that has yet to tilt does not push in the wrong direction.
    """
    wanted_b = quat_wb.unrotate(Vec3(accel_w.x, accel_w.y, accel_w.z + GRAVITY_MPS2))
    size = wanted_b.norm()
    thrust_n = clip(mass_kg * wanted_b.z, 0.0, gains.thrust_max_n)
    # Little specific force: lean the direction towards body z.
    steady = Vec3(wanted_b.x, wanted_b.y, wanted_b.z + torch.relu(LEAST_SPECIFIC_FORCE_MPS2 - size))
    toward = steady / steady.norm()
    # The shortest rotation from body z to `toward`, as twice the vector part of its quaternion.
    half_cos = torch.sqrt(larger(0.5 + 0.5 * toward.z, LEAST_HALF_COSINE**2))
    heading = _heading_error(quat_wb, heading_rad)
    rates = Vec3(
        -toward.y / half_cos * gains.tilt_ps,
        toward.x / half_cos * gains.tilt_ps,
        -heading * gains.heading_ps,
    )
    if rate_ref_b is not None:
        rates = rates + rate_ref_b
    limited = (clip(rate, -most, most) for rate, most in zip(rates, gains.rate_max_radps, strict=True))
    return RateCommand(thrust_n, Vec3(*limited))


def follow_position(
    pos_error_w: Vec3, vel_error_w: Vec3, gains: PositionGains, accel_ref_w: Vec3 | None = None
) -> Vec3:
    """Wanted acceleration [m/s²] for errors (reference less measurement) of position and velocity."""
    limit = gains.accel_max_mps2
    correction = pos_error_w * gains.stiffness_ps2 + vel_error_w * gains.damping_ps
    accel_w = Vec3(*(clip(part, -limit, limit) for part in correction))
    return accel_w if accel_ref_w is None else accel_w + accel_ref_w


def _heading_error(quat_wb: Quat, heading_rad: Scalar) -> Scalar:
    """Heading less the wanted one [rad], within ±π; towards 0, which is what teams fly, it needs no trigonometry."""
    if isinstance(heading_rad, float) and heading_rad == 0.0:
        return quat_wb.yaw()
    angle_rad = quat_wb.yaw() - heading_rad
    return torch.atan2(torch.sin(angle_rad), torch.cos(angle_rad))
