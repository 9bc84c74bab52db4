"""A law by which each member of a team carries its load alone: what a policy of carrying begins from.

A member flies to where it would hang above its own point of attachment, were the load a little nearer to its goal than
it is. All cables then fan out from one point below the load, on the vertical through its centre of mass, so that
tensions in proportion to any weights that balance the load keep it in equilibrium at every tilt: with forces
``w_i·(m·g·e_z + κ·(q_i - q_0))``, ``Σw_i = 1`` and ``Σw_i·q_i = q_0``, both their sum and their moment about ``q_0``
are those of a weight that acts through ``q_0``. So a member needs to know its own point ``q_i`` and that plane, not its
neighbours. On feature tensors of shape ``(n, ·)``; its operations are exported.
"""

from __future__ import annotations

import torch

from corvids.envs.features import rotation_matrix, turned
from corvids.envs.pose_features import rotated, turn_between
from corvids.envs.team_task import TeamInputs

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
REMOVED = 0.55
"""How many times the running mean of the load's error is added to the goal."""
HANG_M = 0.03
"""Distance of a member's centre of mass from where its cable leaves it."""
LEAST_COSINE = 0.3
"""Of the load's tilt, below which the plane of attachment is taken to lean no more."""


def carrying_accel(inputs: TeamInputs, memory: torch.Tensor) -> torch.Tensor:
    """Wanted acceleration [m/s², world], (n, 3); ``memory`` (n, 6): running means of the load's errors."""
    age, load_age, command, facts = inputs.vehicle_age_s, inputs.load_age_s, inputs.command, inputs.facts
    pos = inputs.pos_w + inputs.vel_w * age
    load_pos = inputs.load_pos_w + inputs.load_vel_w * load_age
    load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * load_age)
    swing = inputs.load_vel_w - command[:, 7:10]
    off = _within(command[:, :3] - load_pos + memory[:, :3] * REMOVED, LEAD_M) - swing * SWING_S
    turn = _within(turn_between(load_quat, command[:, 3:7]) + memory[:, 3:] * REMOVED, LEAD_RAD)
    axes = rotation_matrix(turned(load_quat, turn))
    wanted = hanging_places(load_pos + off, axes, facts)
    vel_w = command[:, 7:10] + swing * FOLLOWED
    return (wanted - pos) * STIFFNESS_PS2 + (vel_w - inputs.vel_w) * DAMPING_PS


def hanging_places(place: torch.Tensor, axes: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Where members (n, 3) hang above a load at ``place`` (n, 3) [m, world] with rotation matrix ``axes`` (n, 9)."""
    point, center = place + rotated(axes, facts[:, :3]), place + rotated(axes, facts[:, 12:15])
    # The plane of attachment, straight above the centre of mass.
    height = (facts[:, 5:6] - facts[:, 14:15]) / axes[:, 8:9].clamp(min=LEAST_COSINE)
    up = torch.tensor((0.0, 0.0, 1.0), dtype=place.dtype, device=place.device)
    along = point - center + (FAN_M - height) * up
    along = along / along.square().sum(-1, keepdim=True).sqrt()
    return point + along * (facts[:, 11:12] + HANG_M)


def _within(vector: torch.Tensor, most: float) -> torch.Tensor:
    """``vector`` (n, 3), shortened to ``most``."""
    size = vector.square().sum(-1, keepdim=True).sqrt()
    return vector * (most / size.clamp(min=most))
