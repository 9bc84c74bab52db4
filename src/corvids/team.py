"""Team files: one TOML file says what load a team carries, on which cables, and who its members are.

Numbers stand as in vehicle files (:mod:`corvids.vehicle`), each with its unit and source::

    [load]
    mass_kg = { value = 1.4, unit = "kg", source = "kitchen scale" }
    ...
    [cable]
    axial_stiffness_n = { value = 5e4, unit = "N", source = "data sheet" }
    ...
    [[members]]
    vehicle = "falcon"
    load_point_m = { value = [0.27, 0.22, 0.06], unit = "m", source = "drawing" }
    ...

Places on the load are relative to its pose point, the middle of its box, along the box's sides: what a motion-capture
system reports as the load's position. A :class:`Team` is checked whenever one is made, from a file or in code.
"""

from __future__ import annotations

import dataclasses
import math
import os
import reprlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from corvids import named_files
from corvids.errors import CorvidsError
from corvids.quantities import (
    Provenance,
    Q,
    QuantityError,
    check_section,
    format_section,
    format_value,
    read_section,
)
from corvids.team_checks import contradictions, largest_load_kg
from corvids.vehicle import Triple, Vehicle, VehicleError, load_vehicle
from corvids.whole_files import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
"""Version of the file format that this module reads."""
TEAM_DIR = Path(__file__).with_name("envs") / "teams"
"""Folder of the teams that come with corvids."""
MAX_MEMBERS = 8
"""Largest team."""


class TeamError(CorvidsError):
    """A team that cannot be: names the file, the field, the value and what is allowed."""


@dataclasses.dataclass(frozen=True)
class CarriedLoad:
    """A rigid box, or a point mass where ``size_m`` is 0."""

    mass_kg: Annotated[float, Q("kg", 1e-3, 1e3)]
    """Mass, without cables."""
    inertia_kgm2: Annotated[Triple, Q("kg m2", 1e-9, 1e4)]
    """Moments of inertia about the centre of mass, along the box's sides."""
    size_m: Annotated[Triple, Q("m", 0.0, 20.0)]
    """Lengths of the box's sides; the pose point is its middle."""
    center_of_mass_m: Annotated[Triple, Q("m", -10.0, 10.0)]
    """Centre of mass, from the pose point."""
    quadratic_drag_ns2pm2: Annotated[Triple, Q("N s2/m2", 0.0, 100.0)]
    """Drag force per squared air speed along each side (½ρC_dA)."""
    angular_drag_nmsprad: Annotated[float, Q("N m s/rad", 0.0, 100.0)]
    """Damping torque per angular velocity."""
    friction: Annotated[float, Q("1", 0.0, 2.0)]
    """Coulomb friction coefficient on the ground."""


@dataclasses.dataclass(frozen=True)
class CableMaterial:
    """What all cables of the team are made of."""

    axial_stiffness_n: Annotated[float, Q("N", 1.0, 1e7)]
    """EA: force per strain."""
    damping_time_s: Annotated[float, Q("s", 0.0, 0.1)]
    """Damping over stiffness of a Kelvin-Voigt cable: damping force per strain rate is EA times this."""
    linear_density_kgpm: Annotated[float, Q("kg/m", 0.0, 1.0)]
    """Mass per length, hooks included; half of a cable's mass rides at each of its ends."""
    diameter_m: Annotated[float, Q("m", 0.0, 0.1)]
    """For drag."""
    drag_coefficient: Annotated[float, Q("1", 0.0, 3.0)]
    """C_d of a cylinder across the flow."""


@dataclasses.dataclass(frozen=True)
class Rigging:
    """How one member holds the load."""

    load_point_m: Annotated[Triple, Q("m", -20.0, 20.0)]
    """Where its cable holds the load, from the pose point."""
    drone_point_m: Annotated[Triple, Q("m", -2.0, 2.0)]
    """Where its cable leaves the drone, from the drone's centre of mass, body frame."""
    cable_length_m: Annotated[float, Q("m", 0.05, 100.0)]
    """Unstretched length."""

    @property
    def reach_m(self) -> float:
        """Distance of the drone's centre of mass from the load's pose point that the cable cannot exceed [m]."""
        return math.hypot(*self.load_point_m) + self.cable_length_m + math.hypot(*self.drone_point_m)


@dataclasses.dataclass(frozen=True)
class Member:
    """One drone of a team."""

    vehicle: Vehicle
    rigging: Rigging


