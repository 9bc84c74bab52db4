"""What one world of a team with its load holds, and one physics step of it.

Leaves that belong to drones (or to their cables) have shape ``(worlds, drones)``, those of the load ``(worlds, 1)``.

A step has three parts: every drone and the load fly as under the last step's tensions (:func:`fly_drones`,
:func:`~corvids.envs.physics.load.fly_load`); the step's true tensions are solved (:func:`haul`); the drones' flight is
corrected by the difference and meets the ground (:func:`settle`). The first and the last are the same for each drone
alone, only the second joins them: each is one kernel (see :mod:`corvids.envs.team_simulator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import Four, RateCommand, RateGains, RateLoopState, rate_loop
from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.physics.cables import (
    SWEEPS,
    CableParams,
    Inertia,
    Passage,
    Wrench,
    corrected,
    pull,
    span,
    tensions,
)
from corvids.envs.physics.load import Load, LoadParams, fly_load
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams, fly_free, on_ground, step_rotors

Tree = TypeVar("Tree")

_ZERO = Vec3(0.0, 0.0, 0.0)
_STILL = RigidBody(_ZERO, _ZERO, Quat(1.0, 0.0, 0.0, 0.0), _ZERO)
_SLACK = Wrench(_ZERO, _ZERO)


class Motion(NamedTuple):
    """How a drone moves, and what its cable does to it."""

    body: RigidBody
    specific_force_w: Vec3
    """Mean of the last step [m/s²]: what an accelerometer measures, in world axes."""
    pull: Wrench
    """Of its cable, in the last step."""
    tension_n: Scalar
    """Of its cable, mean of the last step."""


class Flight(NamedTuple):
    """A drone's flight through one step, had its cable pulled as in the step before."""

    body: RigidBody
    """At the step's end."""
    specific_force_w: Vec3
    """Mean of the step [m/s²], world."""


class Drive(NamedTuple):
    """What makes a drone fly."""

    rotors: Four
    """Lagged quantity of each rotor, fraction of its maximum."""
    rate_loop: RateLoopState
    command: Four
    """Motor commands 0..1 that the rate loop last gave."""


class DroneParams(NamedTuple):
    """One drone and its cable. A rotor that is lost has ``vehicle.thrust_max_n`` 0."""

    vehicle: VehicleParams
    cable: CableParams
    wind_w: Vec3
    """Wind velocity [m/s], world."""


class TeamWorld(NamedTuple):
    """State of a world."""

    motion: Motion
    drive: Drive
    load: Load


class TeamParams(NamedTuple):
    """Everything that randomization may draw, and events (a cut cable, a lost rotor) may change."""

    drones: DroneParams
    load: LoadParams


class Pulls(NamedTuple):
    """Outcome of one step's tensions, for each drone."""

    pull: Wrench
    tension_n: Scalar


MOTION_AT_REST = Motion(_STILL, _ZERO, _SLACK, 0.0)
DRIVE_AT_REST = Drive(
    Four(0.0, 0.0, 0.0, 0.0), RateLoopState(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO), Four(0.0, 0.0, 0.0, 0.0)
)
LOAD_AT_REST = Load(_STILL, _SLACK, _ZERO)
NO_PULLS = Pulls(_SLACK, 0.0)
NO_FLIGHT = Flight(_STILL, _ZERO)
"""Templates: their leaves say the order in which states are packed."""


def fly_team(world: TeamWorld, params: TeamParams, dt_s: float, sweeps: int = SWEEPS) -> TeamWorld:
    """One physics step of drones, cables and load under the motor commands that ``world`` holds."""
    free, drive = fly_drones(world.motion, world.drive, params.drones, dt_s)
    load, pulls = haul(world.motion, free, world.load, params, dt_s, sweeps)
    return TeamWorld(settle(world.motion, free, pulls, params.drones.vehicle, dt_s), drive, load)


def control(motion: Motion, drive: Drive, command: RateCommand, gains: RateGains, dt_s: float) -> Drive:
    """One step of every drone's rate loop on its body rates; sets the motor commands."""
    memory, motors = rate_loop(drive.rate_loop, command, motion.body.omega_b, gains, dt_s)
    return drive._replace(rate_loop=memory, command=motors)


