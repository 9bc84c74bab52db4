"""A laboratory for teams: worlds in float64, and what nature conserves, written out from textbook definitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.cables import SWEEPS
from corvids.envs.physics.load import LoadParams
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    Flight,
    TeamParams,
    TeamWorld,
    fly_team,
    haul,
)
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.team import Team, load_team
from corvids.vehicle import GRAVITY_MPS2

Tree = TypeVar("Tree")

DT_S = 0.002
"""The simulator's default step [s]."""
G = GRAVITY_MPS2
HEIGHT_M = 20.0
"""How high loads begin, so that nothing touches the ground."""
IMMOVABLE_KG = 1e9
"""Mass of a drone that stands for a fixed point."""


def changed(team: Team | str, **sections: dict[str, Any]) -> Team:
    """A team with changes to its load or cable: ``changed("falcon1", load={"mass_kg": 2.0})``."""
    team = load_team(team) if isinstance(team, str) else team
    new = {name: dataclasses.replace(getattr(team, name), **values) for name, values in sections.items()}
    return dataclasses.replace(team, **new)


def setup(team: Team | str, worlds: int = 1, dt_s: float = DT_S) -> tuple[TeamWorld, TeamParams]:
    """Worlds at rest, the load high up and level, every drone above its point of attachment on a straight cable."""
    team = load_team(team) if isinstance(team, str) else team
    params = map_leaves(lambda leaf: leaf.expand(worlds, -1).clone(), team_params(team, dt_s))
    drones = len(team.members)

    def fill(tree: Tree, columns: int) -> Tree:
        return map_leaves(lambda value: torch.full((worlds, columns), value, dtype=torch.float64), tree)

    world = TeamWorld(fill(MOTION_AT_REST, drones), fill(DRIVE_AT_REST, drones), fill(LOAD_AT_REST, 1))
    world = with_load(world, pos_w=vec((0.0, 0.0, HEIGHT_M), worlds))
    cable = params.drones.cable
    above = cable.load_point_b - cable.drone_point_b
    above = above._replace(z=above.z + cable.length_m + HEIGHT_M)
    return with_drones(world, pos_w=above), params


def with_load(world: TeamWorld, **changes: Any) -> TeamWorld:
    """The world with changes to its load's body."""
    return world._replace(load=world.load._replace(body=world.load.body._replace(**changes)))


def with_drones(world: TeamWorld, **changes: Any) -> TeamWorld:
    """The world with changes to its drones' bodies."""
    return world._replace(motion=world.motion._replace(body=world.motion.body._replace(**changes)))


def pinned(params: TeamParams) -> TeamParams:
    """The same with drones that no cable moves, nor gravity in a test's time."""
    vehicle = params.drones.vehicle
    heavy = vehicle._replace(
        mass_kg=torch.full_like(vehicle.mass_kg, IMMOVABLE_KG),
        inertia_kgm2=map_leaves(lambda leaf: torch.full_like(leaf, IMMOVABLE_KG), vehicle.inertia_kgm2),
    )
    return params._replace(drones=params.drones._replace(vehicle=heavy))


def in_vacuum(params: TeamParams) -> TeamParams:
    """The same without air."""
    nothing = map_leaves(torch.zeros_like, params.load.half_size_m)
    vehicle = params.drones.vehicle
    still = map_leaves(torch.zeros_like, vehicle.linear_drag_nspm)
    vehicle = vehicle._replace(
        linear_drag_nspm=still, quadratic_drag_ns2pm2=still, angular_drag_nmsprad=still
    )
    load = params.load._replace(
        quadratic_drag_ns2pm2=nothing,
        angular_drag_nmsprad=torch.zeros_like(params.load.angular_drag_nmsprad),
    )
    return TeamParams(params.drones._replace(vehicle=vehicle), load)


def undamped(params: TeamParams) -> TeamParams:
    """The same with cables that only spring."""
    cable = params.drones.cable
    cable = cable._replace(damping_nspm=torch.zeros_like(cable.damping_nspm))
    return params._replace(drones=params.drones._replace(cable=cable))


