"""The inner loop of the acceleration and body-rate action (ACCBR): estimates the force from outside and cancels it.

An accelerometer feels thrust and everything else but gravity: cable, wind, drag. What it feels less what thrust should
give is the specific force from outside; taken off the wanted acceleration, what remains is the thrust to produce. The
accelerometer's samples and the thrust model pass the same low-pass, so that a change of thrust is not taken for a force
from outside; the thrust model lags as the rotors do. Pure functions; ``dt_s`` is the loop's step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from corvids.controllers.geometric import SteeringGains, steer
from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Quat, Scalar, Vec3, clip


class CompensationGains(NamedTuple):
    """What the loop knows of its vehicle, and its filters."""

    mass_kg: Scalar
    """Mass that the vehicle is believed to have."""
    rotor_part: Scalar
    """Part of the way to its command that thrust goes in one step: ``1 - exp(-dt/τ)``."""
    filter_part: Scalar
    """Weight of the newest sample in the low-pass."""
    outside_max_mps2: Scalar
    """Largest specific force from outside that is believed, in each axis."""
    steering: SteeringGains
    cancelled_part: Scalar = 1.0
    """Part of the force from outside that is cancelled. What is left makes a vehicle yield to its cable."""


class CompensationState(NamedTuple):
    """Memory of the loop; all zero at start-up, thrust at what is being produced."""

    thrust_n: Scalar
    """Thrust that the rotors are believed to give."""
    outside_w: Vec3
    """Filtered specific force from outside [m/s²], world."""


class AccelerationCommand(NamedTuple):
    """ACCBR: what the policy commands."""

    accel_w: Vec3
    """Acceleration [m/s²], world."""
    rate_b: Vec3
    """Body rates [rad/s] on top of those that turn thrust where it must point; z usually 0."""


def filter_part(tau_s: float, dt_s: float) -> float:
    """Weight of a new sample in a first-order low-pass, or part of the way of a first-order lag, in one step."""
    return 1.0 - math.exp(-dt_s / tau_s) if tau_s > 0.0 else 1.0


def compensate(
    state: CompensationState,
    command: AccelerationCommand,
    accelerometer_b: Vec3,
    quat_wb: Quat,
    gains: CompensationGains,
    heading_rad: Scalar = 0.0,
) -> tuple[CompensationState, RateCommand]:
    """One step of the loop.

    ``accelerometer_b``: specific force [m/s²], FLU. Returns the new memory and what the rate loop is to do.
    """
    own = state.thrust_n / gains.mass_kg
    felt_w = quat_wb.rotate(accelerometer_b._replace(z=accelerometer_b.z - own))
    outside_w = state.outside_w + (felt_w - state.outside_w) * gains.filter_part
    limit = gains.outside_max_mps2
    outside_w = Vec3(*(clip(part, -limit, limit) for part in outside_w))
    given = steer(
        command.accel_w - outside_w * gains.cancelled_part,
        quat_wb,
        gains.mass_kg,
        gains.steering,
        command.rate_b,
        heading_rad,
    )
    thrust_n = state.thrust_n + (given.thrust_n - state.thrust_n) * gains.rotor_part
    return CompensationState(thrust_n, outside_w), given