@dataclasses.dataclass(frozen=True)
class Team:
    """A load, its cables and the drones that carry it."""

    name: str
    """Lower-case identifier."""
    description: str
    """One sentence for people."""
    load: CarriedLoad
    cable: CableMaterial
    members: tuple[Member, ...]
    provenance: Mapping[str, Provenance] = dataclasses.field(default_factory=dict, hash=False, repr=False)
    """Origin of each number, by ``section.field`` or ``members[i].field``."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= MAX_MEMBERS:
            raise TeamError(f"members: {len(self.members)} of them; allowed: 1 to {MAX_MEMBERS}")
        try:
            check_section("load", self.load)
            check_section("cable", self.cable)
            for index, member in enumerate(self.members):
                check_section(f"members[{index}]", member.rigging)
        except QuantityError as error:
            raise TeamError(str(error)) from None
        for contradiction in contradictions(self):
            raise TeamError(contradiction)

    @property
    def largest_load_kg(self) -> float:
        """Mass of the heaviest load that these members can hold level at these points, thrust to spare included."""
        return largest_load_kg(self)


def team_names() -> list[str]:
    """Names of the teams that come with corvids."""
    return named_files.names_in(TEAM_DIR)


def load_team(name_or_path: str | os.PathLike[str]) -> Team:
    """The team called so, or the one in the file at that path (a path has a separator or ends in ``.toml``)."""
    try:
        path = named_files.find(name_or_path, TEAM_DIR, "team")
        return named_files.read(path, lambda text: _parse(text, path.parent))
    except CorvidsError as error:
        raise TeamError(str(error)) from None


def vehicle_references(name_or_path: str | os.PathLike[str]) -> list[str]:
    """How a team file that :func:`load_team` has read names its members' vehicles; paths are made absolute."""
    path = named_files.find(name_or_path, TEAM_DIR, "team")
    names = [entry["vehicle"] for entry in tomllib.loads(path.read_text(encoding="utf-8"))["members"]]
    return [str((path.parent / name).absolute()) if named_files.is_path(name) else name for name in names]


def save_team(team: Team, vehicles: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Write a file that :func:`load_team` reads back equal, whole or not at all; ``vehicles`` as its members' files."""
    try:
        text = _format(team, vehicles)
        _parse(text, Path(path).parent)
    except CorvidsError as error:
        raise TeamError(f"{path}: not written: {error}") from None
    try:
        write_whole(path, text)
    except CorvidsError as error:
        raise TeamError(str(error)) from None


def _format(team: Team, vehicles: Sequence[str]) -> str:
    parts = [named_files.format_heading(SCHEMA, team.name, team.description)]
    parts += [format_section(name, getattr(team, name), team.provenance) for name in ("load", "cable")]
    for index, (member, vehicle) in enumerate(zip(team.members, vehicles, strict=True)):
        section = format_section(f"members[{index}]", member.rigging, team.provenance)
        parts.append(f"[[members]]\nvehicle = {format_value(vehicle)}\n{section.partition(chr(10))[2]}")
    return "\n".join(parts)


def _parse(text: str, folder: Path) -> Team:
    table = tomllib.loads(text)
    name, description = named_files.read_heading(table, SCHEMA, "team", ("load", "cable", "members"))
    load, provenance = read_section("load", CarriedLoad, table.get("load"))
    cable, origins = read_section("cable", CableMaterial, table.get("cable"))
    provenance.update(origins)
    entries = table.get("members")
    if not isinstance(entries, list):
        found = "are missing" if entries is None else f"= {reprlib.repr(entries)} must be a list"
        raise TeamError(f"members {found}; begin each with a line [[members]]")
    members = []
    for index, entry in enumerate(entries):
        member, origins = _member(f"members[{index}]", entry, folder)
        members.append(member)
        provenance.update(origins)
    return Team(name, description, load, cable, tuple(members), provenance)


def _member(where: str, entry: Any, folder: Path) -> tuple[Member, dict[str, Provenance]]:
    """One entry of ``members``; a vehicle's path is relative to the team's file."""
    if not isinstance(entry, dict):
        raise TeamError(f"{where} = {reprlib.repr(entry)} must be a section; write [[members]]")
    rest = dict(entry)
    vehicle = rest.pop("vehicle", None)
    if not isinstance(vehicle, str):
        raise TeamError(f'{where}.vehicle = {reprlib.repr(vehicle)} must be a name or a path, as "falcon"')
    try:
        flown = load_vehicle(folder / vehicle if named_files.is_path(vehicle) else vehicle)
    except VehicleError as error:
        raise TeamError(f"{where}.vehicle: {error}") from None
    rigging, origins = read_section(where, Rigging, rest)
    return Member(flown, rigging), origins
