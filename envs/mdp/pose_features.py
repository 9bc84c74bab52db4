"""Features of poses, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

import torch

from corvids.envs.mdp.goal_path import PREVIEWS_S


def rotated(axes: torch.Tensor, vector_b: torch.Tensor) -> torch.Tensor:
    """``vector_b`` (n, 3) by the rotation matrices ``axes`` (n, 9), row by row."""
    return (axes.reshape(-1, 3, 3) * vector_b[:, None]).sum(-1)


def turn_between(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """As :func:`~corvids.controllers.load_filter.rotation_between`, of quaternions (n, 4): (n, 3) [rad, near 0]."""
    w, v = start[:, :1], start[:, 1:]
    other_w, other = end[:, :1], end[:, 1:]
    vector = w * other - other_w * v - torch.linalg.cross(v, other)
    real = w * other_w + (v * other).sum(-1, keepdim=True)
    return torch.where(real < 0.0, -2.0, 2.0) * vector


def previews(command: torch.Tensor) -> torch.Tensor:
    """Where the goals to come lie [m, world] and how they are turned [rad], from the present one, (n, 18).

    ``command`` (n, c): as :data:`corvids.envs.mdp.goal_path.COMMAND`.
    """
    pos_w, quat_wb = command[:, :3], command[:, 3:7]
    parts = []
    for index in range(len(PREVIEWS_S)):
        ahead = command[:, 13 + 7 * index : 20 + 7 * index]
        parts += [ahead[:, :3] - pos_w, turn_between(quat_wb, ahead[:, 3:])]
    return torch.cat(parts, dim=-1)
