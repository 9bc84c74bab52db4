"""What a fit of a flight means for the vehicle file: each number that the log supports, and its error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from corvids.calibration.flight.fit import FlightFit
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.vehicle import Vehicle

_MASS, _TIMING = "mass", "timing"
"""Errors besides those of the fit: the mass's relative one, and that of when commands were logged [s]."""
_KAPPA = "log_kappa"
_TURNING = ("roll_accel_max_radps2", "pitch_accel_max_radps2", "yaw_accel_max_radps2")


class _Number(NamedTuple):
    """One number for the vehicle file."""

    value: float
    relative: dict[str, float]
    """Its relative change by each source of error: the fit's unknowns, mass, timing."""


def physical_estimates(
    airframe: Airframe, fit: FlightFit, groups: dict[str, GroupEstimate]
) -> tuple[Estimates, dict[tuple[str, str], float]]:
    """What the identified groups mean for the vehicle file, its mass and its rotors' places taken as given.

    The yaw axis gives torque per moment of inertia. The ratio of the rotors' torque to their thrust, which only the
    gyroscopic coupling of fast turns tells, is mostly the file's, and the moment of inertia is as uncertain. Where
    collective thrust is refused, moments of inertia are too. Standard deviations and correlations propagate the fit's
    covariance and the errors of what is taken as given.
    """
    numbers = _numbers(airframe, fit, groups)
    vehicle = airframe.vehicle
    names = list(numbers)
    sources = [*fit.names, _MASS, _TIMING]
    covariance = block_diag(fit.covariance, _mass_error(vehicle) ** 2, fit.segments.lag_std_s**2)
    slopes = np.array(
        [[one.value * one.relative.get(source, 0.0) for source in sources] for one in numbers.values()]
    ).reshape(len(names), len(sources))
    joint = slopes @ covariance @ slopes.T
    std = np.sqrt(np.diag(joint))
    correlations = {
        (a, b): float(np.clip(joint[i, j] / (std[i] * std[j]), -1.0, 1.0))
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if a < b and std[i] > 0.0 and std[j] > 0.0 and abs(joint[i, j]) > _NEGLIGIBLE * std[i] * std[j]
    }
    found = {
        name: (one.value, float(spread)) for (name, one), spread in zip(numbers.items(), std, strict=True)
    }
    found.pop("body.mass_kg", None)  # taken as given: it is there for its correlations
    return _gathered(vehicle, found), correlations


_NEGLIGIBLE = 0.02
"""Smaller correlations are not written."""


def _numbers(airframe: Airframe, fit: FlightFit, groups: dict[str, GroupEstimate]) -> dict[str, _Number]:
    vehicle = airframe.vehicle
    rotors, mass = vehicle.rotors, vehicle.body.mass_kg
    numbers: dict[str, _Number] = {}
    if _mass_error(vehicle) > 0.0:
        numbers["body.mass_kg"] = _Number(mass, {_MASS: 1.0})
    accel = groups["accel_max_mps2"]
    if accel.identified and accel.value:
        thrust = 0.25 * accel.value * mass
        scale = {_MASS: 1.0, "log_accel_max": 1.0}
        coefficient = thrust / rotors.speed_max_radps**2
        kappa = rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2 * math.exp(fit.value(_KAPPA))
        numbers["rotors.thrust_coeff_ns2prad2"] = _Number(coefficient, scale)
        numbers["rotors.torque_coeff_nms2prad2"] = _Number(kappa * coefficient, scale | {_KAPPA: 1.0})
        unknowns = ("log_roll", "log_pitch", "log_yaw")
        for axis, group, lever, unknown in zip("xyz", _TURNING, airframe.levers(), unknowns, strict=True):
            turning = groups[group].value
            if not (groups[group].identified and turning):
                continue
            inertia = lever * thrust * (kappa if axis == "z" else 1.0) / turning
            of_axis = scale | {unknown: -1.0} | ({_KAPPA: 1.0} if axis == "z" else {})
            numbers[f"body.inertia_kgm2.{axis}"] = _Number(inertia, of_axis)
            damping = f"damping_{axis}_1ps"
            rate = fit.value(damping)
            if fit.informed(damping) and rate > 2.0 * fit.std(damping):
                slopes = of_axis | {damping: 1.0 / rate}
                numbers[f"body.angular_drag_nmsprad.{axis}"] = _Number(inertia * rate, slopes)
        reaction = "log_reaction"
        if groups[_TURNING[2]].identified and reaction in fit.names and fit.informed(reaction):
            numbers["rotors.inertia_kgm2"] = _Number(
                rotors.inertia_kgm2 * math.exp(fit.value(reaction)), scale | {reaction: 1.0}
            )
    if groups["motor_tau_s"].identified:
        for field, unknown in (("tau_rise_s", "log_tau_rise"), ("tau_fall_s", "log_tau_fall")):
            name = unknown if unknown in fit.names else "log_tau_rise"
            value = math.exp(fit.value(name))
            numbers[f"rotors.{field}"] = _Number(value, {name: 1.0, _TIMING: 1.0 / value})
    drag = groups["drag_per_mass_1ps"]
    if drag.identified and drag.value:
        for axis, part in zip("xyz", airframe.drag_shape(), strict=True):
            slopes = {_MASS: 1.0, "drag_1ps": 1.0 / drag.value}
            numbers[f"body.linear_drag_nspm.{axis}"] = _Number(drag.value * mass * part, slopes)
    return numbers


def _gathered(vehicle: Vehicle, found: dict[str, tuple[float, float]]) -> Estimates:
    """Numbers as the vehicle file has them: axes gathered into vectors, those not found as they were."""
    estimates: Estimates = {}
    for name, (value, std) in found.items():
        field, axis = (name[:-2], "xyz".index(name[-1])) if name[-2:] in (".x", ".y", ".z") else (name, None)
        if axis is None:
            estimates[field] = (value, std)
            continue
        if field not in estimates:
            section, _, attribute = field.partition(".")
            estimates[field] = (getattr(getattr(vehicle, section), attribute), _triple_std(vehicle, field))
        values, stds = (list(one) for one in estimates[field])
        values[axis], stds[axis] = value, std
        estimates[field] = (tuple(values), tuple(stds))
    return estimates


def _mass_error(vehicle: Vehicle) -> float:
    """Relative standard deviation of the mass; 0 where the file says none."""
    origin = vehicle.provenance.get("body.mass_kg")
    return 0.0 if origin is None or origin.std is None else origin.std / vehicle.body.mass_kg


def _triple_std(vehicle: Vehicle, where: str) -> tuple[float, float, float]:
    """Standard deviations of a vector that the file has, or a tenth of it where the file says none."""
    section, _, field = where.partition(".")
    origin = vehicle.provenance.get(where)
    std = None if origin is None else origin.std
    value = getattr(getattr(vehicle, section), field)
    return tuple(0.1 * abs(one) for one in value) if std is None else std  # type: ignore[return-value]
