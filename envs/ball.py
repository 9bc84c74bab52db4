"""Flight of the ball and its impacts on racket, airframe and ground.

Racket and airframe are rounded discs fixed to the vehicle: all points within ``half_thickness`` of a flat disc. The
distance from the ball to such a disc is smooth around the rim, so face, rim and underside are one formula. An impact
is located inside the step; the impulse then acts on ball and vehicle as corrections to the end of the step, without a
branch. At most one impact a step is resolved.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, clip, smaller, where
from corvids.envs.vehicle_dynamics import GRAVITY_MPS2, RigidBody, VehicleParams

STICKING_SPEED_MPS = 0.05
"""Normal speed below which an impact is plastic, so that a resting ball does not bounce for ever (Zeno)."""

RIM_WIDTH_M = 0.01
"""Distance over which restitution falls from its value in the sweet spot to that outside."""


class Ball(NamedTuple):
    """State of the ball."""

    pos_w: Vec3
    """Centre [m], world."""
    vel_w: Vec3
    """Velocity [m/s], world."""
    spin_w: Vec3
    """Angular velocity [rad/s], world."""


class BallParams(NamedTuple):
    """What the ball really is."""

    mass_kg: Scalar
    radius_m: Scalar
    drag_per_m: Scalar
    """Quadratic drag ``½ρC_dA/m`` [1/m]."""
    magnus: Scalar
    """Magnus acceleration ``magnus · ω × v`` (dimensionless)."""
    inertia_factor: Scalar
    """Moment of inertia over ``m·r²``: 0.4 solid, 0.67 hollow."""
    ground_restitution: Scalar


class DiscParams(NamedTuple):
    """A rounded disc fixed to the vehicle."""

    center_b: Vec3
    """Centre [m], body."""
    normal_b: Vec3
    """Unit normal of the upper face, body."""
    radius_m: Scalar
    half_thickness_m: Scalar
    sweet_radius_m: Scalar
    """Distance of the ball's centre from the axis at which restitution is half-way between its two values [m]."""
    restitution: Scalar
    """Inside the sweet spot."""
    restitution_rim: Scalar
    """Outside."""
    friction: Scalar


class Impact(NamedTuple):
    """What happened between ball and vehicle since the counters were last cleared; vectors describe the last impact."""

    racket_count: Scalar
    other_count: Scalar
    """Impacts on the airframe and on the racket's underside."""
    pos_w: Vec3
    """Ball's centre at impact [m]."""
    vel_after_w: Vec3
    """Ball's velocity just after impact [m/s]."""
    offset_m: Scalar
    """Distance of the ball's centre from the racket's axis [m]."""


class _Contact(NamedTuple):
    """Geometry of the nearest point between ball and disc, in body axes."""

    gap_m: Scalar
    normal_b: Vec3
    """From the disc to the ball."""
    offset_m: Scalar
    height_m: Scalar


def step_flight(ball: Ball, wind_w: Vec3, params: BallParams, dt_s: float) -> Ball:
    """Advance the ball by one step of free flight: gravity, quadratic drag, Magnus force (midpoint rule)."""
    half = 0.5 * dt_s
    vel_half = ball.vel_w + _flight_accel(ball.vel_w - wind_w, ball.spin_w, params) * half
    accel = _flight_accel(vel_half - wind_w, ball.spin_w, params)
    pos = ball.pos_w + ball.vel_w * dt_s + accel * (half * dt_s)
    vel = ball.vel_w + accel * dt_s
    grounded = (pos.z < params.radius_m) & (vel.z < 0.0)
    bounced = Vec3(vel.x, vel.y, torch.where(grounded, -params.ground_restitution * vel.z, vel.z))
    return Ball(pos, bounced, ball.spin_w)


