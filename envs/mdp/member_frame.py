"""The frame in which a member sees its team, and acts: level, with x pointing from the load's middle to where it pulls.

What it should do does not depend on where north is, and hardly on which member it is: in this frame a policy need not
learn either, and what one member meets teaches all. On feature tensors of shape ``(n, ·)``; exported.
"""

from __future__ import annotations

import torch

from corvids.envs.mdp.pose_features import rotated

_ALONG_LOAD_M = 0.01
"""Part of the load's own x axis in the direction of x, for a member that pulls at the middle."""
_LEAST_M = 1e-3
"""Of its level part, below which an arm has no direction."""


def own_direction(axes: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Direction (n, 2) of x in the world, from the load's axes (n, 9) and :data:`corvids.envs.mdp.team_facts.FACTS`."""
    arm = facts[:, :3] - facts[:, 3:6] + torch.tensor((_ALONG_LOAD_M, 0.0, 0.0)).to(facts)
    level = rotated(axes, arm)[:, :2]
    return level / level.square().sum(-1, keepdim=True).sqrt().clamp(min=_LEAST_M)


def seen(x_w: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (n, k, 3) of the world in the frame whose x points along ``x_w`` (n, 2)."""
    cosine, sine = x_w[:, None].split((1, 1), dim=-1)
    x, y, z = vectors.split((1, 1, 1), dim=-1)
    return torch.cat((cosine * x + sine * y, cosine * y - sine * x, z), dim=-1)


def from_own(x_w: torch.Tensor, attitude: torch.Tensor) -> torch.Tensor:
    """Direction (n, 2) of x as a drone with axes ``attitude`` (n, 9) sees it, were it level."""
    nose = attitude[:, 0:6:3]
    nose = nose / nose.square().sum(-1, keepdim=True).sqrt().clamp(min=_LEAST_M)
    along = (x_w * nose).sum(-1, keepdim=True)
    left = x_w[:, 1:] * nose[:, :1] - x_w[:, :1] * nose[:, 1:]
    return torch.cat((along, left), dim=-1)


def meant(x_to: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Level vectors (n, 2) of the frame, in one where its x points along ``x_to`` (n, 2)."""
    cosine, sine = x_to.split((1, 1), dim=-1)
    return torch.cat(
        (cosine * pair[:, :1] - sine * pair[:, 1:], sine * pair[:, :1] + cosine * pair[:, 1:]), dim=-1
    )
