"""Figures with error bars or refusals, and the vehicle file that they make of the one before."""

from __future__ import annotations

import dataclasses
from typing import Any

from corvids.correlations import Correlations
from corvids.quantities import Provenance, specs_of
from corvids.team import Team
from corvids.vehicle import Vehicle

Estimates = dict[str, tuple[Any, Any]]
"""Value and standard deviation by ``section.field``."""


@dataclasses.dataclass(frozen=True)
class GroupEstimate:
    """One figure."""

    value: float | None
    """The estimate in the unit of the group's name; None where the log gives none."""
    std: float | None
    """Its standard deviation."""
    identified: bool
    """Whether the log determines it."""
    reason: str = ""
    """Why not, and which manoeuvre would; empty where identified."""


def updated_vehicle(
    vehicle: Vehicle, estimates: Estimates, correlations: Correlations, source: str
) -> Vehicle:
    """``vehicle`` with the estimates in it, each with its standard deviation and ``source``, and their correlations.

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
    kept = {
        pair: value
        for pair, value in vehicle.correlations.items()
        if not any(name == one or name.startswith(f"{one}.") for name in pair for one in estimates)
    }
    return dataclasses.replace(
        vehicle, **changed, provenance=provenance, correlations={**kept, **correlations}
    )


def updated_team(team: Team, estimates: Estimates, source: str) -> Team:
    """``team`` with the estimates in it, each with its standard deviation and ``source``.

    Names are those of :attr:`corvids.team.Team.provenance`. Raises :class:`~corvids.team.TeamError` where the numbers
    contradict each other.
    """
    sections: dict[str, dict[str, Any]] = {}
    provenance = dict(team.provenance)
    for where, (value, std) in estimates.items():
        section, _, field = where.rpartition(".")
        sections.setdefault(section, {})[field] = value
        provenance[where] = dataclasses.replace(provenance[where], source=source, std=std)
    members = tuple(
        dataclasses.replace(
            member, rigging=dataclasses.replace(member.rigging, **sections.get(f"members[{index}]", {}))
        )
        for index, member in enumerate(team.members)
    )
    return dataclasses.replace(
        team,
        load=dataclasses.replace(team.load, **sections.get("load", {})),
        cable=dataclasses.replace(team.cable, **sections.get("cable", {})),
        members=members,
        provenance=provenance,
    )


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
