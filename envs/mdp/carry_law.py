"""A law by which each member of a team carries its load alone: what a policy of carrying begins from.

A member flies to where it would hang above its own point of attachment, were the load a little nearer to its goal than
it is. All cables then fan out from one point below the load, on the vertical through its centre of mass, so that
tensions in proportion to any weights that balance the load keep it in equilibrium at every tilt: with forces
``w_i·(m·g·e_z + κ·(q_i - q_0))``, ``Σw_i = 1`` and ``Σw_i·q_i = q_0``, both their sum and their moment about ``q_0``
are those of a weight that acts through ``q_0``. So a member needs to know its own point ``q_i`` and that plane, not its
neighbours. On feature tensors of shape ``(n, ·)``; its operations are exported.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from corvids.envs.mdp.features import rotation_matrix, turned
from corvids.envs.mdp.goal_path import PREVIEWS_S
from corvids.envs.mdp.pose_features import rotated, turn_between
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.vehicle import GRAVITY_MPS2

STIFFNESS_PS2 = 4.9
"""Acceleration per distance of a member from where it wants to be."""
DAMPING_PS = 6.5
"""Acceleration per velocity error."""
FOLLOWED = 0.58
"""Part of the load's velocity that a member takes for what it should have."""
LEAD_M = 0.78
"""How far ahead of the load its goal is taken to be, at most."""
LEAD_RAD = 0.57
"""The same for the rotation that is left."""
SWING_S = 0.4
"""A load hangs below members whose inner loops cancel its pull, so nothing damps its swing; they do, by standing back
by its velocity times this. Its rotation is damped by leaning cables; the same for that only made it unsteady."""
FAN_M = 0.44
"""How far below the plane of attachment the lines of all cables meet: they lean by atan(arm / FAN_M)."""
SUMMED_S = 4.0
"""Time in which a constant error of the load is added to its goal once."""
FORGOTTEN_S = 12.0
"""Time constant with which that sum fades."""
NEAR_M, NEAR_RAD = 0.5, 0.3
"""Errors beyond these are on the way to the goal, and not summed up."""
HANG_M = 0.03
"""Distance of a member's centre of mass from where its cable leaves it."""
LEAST_COSINE = 0.3
"""Of the load's tilt, below which the plane of attachment is taken to lean no more."""
_DERIVED = torch.linalg.inv(
    torch.tensor([[t**n / math.factorial(n) for n in (2, 3, 4)] for t in PREVIEWS_S], dtype=torch.float64)
)
"""Second to fourth derivatives of places to come (their Taylor series, solved)."""


def carrying_accel(inputs: TeamInputs, memory: torch.Tensor, mass_kg: float) -> torch.Tensor:
    """Wanted acceleration [m/s²], world, (n, 3), of a member of ``mass_kg``.

    ``memory`` (n, 6): sums of the load's errors, as of :func:`summed`. The inner loop leaves a part of the cable's pull
    to be felt, so that members yield to each other; of that part, the law takes off what should be there.
    """
    age, load_age, command, facts = inputs.vehicle_age_s, inputs.load_age_s, inputs.command, inputs.facts
    pos = inputs.pos_w + inputs.vel_w * age
    load_pos = inputs.load_pos_w + inputs.load_vel_w * load_age
    load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * load_age)
    goal_vel, goal_omega = command[:, 7:10], command[:, 10:13]
    goal_accel, goal_jerk, goal_snap = goal_derivatives(command)
    swing = inputs.load_vel_w - goal_vel
    off = _within(command[:, :3] - load_pos + memory[:, :3], LEAD_M) - swing * SWING_S
    turn = _within(turn_between(load_quat, command[:, 3:7]) + memory[:, 3:], LEAD_RAD)
    axes = rotation_matrix(turned(load_quat, turn))
    hang = hanging(load_pos + off, axes, facts, goal_accel)
    turning = torch.linalg.cross(rotated(axes, goal_omega), hang.lever)
    vel_w = goal_vel + turning + goal_jerk * hang.lean_s2 + swing * FOLLOWED
    accel_w = goal_accel + goal_snap * hang.lean_s2 + hang.pull * ((1.0 - CANCELLED_PART) / mass_kg)
    return (hang.place - pos) * STIFFNESS_PS2 + (vel_w - inputs.vel_w) * DAMPING_PS + accel_w


