"""Draws for many worlds at a time, since those for one cost as many operations as for a thousand."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Stock:
    """``size`` columns of what ``draw`` makes, (·, count, …), handed out some at a time."""

    def __init__(self, draw: Callable[[int], torch.Tensor], size: int) -> None:
        self._draw, self._size, self._taken = draw, size, 0
        self._stock: torch.Tensor | None = None

    def restock(self) -> None:
        """Draw anew what is taken from now on."""
        self._stock = None

    def take(self, count: int) -> torch.Tensor:
        """The next ``count`` columns."""
        if count > self._size:
            return self._draw(count)
        if self._stock is None or self._taken + count > self._size:
            self._stock, self._taken = self._draw(self._size), 0
        first, self._taken = self._taken, self._taken + count
        return self._stock[:, first : first + count]
