"""What a policy makes of a flying ball: where, when and how fast it comes down.

Features on tensors of shape ``(n, ·)``: few operations, because they are exported.

The air is left out. It lowers a juggled ball's apex by 2 % and brings it down up to 7 ms sooner, which a network
corrects by itself; what differs from ball to ball shows in the apex, whose running error the policy is told.
"""

from __future__ import annotations

import torch

from corvids.envs.mdp.features import GRAVITY_MPS2


def fallen(pos: torch.Tensor, vel: torch.Tensor, ahead_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Position and velocity (n, 3) after ``ahead_s`` (n, 1) of free flight."""
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=pos.dtype, device=pos.device)
    step = gravity * ahead_s
    return pos + (vel + 0.5 * step) * ahead_s, vel + step


def rise(speed: torch.Tensor) -> torch.Tensor:
    """Height [m] that a ball thrown up at ``speed`` [m/s] gains."""
    return speed.square() * (0.5 / GRAVITY_MPS2)


def launch_speed(height: torch.Tensor) -> torch.Tensor:
    """Upward speed [m/s] with which a ball gains ``height`` [m]."""
    return (2.0 * GRAVITY_MPS2 * height).sqrt()


def descent(pos: torch.Tensor, vel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flight from ``pos`` (n, 3) down to height zero; a ball that is below it already is there.

    Returns where it comes down (n, 2), the vertical speed there (n, 1) and the time until then [s], (n, 1).
    """
    aside, height = pos.split((2, 1), dim=-1)
    drift, up = vel.split((2, 1), dim=-1)
    speed = (up.square() + 2.0 * GRAVITY_MPS2 * height.relu()).sqrt()
    until_s = (up + speed) * (1.0 / GRAVITY_MPS2)
    return aside + drift * until_s, speed, until_s
