"""What a policy makes of a flying ball: where, when and how fast it comes down, and how much the air slows it.

Features on tensors of shape ``(n, ·)``: few operations, because they are exported.

The air's part is not given but learned in flight: a 5 g ball of the same size is slowed ten times as much as the one
that policies train with, and a policy that sees true times and places of landing need not know the difference.
"""

from __future__ import annotations

import torch

from corvids.envs.features import GRAVITY_MPS2

DRAG_MEMORY = 7
"""Numbers that :func:`remember_drag` keeps: velocity (3), its age, time since the last bounce, two sums."""
DRAG_PER_M = 0.032
"""Quadratic drag ½ρC_dA/m of the ball until it is known better: that of the ball that policies train with."""
DRAG_RANGE_PER_M = (0.01, 0.4)
"""Bounds of the estimate; below, the formulas lose their last digits in float32 and gain nothing."""
DRAG_MEMORY_S = 10.0
"""Time constant with which old flights are forgotten."""
SETTLING_S = 0.1
"""After a bounce the estimated velocity is not used for this long: it still converges."""
JUMP_MPS = 0.3
"""A velocity that changes by more from tick to tick, gravity aside, has bounced."""
_PRIOR_M2PS2 = 0.15


def drag_per_m(memory: torch.Tensor) -> torch.Tensor:
    """Quadratic drag [1/m], (n, 1), that a drag memory (n, 7) amounts to.

    Least squares of the slowing over the speed squared, with a prior worth less than one flight of a juggled ball.
    """
    slowed, exposed = memory[:, 5:6], memory[:, 6:7].relu()
    return ((slowed + DRAG_PER_M * _PRIOR_M2PS2) / (exposed + _PRIOR_M2PS2)).clamp(*DRAG_RANGE_PER_M)


def remember_drag(
    memory: torch.Tensor, vel: torch.Tensor, age_s: torch.Tensor, tick_s: float
) -> torch.Tensor:
    """The drag memory (n, 7) one tick later, given the ball's estimated velocity (n, 3) and its age (n, 1).

    Between two estimates a flying ball's velocity changes by g·Δt and by k·|v|·v·Δt, Δt being the time between what
    they are valid at.
    """
    step_s = (memory[:, 3:4] + tick_s - age_s).clamp(0.0, 3.0 * tick_s)
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=vel.dtype, device=vel.device)
    change = vel - memory[:, :3] - gravity * step_s
    mean = 0.5 * (vel + memory[:, :3])
    is_flying = (change.square().sum(-1, keepdim=True) < JUMP_MPS**2).to(vel.dtype)
    flown_s = (memory[:, 4:5] + tick_s).clamp(0.0, 1.0) * is_flying
    weight = mean.square().sum(-1, keepdim=True) * step_s * (flown_s > SETTLING_S).to(vel.dtype)
    speed = mean.square().sum(-1, keepdim=True).sqrt().clamp(min=0.1)
    slowing = -(change * mean).sum(-1, keepdim=True) / speed
    sums = memory[:, 5:7] * (1.0 - tick_s / DRAG_MEMORY_S) + torch.cat((slowing, weight), dim=-1) * weight
    return torch.cat((vel, age_s, flown_s, sums), dim=-1)


def fallen(
    pos: torch.Tensor, vel: torch.Tensor, ahead_s: torch.Tensor, drag: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Position and velocity (n, 3) after ``ahead_s`` (n, 1) of flight with drag (n, 1), to second order in time."""
    gravity = torch.tensor((0.0, 0.0, -GRAVITY_MPS2), dtype=pos.dtype, device=pos.device)
    pull = drag * vel.square().sum(-1, keepdim=True).sqrt()
    step = (gravity - pull * vel) * ahead_s
    return pos + (vel + 0.5 * step) * ahead_s, vel + step


def rise(speed: torch.Tensor, drag: torch.Tensor) -> torch.Tensor:
    """Height [m] that a ball thrown up at ``speed`` [m/s] gains: ln(1 + k·v²/g)/(2k)."""
    share = drag * speed.square() / GRAVITY_MPS2
    return torch.atanh(share / (2.0 + share)) / drag  # ln(1 + s) = 2 artanh(s/(2 + s)), but exact for small s


def launch_speed(height: torch.Tensor, drag: torch.Tensor) -> torch.Tensor:
    """Upward speed [m/s] with which a ball gains ``height`` [m]: √(g/k · (exp(2k·h) - 1))."""
    half = torch.tanh(drag * height)
    return (GRAVITY_MPS2 / drag * 2.0 * half / (1.0 - half)).sqrt()  # eˣ - 1 = 2t/(1 - t), t = tanh(x/2)


def descent(
    pos: torch.Tensor, vel: torch.Tensor, drag: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flight from ``pos`` (n, 3) down to height zero, in air of ``drag`` (n, 1) [1/m].

    Returns where it comes down (n, 2), the vertical speed there (n, 1) and the time until then [s], (n, 1).

    Vertically exact for a ball that flies vertically (quadratic drag has closed forms); sideways motion is slowed by
    exp(-k · path), half of which counts on average, and its own share of the drag is left out: a juggled ball moves
    at a tenth of its vertical speed. Speeds are counted in units of the terminal one, √(g/k), times in √(1/(k·g)).
    """
    up, height = vel[:, 2:3], pos[:, 2:3].relu()
    terminal, rate = (GRAVITY_MPS2 / drag).sqrt(), (drag * GRAVITY_MPS2).sqrt()
    rising, falling = up.relu() / terminal, ((-up).relu() / terminal).clamp(max=0.95)
    to_top = rise(up.relu(), drag)
    fall_m = height + to_top
    # u² = u₀²·e^(-2kh) + 1 - e^(-2kh), and 1 - e^(-2x) = 2t/(1 + t) with t = tanh x is exact for small x.
    half = torch.tanh(drag * fall_m)
    gained = 2.0 * half / (1.0 + half)
    end = (falling.square() * (1.0 - gained) + gained).sqrt().clamp(max=0.9999)
    until_s = ((torch.atan(rising) + torch.atanh(end) - torch.atanh(falling)) / rate).relu()
    slowed = torch.exp(-0.5 * drag * (fall_m + to_top))
    return pos[:, :2] + vel[:, :2] * (until_s * slowed), end * terminal, until_s
