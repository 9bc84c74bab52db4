"""The vehicle file that a fit makes of the one before: each number that the log supports, its error bar and source."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from corvids.calibration.flight_fit import FlightFit
from corvids.calibration.groups import GroupEstimate, timing_std
from corvids.calibration.parameters import Airframe
from corvids.quantities import Provenance, specs_of
from corvids.vehicle import Vehicle

Estimates = dict[str, tuple[Any, Any]]
"""Value and standard deviation by ``section.field``."""


def physical_estimates(airframe: Airframe, fit: FlightFit, groups: dict[str, GroupEstimate]) -> Estimates:
    """What the identified groups mean for the vehicle file, its mass and its rotors' places taken as given.

    The yaw axis gives torque per moment of inertia: the torque coefficient is taken as given relative to the thrust's,
    and the moment of inertia follows. Where collective thrust is refused, moments of inertia are too.
    """
    vehicle = airframe.vehicle
    rotors, body = vehicle.rotors, vehicle.body
    relative_mass = (_std_of(vehicle, "body.mass_kg") or 0.0) / body.mass_kg
    estimates: Estimates = {}
    accel = groups["accel_max_mps2"]
    if accel.identified and accel.value and accel.std:
        thrust = accel.value * body.mass_kg / 4.0
        spread = math.hypot(accel.std / accel.value, relative_mass)
        coefficient = thrust / rotors.speed_max_radps**2
        estimates["rotors.thrust_coeff_ns2prad2"] = (coefficient, coefficient * spread)
        kappa = rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2
        estimates["rotors.torque_coeff_nms2prad2"] = (kappa * coefficient, kappa * coefficient * spread)
        inertia, inertia_std = list(body.inertia_kgm2), list(_triple_std(vehicle, "body.inertia_kgm2"))
        damping, damping_std = (
            list(body.angular_drag_nmsprad),
            list(_triple_std(vehicle, "body.angular_drag_nmsprad")),
        )
        turning = ("roll_accel_max_radps2", "pitch_accel_max_radps2", "yaw_accel_max_radps2")
        for axis, (name, lever) in enumerate(zip(turning, airframe.levers(), strict=True)):
            group = groups[name]
            if not (group.identified and group.value and group.std):
                continue
            moment = lever * thrust * (kappa if axis == 2 else 1.0)
            inertia[axis] = moment / group.value
            inertia_std[axis] = inertia[axis] * math.hypot(group.std / group.value, spread)
            unknown = f"damping_{'xyz'[axis]}_1ps"
            if fit.informed(unknown) and fit.value(unknown) > 2.0 * fit.std(unknown):
                damping[axis] = inertia[axis] * fit.value(unknown)
                damping_std[axis] = inertia[axis] * fit.std(unknown)
        estimates["body.inertia_kgm2"] = (tuple(inertia), tuple(inertia_std))
        estimates["body.angular_drag_nmsprad"] = (tuple(damping), tuple(damping_std))
    tau = groups["motor_tau_s"]
    if tau.identified:
        for field, unknown in (("tau_rise_s", "log_tau_rise"), ("tau_fall_s", "log_tau_fall")):
            name = unknown if unknown in fit.names else "log_tau_rise"
            value = math.exp(fit.value(name))
            estimates[f"rotors.{field}"] = (value, math.hypot(value * fit.std(name), timing_std(fit)))
    drag = groups["drag_per_mass_1ps"]
    if drag.identified and drag.value and drag.std:
        shape = airframe.drag_shape()
        force = tuple(drag.value * body.mass_kg * part for part in shape)
        relative = math.hypot(drag.std / drag.value, relative_mass)
        estimates["body.linear_drag_nspm"] = (force, tuple(abs(one) * relative for one in force))
    return estimates


def updated_vehicle(vehicle: Vehicle, estimates: Estimates, source: str) -> Vehicle:
    """``vehicle`` with the estimates in it, each with its standard deviation and ``source``.

    Raises :class:`~corvids.vehicle.VehicleError` where the numbers contradict each other.
    """
    sections: dict[str, dict[str, Any]] = {}
    provenance = dict(vehicle.provenance)
    for where, (value, std) in estimates.items():
        section, _, field = where.partition(".")
        unit = specs_of(type(getattr(vehicle, section)))[field].quantity.unit
        sections.setdefault(section, {})[field] = value
        provenance[where] = Provenance(unit, source, std)
    _keep_limit(vehicle, sections, provenance, source)
    changed = {
        name: dataclasses.replace(getattr(vehicle, name), **fields) for name, fields in sections.items()
    }
    return dataclasses.replace(vehicle, **changed, provenance=provenance)


def _keep_limit(
    vehicle: Vehicle, sections: dict[str, dict[str, Any]], provenance: dict[str, Provenance], source: str
) -> None:
    """Where the rotors turn out weaker than the limit on thrust, keep the limit's share of full thrust."""
    coefficient = sections.get("rotors", {}).get("thrust_coeff_ns2prad2")
    if coefficient is None:
        return
    ratio, limit = coefficient / vehicle.rotors.thrust_coeff_ns2prad2, vehicle.limits.thrust_max_n
    if limit > ratio * vehicle.max_thrust_n:
        sections["limits"] = {"thrust_max_n": ratio * limit}
        provenance["limits.thrust_max_n"] = Provenance("N", f"the share of full thrust as before, {source}")


def _std_of(vehicle: Vehicle, where: str) -> float | None:
    origin = vehicle.provenance.get(where)
    return None if origin is None else origin.std


def _triple_std(vehicle: Vehicle, where: str) -> tuple[float, float, float]:
    """Standard deviations of a vector that the file has, or a tenth of it where the file says none."""
    section, _, field = where.partition(".")
    std = _std_of(vehicle, where)
    value = getattr(getattr(vehicle, section), field)
    return tuple(0.1 * abs(one) for one in value) if std is None else std  # type: ignore[return-value]
