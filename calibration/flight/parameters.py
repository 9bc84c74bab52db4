"""What a flight log can tell of a vehicle: numbers per mass and per inertia, and what the simulator makes of them.

A log without an absolute scale (a load cell, a scale) identifies only quotients. So the unknowns are accelerations:
that of the collective, those about the axes with the two rotors that turn the body that way at full command and the
other two at zero. They enter the simulator as a vehicle of 1 kg.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch

from corvids.controllers.rate_loop import Four, thrust_fraction
from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.vehicle_dynamics import VehicleParams
from corvids.vehicle import Vehicle


class FlightParameters(NamedTuple):
    """The unknowns of a flight fit. Leaves: floats, or tensors of one shape."""

    log_accel_max: Scalar
    """Logarithm of the collective thrust per mass at full command [ln m/s²]."""
    log_roll: Scalar
    """Logarithm of the largest angular acceleration about x [ln rad/s²]."""
    log_pitch: Scalar
    log_yaw: Scalar
    log_tau_rise: Scalar
    """Logarithm of the rotors' time constant when speeding up [ln s]."""
    log_tau_fall: Scalar
    delay_s: Scalar
    """From the motor command's time stamp to the sensors' that belong to it, the rotors' lag not included [s]."""
    drag_1ps: Scalar
    """Linear drag per mass, horizontal [1/s]."""
    damping_x_1ps: Scalar
    """Angular damping per moment of inertia [1/s]."""
    damping_y_1ps: Scalar
    damping_z_1ps: Scalar
    centre_x_m: Scalar
    """Centre of mass, forward of the place that the vehicle file's rotors are measured from [m]."""
    centre_y_m: Scalar
    trim_yaw_radps2: Scalar
    """Constant angular acceleration about z [rad/s²]: rotors that stand askew."""
    log_reaction: Scalar
    """Logarithm of the rotors' moment of inertia relative to the vehicle file's: how speeding up turns the body."""
    log_kappa: Scalar
    """Logarithm of the rotors' torque per thrust relative to the file's: with the yaw, it says the inertia about z."""


@dataclasses.dataclass(frozen=True)
class Airframe:
    """What the fit takes as given from the vehicle file: geometry, spin, thrust curve and kind of lag."""

    vehicle: Vehicle

    @property
    def common_lag(self) -> bool:
        """Whether the rotors speed up and slow down alike."""
        return self.vehicle.rotors.tau_rise_s == self.vehicle.rotors.tau_fall_s

    @property
    def heavy_rotors(self) -> bool:
        """Whether the vehicle file's rotors have a moment of inertia, whose reaction the log may tell."""
        return self.vehicle.rotors.inertia_kgm2 > 0.0

    @property
    def torque_ratio_std(self) -> float:
        """Relative standard deviation of the rotors' torque per thrust, 0 where the file says none."""
        origin = self.vehicle.provenance.get("rotors.torque_coeff_nms2prad2")
        std = None if origin is None else origin.std
        return 0.0 if std is None else std / self.vehicle.rotors.torque_coeff_nms2prad2

    def free(self) -> tuple[str, ...]:
        """Names of the unknowns that a fit adjusts."""
        tied = ("log_tau_fall",) * self.common_lag + ("log_reaction",) * (not self.heavy_rotors)
        return tuple(name for name in FlightParameters._fields if name not in tied)

    def levers(self) -> tuple[float, float, float]:
        """Moment about each axis per thrust of one rotor, with the rotors that turn it positively at full [m, m, 1]."""
        x, y, _ = zip(*self.vehicle.rotors.position_b_m, strict=True)
        return sum(max(v, 0.0) for v in y), sum(max(-v, 0.0) for v in x), 2.0

    def drag_shape(self) -> tuple[float, float, float]:
        """Drag along the body's axes relative to the mean of x and y."""
        x, y, z = self.vehicle.body.linear_drag_nspm
        mean = 0.5 * (x + y)
        return (x / mean, y / mean, z / mean) if mean > 0.0 else (1.0, 1.0, 0.0)

    def lagged(self, command: np.ndarray) -> np.ndarray:
        """What the rotors lag towards at motor ``command`` 0..1, as a fraction: speed, or thrust where that lags."""
        thrust = thrust_fraction(np.maximum(command, 0.0), self.vehicle.rotors.thrust_curve)
        return np.sqrt(thrust) if self.vehicle.rotors.thrust_lag == "speed" else thrust

    def start(self) -> FlightParameters:
        """The vehicle file's own numbers: where a fit begins."""
        vehicle, rotors, body = self.vehicle, self.vehicle.rotors, self.vehicle.body
        thrust = vehicle.max_thrust_n / 4.0
        roll, pitch, yaw = (
            lever * thrust / inertia for lever, inertia in zip(self.levers(), body.inertia_kgm2, strict=True)
        )
        kappa = rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2
        damping = [d / i for d, i in zip(body.angular_drag_nmsprad, body.inertia_kgm2, strict=True)]
        return FlightParameters(
            math.log(4.0 * thrust / body.mass_kg),
            math.log(roll),
            math.log(pitch),
            math.log(yaw * kappa),
            math.log(rotors.tau_rise_s),
            math.log(rotors.tau_fall_s),
            0.0,
            0.5 * (body.linear_drag_nspm[0] + body.linear_drag_nspm[1]) / body.mass_kg,
            damping[0],
            damping[1],
            damping[2],
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        )

    def physics(self, unknown: FlightParameters, dt_s: float) -> VehicleParams:
        """The simulator's parameters of a vehicle of 1 kg that accelerates so, commanded in terms of :meth:`lagged`."""
        file = vehicle_params(self.vehicle, dt_s)
        mass = self.vehicle.body.mass_kg
        thrust = torch.exp(unknown.log_accel_max) * 0.25
        lever_x, lever_y, lever_z = self.levers()
        inertia_x = thrust * lever_x / torch.exp(unknown.log_roll)
        inertia_y = thrust * lever_y / torch.exp(unknown.log_pitch)
        kappa = file.torque_per_thrust_m * torch.exp(unknown.log_kappa)
        inertia_z = thrust * (lever_z * kappa) / torch.exp(unknown.log_yaw)
        sx, sy, sz = self.drag_shape()
        return file._replace(
            mass_kg=1.0,
            inertia_kgm2=Vec3(inertia_x, inertia_y, inertia_z),
            linear_drag_nspm=Vec3(unknown.drag_1ps * sx, unknown.drag_1ps * sy, unknown.drag_1ps * sz),
            quadratic_drag_ns2pm2=Vec3(*(q / mass for q in self.vehicle.body.quadratic_drag_ns2pm2)),
            angular_drag_nmsprad=Vec3(
                unknown.damping_x_1ps * inertia_x,
                unknown.damping_y_1ps * inertia_y,
                unknown.damping_z_1ps * inertia_z,
            ),
            rotor_x_b_m=Four(*(one - unknown.centre_x_m for one in file.rotor_x_b_m)),
            rotor_y_b_m=Four(*(one - unknown.centre_y_m for one in file.rotor_y_b_m)),
            thrust_max_n=Four(thrust, thrust, thrust, thrust),
            torque_per_thrust_m=kappa,
            command_curve=file.lag_curve,
            rotor_inertia_kgm2=torch.exp(unknown.log_reaction) * (file.rotor_inertia_kgm2 / mass),
            rise_fraction=1.0 - torch.exp(-dt_s / torch.exp(unknown.log_tau_rise)),
            fall_fraction=1.0 - torch.exp(-dt_s / torch.exp(unknown.log_tau_fall)),
            ground_clearance_m=-1e9,
        )
