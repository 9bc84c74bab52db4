"""How MuJoCo is told what happens where ball and racket meet.

An impact is over within one step. With reference acceleration ``-damping · velocity`` and ``damping = (1 + e)/dt``,
MuJoCo's solver sends a ball that came in at ``v`` back out at ``e·v``, whatever the masses and the lever arms. Along
the face, ``damping = 1/dt`` would stop all slip; where Coulomb friction cannot, MuJoCo's convex contact model would
turn what is missing into extra bounce, so it is asked for no more than friction can give. The stiffness only keeps a
resting ball from sinking in.
"""

from __future__ import annotations

import numpy as np

from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.engines.engine import Array
from corvids.envs.physics.ball import RIM_WIDTH_M
from corvids.envs.physics.world import WorldParams

STIFFNESS_PS2 = 4000.0
"""Acceleration per depth of a contact [1/s²]: a resting ball sinks in 2.5 mm."""
RESTING_MPS = 0.2
"""Closing speed above which an impact has no such stiffness, which would add to the bounce."""


def solref(damping: Array | float, stiffness: Array | float = 0.0) -> Array:
    """MuJoCo's direct reference (negative stiffness [1/s²], negative damping [1/s]), shape (..., 2)."""
    return -np.stack(np.broadcast_arrays(stiffness, damping), axis=-1)


def racket_references(
    rel_b: Vec3,
    rel_vel_b: Vec3,
    rel_accel_b: Vec3,
    omega_b: Vec3,
    spin_b: Vec3,
    params: WorldParams,
    dt_s: float,
) -> tuple[Array, Array]:
    """``solref`` and ``solreffriction``, (n, 2) each, of rackets whose ball is near.

    ``rel_b``, ``rel_vel_b``, ``rel_accel_b``: position, velocity and acceleration without contact of the ball's centre
    less those of the vehicle's centre of mass; ``spin_b``: the ball's angular velocity. All in body axes, components
    (n,), like the leaves of ``params``.
    """
    racket, ball, vehicle = params.racket, params.ball, params.vehicle
    rel = rel_b - racket.center_b
    height = rel.dot(racket.normal_b)
    radial = rel - racket.normal_b * height
    offset = np.sqrt(radial.norm2())
    away = rel - radial * np.minimum(racket.radius_m / np.maximum(offset, 1e-9), 1.0)
    distance = np.sqrt(away.norm2())
    normal = away * (1.0 / np.maximum(distance, 1e-9))

    rim = np.clip((offset - racket.sweet_radius_m) / RIM_WIDTH_M + 0.5, 0.0, 1.0)
    rim *= rim * (3.0 - 2.0 * rim)
    restitution = racket.restitution + (racket.restitution_rim - racket.restitution) * rim

    arm = rel_b - normal * ball.radius_m
    surface_vel = rel_vel_b - omega_b.cross(arm) - spin_b.cross(normal) * ball.radius_m
    closing = -surface_vel.dot(normal)
    slip = surface_vel + normal * closing
    slip_speed = np.maximum(np.sqrt(slip.norm2()), 1e-9)

    def turning(direction: Vec3) -> Scalar:
        moment = arm.cross(direction)
        return sum(m * m / inertia for m, inertia in zip(moment, vehicle.inertia_kgm2, strict=True))

    across = 1.0 / ball.mass_kg + 1.0 / vehicle.mass_kg + turning(normal)
    along = (1.0 + 1.0 / ball.inertia_factor) / ball.mass_kg + 1.0 / vehicle.mass_kg
    along = along + turning(slip * (1.0 / slip_speed))
    stoppable = racket.friction * (1.0 + restitution) * closing * along / across
    share = np.clip(stoppable / slip_speed, 1e-3, 1.0)

    # The ball touched some time ago. Since then it has gained speed, and it loses some until the step is over.
    is_resting = closing < RESTING_MPS
    impact_speed = np.maximum(closing, RESTING_MPS)
    since_s = np.clip((ball.radius_m - distance) / impact_speed, 0.0, dt_s)
    lost = -rel_accel_b.dot(normal) * ((1.0 + restitution) * since_s + dt_s) / impact_speed
    bounce = 1.0 + restitution - np.where(is_resting, 0.0, lost)
    return solref(bounce / dt_s, np.where(is_resting, STIFFNESS_PS2, 0.0)), solref(share / dt_s)
