"""World parameters of a team file, before randomization.

Half of each cable's mass rides at each of its ends, and so does half of its drag, as that of a cylinder across the
flow. At the drone that adds to mass and drag, not to inertia (its end is close to the centre of mass); at the load it
moves the centre of mass and adds to the inertia, whose products, which a crooked set of attachments would cause, are
left out. What this neglects is the cable's own swinging, and its sag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.physics.cables import CableParams
from corvids.envs.physics.load import LoadParams
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.team_world import DroneParams, TeamParams
from corvids.team import Member, Team
from corvids.vehicle import Triple

AIR_DENSITY_KGPM3 = 1.2
"""At 20 °C and sea level."""


class LumpedLoad(NamedTuple):
    """The load with half of every cable's mass at its point of attachment."""

    mass_kg: Scalar
    center_m: tuple[Scalar, Scalar, Scalar]
    """Centre of mass, from the pose point."""
    inertia_kgm2: tuple[Scalar, Scalar, Scalar]
    """About that centre, along the box's sides."""


def team_params(team: Team, dt_s: float) -> TeamParams:
    """Parameters for a simulation stepped every ``dt_s`` [s], in still air.

    Leaves of drones are tensors of shape ``(1, drones)``, those of the load ``(1, 1)``, float64 both.
    """
    lumped = lumped_load(team)
    members = [_drone(team, member, lumped.center_m, dt_s) for member in team.members]
    columns = iter(
        [
            torch.tensor([values], dtype=torch.float64)
            for values in zip(*(leaves(member) for member in members), strict=True)
        ]
    )
    drones = map_leaves(lambda _: next(columns), members[0])
    load = map_leaves(lambda value: torch.tensor([[value]], dtype=torch.float64), _load(team, lumped))
    return TeamParams(drones, load)


def lumped_load(team: Team) -> LumpedLoad:
    """Mass, centre and inertia of the load and the cables' lower halves."""
    load = team.load
    return lump(load.mass_kg, load.center_of_mass_m, load.inertia_kgm2, lower_halves(team))


def lower_halves(team: Team) -> list[tuple[float, Triple]]:
    """Half of each cable's mass [kg], and where it rides on the load, from the pose point [m]."""
    return [(0.5 * cable_mass_kg(team, member), member.rigging.load_point_m) for member in team.members]


def lump(
    mass_kg: Scalar,
    center_m: tuple[Scalar, Scalar, Scalar],
    inertia_kgm2: tuple[Scalar, Scalar, Scalar],
    points: Sequence[tuple[Scalar, tuple[Scalar, Scalar, Scalar]]],
) -> LumpedLoad:
    """A load, its centre from the pose point and its inertia about it, together with ``points`` of mass."""
    bodies: list[tuple[Scalar, tuple[Scalar, Scalar, Scalar]]] = [(mass_kg, center_m), *points]
    mass = sum(m for m, _ in bodies)
    x, y, z = (sum(m * p[axis] for m, p in bodies) / mass for axis in range(3))
    jx, jy, jz = inertia_kgm2
    for m, (px, py, pz) in bodies:
        dx2, dy2, dz2 = (px - x) ** 2, (py - y) ** 2, (pz - z) ** 2
        jx, jy, jz = jx + m * (dy2 + dz2), jy + m * (dz2 + dx2), jz + m * (dx2 + dy2)
    return LumpedLoad(mass, (x, y, z), (jx, jy, jz))


def cable_mass_kg(team: Team, member: Member) -> float:
    """Mass of one member's cable."""
    return team.cable.linear_density_kgpm * member.rigging.cable_length_m


def _half_drag_ns2pm2(team: Team, member: Member) -> float:
    side = team.cable.diameter_m * member.rigging.cable_length_m
    return 0.25 * AIR_DENSITY_KGPM3 * team.cable.drag_coefficient * side


def _drone(team: Team, member: Member, center_m: Triple, dt_s: float) -> DroneParams:
    vehicle, rigging, material = vehicle_params(member.vehicle, dt_s), member.rigging, team.cable
    extra = _half_drag_ns2pm2(team, member)
    drag = vehicle.quadratic_drag_ns2pm2
    vehicle = vehicle._replace(
        mass_kg=vehicle.mass_kg + 0.5 * cable_mass_kg(team, member),
        quadratic_drag_ns2pm2=Vec3(drag.x + extra, drag.y + extra, drag.z + extra),
    )
    stiffness = material.axial_stiffness_n / rigging.cable_length_m
    cable = CableParams(
        drone_point_b=Vec3(*rigging.drone_point_m),
        load_point_b=Vec3(*rigging.load_point_m) - Vec3(*center_m),
        length_m=rigging.cable_length_m,
        stiffness_npm=stiffness,
        damping_nspm=stiffness * material.damping_time_s,
        attached=1.0,
    )
    return DroneParams(vehicle, cable, Vec3(0.0, 0.0, 0.0))


def _load(team: Team, lumped: LumpedLoad) -> LoadParams:
    load = team.load
    extra = sum(_half_drag_ns2pm2(team, member) for member in team.members)
    return LoadParams(
        mass_kg=lumped.mass_kg,
        inertia_kgm2=Vec3(*lumped.inertia_kgm2),
        quadratic_drag_ns2pm2=Vec3(*(c + extra for c in load.quadratic_drag_ns2pm2)),
        angular_drag_nmsprad=load.angular_drag_nmsprad,
        center_b_m=-Vec3(*lumped.center_m),
        half_size_m=Vec3(*load.size_m) * 0.5,
        friction=load.friction,
        pose_point_b_m=-Vec3(*lumped.center_m),
        wind_w=Vec3(0.0, 0.0, 0.0),
    )
