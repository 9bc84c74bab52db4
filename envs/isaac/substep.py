"""What is ours in a physics step that Isaac Lab integrates: loads before it; ground, gear and impacts after it.

Newton's solver advances velocities first and poses with the new velocities (symplectic Euler). Read as a leapfrog,
that is of second order: its velocities are those at the end of a step, its poses those half a step later. A load then
acts at the pose in the middle of the step that it lasts for; what is half a step ahead is brought back by the velocity.

Functions of component tensors, as all physics; nothing here needs Isaac Lab.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.physics.ball import Ball, bounced, collide, mean_ball_accel
from corvids.envs.physics.vehicle_dynamics import RigidBody, mean_loads, on_ground, step_rotors
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import GRAVITY_MPS2


class Inertias(NamedTuple):
    """What the bodies in Isaac Lab weigh: the vehicle file's numbers, whatever is drawn for a world."""

    mass_kg: float
    inertia_kgm2: Vec3
    ball_mass_kg: float


class Loads(NamedTuple):
    """What acts on the bodies during one step, besides gravity."""

    force_b: Vec3
    """On the vehicle [N], body."""
    torque_b: Vec3
    """On the vehicle [N m], body."""
    ball_force_w: Vec3
    """On the ball [N], world."""
    ball_torque_w: Vec3
    """On the ball [N m], world: none, its spin changes in impacts alone."""


class Posed(NamedTuple):
    """One body as Isaac Lab has it."""

    pos_w: Vec3
    """Centre of mass [m], world, half a step ahead."""
    quat_xyzw: tuple[Scalar, Scalar, Scalar, Scalar]
    """Attitude, half a step ahead."""
    vel_w: Vec3
    """[m/s], world."""
    omega_w: Vec3
    """[rad/s], world."""


class Bodies(NamedTuple):
    """Both."""

    vehicle: Posed
    ball: Posed


_ZERO = Vec3(0.0, 0.0, 0.0)
_AT_ORIGIN = Posed(_ZERO, (0.0, 0.0, 0.0, 1.0), _ZERO, _ZERO)
BODIES = Bodies(_AT_ORIGIN, _AT_ORIGIN)
"""Template: its leaves say the order in which bodies are packed."""


def push(world: World, params: WorldParams, inertias: Inertias, dt_s: float) -> tuple[World, Loads]:
    """``world`` with its rotors a step further under its motor commands, and the loads during that step.

    Mass and inertia that were drawn enter here: loads are those that give the bodies of ``inertias`` the accelerations
    of the drawn ones, since not every solver takes inertias that change. The solver's own gyroscopic torque, at the
    start of the step, is made up for: ``mean_loads`` has it in the middle.
    """
    rotors, forces = step_rotors(world.rotors, world.command, params.vehicle, dt_s)
    body = world.body
    means = mean_loads(body, world.specific_force_w, forces, params.wind_w, params.vehicle, dt_s)
    gyroscopic = body.omega_b.cross(body.omega_b.scale(inertias.inertia_kgm2))
    accel = mean_ball_accel(world.ball, params.wind_w, params.ball, dt_s)
    loads = Loads(
        means.quat_wb.unrotate(means.specific_force_w) * inertias.mass_kg,
        means.angular_accel_b.scale(inertias.inertia_kgm2) + gyroscopic,
        Vec3(accel.x, accel.y, accel.z + GRAVITY_MPS2) * inertias.ball_mass_kg,
        accel * 0.0,
    )
    return world._replace(rotors=rotors), loads


def take(
    world: World, bodies: Bodies, params: WorldParams, dt_s: float, with_ball: bool
) -> tuple[World, Bodies, Scalar]:
    """The world at the end of the step that took Isaac Lab from ``world``, its rotors ahead, to ``bodies``.

    Also returns the bodies as they are to be, and a number above 0 where they are not: where ground or racket were met.
    """
    free, ball = body_of(bodies.vehicle, dt_s), ball_of(bodies.ball, dt_s)
    accel = (free.vel_w - world.body.vel_w) * (1.0 / dt_s)
    felt = Vec3(accel.x, accel.y, accel.z + GRAVITY_MPS2)
    body, felt = on_ground(world.body, free, felt, params.vehicle)
    after = world._replace(body=body, specific_force_w=felt)
    touched = moved(body, free)
    if not with_ball:
        return after, placed(body, ball, dt_s), touched
    body, struck, impact = collide(
        (world.body, world.ball), (body, bounced(ball, params.ball)), params.racket, params.airframe, params.vehicle,
        params.ball, world.impact, dt_s,
    )  # fmt: skip
    touched = touched + moved(struck, ball)
    return after._replace(body=body, ball=struck, impact=impact), placed(body, struck, dt_s), touched


def placed(body: RigidBody, ball: Ball, dt_s: float) -> Bodies:
    """Vehicle and ball as Isaac Lab is to have them; a ball looks the same from all sides."""
    zero = body.pos_w.x * 0.0
    return Bodies(
        posed_ahead(body, dt_s),
        Posed(
            ball.pos_w + ball.vel_w * (0.5 * dt_s), (zero, zero, zero, zero + 1.0), ball.vel_w, ball.spin_w
        ),
    )


def posed_ahead(body: RigidBody, dt_s: float) -> Posed:
    """A rigid body as Isaac Lab is to have it."""
    half = 0.5 * dt_s
    ahead = body.quat_wb.turned(body.omega_b * half)
    omega_w = body.quat_wb.rotate(body.omega_b)
    return Posed(body.pos_w + body.vel_w * half, (ahead.x, ahead.y, ahead.z, ahead.w), body.vel_w, omega_w)


def body_of(posed: Posed, dt_s: float) -> RigidBody:
    """The opposite: a rigid body at the end of the step."""
    x, y, z, w = posed.quat_xyzw
    ahead, half = Quat(w, x, y, z), 0.5 * dt_s
    omega_b = ahead.unrotate(posed.omega_w)  # turning about itself leaves it as it is
    return RigidBody(posed.pos_w - posed.vel_w * half, posed.vel_w, ahead.turned(omega_b * -half), omega_b)


def ball_of(posed: Posed, dt_s: float) -> Ball:
    """A ball at the end of the step."""
    return Ball(posed.pos_w - posed.vel_w * (0.5 * dt_s), posed.vel_w, posed.omega_w)


def moved(one: RigidBody | Ball, other: RigidBody | Ball) -> Scalar:
    """Above 0 where two states of a body differ."""
    return _distance(one.pos_w, other.pos_w) + _distance(one.vel_w, other.vel_w)


def _distance(a: Vec3, b: Vec3) -> Scalar:
    return torch.abs(a.x - b.x) + torch.abs(a.y - b.y) + torch.abs(a.z - b.z)
