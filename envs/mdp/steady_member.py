"""A member of a team that does not carry as the others do: it holds a place, and bears a constant share of the load.

In training it stands for a member that a geometric position controller flies (:mod:`corvids.deploy.fallback`, whose
gains these are): the others must not rely on its being like them. Rows of ``(n, ·)``, SI, world.
"""

from __future__ import annotations

import torch

from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.goal_path import pose_at
from corvids.envs.mdp.hanging import hanging_places
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.vehicle import GRAVITY_MPS2

POSITION_PS = 1.5
"""Wanted velocity per distance from its place."""
VELOCITY_PS = 3.0
"""Wanted acceleration per velocity error."""
SPEED_MAX_MPS = 1.0
"""Largest wanted speed."""


def place_above(path: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Where members of ``facts`` (n, f) hang above the present goals of paths (PATH_ROWS, n), (n, 3)."""
    goal = pose_at(path.unbind(0))
    axes = rotation_matrix(torch.stack(tuple(goal.quat_wb), dim=-1))
    return hanging_places(torch.stack(tuple(goal.pos_w), dim=-1), axes, facts)


def steady_accel(
    off_w: torch.Tensor, vel_w: torch.Tensor, outside_w: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Acceleration (n, 3) that makes the inner loop give the thrust of such a member.

    ``off_w``: from the member to its place. ``outside_w``: the specific force from outside that its inner loop believes
    in and would cancel. ``share`` (n, 1): what it bears of the load, over its own mass.
    """
    reach = off_w * POSITION_PS
    reach = reach * (SPEED_MAX_MPS / reach.norm(dim=-1, keepdim=True).clamp(min=SPEED_MAX_MPS))
    gravity = torch.tensor((0.0, 0.0, GRAVITY_MPS2), dtype=off_w.dtype, device=off_w.device)
    thrust = ((reach - vel_w) * VELOCITY_PS + gravity) * (1.0 + share)
    return thrust - gravity + outside_w * CANCELLED_PART
