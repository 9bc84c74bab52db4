"""What juggling is worth. Component tensors of shape ``(rows, 1)``."""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, smaller
from corvids.envs.mdp.features import GRAVITY_MPS2
from corvids.envs.physics.ball import rise_m
from corvids.envs.physics.world import World, WorldParams

RISE_MIN_M = 0.3
"""A hit counts if the ball's centre then rises this far above the point of impact."""
INTERVAL_MIN_S = 0.3
"""Hits closer together are dribbling, and cost."""
HEIGHT_MIN_M = 0.15
"""Below this the vehicle has crashed."""
USUAL_S = 0.7
"""Time between hits at the usual apex."""


class Hits(NamedTuple):
    """What touches of the racket were worth in one control step."""

    reward: Scalar
    is_hit: Scalar
    """Whether the racket was touched."""
    is_counted: Scalar
    """Whether it counts."""


def hits(world: World, params: WorldParams, place: Vec3, apex_m: Scalar, since_hit_s: Scalar) -> Hits:
    """Hits are worth what they do to the ball: up to the apex, back over the place; and being there oneself."""
    impact = world.impact
    is_hit = impact.racket_count > 0.0
    vel = impact.vel_after_w
    up = torch.relu(vel.z)
    rise = rise_m(up, params.ball.drag_per_m)
    back_s = up * (2.0 / GRAVITY_MPS2)
    miss = Vec3(impact.pos_w.x + vel.x * back_s - place.x, impact.pos_w.y + vel.y * back_s - place.y, 0.0)
    counted = is_hit & (rise >= RISE_MIN_M) & (since_hit_s >= INTERVAL_MIN_S)
    apex_error = (rise - apex_m) / apex_m
    missed_m, off_m = miss.norm(), (world.body.pos_w - place).norm()
    quality = (
        0.6 * torch.exp(-(apex_error * apex_error) * 60.0)
        + 0.8 * (1.0 - smaller(torch.abs(apex_error), 1.0))
        + 0.5 * torch.exp(-(missed_m * missed_m) * 40.0)
        + 0.3 * (1.0 - smaller(missed_m, 1.0))
        + 0.3 * torch.exp(-(off_m * off_m) * 40.0)
        - 0.2 * impact.offset_m / params.racket.radius_m
    )
    # A touch that only keeps the ball up is worth little; touching again at once is dribbling.
    dribbled = is_hit & (since_hit_s < INTERVAL_MIN_S)
    kept_up = smaller(rise, RISE_MIN_M) - 0.3 * smaller(missed_m, 4.0)
    # A hit is worth the time that it buys, but no more than was asked for: else many low hits beat a few high ones.
    wanted_s = torch.sqrt(apex_m * (8.0 / GRAVITY_MPS2))
    worth = quality * torch.minimum(back_s, wanted_s) / USUAL_S
    reward = torch.where(is_hit, kept_up, 0.0) + torch.where(counted, worth, torch.where(dribbled, -1.0, 0.0))
    return Hits(reward, is_hit, counted)


def between_hits(world: World, place: Vec3, reach_m: float) -> tuple[Scalar, Scalar, Scalar]:
    """Reward per second of being at the place and under the ball, calmly; whether the ball or the vehicle is lost; and
    what that costs. ``reach_m``: height over the vehicle of a ball that lies on its racket."""
    body, ball = world.body, world.ball
    over, off_m = ball.pos_w - body.pos_w, (body.pos_w - place).norm()
    above = over.z - reach_m
    until_s = (
        ball.vel_w.z + torch.sqrt(ball.vel_w.z * ball.vel_w.z + 2.0 * GRAVITY_MPS2 * torch.relu(above))
    ) * (1.0 / GRAVITY_MPS2)
    closing = ball.vel_w - body.vel_w
    passing = Vec3(over.x + closing.x * until_s, over.y + closing.y * until_s, 0.0)
    approach_m = torch.where(ball.vel_w.z < 0.0, smaller(passing.norm(), 1.0), 0.0)
    ball_off = Vec3(ball.pos_w.x - place.x, ball.pos_w.y - place.y, 0.0).norm()
    running = (
        1.0
        - 2.0 * smaller(off_m, 1.0)
        - 0.4 * smaller(ball_off, 1.5)
        - 4.0 * approach_m
        - 0.5 * torch.abs(body.quat_wb.yaw())
        - 0.008 * body.omega_b.norm2()
    )
    crashed = (body.quat_wb.body_z().z < 0.0) | (body.pos_w.z < HEIGHT_MIN_M)
    failed = (above < -0.3) | (above > 4.0) | (ball_off > 5.0) | (off_m > 4.0) | crashed
    # The nearer the ball was lost, the better: else nothing is learned from balls that are never reached. Not so in
    # a crash: else falling along with the ball, which is never lost so, is where learning stays.
    lost_m = torch.where(crashed, 0.6, smaller(Vec3(over.x, over.y, 0.0).norm(), 0.6))
    return running, failed, 3.0 + 6.0 * lost_m
