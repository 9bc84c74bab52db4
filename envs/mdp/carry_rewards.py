"""What carrying is worth: our reward, and the one of Zeng et al. (arXiv 2508.01522), each with its ends of an episode.

Component tensors of shape ``(rows, drones)``, those of the load and of a world ``(rows, 1)``.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from corvids.controllers.load_filter import rotation_between
from corvids.controllers.spatial import Scalar, Vec3, larger, smaller
from corvids.envs.mdp.goal_path import Pose
from corvids.envs.mdp.team_task import Actions
from corvids.envs.physics.separations import has_thrust, separations
from corvids.envs.physics.team_world import TeamParams, TeamWorld

LOW_M = 0.1
"""Load or drone below this height: the end."""
FAR_M = 5.0
"""Load or drone further than this from the goal: the end."""
CLOSE_M = 0.37
"""Drones closer than this: the end; a crash is judged at 0.35 m."""
CABLE_CLOSE_M = 0.12
"""A drone this close to another's cable: the end; a crash is judged at 0.1 m."""
ROOM_M = 0.75
"""Drones closer than this cost, the more the closer."""
CABLE_ROOM_M = 0.35
"""The same for a drone and another's cable."""
LOSS = 4.0
"""What the end costs, besides all that could have been earned: more than a second of the best flight."""


class Errors(NamedTuple):
    """How far the load is from where it is wanted."""

    pos_m: Scalar
    angle_rad: Scalar


def errors(world: TeamWorld, truth: TeamParams, goal: Pose) -> Errors:
    """Distance of the pose point, and angle of the rotation, from the goal."""
    body = world.load.body
    pos_w = body.pos_w + body.quat_wb.rotate(truth.load.pose_point_b_m)
    half_sin = rotation_between(body.quat_wb, goal.quat_wb).norm() * 0.5
    half_cos = torch.sqrt(torch.relu(1.0 - half_sin * half_sin) + 1e-12)
    return Errors((pos_w - goal.pos_w).norm(), 2.0 * torch.atan2(half_sin, half_cos))


def own_reward(
    world: TeamWorld, truth: TeamParams, goal: Pose, off: Errors, actions: Actions
) -> tuple[Scalar, Scalar]:
    """Reward per second of every drone, and whether the world failed.

    Being near counts at two scales, so that there is a slope from afar and one for the last centimetres. Closeness
    costs long before it ends an episode: where only the end cost, those who turn their load faster met (one episode in
    ten). A member that has lost its thrust may fall as it likes.
    """
    body, motion = world.load.body, world.motion.body
    apart = separations(world, truth)
    near = (
        0.8 * torch.exp(-1.5 * off.pos_m)
        + 1.0 * torch.exp(-10.0 * off.pos_m)
        + 0.6 * torch.exp(-1.5 * off.angle_rad)
        + 0.6 * torch.exp(-7.0 * off.angle_rad)
    )
    tight = torch.relu(ROOM_M - apart.drones_m) * (1.0 / (ROOM_M - CLOSE_M))
    tangled = torch.relu(CABLE_ROOM_M - apart.drone_cable_m) * (1.0 / (CABLE_ROOM_M - CABLE_CLOSE_M))
    restless = 0.03 * smaller(body.vel_w.norm2(), 9.0) + 0.03 * smaller(body.omega_b.norm2(), 9.0)
    jerk = sum((one - other) * (one - other) for one, other in zip(actions.now, actions.last, strict=True))
    effort = sum(one * one for one in actions.now)
    own = 0.5 * jerk + 0.03 * effort + 0.01 * smaller(motion.omega_b.norm2(), 50.0)
    lives, upright = has_thrust(truth.drones), motion.quat_wb.body_z().z
    failed = (
        _any((motion.pos_w.z < LOW_M) & lives)
        | (body.pos_w.z < LOW_M)
        | _any((upright < 0.0) & lives)
        | _any(((motion.pos_w - goal.pos_w).norm() > FAR_M) & lives)
        | (off.pos_m > FAR_M)
        | (apart.drones_m < CLOSE_M)
        | (apart.drone_cable_m < CABLE_CLOSE_M)
    )
    return near - 2.5 * tight * tight - 1.5 * tangled * tangled - restless - own, failed


