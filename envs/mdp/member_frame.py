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
# Rotations are written as products with constants, which are exported as few operations.
_LEVEL = torch.tensor(
    ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
)
"""Entries of the rotation into the frame, row by row, that x's cosine and sine make."""
_UPRIGHT = torch.tensor((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
_ALONG_AND_LEFT = torch.tensor(((1.0, 0.0, 0.0, -1.0), (0.0, 1.0, 1.0, 0.0)))
"""What a nose is multiplied by for the part of x along it, and that to its left."""
_MEANT = torch.zeros(5, 4, 5)
"""Products of an action's numbers and of cosine and sine, (action, direction, result): two rotations in the plane."""
for _first, _cosine in ((0, 0), (3, 2)):
    _MEANT[_first, _cosine, _first] = _MEANT[_first + 1, _cosine, _first + 1] = 1.0
    _MEANT[_first, _cosine + 1, _first + 1] = 1.0
    _MEANT[_first + 1, _cosine + 1, _first] = -1.0
_MEANT = _MEANT.reshape(20, 5)
_UP = torch.tensor((0.0, 0.0, 1.0, 0.0, 0.0))


def own_direction(axes: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Direction (n, 2) of x in the world, from the load's axes (n, 9) and :data:`corvids.envs.mdp.team_facts.FACTS`."""
    arm = facts[:, :3] - facts[:, 3:6] + torch.tensor((_ALONG_LOAD_M, 0.0, 0.0)).to(facts)
    level = rotated(axes, arm)[:, :2]
    return level / level.square().sum(-1, keepdim=True).sqrt().clamp(min=_LEAST_M)


def seen(x_w: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (n, k, 3) of the world in the frame whose x points along ``x_w`` (n, 2)."""
    return vectors @ (x_w @ _LEVEL.to(x_w) + _UPRIGHT.to(x_w)).reshape(-1, 3, 3)


def from_own(x_w: torch.Tensor, attitude: torch.Tensor) -> torch.Tensor:
    """Direction (n, 2) of x as a drone with axes ``attitude`` (n, 9) sees it, were it level."""
    nose = attitude[:, 0:6:3]
    nose = nose / nose.square().sum(-1, keepdim=True).sqrt().clamp(min=_LEAST_M)
    return ((x_w @ _ALONG_AND_LEFT.to(x_w)).reshape(-1, 2, 2) * nose[:, None]).sum(-1)


def meant(x_w: torch.Tensor, x_own: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """An action (n, 5) of the frame as one of ACCBR: acceleration in the world, roll and pitch rate in body axes.

    ``x_w``, ``x_own`` (n, 2): where the frame's x points in the world, and as the drone sees it.
    """
    directions = torch.cat((x_w, x_own), dim=-1)
    products = (action.unsqueeze(-1) * directions.unsqueeze(-2)).reshape(-1, 5 * 4)
    return products @ _MEANT.to(action) + action * _UP.to(action)