def goal_derivatives(command: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Second to fourth derivatives of the goal's place, (n, 3) each, told from its velocity and the places to come."""
    pos_w, vel_w = command[:, :3], command[:, 7:10]
    ahead = [command[:, 13 + 7 * i : 16 + 7 * i] - pos_w - vel_w * s for i, s in enumerate(PREVIEWS_S)]
    together = torch.stack(ahead, dim=-1)[:, None] * _DERIVED.to(command)[:, None]
    return together.sum(-1).unbind(1)


def summed(inputs: TeamInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
    """``memory`` (n, 6) a tick later: what a law of one drone alone needs to remove what is constantly off.

    Errors of place and attitude are summed up only when they are small, and slowly forgotten.
    """
    command = inputs.command
    place = command[:, :3] - inputs.load_pos_w
    turn = turn_between(inputs.load_quat_wb, command[:, 3:7])
    off = torch.cat((_if_small(place, NEAR_M), _if_small(turn, NEAR_RAD)), dim=-1)
    return memory * (1.0 - tick_s / FORGOTTEN_S) + off * (tick_s / SUMMED_S)


def _if_small(vector: torch.Tensor, most: float) -> torch.Tensor:
    """``vector`` (n, 3), smaller and smaller as it nears ``most``, and 0 beyond."""
    size = vector.square().sum(-1, keepdim=True) * (1.0 / most**2)
    return vector * torch.relu(1.0 - size)


class Hanging(NamedTuple):
    """How members hang above their load; all (n, 3), world."""

    place: torch.Tensor
    """Where [m]."""
    lever: torch.Tensor
    """What a turning load's angular velocity times makes their velocity [m]."""
    lean_s2: torch.Tensor
    """How far they stand aside per acceleration of the load, (n, 3) [s²]; 0 upward."""
    pull: torch.Tensor
    """Force that their cable should have [N], from drone to load."""


def hanging_places(place: torch.Tensor, axes: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Where members (n, 3) hang above a load at rest at ``place`` (n, 3) [m, world], with axes (n, 9)."""
    return hanging(place, axes, facts, torch.zeros_like(place)).place


def hanging(place: torch.Tensor, axes: torch.Tensor, facts: torch.Tensor, accel_w: torch.Tensor) -> Hanging:
    """The same above a load that accelerates by ``accel_w`` (n, 3) [m/s²]."""
    point, center = place + rotated(axes, facts[:, :3]), place + rotated(axes, facts[:, 12:15])
    gravity, level = torch.tensor(
        ((0.0, 0.0, GRAVITY_MPS2), (1.0, 1.0, 0.0)), dtype=place.dtype, device=place.device
    )
    felt = accel_w + gravity
    felt_mps2 = felt.square().sum(-1, keepdim=True).sqrt()
    up = felt / felt_mps2
    # The plane of attachment, straight above the centre of mass (as it feels its weight).
    up_b = (axes.reshape(-1, 3, 3) * up[:, :, None]).sum(1)
    upright, depth = up_b[:, 2:3].clamp(min=LEAST_COSINE), facts[:, 5:6] - facts[:, 14:15]
    height = depth / upright
    arm = point - center
    along = arm + (FAN_M - height) * up
    stretch = (facts[:, 11:12] + HANG_M) / along.square().sum(-1, keepdim=True).sqrt()
    weight_n = load_share(facts, up_b[:, :2] * height) * facts[:, 10:11] * felt_mps2
    return Hanging(
        point + along * stretch,
        arm * (1.0 + stretch),
        (FAN_M - height) * stretch / felt_mps2 * level,
        along * (weight_n / FAN_M),
    )


def load_share(facts: torch.Tensor, aside: torch.Tensor) -> torch.Tensor:
    """Part of the load that is a member's to bear, (n, 1): the most even parts ``w`` that balance it.

    ``aside`` (n, 2) [m]: how far from above the centre of mass, in the load's x and y, the weight meets the plane of
    attachment. Of all ``Σw = 1``, ``Σw·q = c`` the least ``Σw²`` is ``w = (1 + (q - q̄)·S⁻¹·(c - q̄)) / members``, with
    the points' mean ``q̄`` and covariance ``S``.
    """
    mean, off = facts[:, 3:5], facts[:, :2] - facts[:, 3:5]
    to = facts[:, 12:14] + aside - mean
    xx, xy, yy = (
        facts[:, 6:7] - mean[:, :1] * mean[:, :1],
        facts[:, 7:8] - mean[:, :1] * mean[:, 1:],
        facts[:, 8:9] - mean[:, 1:] * mean[:, 1:],
    )
    x, y, to_x, to_y = *off.split(1, dim=-1), *to.split(1, dim=-1)
    part = (x * yy - y * xy) * to_x + (y * xx - x * xy) * to_y
    # One point, or points in a line, share evenly.
    return (1.0 + part / (xx * yy - xy * xy).clamp(min=1e-6)).clamp(min=0.0) / facts[:, 9:10].clamp(min=1.0)


def _within(vector: torch.Tensor, most: float) -> torch.Tensor:
    """``vector`` (n, 3), shortened to ``most``."""
    size = vector.square().sum(-1, keepdim=True).sqrt()
    return vector * (most / size.clamp(min=most))
