"""Features of poses, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

import torch

from corvids.envs.mdp.goal_path import PREVIEWS_S


def _bilinear(rows: int, terms: dict[tuple[int, int], tuple[int, float]], columns: int) -> torch.Tensor:
    """What products of all pairs, flattened, are multiplied by: each pair's column and factor."""
    matrix = torch.zeros(rows * rows, columns)
    for (i, j), (column, factor) in terms.items():
        matrix[rows * i + j, column] = factor
    return matrix


_CROSS = _bilinear(
    3,
    {
        (1, 2): (0, 1.0),
        (2, 1): (0, -1.0),
        (2, 0): (1, 1.0),
        (0, 2): (1, -1.0),
        (0, 1): (2, 1.0),
        (1, 0): (2, -1.0),
    },
    3,
)
_BETWEEN = _bilinear(
    4,
    {
        (0, 0): (0, 1.0), (1, 1): (0, 1.0), (2, 2): (0, 1.0), (3, 3): (0, 1.0),
        (0, 1): (1, 1.0), (1, 0): (1, -1.0), (2, 3): (1, -1.0), (3, 2): (1, 1.0),
        (0, 2): (2, 1.0), (2, 0): (2, -1.0), (3, 1): (2, -1.0), (1, 3): (2, 1.0),
        (0, 3): (3, 1.0), (3, 0): (3, -1.0), (1, 2): (3, -1.0), (2, 1): (3, 1.0),
    },
    4,
)  # fmt: skip
"""Of the conjugate of one quaternion times another."""


def rotated(axes: torch.Tensor, vector_b: torch.Tensor) -> torch.Tensor:
    """``vector_b`` (n, 3) by the rotation matrices ``axes`` (n, 9), row by row."""
    return (axes.reshape(-1, 3, 3) * vector_b[:, None]).sum(-1)


def crossed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cross products of vectors (n, 3), in fewer operations than torch's are exported as."""
    return (a.unsqueeze(-1) * b.unsqueeze(-2)).reshape(-1, 9) @ _CROSS.to(a)


def turn_between(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """As :func:`~corvids.controllers.load_filter.rotation_between`, of quaternions (n, 4): (n, 3) [rad, near 0]."""
    between = (start.unsqueeze(-1) * end.unsqueeze(-2)).reshape(-1, 16) @ _BETWEEN.to(start)
    return torch.where(between[:, :1] < 0.0, -2.0, 2.0) * between[:, 1:]


def goals_to_come(command: torch.Tensor) -> torch.Tensor:
    """Where the goals to come lie [m, world] and how they are turned [rad], from the present one, (n, 3, 6).

    ``command`` (n, c): as :data:`corvids.envs.mdp.goal_path.COMMAND`.
    """
    count = len(PREVIEWS_S)
    now, _, ahead = command.split((7, 6, 7 * count), dim=-1)
    pos_w, quat_wb = now.unsqueeze(1).split((3, 4), dim=-1)
    ahead_pos, ahead_quat = ahead.reshape(-1, count, 7).split((3, 4), dim=-1)
    start = torch.cat((quat_wb,) * count, dim=1).reshape(-1, 4)
    turns = turn_between(start, ahead_quat.reshape(-1, 4)).reshape(-1, count, 3)
    return torch.cat((ahead_pos - pos_w, turns), dim=-1)


def previews(command: torch.Tensor) -> torch.Tensor:
    """The same side by side, (n, 18)."""
    return goals_to_come(command).reshape(-1, 6 * len(PREVIEWS_S))
