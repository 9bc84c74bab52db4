"""One way to compile a function of packed tensors, whatever the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from corvids.envs.compiled.compiling import compiled, on_tiles
from corvids.envs.compiled.tile_functions import TileFunction


def fused(function: Callable[..., Any], device: torch.device, compile_kernels: bool) -> Callable[..., Any]:
    """``function`` of packed tensors as C++ on tiles of worlds (CPU), or compiled by torch; eager without."""
    if on_tiles(device, compile_kernels):
        return TileFunction(function)
    return compiled(function, compile_kernels)
