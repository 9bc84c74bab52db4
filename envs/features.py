"""Features that observations are made of, on tensors of shape ``(n, ·)``: few operations, because they are exported."""

from __future__ import annotations

from typing import NamedTuple

import torch

GRAVITY_MPS2 = 9.80665
RATE_LAG_S = 0.07
"""Lag with which body rates follow their command: rate loop and motors of a quadrotor of about a kilogram."""
GUIDANCE_MAX_MPS2 = 25.0
"""Acceleration beyond which guidance asks for no more: what such a quadrotor can do sideways."""

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


class Motion(NamedTuple):
    """A vehicle at one moment, rows of (n, ·), SI, world ENU and body FLU."""

    pos_w: torch.Tensor
    vel_w: torch.Tensor
    quat_wb: torch.Tensor
    omega_b: torch.Tensor


def carried_on(
    motion: Motion, thrust_mps2: torch.Tensor, rate_b_radps: torch.Tensor, ahead_s: torch.Tensor
) -> Motion:
    """Where a vehicle is ``ahead_s`` (n, 1) after it was seen, by what it was commanded meanwhile.

    ``thrust_mps2`` (n, 1): collective thrust over mass; ``rate_b_radps`` (n, 3): body rates, which follow their command
    with a lag of :data:`RATE_LAG_S`. The thrust is taken to act along the axis half-way. A message that is 60 ms old
    tells little of a vehicle in a sharp turn without this.
    """
    half = 0.5 * ahead_s
    omega_mid = rate_b_radps + (motion.omega_b - rate_b_radps) * torch.exp(-half / RATE_LAG_S)
    omega_end = rate_b_radps + (motion.omega_b - rate_b_radps) * torch.exp(-ahead_s / RATE_LAG_S)
    axis = body_z(turned(motion.quat_wb, motion.omega_b * half))
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=axis.dtype, device=axis.device)
    accel = axis * thrust_mps2 + gravity
    return Motion(
        motion.pos_w + (motion.vel_w + accel * half) * ahead_s,
        motion.vel_w + accel * ahead_s,
        turned(motion.quat_wb, omega_mid * ahead_s),
        omega_end,
    )


def body_z(quat_wb: torch.Tensor) -> torch.Tensor:
    """Where the body's z axis points, (n, 3): the last column of the rotation matrix."""
    return rotation_matrix(quat_wb)[:, 2::3]


def guidance(aside: torch.Tensor, vel: torch.Tensor, until_s: torch.Tensor) -> torch.Tensor:
    """Acceleration (n, 2) with which to be ``aside`` (n, 2) from here, at rest, after ``until_s`` (n, 1).

    The zero-effort-miss and zero-effort-velocity law, 6·d/t² - 4·v/t, which spends the least control effort (Ebrahimi,
    Bahrami & Roshanian 2008), limited to :data:`GUIDANCE_MAX_MPS2`.
    """
    time_s = until_s.clamp(min=0.1)
    wanted = (6.0 * aside / time_s - 4.0 * vel) / time_s
    size = wanted.square().sum(-1, keepdim=True).sqrt()
    return wanted * (GUIDANCE_MAX_MPS2 / size.clamp(min=GUIDANCE_MAX_MPS2))


def into_body(quat_wb: torch.Tensor, vector_w: torch.Tensor) -> torch.Tensor:
    """World vectors (n, 3) along the body's axes."""
    matrix = rotation_matrix(quat_wb).reshape(-1, 3, 3)
    return (vector_w.unsqueeze(-2) @ matrix).squeeze(-2)
