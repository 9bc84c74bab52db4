"""Wind: a mean, and gusts about it that are an Ornstein–Uhlenbeck process along each axis."""

from __future__ import annotations

import torch

GUST_S = 0.5
"""Correlation time of the gusts."""


def blow(
    wind: torch.Tensor,
    mean: torch.Tensor,
    gust_std_mps: torch.Tensor,
    tick_s: float,
    kick: torch.Tensor,
) -> None:
    """Let ``wind`` [m/s, world], (3, ·), change for ``tick_s`` [s] in place, about ``mean`` (2, ·) and still air above.

    ``gust_std_mps`` (·): standard deviation of the gusts along each axis; ``kick`` (3, ·): standard normal numbers.
    """
    share = tick_s / GUST_S
    wind[:2] -= (wind[:2] - mean) * share
    wind[2] -= wind[2] * share
    wind += kick * (gust_std_mps * (2.0 * share) ** 0.5)
