"""What is ours in a physics step of a team that Isaac Lab integrates: :mod:`corvids.envs.isaac.substep` for teams.

Cables are solved as natively, implicitly and all of a world's together, on the step as it would go under the tensions
of the step before; what they and everything else then do to a body enters as its loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.isaac.substep import Posed, body_of, moved, posed_ahead
from corvids.envs.physics.cables import SWEEPS, Wrench
from corvids.envs.physics.load import Load, LoadParams
from corvids.envs.physics.team_world import Drive, DroneParams, Motion, Pulls, fly_drones, haul_each, pulled
from corvids.envs.physics.vehicle_dynamics import RigidBody, on_ground
from corvids.vehicle import GRAVITY_MPS2


class Weight(NamedTuple):
    """A body in Isaac Lab: the files' numbers, whatever is drawn for a world."""

    mass_kg: float
    inertia_kgm2: Vec3


class Acting(NamedTuple):
    """What acts on a body during one step, besides gravity."""

    force_b: Vec3
    """[N], body."""
    torque_b: Vec3
    """[N m], body."""


class Push(NamedTuple):
    """A step's beginning; all but the load's by drone."""

    drives: list[Drive]
    """After the step."""
    pulls: list[Pulls]
    """Of the cables on their drones, during the step."""
    load_pull: Wrench
    """Of all cables on the load."""
    acting: list[Acting]
    """On each drone, and last on the load."""


def push_team(
    motions: Sequence[Motion],
    drives: Sequence[Drive],
    load: Load,
    members: Sequence[DroneParams],
    load_params: LoadParams,
    weights: Sequence[Weight],
    dt_s: float,
    sweeps: int = SWEEPS,
) -> Push:
    """The step's loads under the motor commands that ``drives`` hold. Every leaf has one shape, ``(worlds, 1)``.

    ``weights``: what the drones weigh in Isaac Lab, and last the load; loads give those the drawn ones' accelerations.
    """
    flown = [fly_drones(*of_one, dt_s) for of_one in zip(motions, drives, members, strict=True)]
    hauled, pulls = haul_each(motions, [free for free, _ in flown], load, members, load_params, dt_s, sweeps)
    acting = []
    for motion, (free, _), pull, member, weight in zip(
        motions, flown, pulls, members, weights[:-1], strict=True
    ):
        true = pulled(motion, free, pull, member.vehicle, dt_s)
        acting.append(_acting(motion.body, true.body.omega_b, true.specific_force_w, weight, dt_s))
    acting.append(_acting(load.body, hauled.body.omega_b, hauled.specific_force_w, weights[-1], dt_s))
    return Push([drive for _, drive in flown], pulls, hauled.pull, acting)


def take_team(
    motions: Sequence[Motion],
    load: Load,
    pulls: Sequence[Pulls],
    load_pull: Wrench,
    bodies: Sequence[Posed],
    members: Sequence[DroneParams],
    dt_s: float,
) -> tuple[list[Motion], Load, list[Posed], Scalar]:
    """Drones and load at the end of the step that took Isaac Lab from ``motions`` and ``load`` to ``bodies``.

    Also returns the bodies as they are to be, and a number above 0 where they are not: where drones meet the ground.
    """
    after, touched = [], bodies[0].pos_w.x * 0.0
    for before, posed, pull, member in zip(motions, bodies[:-1], pulls, members, strict=True):
        free = body_of(posed, dt_s)
        body, felt = on_ground(before.body, free, _felt(before.body, free, dt_s), member.vehicle)
        touched = touched + moved(body, free)
        after.append(Motion(body, felt, pull.pull, pull.tension_n))
    carried = body_of(bodies[-1], dt_s)
    hauled = Load(carried, load_pull, _felt(load.body, carried, dt_s))
    return after, hauled, placed_team([motion.body for motion in after], carried, dt_s), touched


def placed_team(drones: Sequence[RigidBody], load: RigidBody, dt_s: float) -> list[Posed]:
    """Drones and load as Isaac Lab is to have them."""
    return [posed_ahead(body, dt_s) for body in (*drones, load)]


def _acting(
    body: RigidBody, end_omega_b: Vec3, specific_force_w: Vec3, weight: Weight, dt_s: float
) -> Acting:
    """Loads that give a body this force per mass, and turn it at ``end_omega_b`` at the end of the step.

    The solver takes them in the attitude that it has, half a step ahead, and adds its own gyroscopic torque.
    """
    ahead = body.quat_wb.turned(body.omega_b * (0.5 * dt_s))
    accel_b = (end_omega_b - body.omega_b) * (1.0 / dt_s)
    gyroscopic = body.omega_b.cross(body.omega_b.scale(weight.inertia_kgm2))
    return Acting(
        ahead.unrotate(specific_force_w) * weight.mass_kg, accel_b.scale(weight.inertia_kgm2) + gyroscopic
    )


def _felt(before: RigidBody, after: RigidBody, dt_s: float) -> Vec3:
    accel = (after.vel_w - before.vel_w) * (1.0 / dt_s)
    return Vec3(accel.x, accel.y, accel.z + GRAVITY_MPS2)
