"""States that episodes start in: what tasks share of them."""

from __future__ import annotations

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.randomization import Draws
from corvids.envs.vehicle_dynamics import RigidBody
from corvids.envs.world import AT_REST, World


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
