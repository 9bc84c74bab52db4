"""An actor for each member of a team, in one network: who sees an observation is told by where its cable is attached.

So one policy file still flies them all, and the rows of a batch may come in any order. What is shared by default is
what all members learn together; with actors of their own each learns from its own rows alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import MLP

from corvids.envs.mdp.team_task import TeamTask

Point = Sequence[float]
"""Where a member's cable is attached [m, load]."""


class Members(NamedTuple):
    """Whose actors there are."""

    points: list[list[float]]
    """Where each member's cable is attached."""
    own_place: tuple[int, int]
    """Columns of an observation, from its end, that say where the member that sees it pulls."""


def members_of(task: TeamTask) -> Members:
    """Those of a task's team."""
    return Members(task.facts()[:, :3].tolist(), task.OWN_PLACE)


class MemberMLP(torch.nn.Module):
    """Input (n, ``width`` + 3), the last three of which say where the member pulls, to output (n, ``outputs``)."""

    points: torch.Tensor

    def __init__(
        self, points: Sequence[Point], width: int, outputs: int, hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        self.register_buffer("points", torch.tensor(points), persistent=False)
        self.each = torch.nn.ModuleList(MLP(width, outputs, list(hidden), activation) for _ in points)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """What the member's own network says."""
        seen, place = numbers[:, :-3], numbers[:, -3:]
        off = (place[:, None] - self.points).square().sum(-1)
        is_it = (off <= functools.reduce(torch.minimum, off.split(1, dim=1))).to(seen)
        said = torch.stack([mlp(seen) for mlp in self.each], dim=1)
        return (said * is_it[..., None]).sum(1)


class MemberModel(MLPModel):
    """rsl_rl's model with a network for each member. ``own_place``: the columns that say where a member pulls."""

    def __init__(
        self, obs, obs_groups, obs_set: str, output_dim: int, *,
        points: Sequence[Point], own_place: tuple[int, int], **kwargs,
    ) -> None:  # fmt: skip
        super().__init__(obs, obs_groups, obs_set, output_dim, **kwargs)
        self._own_place = slice(*own_place)
        self.mlp = MemberMLP(points, self.obs_dim, output_dim, kwargs["hidden_dims"], kwargs["activation"])

    def get_latent(self, obs, masks=None, hidden_state=None) -> torch.Tensor:
        """Normalised observations, and where each member pulls [m]."""
        seen = super().get_latent(obs, masks, hidden_state)
        raw = torch.cat([obs[group] for group in self.obs_groups], dim=-1)
        return torch.cat((seen, raw[:, self._own_place]), dim=-1)
