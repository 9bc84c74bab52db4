"""Features that observations are made of, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

import torch

GRAVITY_MPS2 = 9.80665

# q ⊗ p = (q[:, _PERMUTED] * _SIGNS) · p
_PERMUTED = (0, 1, 2, 3, 1, 0, 3, 2, 2, 3, 0, 1, 3, 2, 1, 0)
_SIGNS = (1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0)

# Row-major rotation matrix = I + (products q_i q_j flattened) · _ROTATION
_PRODUCTS = {
    0: {(2, 2): -2.0, (3, 3): -2.0},
    1: {(1, 2): 2.0, (0, 3): -2.0},
    2: {(1, 3): 2.0, (0, 2): 2.0},
    3: {(1, 2): 2.0, (0, 3): 2.0},
    4: {(1, 1): -2.0, (3, 3): -2.0},
    5: {(2, 3): 2.0, (0, 1): -2.0},
    6: {(1, 3): 2.0, (0, 2): -2.0},
    7: {(2, 3): 2.0, (0, 1): 2.0},
    8: {(1, 1): -2.0, (2, 2): -2.0},
}
_ROTATION = torch.zeros(16, 9)
for _entry, _terms in _PRODUCTS.items():
    for (_i, _j), _factor in _terms.items():
        _ROTATION[4 * _i + _j, _entry] = _factor


def turned(quat_wb: torch.Tensor, rotation_b: torch.Tensor) -> torch.Tensor:
    """``quat_wb`` (n, 4) turned by a rotation vector (n, 3) [rad, body], to third order in the angle."""
    half = 0.5 * rotation_b
    square = (half * half).sum(-1, keepdim=True)
    delta = torch.cat((1.0 - 0.5 * square, half * (1.0 - square / 6.0)), dim=-1)
    signs = torch.tensor(_SIGNS, dtype=quat_wb.dtype, device=quat_wb.device)
    left = (quat_wb[:, list(_PERMUTED)] * signs).reshape(-1, 4, 4)
    return (left @ delta.unsqueeze(-1)).squeeze(-1)


def rotation_matrix(quat_wb: torch.Tensor) -> torch.Tensor:
    """Rotation matrix of (n, 4) quaternions, row by row, (n, 9)."""
    products = (quat_wb.unsqueeze(-1) * quat_wb.unsqueeze(-2)).reshape(-1, 16)
    identity = torch.eye(3, dtype=quat_wb.dtype, device=quat_wb.device).reshape(9)
    return identity + products @ _ROTATION.to(quat_wb)


def fallen(pos: torch.Tensor, vel: torch.Tensor, ahead_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Position and velocity (n, 3) after ``ahead_s`` (n, 1) of free fall without drag."""
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=pos.dtype, device=pos.device)
    step = gravity * ahead_s
    return pos + (vel + 0.5 * step) * ahead_s, vel + step


def descent(pos: torch.Tensor, vel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Free fall without drag from ``pos`` (n, 3) to height zero.

    Returns where it comes down (n, 2), the vertical speed there (n, 1) and the time until then [s], (n, 1).
    """
    up = vel[:, 2:3]
    speed = (up.square() + 2.0 * GRAVITY_MPS2 * pos[:, 2:3].relu()).sqrt()
    until_s = (up + speed) / GRAVITY_MPS2
    return pos[:, :2] + vel[:, :2] * until_s, speed, until_s
