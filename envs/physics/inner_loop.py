"""ACCBR's inner loop as the simulator runs it: on each drone's accelerometer and attitude, one step late.

The law is :mod:`corvids.controllers.force_compensation`. Its order of collective thrust and body rates comes into force
one physics step after the samples that it was computed from, as a loop on another computer's would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from corvids.controllers.force_compensation import (
    AccelerationCommand,
    CompensationGains,
    CompensationState,
    compensate,
    filter_part,
)
from corvids.controllers.geometric import SteeringGains
from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.physics.team_world import Motion
from corvids.vehicle import Vehicle

FILTER_S = 0.02
"""Time constant of the low-pass on the force from outside."""
OUTSIDE_MAX_MPS2 = 30.0
"""Largest specific force from outside that is believed, in each axis: a load of twice a Falcon's share, and a tug."""
TILT_PS = 10.0
"""Body rate per tilt error, within the range of PX4's ``MC_ROLL_P`` and 2.5 times slower than the rate loop. Thrust
that turns late lets the cable's pull through in the meantime: with 6, as Zeng et al. have it (arXiv 2508.01522: 150
over 25 in an angular acceleration law), loads swing nearly twice as far about their path."""
CANCELLED_PART = 0.95
"""Of the force from outside: members of more than three share a load without fighting only if they yield a little."""
HEADING_PS = 2.0
"""Yaw rate per heading error."""

_ZERO = Vec3(0.0, 0.0, 0.0)


class InnerLoop(NamedTuple):
    """Memory of the loop."""

    compensation: CompensationState
    order: RateCommand
    """Given in the last step, in force in this one."""


INNER_AT_REST = InnerLoop(CompensationState(0.0, _ZERO), RateCommand(0.0, _ZERO))
"""Template: its leaves say the order in which the loop is packed."""
ACCBR = ("accel_x_w_mps2", "accel_y_w_mps2", "accel_z_w_mps2", "roll_rate_b_radps", "pitch_rate_b_radps")
"""Components of an ACCBR command."""


def compensation_gains(vehicle: Vehicle, dt_s: float) -> CompensationGains:
    """Gains (leaves are floats) of a loop stepped every ``dt_s`` [s] that believes the vehicle file."""
    tau_s = 0.5 * (vehicle.rotors.tau_rise_s + vehicle.rotors.tau_fall_s)
    limits = vehicle.limits
    steering = SteeringGains(TILT_PS, HEADING_PS, Vec3(*limits.rate_max_radps), limits.thrust_max_n)
    return CompensationGains(
        vehicle.body.mass_kg,
        filter_part(tau_s, dt_s),
        filter_part(FILTER_S, dt_s),
        OUTSIDE_MAX_MPS2,
        steering,
        CANCELLED_PART,
    )


def run_inner_loop(
    loop: InnerLoop, wanted: Sequence[Scalar], motion: Motion, gains: CompensationGains
) -> InnerLoop:
    """One step for an ACCBR command ``wanted`` (:data:`ACCBR`), heading 0."""
    accel_x, accel_y, accel_z, roll_rate, pitch_rate = wanted
    command = AccelerationCommand(Vec3(accel_x, accel_y, accel_z), Vec3(roll_rate, pitch_rate, 0.0))
    quat = motion.body.quat_wb
    accelerometer_b = quat.unrotate(motion.specific_force_w)
    return InnerLoop(*compensate(loop.compensation, command, accelerometer_b, quat, gains))
