"""Vehicle files: one TOML file holds every number that physics, control and deployment need to know of a vehicle.

Each number stands with its unit, its source and, where it is known, its standard deviation::

    mass_kg = { value = 1.0975, unit = "kg", std = 0.005, source = "kitchen scale, with battery" }

Loaded, a quantity is a plain SI number (``vehicle.body.mass_kg``) and its origin lies beside it
(``vehicle.provenance["body.mass_kg"]``). The body frame is FLU (x forward, y left, z up) with its origin at the centre
of mass. A :class:`Vehicle` is checked whenever one is made, from a file or in code, so one that exists is consistent.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from corvids import named_files
from corvids.correlations import Correlations, check_correlations, format_correlations, read_correlations
from corvids.errors import CorvidsError
from corvids.quantities import (
    Provenance,
    Q,
    check_section,
    format_section,
    read_section,
    specs_of,
)
from corvids.vehicle_checks import contradictions
from corvids.whole_files import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
"""Version of the file format that this module reads and writes."""
GRAVITY_MPS2 = 9.80665
"""Standard gravity [m/s²]."""
VEHICLE_DIR = Path(__file__).with_name("envs") / "vehicles"
"""Folder of the vehicles that come with corvids."""

Triple = tuple[float, float, float]
"""Three numbers: x, y, z."""
Rotors4 = tuple[Triple, Triple, Triple, Triple]
"""One vector per rotor, in PX4's order: front right, rear left, front left, rear right."""


class VehicleError(CorvidsError):
    """A vehicle that cannot be: names the file, the field, the value and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Body:
    """The rigid body, rotors included."""

    mass_kg: Annotated[float, Q("kg", 1e-3, 1e3)]
    """Take-off mass."""
    inertia_kgm2: Annotated[Triple, Q("kg m2", 1e-9, 1e3)]
    """Principal moments of inertia about the centre of mass, along the body axes."""
    linear_drag_nspm: Annotated[Triple, Q("N s/m", 0.0, 100.0)]
    """Drag force per air speed along each body axis (blade flapping and induced drag)."""
    quadratic_drag_ns2pm2: Annotated[Triple, Q("N s2/m2", 0.0, 100.0)]
    """Drag force per squared air speed along each body axis (½ρC_dA)."""
    angular_drag_nmsprad: Annotated[Triple, Q("N m s/rad", 0.0, 10.0)]
    """Damping torque per body rate about each body axis."""


@dataclasses.dataclass(frozen=True)
class Rotors:
    """Four equal rotors in an X, in PX4's order: front right, rear left, front left, rear right."""

    position_b_m: Annotated[Rotors4, Q("m", -5.0, 5.0)]
    """Hub positions, body frame."""
    spin: Annotated[tuple[int, int, int, int], Q("1", -1, 1)]
    """+1 turns counter-clockwise seen from above. Torque on the body about +z: -spin · torque_coeff · speed²."""
    thrust_coeff_ns2prad2: Annotated[float, Q("N s2/rad2", 1e-12, 1.0)]
    """Thrust per squared rotor speed."""
    torque_coeff_nms2prad2: Annotated[float, Q("N m s2/rad2", 1e-14, 1.0)]
    """Drag torque per squared rotor speed."""
    speed_max_radps: Annotated[float, Q("rad/s", 1.0, 1e5)]
    """Speed at motor command 1."""
    speed_min_radps: Annotated[float, Q("rad/s", 0.0, 1e5)]
    """Idle speed: an armed rotor does not turn slower."""
    tau_rise_s: Annotated[float, Q("s", 1e-3, 1.0)]
    """Time constant of the first-order lag when speeding up."""
    tau_fall_s: Annotated[float, Q("s", 1e-3, 1.0)]
    """Time constant of the first-order lag when slowing down."""
    inertia_kgm2: Annotated[float, Q("kg m2", 0.0, 1.0)]
    """Moment of inertia of one rotor with its propeller about its axis."""
    thrust_curve: Annotated[float, Q("1", 0.0, 1.0)]
    """f in: fraction of full thrust = f·u² + (1-f)·u at motor command u in 0..1 (PX4's THR_MDL_FAC convention)."""
    thrust_lag: Literal["speed", "thrust"]
    """What the first-order lag acts on: the rotor's speed, or its thrust."""


