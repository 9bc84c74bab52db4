"""Functions of all worlds' tensors, compiled as their device wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from corvids.envs.compiled.compiling import compiled, on_tiles
from corvids.envs.compiled.tile_functions import TileFunction

Kernel = Callable[..., tuple[torch.Tensor, ...]]


def kernel(
    function: Callable[..., Any],
    into: Mapping[int, int],
    device: torch.device,
    compile_kernels: bool,
    real: int | None = None,
    turns: int = 0,
) -> Kernel:
    """``function``, compiled; the results that ``into`` names are written over the arguments that it names.

    Traced code leaves features of rows beyond ``real`` out, and writes over what it returned ``turns`` calls before.
    """
    if on_tiles(device, compile_kernels):
        return TileFunction(function, into, real, turns)
    compute = compiled(function, compile_kernels)

    def written(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = compute(*tensors)
        for number, argument in into.items():
            tensors[argument].copy_(results[number])
        return results

    return written
