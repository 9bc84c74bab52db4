"""Flight of the ball and its impacts on racket, airframe and ground.

Racket and airframe are rounded discs fixed to the vehicle: all points within ``half_thickness`` of a flat disc. The
distance from the ball to such a disc is smooth around the rim, so face, rim and underside are one formula. An impact
is located inside the step; the impulse then acts on ball and vehicle as corrections to the end of the step, without a
branch. At most one impact a step is resolved.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch

from corvids.controllers.spatial import Scalar, Vec3, clip, seldom, smaller, where
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams
from corvids.vehicle import GRAVITY_MPS2

Tree = TypeVar("Tree")

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


def rise_m(up_mps: Scalar, drag_per_m: Scalar) -> Scalar:
    """How far a ball thrown straight up rises against quadratic drag k: ln(1 + k·v²/g) / 2k."""
    drag = drag_per_m + 1e-6  # so that the formula holds without drag, too: v²/2g
    return torch.log1p(drag * up_mps * up_mps / GRAVITY_MPS2) / (2.0 * drag)


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


class DiscContact(NamedTuple):
    """Geometry of the nearest point between ball and disc, in body axes."""

    gap_m: Scalar
    normal_b: Vec3
    """From the disc to the ball."""
    offset_m: Scalar
    """Distance of the ball's centre from the disc's axis."""
    height_m: Scalar
    """Height of the ball's centre above the disc's plane."""
    outward_b: Vec3
    """Unit vector from the axis to the ball's centre, along the disc."""


def step_flight(ball: Ball, wind_w: Vec3, params: BallParams, dt_s: float) -> Ball:
    """Advance the ball by one step of free flight: gravity, quadratic drag, Magnus force (midpoint rule)."""
    accel = mean_ball_accel(ball, wind_w, params, dt_s)
    pos = ball.pos_w + ball.vel_w * dt_s + accel * (0.5 * dt_s * dt_s)
    return bounced(Ball(pos, ball.vel_w + accel * dt_s, ball.spin_w), params)


def mean_ball_accel(ball: Ball, wind_w: Vec3, params: BallParams, dt_s: float) -> Vec3:
    """Acceleration of a flying ball at the middle of a step [m/s²], with gravity."""
    vel_half = ball.vel_w + _flight_accel(ball.vel_w - wind_w, ball.spin_w, params) * (0.5 * dt_s)
    return _flight_accel(vel_half - wind_w, ball.spin_w, params)