def fly_drones(motion: Motion, drive: Drive, params: DroneParams, dt_s: float) -> tuple[Flight, Drive]:
    """Each drone's flight above no ground, had its cable pulled as in the step before."""
    rotors, forces = step_rotors(drive.rotors, drive.command, params.vehicle, dt_s)
    forces = forces._replace(torque_b=forces.torque_b + motion.pull.torque_b)
    body, force = fly_free(
        motion.body, motion.specific_force_w, forces, params.wind_w, params.vehicle, dt_s, motion.pull.force_w
    )
    return Flight(body, force), drive._replace(rotors=rotors)


def haul(
    before: Motion, free: Flight, load: Load, params: TeamParams, dt_s: float, sweeps: int = SWEEPS
) -> tuple[Load, Pulls]:
    """The load after the step, and the tensions of all cables with what they do to the drones."""
    starts, ends, members = each_drone(before), each_drone(free), each_drone(params.drones)
    load, pulls = haul_each(starts, ends, load, members, params.load, dt_s, sweeps)
    return load, together(pulls)


def haul_each(
    starts: Sequence[Motion],
    ends: Sequence[Flight],
    load: Load,
    members: Sequence[DroneParams],
    load_params: LoadParams,
    dt_s: float,
    sweeps: int = SWEEPS,
) -> tuple[Load, list[Pulls]]:
    """As :func:`haul`, drone by drone: every leaf has one shape, ``(worlds, 1)`` or ``(worlds,)``."""
    flown, inertia = fly_load(load, load_params, dt_s), load_params.inertia()
    passage = Passage.between(load.body, flown.body)
    spans = [
        span(Passage.between(start.body, end.body), passage, member.cable)
        for start, end, member in zip(starts, ends, members, strict=True)
    ]
    tension = tensions(
        spans,
        [member.cable for member in members],
        [start.tension_n for start in starts],
        [inertia_of(member.vehicle) for member in members],
        inertia,
        dt_s,
        sweeps,
    )
    force_w, torque_b = _ZERO, _ZERO
    for lie, tension_n in zip(spans, tension, strict=True):
        one = pull(lie, tension_n, on_load=True)
        force_w, torque_b = force_w + one.force_w, torque_b + one.torque_b
    total = Wrench(force_w, torque_b)
    body = corrected(flown.body, load.pull, total, inertia, dt_s)
    change = (force_w - load.pull.force_w) * inertia.inverse_mass_pkg
    pulls = [
        Pulls(pull(lie, tension_n, on_load=False), tension_n)
        for lie, tension_n in zip(spans, tension, strict=True)
    ]
    return Load(body, total, flown.specific_force_w + change), pulls


def settle(before: Motion, free: Flight, pulls: Pulls, vehicle: VehicleParams, dt_s: float) -> Motion:
    """Each drone's flight under what its cable really did, on a ground that carries."""
    flown = pulled(before, free, pulls, vehicle, dt_s)
    body, force = on_ground(before.body, flown.body, flown.specific_force_w, vehicle)
    return Motion(body, force, pulls.pull, pulls.tension_n)


def pulled(before: Motion, free: Flight, pulls: Pulls, vehicle: VehicleParams, dt_s: float) -> Flight:
    """Each drone's flight under what its cable really did, above no ground."""
    body = corrected(free.body, before.pull, pulls.pull, inertia_of(vehicle), dt_s)
    change = (pulls.pull.force_w - before.pull.force_w) * (1.0 / vehicle.mass_kg)
    return Flight(body, free.specific_force_w + change)


def inertia_of(vehicle: VehicleParams) -> Inertia:
    """What a cable feels of its drone."""
    return Inertia(1.0 / vehicle.mass_kg, vehicle.inverse_inertia())


def each_drone(tree: Tree) -> list[Tree]:
    """One tree a drone, its leaves of shape ``(worlds, 1)``."""
    drones = next(leaves(tree)).shape[1]
    return [map_leaves(lambda leaf, i=i: leaf[:, i : i + 1], tree) for i in range(drones)]


def together(trees: list[Any]) -> Any:
    """The opposite of :func:`each_drone`: leaves joined along the drones' axis."""
    columns = zip(*(leaves(tree) for tree in trees), strict=True)
    joined = iter([torch.cat(torch.broadcast_tensors(*column), dim=1) for column in columns])
    return map_leaves(lambda _: next(joined), trees[0])