@dataclasses.dataclass(frozen=True)
class Airframe:
    """What ball and ground touch: a flat disc with rounded edge, perpendicular to the body's z axis."""

    disc_radius_m: Annotated[float, Q("m", 1e-3, 10.0)]
    """Radius over the propeller tips."""
    disc_height_m: Annotated[float, Q("m", -1.0, 1.0)]
    """Height of the disc's middle plane above the centre of mass."""
    half_thickness_m: Annotated[float, Q("m", 1e-3, 1.0)]
    """Half of the disc's thickness, which is the radius of its edge."""
    restitution: Annotated[float, Q("1", 0.0, 1.0)]
    """Coefficient of restitution."""
    friction: Annotated[float, Q("1", 0.0, 2.0)]
    """Coulomb friction coefficient."""
    ground_clearance_m: Annotated[float, Q("m", 1e-3, 5.0)]
    """Height of the centre of mass above the ground when landed."""


@dataclasses.dataclass(frozen=True)
class Racket:
    """A round flat racket fixed to the body."""

    position_b_m: Annotated[Triple, Q("m", -1.0, 1.0)]
    """Centre of the hitting face, body frame."""
    normal_b: Annotated[Triple, Q("1", -1.0, 1.0)]
    """Unit normal of the hitting face, body frame."""
    radius_m: Annotated[float, Q("m", 1e-3, 1.0)]
    """Radius of the face."""
    sweet_radius_m: Annotated[float, Q("m", 0.0, 1.0)]
    """Inside this radius an impact has ``restitution``, outside ``restitution_rim``."""
    restitution: Annotated[float, Q("1", 0.0, 1.0)]
    """Coefficient of restitution in the sweet spot."""
    restitution_rim: Annotated[float, Q("1", 0.0, 1.0)]
    """Coefficient of restitution outside the sweet spot."""
    friction: Annotated[float, Q("1", 0.0, 2.0)]
    """Coulomb friction coefficient."""


@dataclasses.dataclass(frozen=True)
class Battery:
    """How thrust fades over a flight."""

    voltage_full_v: Annotated[float, Q("V", 1.0, 1000.0)]
    """Voltage of the full battery."""
    voltage_empty_v: Annotated[float, Q("V", 1.0, 1000.0)]
    """Voltage at which one lands."""
    thrust_loss_full_to_empty: Annotated[float, Q("1", 0.0, 0.8)]
    """Part of the full thrust at a given motor command that is lost from full to empty."""


@dataclasses.dataclass(frozen=True)
class Px4:
    """PX4's parameters under PX4's names. Torque is normalised: 1 is what the control allocation calls full."""

    MC_ROLLRATE_P: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_ROLLRATE_I: Annotated[float, Q("1/rad", 0.0, 20.0)]
    MC_ROLLRATE_D: Annotated[float, Q("s2/rad", 0.0, 0.5)]
    MC_ROLLRATE_FF: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_ROLLRATE_K: Annotated[float, Q("1", 0.01, 5.0)]
    MC_PITCHRATE_P: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_PITCHRATE_I: Annotated[float, Q("1/rad", 0.0, 20.0)]
    MC_PITCHRATE_D: Annotated[float, Q("s2/rad", 0.0, 0.5)]
    MC_PITCHRATE_FF: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_PITCHRATE_K: Annotated[float, Q("1", 0.01, 5.0)]
    MC_YAWRATE_P: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_YAWRATE_I: Annotated[float, Q("1/rad", 0.0, 20.0)]
    MC_YAWRATE_D: Annotated[float, Q("s2/rad", 0.0, 0.5)]
    MC_YAWRATE_FF: Annotated[float, Q("s/rad", 0.0, 5.0)]
    MC_YAWRATE_K: Annotated[float, Q("1", 0.01, 5.0)]
    MC_RR_INT_LIM: Annotated[float, Q("1", 0.0, 1.0)]
    MC_PR_INT_LIM: Annotated[float, Q("1", 0.0, 1.0)]
    MC_YR_INT_LIM: Annotated[float, Q("1", 0.0, 1.0)]
    IMU_GYRO_CUTOFF: Annotated[float, Q("Hz", 0.0, 1000.0)]
    IMU_DGYRO_CUTOFF: Annotated[float, Q("Hz", 0.0, 1000.0)]
    THR_MDL_FAC: Annotated[float, Q("1", 0.0, 1.0)]
    MPC_THR_HOVER: Annotated[float, Q("1", 0.1, 0.8)]
    MC_AIRMODE: Annotated[int, Q("1", 0, 2)]

    def __getitem__(self, name: str) -> float:
        """The parameter called ``name``, for code that composes names axis by axis."""
        if name not in specs_of(Px4):
            raise KeyError(name)
        return getattr(self, name)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a policy may command."""

    rate_max_radps: Annotated[Triple, Q("rad/s", 0.1, 50.0)]
    """Largest body rate about each axis."""
    thrust_max_n: Annotated[float, Q("N", 1e-3, 1e5)]
    """Largest collective thrust."""
    tilt_max_rad: Annotated[float, Q("rad", 0.05, math.pi)]
    """Largest angle between the body's z axis and the vertical."""


