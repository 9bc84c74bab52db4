"""What is ours after a physics step where the solver lets ball and vehicle collide: to see what happened.

Functions of component tensors, as all physics; nothing here needs Isaac Lab.
"""

from __future__ import annotations

import torch

from corvids.controllers.spatial import Scalar, Vec3, where
from corvids.envs.isaac.substep import Bodies, Inertias, ball_of, body_of, moved, placed
from corvids.envs.physics.ball import (
    STICKING_SPEED_MPS,
    Impact,
    bounced,
    mean_ball_accel,
    nearest,
)
from corvids.envs.physics.vehicle_dynamics import RigidBody, on_ground
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import GRAVITY_MPS2


def take_struck(
    world: World, bodies: Bodies, params: WorldParams, inertias: Inertias, dt_s: float
) -> tuple[World, Bodies, Scalar]:
    """As :func:`corvids.envs.isaac.substep.take`, with impacts that the solver has made; the ground is ours.

    Whatever of the ball's change of velocity is not our load is the vehicle's doing. Its reaction is taken out of the
    specific force: sensors that sample it would see 2 ms of what lasts less, and natively they do not.
    """
    free, ball = body_of(bodies.vehicle, dt_s), ball_of(bodies.ball, dt_s)
    accel = mean_ball_accel(world.ball, params.wind_w, params.ball, dt_s)
    kick_w = ball.vel_w - world.ball.vel_w - accel * dt_s
    reaction = kick_w * (inertias.ball_mass_kg / inertias.mass_kg)
    felt = (free.vel_w - world.body.vel_w + reaction) * (1.0 / dt_s)
    felt = Vec3(felt.x, felt.y, felt.z + GRAVITY_MPS2)
    body, felt = on_ground(world.body, free, felt, params.vehicle)
    rebounded = bounced(ball, params.ball)
    touched = moved(body, free) + moved(rebounded, ball)
    after = world._replace(
        body=body, ball=rebounded, specific_force_w=felt, impact=_seen(world, kick_w, accel, params, dt_s)
    )
    return after, placed(body, rebounded, dt_s), touched


def _seen(world: World, kick_w: Vec3, accel_w: Vec3, params: WorldParams, dt_s: float) -> Impact:
    """Impacts so far, and in this step: at the poses that the solver has, those in the middle of a step."""
    body, ball, impact = _half_on(world.body, dt_s), world.ball, world.impact
    ball_pos_w = ball.pos_w + ball.vel_w * (0.5 * dt_s)
    rel_b = body.quat_wb.unrotate(ball_pos_w - body.pos_w)
    on_racket = nearest(rel_b, params.racket, params.ball)
    on_airframe = nearest(rel_b, params.airframe, params.ball)
    # A ball that lies on the racket is held, not hit.
    hit = kick_w.norm2() > STICKING_SPEED_MPS * STICKING_SPEED_MPS
    counted = hit & (on_racket.gap_m <= on_airframe.gap_m) & (on_racket.height_m > 0.0)
    return Impact(
        impact.racket_count + torch.where(counted, 1.0, 0.0),
        impact.other_count + torch.where(hit & ~counted, 1.0, 0.0),
        where(counted, ball_pos_w, impact.pos_w),
        where(counted, ball.vel_w + accel_w * (0.5 * dt_s) + kick_w, impact.vel_after_w),
        torch.where(counted, on_racket.offset_m, impact.offset_m),
    )


def _half_on(body: RigidBody, dt_s: float) -> RigidBody:
    half = 0.5 * dt_s
    return body._replace(
        pos_w=body.pos_w + body.vel_w * half, quat_wb=body.quat_wb.turned(body.omega_b * half)
    )