def collide(
    before: tuple[RigidBody, Ball],
    after: tuple[RigidBody, Ball],
    racket: DiscParams,
    airframe: DiscParams,
    vehicle: VehicleParams,
    params: BallParams,
    impact: Impact,
    dt_s: float,
) -> tuple[RigidBody, Ball, Impact]:
    """Correct the end of a step for the impact, if any, that happened within it.

    ``before`` and ``after`` are the states at the step's ends as if ball and vehicle passed through each other. All is
    done in body axes, where a racket's face stands still: the time since contact is the depth over the closing speed.
    """
    (body0, ball0), (body1, ball1) = before, after
    frame = body1.quat_wb.matrix()
    rel = frame.unrotate(ball1.pos_w - body1.pos_w)
    slip_w = ball1.vel_w - body1.vel_w
    rel_accel = frame.unrotate(slip_w - (ball0.vel_w - body0.vel_w)) * (1.0 / dt_s)
    rel_vel = frame.unrotate(slip_w) - body1.omega_b.cross(rel)

    on_racket = _nearest(rel, racket, params)
    on_airframe = _nearest(rel, airframe, params)
    is_racket = on_racket.gap_m <= on_airframe.gap_m
    disc = _choose(is_racket, racket, airframe)
    depth = -smaller(on_racket.gap_m, on_airframe.gap_m)
    closing = -rel_vel.dot(where(is_racket, on_racket.normal_b, on_airframe.normal_b))
    hit = (depth > 0.0) & (closing > 0.0)
    since_s = torch.where(hit, smaller(depth / closing, dt_s), 0.0)

    # The moment of contact itself. What is deeper than one step's travel began the step inside: it is pushed out.
    rel_vel = rel_vel - rel_accel * since_s
    contact = _nearest(rel - rel_vel * since_s, disc, params)
    normal = contact.normal_b
    sunk = torch.where(hit, torch.relu(-contact.gap_m), 0.0)
    arm = rel - rel_vel * since_s - normal * params.radius_m
    closing = -rel_vel.dot(normal)
    hit = hit & (closing > 0.0)

    rim = _rim_share(contact.offset_m, disc.sweet_radius_m)
    restitution = disc.restitution + (disc.restitution_rim - disc.restitution) * rim
    restitution = torch.where(closing > STICKING_SPEED_MPS, restitution, 0.0)
    ball_mobility, body_mobility = 1.0 / params.mass_kg, 1.0 / vehicle.mass_kg
    admittance = ball_mobility + body_mobility + _turning_admittance(arm, normal, vehicle)
    push = torch.where(hit, (1.0 + restitution) * closing / admittance, 0.0)

    # Friction opposes the slip of the ball's surface over the racket, at most until it rolls (Coulomb).
    spin_b = frame.unrotate(ball1.spin_w)
    surface = rel_vel + body1.omega_b.cross(normal * params.radius_m) - spin_b.cross(normal) * params.radius_m
    slip = surface - normal * surface.dot(normal)
    inverse_speed = torch.rsqrt(slip.norm2() + 1e-12)
    slip_dir = slip * inverse_speed
    sliding = ball_mobility * (1.0 + 1.0 / params.inertia_factor) + body_mobility
    grip = 1.0 / (inverse_speed * (sliding + _turning_admittance(arm, slip_dir, vehicle)))
    rub = smaller(disc.friction * push, torch.where(hit, grip, 0.0))

    # Body axes turn between contact and the end of the step; the impulse belongs to the earlier ones.
    impulse_b = normal * push - slip_dir * rub
    impulse = frame.rotate(impulse_b - (body1.omega_b * since_s).cross(impulse_b))
    inverse_inertia = vehicle.inverse_inertia()
    turn_b = -arm.cross(impulse_b).scale(inverse_inertia)
    spin_kick = frame.rotate(impulse_b.cross(normal)) * (
        ball_mobility / (params.inertia_factor * params.radius_m)
    )
    ball_kick, body_kick = impulse * ball_mobility, impulse * -body_mobility
    body = RigidBody(
        body1.pos_w + body_kick * since_s,
        body1.vel_w + body_kick,
        body1.quat_wb.turned_slightly(turn_b * since_s),
        body1.omega_b + turn_b,
    )
    ball = Ball(
        ball1.pos_w + ball_kick * since_s + frame.rotate(normal * sunk),
        ball1.vel_w + ball_kick,
        ball1.spin_w + spin_kick,
    )
    counted = hit & is_racket & (contact.height_m > 0.0)
    impact = Impact(
        impact.racket_count + torch.where(counted, 1.0, 0.0),
        impact.other_count + torch.where(hit & ~counted, 1.0, 0.0),
        where(counted, ball1.pos_w - ball1.vel_w * since_s, impact.pos_w),
        where(counted, ball.vel_w, impact.vel_after_w),
        torch.where(counted, contact.offset_m, impact.offset_m),
    )
    return body, ball, impact


def _nearest(rel_b: Vec3, disc: DiscParams, params: BallParams) -> _Contact:
    rel = rel_b - disc.center_b
    height = rel.dot(disc.normal_b)
    radial = rel - disc.normal_b * height
    offset2 = radial.norm2() + 1e-12
    inverse_offset = torch.rsqrt(offset2)
    away = rel - radial * smaller(disc.radius_m * inverse_offset, 1.0)
    distance2 = away.norm2() + 1e-12
    inverse_distance = torch.rsqrt(distance2)
    gap = distance2 * inverse_distance - params.radius_m - disc.half_thickness_m
    return _Contact(gap, away * inverse_distance, offset2 * inverse_offset, height)


def _choose(mask: torch.Tensor, a: DiscParams, b: DiscParams) -> DiscParams:
    return DiscParams(
        where(mask, a.center_b, b.center_b),
        where(mask, a.normal_b, b.normal_b),
        *(torch.where(mask, one, other) for one, other in zip(a[2:], b[2:], strict=True)),  # type: ignore[arg-type]
    )


def _turning_admittance(arm_b: Vec3, direction_b: Vec3, vehicle: VehicleParams) -> Scalar:
    """Velocity along ``direction_b`` of the point ``arm_b`` per unit impulse there, from rotation alone [1/kg]."""
    moment = arm_b.cross(direction_b)
    return moment.dot(moment.scale(vehicle.inverse_inertia()))


def _flight_accel(air_w: Vec3, spin_w: Vec3, params: BallParams) -> Vec3:
    accel = air_w * (-params.drag_per_m * air_w.norm()) + spin_w.cross(air_w) * params.magnus
    return Vec3(accel.x, accel.y, accel.z - GRAVITY_MPS2)


def _rim_share(offset_m: Scalar, sweet_radius_m: Scalar) -> Scalar:
    """0 inside the sweet spot, 1 outside, smooth over :data:`RIM_WIDTH_M`."""
    t = clip((offset_m - sweet_radius_m) * (1.0 / RIM_WIDTH_M) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
