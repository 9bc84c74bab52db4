"""What flies when the policy cannot: holds a position, or levels where that is unknown. Plain numpy, no policy file.

A cascade of proportional laws: position error to velocity to acceleration, acceleration to a thrust vector, and the
angle between that and the body's z axis to body rates (CTBR, like a policy's commands). Yaw is turned to zero. There
is no integral: a thrust that is weak by a share s leaves the vehicle s·g / (position gain · velocity gain) too low.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.contract import Limits

Array = NDArray[np.float64]
"""Real numbers, vehicles along the first axis."""

GRAVITY_MPS2 = 9.80665


@dataclasses.dataclass(frozen=True)
class FallbackGains:
    """Gains and limits of the cascade."""

    position_per_s: float = 1.5
    """Wanted velocity per position error [1/s]."""
    velocity_per_s: float = 3.0
    """Wanted acceleration per velocity error [1/s]."""
    attitude_per_s: float = 6.0
    """Wanted body rate per tilt error [1/s]."""
    yaw_per_s: float = 1.0
    """Wanted yaw rate per yaw error [1/s]."""
    speed_max_mps: float = 1.0
    """Largest wanted speed [m/s]."""
    tilt_max_rad: float = math.radians(30.0)
    """Largest wanted tilt [rad]; the vehicle's own limit binds too."""


class Fallback:
    """The cascade for one kind of vehicle; it has no memory."""

    def __init__(self, limits: Limits, gains: FallbackGains | None = None) -> None:
        self._gains = gains or FallbackGains()
        self.load_kg = 0.0
        """What hangs on the vehicle, on top of its own mass [kg]."""
        self._thrust_n = limits.thrust_n
        self._mass_kg = limits.hover_thrust_n / GRAVITY_MPS2
        self._rate_max = np.array(limits.rate_max_radps)
        self._slope = math.tan(min(self._gains.tilt_max_rad, limits.tilt_max_rad, math.radians(80.0)))

    def command(self, pos_w: Array, vel_w: Array, quat_wb: Array, place_w: Array) -> tuple[Array, Array]:
        """Collective thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) towards ``place_w`` [m] (n, 3).

        ``pos_w`` [m] (n, 3), ``vel_w`` [m/s] (n, 3) and ``quat_wb`` (n, 4) may be NaN where unknown: without a position
        the vehicle brakes, without a velocity it levels, without an attitude it asks for zero rates and its weight.
        """
        gains, mass_kg = self._gains, self._mass_kg + self.load_kg
        reach = np.nan_to_num((place_w - pos_w) * gains.position_per_s, nan=0.0, posinf=0.0, neginf=0.0)
        reach *= np.minimum(1.0, gains.speed_max_mps / np.maximum(_norm(reach), 1e-9))
        accel = np.nan_to_num((reach - vel_w) * gains.velocity_per_s, nan=0.0, posinf=0.0, neginf=0.0)
        up = np.clip(accel[:, 2:] + GRAVITY_MPS2, 0.5 * GRAVITY_MPS2, 1.5 * GRAVITY_MPS2)
        aside = accel[:, :2] * np.minimum(1.0, up * self._slope / np.maximum(_norm(accel[:, :2]), 1e-9))
        wanted = np.concatenate((aside, up), axis=1)

        known = np.isfinite(quat_wb).all(axis=1, keepdims=True) & (_norm(quat_wb) > 1e-3)
        w, x, y, z = (np.where(known, quat_wb, (1.0, 0.0, 0.0, 0.0)) / np.where(known, _norm(quat_wb), 1.0)).T
        body_x = np.stack((1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)), axis=1)
        body_y = np.stack((2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)), axis=1)
        body_z = np.stack((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), axis=1)
        ahead, left, lift = (_dot(wanted, axis) for axis in (body_x, body_y, body_z))
        # Body z must turn towards (ahead, left, lift), about z × that = (-left, ahead); upside down, about x.
        level = np.hypot(ahead, left)
        angle = np.arctan2(level, lift)
        on_axis = level < 1e-6
        size = np.where(on_axis, 1.0, level)
        roll = angle * np.where(on_axis, 1.0, -left / size)
        pitch = angle * np.where(on_axis, 0.0, ahead / size)
        yaw = np.arctan2(body_x[:, 1], body_x[:, 0]) * np.maximum(
            body_z[:, 2], 0.0
        )  # means nothing upside down
        rates = np.stack(
            (roll * gains.attitude_per_s, pitch * gains.attitude_per_s, -yaw * gains.yaw_per_s), axis=1
        )
        rates = np.where(known, np.clip(rates, -self._rate_max, self._rate_max), 0.0)
        thrust_n = np.where(known[:, 0], mass_kg * lift, mass_kg * GRAVITY_MPS2)
        return np.clip(thrust_n, *self._thrust_n), rates


def _norm(vectors: Array) -> Array:
    return np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))


def _dot(a: Array, b: Array) -> Array:
    return (a * b).sum(axis=1)
