"""How the simulator's inner functions are compiled."""

from __future__ import annotations

import shutil
import types
import warnings
from collections.abc import Callable
from typing import Any

import torch

from corvids.envs.compiled.native_code import find_compiler

OPTIONS = {
    "cpp.enable_floating_point_contract_flag": "fast",  # fused multiply-add: a fifth fewer instructions
    "max_fusion_size": 2000,  # one loop over all worlds, instead of a dozen that pass intermediates through memory
}
"""Options of torch's compiler for code written on component tensors."""

CACHE_LINE_FLOATS = 16


def padded(worlds: int) -> int:
    """Length of a packed row for ``worlds`` worlds: an odd number of cache lines.

    With a power of two, all rows of a packed state would fall into the same few sets of the processor's caches;
    measured at 4096 worlds, that costs 40 % of the speed.
    """
    lines = -(-worlds // CACHE_LINE_FLOATS)
    return (lines + 1 - lines % 2) * CACHE_LINE_FLOATS


def compiled(function: Callable[..., Any], enabled: bool = True) -> Callable[..., Any]:
    """``function`` compiled into fused kernels, or itself (with a warning) where there is no compiler."""
    if not enabled:
        return function
    if not torch.cuda.is_available() and shutil.which("g++") is None and shutil.which("clang++") is None:
        warnings.warn(
            "no C++ compiler found (g++ or clang++): the simulator runs uncompiled, about 30 times slower",
            stacklevel=2,
        )
        return function
    # The compiler keeps its results by code object. One of its own for every use makes it sound to check shapes alone
    # before each call, instead of everything that the function closes over (0.1 ms, as much as a substep).
    own = types.FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )
    options = {**OPTIONS, "guard_filter_fn": _shapes_only}
    return torch.compile(own, dynamic=False, fullgraph=True, options=options)


def _shapes_only(guards: Any) -> list[bool]:
    return [guard.guard_type == "TENSOR_MATCH" for guard in guards]


def on_tiles(device: torch.device, enabled: bool = True) -> bool:
    """Whether code is traced into C++ that takes tiles of worlds, as on a CPU with a compiler."""
    return enabled and device.type == "cpu" and find_compiler() is not None