def zeng_reward(
    world: TeamWorld, truth: TeamParams, goal: Pose, off: Errors, actions: Actions, most: tuple[float, ...]
) -> tuple[Scalar, Scalar]:
    """Their reward per second, shared by all drones, at most 5, and their ends of an episode.

    Written from the published weights and scales. ``most`` turns squashed actions into SI, which theirs are in; the
    largest rotor thrust is that of the motion, as a fraction of full thrust. Their limits on a cable's roll and pitch
    are taken as limits on its angle.
    """
    body, motion = world.load.body, world.motion.body
    drones = motion.pos_w.x.shape[1]
    apart = separations(world, truth)
    changes = [(one - other) * big for one, other, big in zip(actions.now, actions.last, most, strict=True)]
    change2 = _sum(sum(change * change for change in changes)) * (1.0 / drones**2)
    rates2 = _sum(sum((one * big) * (one * big) for one, big in zip(actions.now[3:], most[3:], strict=True)))
    thrust = functools.reduce(larger, (rotor * rotor for rotor in world.drive.rotors))
    # Where a drone's thrust line meets the load's plane, from the load.
    normal, axis = body.quat_wb.body_z(), motion.quat_wb.body_z()
    rel = motion.pos_w - body.pos_w
    reach = -rel.dot(normal) / (normal.dot(axis) + 1e-6)
    washed = _least((rel + axis * reach).norm())
    reward = (
        1.5 * torch.exp(-1.5 * off.pos_m)
        + 1.5 * torch.exp(-1.5 * off.angle_rad)
        + 0.5 * torch.exp(-change2)
        + 0.5 * torch.exp(-torch.sqrt(rates2) * (1.0 / drones))
        + 0.5 * torch.exp(-_most(thrust))
        + 0.5 * (1.0 - torch.exp(-3.0 * washed))
    )
    far = Vec3(*(torch.abs(part) for part in motion.pos_w))
    failed = (
        _any(motion.pos_w.z < LOW_M)
        | (body.pos_w.z < LOW_M)
        | _any((far.x > FAR_M) | (far.y > FAR_M) | (far.z > FAR_M))
        | (apart.drones_m < 0.6)
        | (apart.cables_m < 0.2)
        | _any(_cable_cosine(world, truth, of_load=False) < 0.0)
        | _any(_cable_cosine(world, truth, of_load=True) < -(0.5**0.5))
    )
    return reward + torch.zeros_like(motion.pos_w.x), failed


def _cable_cosine(world: TeamWorld, truth: TeamParams, of_load: bool) -> Scalar:
    """Of the angle between each cable, seen from the load, and the z axis of its drone or of the load."""
    body, motion, cable = world.load.body, world.motion.body, truth.drones.cable
    start = body.pos_w + body.quat_wb.rotate(cable.load_point_b)
    along = motion.pos_w + motion.quat_wb.rotate(cable.drone_point_b) - start
    return (body if of_load else motion).quat_wb.body_z().dot(along) / along.norm()


def _columns(of_drones: Scalar) -> list[torch.Tensor]:
    return list(of_drones.split(1, dim=1))


def _sum(of_drones: Scalar) -> torch.Tensor:
    return functools.reduce(torch.add, _columns(of_drones))


def _most(of_drones: Scalar) -> torch.Tensor:
    return functools.reduce(larger, _columns(of_drones))


def _least(of_drones: Scalar) -> torch.Tensor:
    return functools.reduce(smaller, _columns(of_drones))


def _any(of_drones: Scalar) -> torch.Tensor:
    return functools.reduce(torch.logical_or, _columns(of_drones))