@torch.inference_mode()
def run(
    world: TeamWorld,
    params: TeamParams,
    seconds: float,
    dt_s: float = DT_S,
    sweeps: int = SWEEPS,
    watch: Callable[[TeamWorld], None] | None = None,
) -> TeamWorld:
    """``world`` after ``seconds``."""
    for _ in range(round(seconds / dt_s)):
        world = fly_team(world, params, dt_s, sweeps)
        if watch is not None:
            watch(world)
    return world


@torch.inference_mode()
def swing(
    world: TeamWorld,
    params: TeamParams,
    seconds: float,
    dt_s: float = DT_S,
    sweeps: int = SWEEPS,
    watch: Callable[[TeamWorld], None] | None = None,
) -> TeamWorld:
    """As :func:`run` with drones that stay where they are (see :func:`pinned`): load and cables alone are stepped."""
    for _ in range(round(seconds / dt_s)):
        load, pulls = haul(
            world.motion,
            Flight(world.motion.body, world.motion.specific_force_w),
            world.load,
            params,
            dt_s,
            sweeps,
        )
        world = world._replace(load=load, motion=world.motion._replace(**pulls._asdict()))
        if watch is not None:
            watch(world)
    return world


def vec(values: Any, worlds: int = 1, columns: int = 1) -> Vec3:
    """Three numbers as a vector of ``(worlds, columns)`` tensors."""
    return Vec3(*(torch.full((worlds, columns), float(value), dtype=torch.float64) for value in values))


def rows(vector: Vec3 | Quat | Four) -> torch.Tensor:
    """Components along a new last axis: shape ``(worlds, drones, 3)``, or 4."""
    return torch.stack(tuple(vector), dim=-1)


def points_w(body: RigidBody, point_b: Vec3) -> torch.Tensor:
    """Points of bodies in the world, shape ``(worlds, drones, 3)``."""
    return rows(body.pos_w + body.quat_wb.rotate(point_b))


def stretches_m(world: TeamWorld, params: TeamParams) -> torch.Tensor:
    """Distance of each cable's ends less its length, shape ``(worlds, drones)``."""
    cable = params.drones.cable
    above = points_w(world.motion.body, cable.drone_point_b)
    return (above - points_w(world.load.body, cable.load_point_b)).norm(dim=-1) - cable.length_m


def spring_energy_j(world: TeamWorld, params: TeamParams) -> torch.Tensor:
    """½·k·stretch² of taut cables, shape ``(worlds,)``."""
    stretch = stretches_m(world, params).clamp(min=0.0)
    return (0.5 * params.drones.cable.stiffness_npm * stretch**2).sum(1)


def kinetic_j(body: RigidBody, mass_kg: torch.Tensor, inertia_kgm2: Vec3) -> torch.Tensor:
    """½mv² + ½ω·Jω, summed over a world's bodies, shape ``(worlds,)``."""
    turning = (rows(inertia_kgm2) * rows(body.omega_b) ** 2).sum(-1)
    return (0.5 * mass_kg * (rows(body.vel_w) ** 2).sum(-1) + 0.5 * turning).sum(1)


def load_energy_j(world: TeamWorld, params: LoadParams) -> torch.Tensor:
    """Kinetic and potential, shape ``(worlds,)``."""
    body = world.load.body
    return kinetic_j(body, params.mass_kg, params.inertia_kgm2) + (params.mass_kg * G * body.pos_w.z)[:, 0]


def energy_j(world: TeamWorld, params: TeamParams) -> torch.Tensor:
    """Of load, drones and cables together (rotors at rest), shape ``(worlds,)``."""
    vehicle, body = params.drones.vehicle, world.motion.body
    drones = kinetic_j(body, vehicle.mass_kg, vehicle.inertia_kgm2) + (
        vehicle.mass_kg * G * body.pos_w.z
    ).sum(1)
    return load_energy_j(world, params.load) + drones + spring_energy_j(world, params)


def momentum_w(world: TeamWorld, params: TeamParams) -> torch.Tensor:
    """Of load and drones together [N s], shape ``(worlds, 3)``."""
    drones = params.drones.vehicle.mass_kg[..., None] * rows(world.motion.body.vel_w)
    return params.load.mass_kg * rows(world.load.body.vel_w)[:, 0] + drones.sum(1)
