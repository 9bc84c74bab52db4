"""Feature rows of a team from component tensors: what a drone's policy is given, and what the critic is told."""

from __future__ import annotations

import functools

import torch

from corvids.controllers.load_filter import LoadEstimate
from corvids.controllers.spatial import Scalar
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.team_world import TeamParams, TeamWorld
from corvids.envs.sensors.sensing import Signals


def team_inputs(
    signals: Signals,
    load: LoadEstimate,
    load_age_s: Scalar,
    command: tuple[Scalar, ...],
    facts: torch.Tensor,
) -> TeamInputs:
    """Feature tensors of signals (leaves (rows, drones)), a command (rows, 1) and facts (drones · rows, f)."""
    like = signals.vehicle_age_s

    def columns(*components: Scalar) -> torch.Tensor:
        return _rows(components, like)

    return TeamInputs(
        pos_w=columns(*signals.pos_w),
        vel_w=columns(*signals.vel_w),
        quat_wb=columns(*signals.quat_wb),
        omega_b=columns(*signals.omega_b),
        vehicle_age_s=columns(signals.vehicle_age_s),
        load_pos_w=columns(*load.pos_w),
        load_vel_w=columns(*load.vel_w),
        load_quat_wb=columns(*load.quat_wb),
        load_omega_b=columns(*load.omega_b),
        load_age_s=columns(load_age_s),
        command=columns(*command),
        facts=facts,
    )


EACH_MEMBER = 14
"""Numbers about every member that begin what :func:`critic_view` gives, the members' side by side."""


def critic_view(world: TeamWorld, truth: TeamParams, command: tuple[Scalar, ...]) -> torch.Tensor:
    """What only the critic sees, (drones · rows, ·): the present truth of the whole world, and of the own vehicle."""
    load, motion = world.load.body, world.motion.body
    rel, vel, up = motion.pos_w - load.pos_w, motion.vel_w, motion.quat_wb.body_z()
    # Tensions in newtons are some ten times larger than the rest.
    vehicle = truth.drones.vehicle
    full_n = functools.reduce(torch.add, vehicle.thrust_max_n) * 0.05
    each = (*rel, *vel, *up, *(rate * 0.3 for rate in motion.omega_b), world.motion.tension_n * 0.1, full_n)
    everyone = [column for component in each for column in component.split(1, dim=1)]
    goal = command[:3]
    shared = (
        *(g - p for g, p in zip(goal, load.pos_w, strict=True)),
        *load.vel_w,
        *load.quat_wb,
        *load.omega_b,
        load.pos_w.z,
        truth.load.mass_kg,
    )
    own = (*rel, *vel, *up, vehicle.mass_kg, full_n, truth.drones.wind_w.x)
    return _rows((*everyone, *shared, *own), motion.pos_w.x)


def _rows(components: tuple[Scalar, ...], like: torch.Tensor) -> torch.Tensor:
    """Components (rows, drones) or (rows, 1) side by side, drone by drone: (drones · rows, ·)."""
    return torch.cat([part.expand_as(like).t().reshape(-1, 1) for part in components], dim=-1)
