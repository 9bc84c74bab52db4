"""How members hang above their load: places and pulls that hold it in equilibrium at every tilt and acceleration.

All cables fan out from one point below the load, on the line through its centre of mass along which it feels its
weight, so that tensions in proportion to any weights that balance the load keep it in equilibrium: with forces
``w_i·(m·g·e_z + κ·(q_i - q_0))``, ``Σw_i = 1`` and ``Σw_i·q_i = q_0``, both their sum and their moment about ``q_0``
are those of a weight that acts through ``q_0``. So a member needs to know its own point ``q_i`` and that line, not its
neighbours. On feature tensors of shape ``(n, ·)``; its operations are exported.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.envs.mdp.pose_features import rotated
from corvids.vehicle import GRAVITY_MPS2

FAN_M = 0.44
"""How far below the plane of attachment the lines of all cables meet: they lean by atan(arm / FAN_M)."""
HANG_M = 0.03
"""Distance of a member's centre of mass from where its cable leaves it."""
LEAST_COSINE = 0.3
"""Of the load's tilt, below which the plane of attachment is taken to lean no more."""


class Hanging(NamedTuple):
    """Where a member hangs, and how it pulls; both (n, 3), world."""

    place: torch.Tensor
    """Where [m]."""
    pull: torch.Tensor
    """Force that its cable should have [N], from load to drone."""


def hanging_places(place: torch.Tensor, axes: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Where members (n, 3) hang above a load at rest at ``place`` (n, 3) [m, world], with axes (n, 9)."""
    return hanging(place, axes, facts, torch.zeros_like(place)).place


def hanging(place: torch.Tensor, axes: torch.Tensor, facts: torch.Tensor, accel_w: torch.Tensor) -> Hanging:
    """The same above a load that accelerates by ``accel_w`` (n, 3) [m/s²]."""
    point, middle, _, told, center = facts.split((3, 3, 3, 3, 3), dim=-1)
    gravity = torch.tensor((0.0, 0.0, GRAVITY_MPS2), dtype=place.dtype, device=place.device)
    felt = accel_w + gravity
    felt_mps2 = felt.square().sum(-1, keepdim=True).sqrt()
    up = felt / felt_mps2
    # The plane of attachment, straight above the centre of mass (as it feels its weight).
    up_b = (axes.reshape(-1, 3, 3) * up[:, :, None]).sum(1)
    upright, depth = up_b[:, 2:3].clamp(min=LEAST_COSINE), middle[:, 2:] - center[:, 2:]
    height = depth / upright
    along = rotated(axes, point - center) + (FAN_M - height) * up
    stretch = (told[:, 2:] + HANG_M) / along.square().sum(-1, keepdim=True).sqrt()
    weight_n = load_share(facts, up_b[:, :2] * height) * told[:, 1:2] * felt_mps2
    return Hanging(place + rotated(axes, point) + along * stretch, along * (weight_n / FAN_M))


def load_share(facts: torch.Tensor, aside: torch.Tensor) -> torch.Tensor:
    """Part of the load that is a member's to bear, (n, 1): the most even parts ``w`` that balance it.

    ``aside`` (n, 2) [m]: how far from above the centre of mass, in the load's x and y, the weight meets the plane of
    attachment. Of all ``Σw = 1``, ``Σw·q = c`` the least ``Σw²`` is ``w = (1 + (q - q̄)·S⁻¹·(c - q̄)) / members``, with
    the points' mean ``q̄`` and covariance ``S``.
    """
    own, mean, squares, told, center = facts.split((3, 3, 3, 3, 3), dim=-1)
    off, to, mean = (own - mean)[:, :2], center[:, :2] + aside - mean[:, :2], mean[:, :2]
    (x, y), (to_x, to_y), (mean_x, mean_y) = (pair.split((1, 1), dim=-1) for pair in (off, to, mean))
    xx, xy, yy = squares.split((1, 1, 1), dim=-1)
    xx, xy, yy = xx - mean_x * mean_x, xy - mean_x * mean_y, yy - mean_y * mean_y
    part = (x * yy - y * xy) * to_x + (y * xx - x * xy) * to_y
    # One point, or points in a line, share evenly.
    return (1.0 + part / (xx * yy - xy * xy).clamp(min=1e-6)).clamp(min=0.0) / told[:, :1].clamp(min=1.0)