def bounced(ball: Ball, params: BallParams) -> Ball:
    """The ball, thrown back where it has sunk into the ground."""
    pos, vel = ball.pos_w, ball.vel_w
    sunk = params.radius_m - pos.z
    grounded = (sunk > 0.0) & (vel.z < 0.0)
    # The speed when it touched the ground, so that energy is not gained and a resting ball rests.
    rebound = params.ground_restitution * torch.sqrt(torch.relu(vel.z * vel.z - (2.0 * GRAVITY_MPS2) * sunk))
    pos_z = torch.where(grounded, params.radius_m, pos.z)
    vel_z = torch.where(grounded, rebound, vel.z)
    return Ball(Vec3(pos.x, pos.y, pos_z), Vec3(vel.x, vel.y, vel_z), ball.spin_w)


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
    done in body axes, where a racket's face stands still. An impact is sure to be seen as long as the ball's centre
    does not pass the disc's plane within one step: below one ball radius per step of relative speed.
    """
    (body0, ball0), (body1, ball1) = before, after
    frame = body1.quat_wb.matrix()
    rel = frame.unrotate(ball1.pos_w - body1.pos_w)
    slip_b = frame.unrotate(ball1.vel_w - body1.vel_w)
    rel_vel = slip_b - body1.omega_b.cross(rel)
    # Its change over the step, as the turning body sees it: Coriolis, centrifugal and Euler terms included.
    ball_change_w = ball1.vel_w - ball0.vel_w
    change = (
        frame.unrotate(ball_change_w - (body1.vel_w - body0.vel_w))
        - body1.omega_b.cross(slip_b + rel_vel) * dt_s
        - (body1.omega_b - body0.omega_b).cross(rel)
    )
    rel_accel = change * (1.0 / dt_s)

    on_racket = nearest(rel, racket, params)
    on_airframe = nearest(rel, airframe, params)
    is_racket = (on_racket.gap_m <= on_airframe.gap_m) | (on_airframe.gap_m > 0.0)
    disc = _choose(is_racket, racket, airframe)
    now = _choose(is_racket, on_racket, on_airframe)
    met, since_s = _time_since_contact(now, disc, rel_vel, rel_accel, params, dt_s)

    # The moment of contact itself. What is deeper than one step's travel began the step inside: it is pushed out.
    rel = rel - (rel_vel - rel_accel * (0.5 * since_s)) * since_s
    rel_vel = rel_vel - rel_accel * since_s
    contact = nearest(rel, disc, params)
    normal = contact.normal_b
    sunk = torch.where(met, torch.relu(-contact.gap_m), 0.0)
    arm = rel - normal * params.radius_m
    closing = -rel_vel.dot(normal)
    hit = met & (closing > 0.0)

    rim = _rim_share(contact.offset_m, disc.sweet_radius_m)
    restitution = disc.restitution + (disc.restitution_rim - disc.restitution) * rim
    restitution = torch.where(closing > STICKING_SPEED_MPS, restitution, 0.0)
    ball_mobility, body_mobility = 1.0 / params.mass_kg, 1.0 / vehicle.mass_kg
    inverse_inertia = vehicle.inverse_inertia()
    lever = arm.cross(normal)
    turn_per_push = lever.scale(inverse_inertia)
    admittance = ball_mobility + body_mobility + lever.dot(turn_per_push)
    push = torch.where(hit, (1.0 + restitution) * closing / admittance, 0.0)

    # Friction opposes the slip over the racket that the push leaves, at most until the ball rolls (Coulomb). One after
    # the other, neither impulse can gain energy.
    spin_b = frame.unrotate(ball1.spin_w)
    surface = (
        rel_vel + (body1.omega_b - spin_b).cross(normal) * params.radius_m + turn_per_push.cross(arm) * push
    )
    slip = surface - normal * surface.dot(normal)
    inverse_speed = torch.rsqrt(slip.norm2() + 1e-12)
    slip_dir = slip * inverse_speed
    lever = arm.cross(slip_dir)
    sliding = ball_mobility * (1.0 + 1.0 / params.inertia_factor) + body_mobility
    grip = 1.0 / (inverse_speed * (sliding + lever.dot(lever.scale(inverse_inertia))))
    rub = smaller(disc.friction * push, torch.where(hit, grip, 0.0))

    # Body axes turn between contact and the end of the step; impulse and normal belong to the earlier ones.
    impulse_b = normal * push - slip_dir * rub
    turn_b = -arm.cross(impulse_b).scale(inverse_inertia)
    turned = body1.omega_b * since_s
    impulse = frame.rotate(impulse_b - turned.cross(impulse_b))
    normal_w = frame.rotate(normal - turned.cross(normal))
    spin_kick = impulse.cross(normal_w) * (ball_mobility / (params.inertia_factor * params.radius_m))
    ball_kick, body_kick = impulse * ball_mobility, impulse * -body_mobility
    body = RigidBody(
        body1.pos_w + body_kick * since_s,
        body1.vel_w + body_kick,
        body1.quat_wb.turned_slightly(turn_b * since_s),
        body1.omega_b + turn_b,
    )
    ball = Ball(
        ball1.pos_w + ball_kick * since_s + normal_w * sunk,
        ball1.vel_w + ball_kick,
        ball1.spin_w + spin_kick,
    )
    counted = hit & is_racket & (contact.height_m > 0.0)
    struck = Impact(
        impact.racket_count + torch.where(counted, 1.0, 0.0),
        impact.other_count + torch.where(hit & ~counted, 1.0, 0.0),
        where(counted, ball1.pos_w - ball1.vel_w * since_s, impact.pos_w),
        where(counted, ball.vel_w - ball_change_w * (since_s * (1.0 / dt_s)), impact.vel_after_w),
        torch.where(counted, contact.offset_m, impact.offset_m),
    )
    return _choose(seldom(met), (body, ball, struck), (body1, ball1, impact))


def nearest(rel_b: Vec3, disc: DiscParams, params: BallParams) -> DiscContact:
    """Where ball and disc come closest; ``rel_b``: the ball's centre from the vehicle's [m], body."""
    rel = rel_b - disc.center_b
    height = rel.dot(disc.normal_b)
    radial = rel - disc.normal_b * height
    offset2 = radial.norm2() + 1e-12
    inverse_offset = torch.rsqrt(offset2)
    away = rel - radial * smaller(disc.radius_m * inverse_offset, 1.0)
    distance2 = away.norm2() + 1e-12
    inverse_distance = torch.rsqrt(distance2)
    gap = distance2 * inverse_distance - params.radius_m - disc.half_thickness_m
    return DiscContact(
        gap, away * inverse_distance, offset2 * inverse_offset, height, radial * inverse_offset
    )


def _time_since_contact(
    now: DiscContact, disc: DiscParams, rel_vel: Vec3, rel_accel: Vec3, params: BallParams, dt_s: float
) -> tuple[torch.Tensor, Scalar]:
    """Whether the ball ran into the disc within this step, and how long ago [s] (0 where it did not).

    The path is taken as straight in the plane through the disc's axis and the ball. There the ball's centre stays
    ``reach`` away from a line, the face, and from its end, the rim: it met the face if it was above it when its height
    was ``reach``, else the rim, where it entered the circle of that radius. So a ball that slides over the rim
    within one step, or has already passed it, is not missed.
    """
    reach = params.radius_m + disc.half_thickness_m
    out_vel, up_vel = rel_vel.dot(now.outward_b), rel_vel.dot(disc.normal_b)
    side = torch.where(now.height_m > 0.0, 1.0, -1.0)

    depth, closing = reach - side * now.height_m, -side * up_vel
    # Depth is what was covered since contact at the mean of the closing speeds then and now.
    closing2_then = closing * closing + 2.0 * depth * (side * rel_accel.dot(disc.normal_b))
    face_s = 2.0 * depth / (closing + torch.sqrt(torch.relu(closing2_then)))
    on_face = (depth > 0.0) & (closing > 0.0) & (now.offset_m - out_vel * face_s < disc.radius_m)

    beyond = now.offset_m - disc.radius_m
    toward = -(out_vel * beyond + up_vel * now.height_m)
    inside = reach * reach - beyond * beyond - now.height_m * now.height_m
    speed2 = out_vel * out_vel + up_vel * up_vel
    root2 = toward * toward + speed2 * inside
    rim_s = (torch.sqrt(torch.relu(root2)) - toward) / speed2
    entered = (rim_s < dt_s) | ((inside > 0.0) & (toward > 0.0))
    on_rim = (root2 > 0.0) & (rim_s > 0.0) & entered

    hit = on_face | on_rim
    return hit, torch.where(hit, smaller(torch.where(on_face, face_s, rim_s), dt_s), 0.0)


def _choose(mask: torch.Tensor, a: Tree, b: Tree) -> Tree:
    """``a`` where ``mask`` holds, ``b`` elsewhere, leaf by leaf."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        branches = [_choose(mask, one, other) for one, other in zip(a, b, strict=True)]
        return type(a)(*branches) if hasattr(a, "_fields") else type(a)(branches)
    return torch.where(mask, a, b)  # type: ignore[arg-type, return-value]


def _flight_accel(air_w: Vec3, spin_w: Vec3, params: BallParams) -> Vec3:
    accel = air_w * (-params.drag_per_m * air_w.norm()) + spin_w.cross(air_w) * params.magnus
    return Vec3(accel.x, accel.y, accel.z - GRAVITY_MPS2)


def _rim_share(offset_m: Scalar, sweet_radius_m: Scalar) -> Scalar:
    """0 inside the sweet spot, 1 outside, smooth over :data:`RIM_WIDTH_M`."""
    t = clip((offset_m - sweet_radius_m) * (1.0 / RIM_WIDTH_M) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
