"""How close the members of a team and their cables come to each other.

A cable counts as the straight line between its ends, which a slack one is not.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, clip, smaller
from corvids.envs.physics.team_world import DroneParams, Motion, TeamParams, TeamWorld, each_drone
from corvids.envs.physics.vehicle_dynamics import RigidBody

FAR_M = 1e3
"""Separation of things of which a team has only one [m]."""
_TINY_M2 = 1e-9


class Separations(NamedTuple):
    """Least distances within a world [m], each of shape ``(worlds, 1)``."""

    drones_m: Scalar
    """Between two drones' centres of mass."""
    cables_m: Scalar
    """Between two cables that hold the load."""
    drone_cable_m: Scalar
    """Between a drone's centre of mass and another drone's cable."""


class _Line(NamedTuple):
    start: Vec3
    along: Vec3
    """From the start to the end."""


def separations(world: TeamWorld, params: TeamParams) -> Separations:
    """Least distances of every world; a cable that is cut is nowhere, and so is a drone without thrust."""
    drones, members = each_drone(world.motion), each_drone(params.drones)
    lines = [_line(drone, world.load.body, own) for drone, own in zip(drones, members, strict=True)]
    cut = [(1.0 - own.cable.attached) * FAR_M for own in members]
    dead = [torch.where(has_thrust(own), 0.0, FAR_M) for own in members]
    pairs = list(itertools.combinations(range(len(drones)), 2))
    return Separations(
        _least(
            world,
            [(drones[i].body.pos_w - drones[j].body.pos_w).norm() + dead[i] + dead[j] for i, j in pairs],
        ),
        _least(world, [between_lines(*lines[i], *lines[j]) + cut[i] + cut[j] for i, j in pairs]),
        _least(
            world,
            [
                from_line(drones[i].body.pos_w, *lines[j]) + cut[j] + dead[i]
                for i, j in itertools.permutations(range(len(drones)), 2)
            ],
        ),
    )


def has_thrust(own: DroneParams) -> Scalar:
    """Whether a drone's rotors give anything: a member that is lost has none."""
    return own.vehicle.thrust_max_n.r1 > 0.0


def from_line(point: Vec3, start: Vec3, along: Vec3) -> Scalar:
    """Distance of a point from the line from ``start`` to ``start + along``."""
    part = clip((point - start).dot(along) / (along.norm2() + _TINY_M2), 0.0, 1.0)
    return (point - start - along * part).norm()


def between_lines(start: Vec3, along: Vec3, other_start: Vec3, other_along: Vec3) -> Scalar:
    """Distance of two lines of finite length: the nearest points, each in turn kept within its line."""
    apart = start - other_start
    a, e, b = along.norm2() + _TINY_M2, other_along.norm2() + _TINY_M2, along.dot(other_along)
    c, f = along.dot(apart), other_along.dot(apart)
    first = clip((b * f - c * e) / (a * e - b * b + _TINY_M2), 0.0, 1.0)
    other = clip((b * first + f) / e, 0.0, 1.0)
    first = clip((b * other - c) / a, 0.0, 1.0)
    return (apart + along * first - other_along * other).norm()


def _line(drone: Motion, load: RigidBody, own: DroneParams) -> _Line:
    start = load.pos_w + load.quat_wb.rotate(own.cable.load_point_b)
    end = drone.body.pos_w + drone.body.quat_wb.rotate(own.cable.drone_point_b)
    return _Line(start, end - start)


def _least(world: TeamWorld, distances: list[Scalar]) -> Scalar:
    if not distances:
        return torch.full_like(world.load.body.pos_w.x, FAR_M)
    return functools.reduce(smaller, distances)
