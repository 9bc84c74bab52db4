"""States in which a team's episodes start."""

from __future__ import annotations

import torch

from corvids.controllers.force_compensation import CompensationState
from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four, RateCommand
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.episodes.randomization import Draws
from corvids.envs.physics.inner_loop import InnerLoop
from corvids.envs.physics.team_world import DRIVE_AT_REST, LOAD_AT_REST, MOTION_AT_REST, TeamParams, TeamWorld
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2

CABLE_TILT_RAD = (0.25, 0.6)
"""Outward tilt of the cables."""
SLACK = 0.1
"""Part of its length by which a cable is slack in the worst starts."""


def outward(team: Team) -> torch.Tensor:
    """Horizontal directions (drones, 2) from the middle of all points of attachment to each, 0 at the middle."""
    points = torch.tensor([member.rigging.load_point_m for member in team.members])
    away = points[:, :2] - points[:, :2].mean(0)
    return torch.nn.functional.normalize(away, dim=1) * (away.norm(dim=1) > 1e-3)[:, None]


def hanging(
    draws: Draws,
    truth: TeamParams,
    outward_b: torch.Tensor,
    place_w_m: torch.Tensor,
    yaw_rad: torch.Tensor,
    severity: torch.Tensor,
) -> TeamWorld:
    """The load at ``place_w_m`` (3, count) with heading ``yaw_rad`` (count,), drones above on cables that lean outward.

    Leaves are (count, drones), the load's (count, 1). With ``severity`` (count, 1) up to 1 everything tilts, turns and
    moves, and cables are slack.
    """
    count, drones = truth.drones.cable.length_m.shape
    narrow = torch.zeros((count, 1), device=draws.device)
    wide = torch.zeros((count, drones), device=draws.device)

    def some(size: float, columns: int) -> Vec3:
        return Vec3(*(draws.uniform((-size, size), 3, count, columns) * severity))

    roll, pitch, _ = some(0.5, 1)
    quat = Quat.from_roll_pitch_yaw(roll, pitch, yaw_rad[:, None])
    place = Vec3(*place_w_m[..., None])
    load = map_leaves(lambda leaf: narrow + leaf, LOAD_AT_REST)
    body = load.body._replace(pos_w=place, quat_wb=quat, vel_w=some(1.0, 1), omega_b=some(1.0, 1))

    tilt = draws.uniform(CABLE_TILT_RAD, count, 1)
    out_x, out_y = outward_b.to(draws.device).t()
    along = quat.rotate(Vec3(torch.sin(tilt) * out_x, torch.sin(tilt) * out_y, torch.cos(tilt) + wide))
    cable = truth.drones.cable
    length_m = cable.length_m * (1.0 - SLACK * severity * draws.uniform((0.0, 1.0), count, drones))
    attitude = Quat(*(wide + part for part in Quat.from_roll_pitch_yaw(*some(0.3, drones))))
    motion = map_leaves(lambda leaf: wide + leaf, MOTION_AT_REST)
    own = motion.body._replace(
        pos_w=place
        + quat.rotate(cable.load_point_b)
        + along * length_m
        - attitude.rotate(cable.drone_point_b),
        vel_w=body.vel_w + some(0.5, drones),
        quat_wb=attitude,
        omega_b=some(1.0, drones),
    )
    motion = motion._replace(
        body=own, specific_force_w=motion.specific_force_w._replace(z=wide + GRAVITY_MPS2)
    )
    rotor = torch.sqrt(_lift_n(truth) / sum(truth.drones.vehicle.thrust_max_n))
    drive = map_leaves(lambda leaf: wide + leaf, DRIVE_AT_REST)._replace(rotors=Four(*(rotor,) * 4))
    return TeamWorld(motion, drive, load._replace(body=body))


def settled_inner_loop(truth: TeamParams) -> InnerLoop:
    """Inner loops that have felt a level load's share for a while; leaves (count, drones)."""
    vehicle = truth.drones.vehicle
    zero = torch.zeros_like(vehicle.mass_kg)
    lift_n = _lift_n(truth)
    outside = Vec3(zero, zero, GRAVITY_MPS2 - lift_n / vehicle.mass_kg)
    return InnerLoop(CompensationState(lift_n, outside), RateCommand(lift_n, Vec3(zero, zero, zero)))


def _lift_n(truth: TeamParams) -> torch.Tensor:
    """Thrust that holds a drone and its equal share of the load, (count, drones)."""
    mass_kg = truth.drones.vehicle.mass_kg
    return (mass_kg + truth.load.mass_kg * (1.0 / mass_kg.shape[1])) * GRAVITY_MPS2