@dataclasses.dataclass(frozen=True)
class Vehicle:
    """One vehicle: plain SI numbers by section, and where each comes from."""

    name: str
    """Lower-case identifier."""
    description: str
    """One sentence for people."""
    body: Body
    rotors: Rotors
    airframe: Airframe
    px4: Px4
    limits: Limits
    racket: Racket | None = None
    battery: Battery | None = None
    provenance: Mapping[str, Provenance] = dataclasses.field(default_factory=dict, hash=False, repr=False)
    """Origin of each number, by ``section.field``."""
    correlations: Correlations = dataclasses.field(default_factory=dict, hash=False, repr=False)
    """How the errors of its numbers go together, where a calibration has found out."""

    def __post_init__(self) -> None:
        try:
            check_correlations(self.correlations, self.provenance)
            for name in SECTIONS:
                if getattr(self, name) is not None or name not in OPTIONAL_SECTIONS:
                    check_section(name, getattr(self, name))
        except CorvidsError as error:
            raise VehicleError(str(error)) from None
        for contradiction in contradictions(self):
            raise VehicleError(contradiction)

    @property
    def weight_n(self) -> float:
        """m·g [N]."""
        return self.body.mass_kg * GRAVITY_MPS2

    @property
    def max_thrust_n(self) -> float:
        """Collective thrust with every rotor at full speed: 4·k_T·Ω_max² [N]."""
        return 4.0 * self.rotors.thrust_coeff_ns2prad2 * self.rotors.speed_max_radps**2

    @property
    def thrust_to_weight(self) -> float:
        """Full collective thrust over weight."""
        return self.max_thrust_n / self.weight_n

    @property
    def hover_speed_radps(self) -> float:
        """Rotor speed that carries the weight: √(m·g / (4·k_T)) [rad/s]."""
        return math.sqrt(self.weight_n / (4.0 * self.rotors.thrust_coeff_ns2prad2))

    @property
    def hover_command(self) -> float:
        """Motor command u in 0..1 that carries the weight: the positive root of f·u² + (1-f)·u = weight/thrust."""
        f, fraction = self.rotors.thrust_curve, 1.0 / self.thrust_to_weight
        return 2.0 * fraction / (1.0 - f + math.sqrt((1.0 - f) ** 2 + 4.0 * f * fraction))


SECTIONS: dict[str, type] = {
    "body": Body,
    "rotors": Rotors,
    "airframe": Airframe,
    "racket": Racket,
    "battery": Battery,
    "px4": Px4,
    "limits": Limits,
}
OPTIONAL_SECTIONS = frozenset({"racket", "battery"})


def vehicle_names() -> list[str]:
    """Names of the vehicles that come with corvids."""
    return named_files.names_in(VEHICLE_DIR)


def load_vehicle(name_or_path: str | os.PathLike[str]) -> Vehicle:
    """The vehicle called so, or the one in the file at that path (a path has a separator or ends in ``.toml``)."""
    try:
        return named_files.read(named_files.find(name_or_path, VEHICLE_DIR, "vehicle"), _parse)
    except CorvidsError as error:
        raise VehicleError(str(error)) from None


def save_vehicle(vehicle: Vehicle, path: str | os.PathLike[str]) -> None:
    """Write a file that :func:`load_vehicle` reads back equal. A file already there is replaced whole or not at all."""
    try:
        text = _format(vehicle)
        _parse(text)
    except CorvidsError as error:
        raise VehicleError(f"{path}: not written: {error}") from None
    try:
        write_whole(path, text)
    except CorvidsError as error:
        raise VehicleError(str(error)) from None


def _parse(text: str) -> Vehicle:
    table = tomllib.loads(text)
    name, description = named_files.read_heading(table, SCHEMA, "vehicle", (*SECTIONS, "correlations"))
    sections: dict[str, Any] = {}
    provenance: dict[str, Provenance] = {}
    for section, kind in SECTIONS.items():
        if section in table or section not in OPTIONAL_SECTIONS:
            sections[section], origins = read_section(section, kind, table.get(section))
            provenance.update(origins)
    correlations = read_correlations(table.get("correlations"), provenance)
    return Vehicle(
        name=name, description=description, provenance=provenance, correlations=correlations, **sections
    )


def _format(vehicle: Vehicle) -> str:
    parts = [named_files.format_heading(SCHEMA, vehicle.name, vehicle.description)]
    for name in SECTIONS:
        if getattr(vehicle, name) is not None:
            parts.append(format_section(name, getattr(vehicle, name), vehicle.provenance))
    if vehicle.correlations:
        parts.append("".join(f"{line}\n" for line in format_correlations(vehicle.correlations)))
    return "\n".join(parts)
