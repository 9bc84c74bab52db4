"""Features that observations are made of, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

from typing import NamedTuple

import torch

GRAVITY_MPS2 = 9.80665
RATE_LAG_S = 0.07
"""Lag with which body rates follow their command: rate loop and motors of a quadrotor of about a kilogram."""
GUIDANCE_MAX_MPS2 = 25.0
"""Acceleration beyond which guidance asks for no more: what such a quadrotor can do sideways."""

# q ⊗ p = (products q_i p_j flattened) · _HAMILTON
_HAMILTON = torch.zeros(16, 4)
for _entry, _terms in enumerate(
    (
        {(0, 0): 1.0, (1, 1): -1.0, (2, 2): -1.0, (3, 3): -1.0},
        {(0, 1): 1.0, (1, 0): 1.0, (2, 3): 1.0, (3, 2): -1.0},
        {(0, 2): 1.0, (1, 3): -1.0, (2, 0): 1.0, (3, 1): 1.0},
        {(0, 3): 1.0, (1, 2): 1.0, (2, 1): -1.0, (3, 0): 1.0},
    )
):
    for (_i, _j), _factor in _terms.items():
        _HAMILTON[4 * _i + _j, _entry] = _factor

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

# -½ θ × e_z = θ · _TURN_BACK
_TURN_BACK = torch.tensor(((0.0, 0.5, 0.0), (-0.5, 0.0, 0.0), (0.0, 0.0, 0.0)))


def turned(quat_wb: torch.Tensor, rotation_b: torch.Tensor) -> torch.Tensor:
    """``quat_wb`` (n, 4) turned by a rotation vector (n, 3) [rad, body].

    The angle errs by (half angle)³/3, 0.005 rad at half a radian; the length by (half angle)⁴/8.
    """
    half = 0.5 * rotation_b
    shorter = 1.0 - 0.5 * (half * half).sum(-1, keepdim=True)
    return _products(quat_wb, torch.cat((shorter, half), dim=-1)) @ _HAMILTON.to(quat_wb)


def rotation_matrix(quat_wb: torch.Tensor) -> torch.Tensor:
    """Rotation matrix of (n, 4) quaternions, row by row, (n, 9)."""
    identity = torch.eye(3, dtype=quat_wb.dtype, device=quat_wb.device).reshape(9)
    return identity + _products(quat_wb, quat_wb) @ _ROTATION.to(quat_wb)


def _products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All products of a number in ``a`` (n, 4) and one in ``b`` (n, 4): (n, 16)."""
    return (a.unsqueeze(-1) * b.unsqueeze(-2)).reshape(-1, 16)


class Motion(NamedTuple):
    """A vehicle at one moment, rows of (n, ·), SI, world ENU and body FLU."""

    pos_w: torch.Tensor
    vel_w: torch.Tensor
    quat_wb: torch.Tensor
    omega_b: torch.Tensor


class Present(NamedTuple):
    """A vehicle now, as predicted; rows of (n, ·)."""

    pos_w: torch.Tensor
    vel_w: torch.Tensor
    matrix_wb: torch.Tensor
    """Rotation matrix, rows one after the other, (n, 9)."""
    omega_b: torch.Tensor


def carried_on(
    motion: Motion, thrust_mps2: torch.Tensor, rate_b_radps: torch.Tensor, ahead_s: torch.Tensor
) -> Present:
    """Where a vehicle is ``ahead_s`` (n, 1) after it was seen, by what it was commanded meanwhile.

    ``thrust_mps2`` (n, 1): collective thrust over mass; ``rate_b_radps`` (n, 3): body rates, which follow their command
    with a lag of :data:`RATE_LAG_S`. The thrust is taken to act along the axis half-way. A message that is 60 ms old
    tells little of a vehicle in a sharp turn without this.
    """
    half_s = 0.5 * ahead_s
    left = torch.exp(half_s * (-1.0 / RATE_LAG_S))  # of what the rates lack half-way
    lacking = motion.omega_b - rate_b_radps
    turn_b = (rate_b_radps + lacking * left) * ahead_s
    matrix = rotation_matrix(turned(motion.quat_wb, turn_b))
    # The body's z axis half-way, in the axes at the end: a turn back by half, to first order.
    axis_b = torch.tensor((0.0, 0.0, 1.0), dtype=matrix.dtype, device=matrix.device) + turn_b @ _TURN_BACK.to(
        matrix
    )
    axis_w = (matrix.reshape(-1, 3, 3) @ axis_b.unsqueeze(-1)).squeeze(-1)
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=matrix.dtype, device=matrix.device)
    gained = (axis_w * thrust_mps2 + gravity) * ahead_s
    return Present(
        motion.pos_w + (motion.vel_w + 0.5 * gained) * ahead_s,
        motion.vel_w + gained,
        matrix,
        rate_b_radps + lacking * (left * left),
    )


def guidance(aside: torch.Tensor, vel: torch.Tensor, until_s: torch.Tensor) -> torch.Tensor:
    """Acceleration (n, 2) with which to be ``aside`` (n, 2) from here, at rest, after ``until_s`` (n, 1).

    The zero-effort-miss and zero-effort-velocity law, 6·d/t² - 4·v/t, which spends the least control effort (Ebrahimi,
    Bahrami & Roshanian 2008), limited to :data:`GUIDANCE_MAX_MPS2`.
    """
    time_s = until_s.clamp(min=0.1)
    wanted = (6.0 * aside / time_s - 4.0 * vel) / time_s
    size = torch.linalg.vector_norm(wanted, dim=-1, keepdim=True)
    return wanted / (size * (1.0 / GUIDANCE_MAX_MPS2)).clamp(min=1.0)


def into_body(matrix_wb: torch.Tensor, vector_w: torch.Tensor) -> torch.Tensor:
    """World vectors (n, 3) along the axes of bodies with rotation matrices (n, 9)."""
    return (vector_w.unsqueeze(-2) @ matrix_wb.reshape(-1, 3, 3)).squeeze(-2)


def scaled(*parts: tuple[float, torch.Tensor]) -> torch.Tensor:
    """Tensors (n, ·) side by side, each times its factor."""
    joined = torch.cat([part for _, part in parts], dim=-1)
    factors = [factor for factor, part in parts for _ in range(part.shape[-1])]
    return joined * torch.tensor(factors, dtype=joined.dtype, device=joined.device)
