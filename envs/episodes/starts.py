"""Commands and states that episodes start with: what tasks share of them."""

from __future__ import annotations

import math

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.episodes.randomization import Draws, Range
from corvids.envs.physics.ball import Ball
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import AT_REST, World


def place_near(
    draws: Draws, last: torch.Tensor | None, count: int, *, step_m: float, height_m: float, heights_m: Range
) -> torch.Tensor:
    """Places [m, world], (3, count), within ``step_m`` of ``last`` (·, count) along each axis, times the config's share
    of commands; of (0, 0, ``height_m``) if there is none."""
    reach = step_m * draws.config.command_share
    step = draws.uniform((-reach, reach), 3, count)
    start = torch.tensor([[0.0], [0.0], [height_m]], device=step.device)
    place = step + (start if last is None else last[:3])
    place[2].clamp_(*heights_m)
    return place


def thrown_over(
    draws: Draws,
    face_w_m: Vec3,
    wildness: torch.Tensor,
    *,
    aside_m: float,
    speed_mps: float,
    heights_m: Range,
) -> Ball:
    """Balls in the air over the points ``face_w_m``; leaves (count,).

    Horizontally they lie within a disc of ``aside_m`` and move with up to ``speed_mps``, both times ``wildness``
    (count,) in 0..1; a ball that is not thrown wildly also moves up or down. Low throws leave the least time, so more
    than half of them are thrown from the lowest quarter.
    """
    count = len(wildness)
    angle, aim = draws.uniform((0.0, 2.0 * math.pi), 2, count)
    aside = aside_m * wildness * torch.sqrt(draws.uniform((0.0, 1.0), count))
    speed = speed_mps * wildness * torch.sqrt(draws.uniform((0.0, 1.0), count))
    height = heights_m[0] + (heights_m[1] - heights_m[0]) * draws.uniform((0.0, 1.0), count) ** 2.5
    up = draws.uniform((-0.5, 1.0), count) * (1.0 - wildness)
    pos = Vec3(
        face_w_m.x + aside * torch.cos(angle), face_w_m.y + aside * torch.sin(angle), face_w_m.z + height
    )
    spin = draws.uniform((-3.0, 3.0), 3, count) * draws.uniform((0.0, 1.0), count)
    return Ball(pos, Vec3(speed * torch.cos(aim), speed * torch.sin(aim), up), Vec3(*spin))


def hovering_near(
    draws: Draws,
    place_w_m: torch.Tensor,
    rotors: float,
    scale: torch.Tensor,
    *,
    pos_m: float,
    vel_mps: float,
    tilt_rad: float,
    rate_radps: float,
) -> World:
    """Vehicles about ``place_w_m`` (3, count), their rotors all at the state ``rotors``.

    Every component of position, velocity, attitude (roll, pitch, yaw) and body rates is uniform within its size times
    ``scale`` (count,). Leaves of the world are (count,).
    """

    def some(size: float) -> Vec3:
        return Vec3(*(draws.uniform((-size, size), 3, len(scale)) * scale))

    zero = torch.zeros_like(scale)
    body = RigidBody(
        Vec3(*place_w_m) + some(pos_m),
        some(vel_mps),
        Quat(*Quat.from_roll_pitch_yaw(*some(tilt_rad))),
        some(rate_radps),
    )
    hover = zero + rotors
    at_rest = map_leaves(lambda leaf: zero + leaf, AT_REST)
    return at_rest._replace(body=body, rotors=Four(*(hover,) * 4))
