"""Wind: a mean, and gusts about it that are an Ornstein–Uhlenbeck process along each axis."""

from __future__ import annotations

import torch

GUST_S = 0.5
"""Correlation time of the gusts."""


def blown(
    wind: torch.Tensor, mean: torch.Tensor, gust_std_mps: torch.Tensor, kick: torch.Tensor, tick_s: float
) -> torch.Tensor:
    """``wind`` [m/s, world], (3, ·), ``tick_s`` later; it wanders about ``mean`` (2, ·) and still air above.

    ``gust_std_mps`` (·): standard deviation of the gusts along each axis; ``kick`` (3, ·): standard normal numbers.
    """
    share = tick_s / GUST_S
    rest = torch.cat((mean, torch.zeros_like(mean[:1])))
    return wind + (rest - wind) * share + kick * (gust_std_mps * (2.0 * share) ** 0.5)
