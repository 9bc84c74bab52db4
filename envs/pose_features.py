"""Features of poses, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

import torch

from corvids.envs.goal_path import PREVIEWS_S


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


def turns_ahead(command: torch.Tensor) -> torch.Tensor:
    """Turns (n, 3, 3) from the present goal of a ``command`` (n, c) to those to come, as :func:`turn_between`."""
    count = len(PREVIEWS_S)
    ahead = torch.stack([command[:, 16 + 7 * i : 20 + 7 * i] for i in range(count)], dim=1).reshape(-1, 4)
    now = torch.stack((command[:, 3:7],) * count, dim=1).reshape(-1, 4)
    return turn_between(now, ahead).reshape(-1, count, 3)


def previews(command: torch.Tensor) -> torch.Tensor:
    """Where the goals to come lie [m, world] and how they are turned [rad], from the present one, (n, 18).

    ``command`` (n, c): as :data:`corvids.envs.goal_path.COMMAND`.
    """
    pos_w, turns = command[:, :3], turns_ahead(command)
    parts = []
    for index in range(len(PREVIEWS_S)):
        parts += [command[:, 13 + 7 * index : 16 + 7 * index] - pos_w, turns[:, index]]
    return torch.cat(parts, dim=-1)
