"""Many short simulations and their perturbed siblings, by C++ traced from the very step that runs on tensors.

A fit flies each piece of a recording once as its unknowns say, and once more for each unknown that is off by a little.
Pieces differ in state and inputs, siblings in state and parameters. Lanes of eight pieces go through all steps of one
sibling in the processor's first-level cache; a sibling more costs arithmetic alone. Without a C++ compiler the same
step runs on tensors, many times slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.envs.compiled.lanes import SCALARS
from corvids.envs.compiled.native_code import find_compiler, load
from corvids.envs.compiled.tracing import Program

LANES = 8
"""Pieces side by side: a cache line of doubles."""

_SOURCE = (
    "using Real = double;"
    + SCALARS
    + """
#include <cstdint>

constexpr int64_t LANES = @LANES@, STATES = @STATES@, PARAMS = @PARAMS@, INPUTS = @INPUTS@, OUTPUTS = @OUTPUTS@;
typedef Real Row[LANES];

static void step(Row* __restrict at, const Real* __restrict of, const Real* __restrict in, const int64_t stride,
                 Real* __restrict out, const int64_t out_stride) {
  #pragma omp simd
  for (int64_t lane = 0; lane < LANES; ++lane) {
@STEP@
  }
}

extern "C" void roll(Real* state, const Real* params, const Real* inputs, Real* outputs, int64_t siblings,
                     int64_t pieces, int64_t steps, int64_t every, int64_t threads) {
  const int64_t tiles = pieces / LANES;
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t job = 0; job < siblings * tiles; ++job) {
    const int64_t sibling = job / tiles, first = job % tiles * LANES;
    alignas(64) Row at[STATES], untold[OUTPUTS];
    Real of[PARAMS];
    Real* const own = state + sibling * pieces + first;
    for (int64_t row = 0; row < STATES; ++row)
      for (int64_t lane = 0; lane < LANES; ++lane) at[row][lane] = own[row * siblings * pieces + lane];
    for (int64_t row = 0; row < PARAMS; ++row) of[row] = params[row * siblings + sibling];
    Real* told = outputs + sibling * (steps / every) * OUTPUTS * pieces + first;
    for (int64_t t = 0; t < steps; ++t) {
      const bool is_told = (t + 1) % every == 0;
      step(at, of, inputs + t * INPUTS * pieces + first, pieces, is_told ? told : untold[0], is_told ? pieces : LANES);
      if (is_told) told += OUTPUTS * pieces;
    }
    for (int64_t row = 0; row < STATES; ++row)
      for (int64_t lane = 0; lane < LANES; ++lane) own[row * siblings * pieces + lane] = at[row][lane];
  }
}
"""
)

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
"""From state, parameters and inputs to the next state and outputs; all trees of scalars, free of branches."""


class Rollout:
    """``step``, to be taken again and again; ``state``, ``params`` and ``inputs`` are templates of its arguments.

    Outputs of every ``every``-th step are kept.
    """

    def __init__(self, step: Step, state: Any, params: Any, inputs: Any, every: int = 1) -> None:
        self._step, self._every = step, every
        self._templates = (state, params, inputs)
        self._counts = tuple(sum(1 for _ in leaves(tree)) for tree in self._templates)
        self._native = None
        if find_compiler() is not None:
            self._native = load(self._source()).roll
            self._native.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 5
            self._native.restype = None

    def __call__(self, state: Any, params: Any, inputs: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """Final state, a tree of tensors (S, N), and outputs (S, steps kept, rows, N), all float64.

        Leaves of ``state`` broadcast to (S, N), those of ``params`` to (S, 1); ``inputs``: (steps, rows, N).
        """
        if self._native is None:
            return self.on_tensors(state, params, inputs)
        shape = torch.broadcast_shapes(*(torch.as_tensor(leaf).shape for leaf in leaves((state, params))))
        siblings, pieces = shape[0], inputs.shape[-1]
        padded = -(-pieces // LANES) * LANES
        begin = torch.stack([torch.as_tensor(one).double().expand(siblings, pieces) for one in leaves(state)])
        at = _padded(begin, padded)
        of = torch.stack(
            [torch.as_tensor(one).double().expand(siblings, 1)[:, 0] for one in leaves(params)]
        ).contiguous()
        given = _padded(inputs, padded)
        out = torch.empty(siblings, len(inputs) // self._every, self._outputs, padded, dtype=torch.float64)
        sizes = (siblings, padded, len(inputs), self._every, torch.get_num_threads())
        self._native(*(tensor.data_ptr() for tensor in (at, of, given, out)), *sizes)
        rows = iter(at[..., :pieces])
        return map_leaves(lambda _: next(rows), self._templates[0]), out[..., :pieces]

    def on_tensors(self, state: Any, params: Any, inputs: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """The same, step by step on tensors, whatever their type: dual numbers, too."""
        outputs = []
        for given in inputs:
            rows = iter(given)
            state, told = self._step(
                state, params, map_leaves(lambda _, rows=rows: next(rows), self._templates[2])
            )
            outputs.append(torch.stack(torch.broadcast_tensors(*leaves(told)), -2))
        return state, torch.stack(outputs[self._every - 1 :: self._every], 1)

    def _source(self) -> str:
        program = Program()
        places = ("at[{}][lane]", "of[{}]", "in[{} * stride + lane]")
        trees = []
        for template, place in zip(self._templates, places, strict=True):
            numbers = iter(range(10**9))
            trees.append(
                map_leaves(lambda _, n=numbers, p=place: program.variable(p.format(next(n))), template)
            )
        state, told = self._step(*trees)
        results = [(f"at[{index}][lane]", leaf) for index, leaf in enumerate(leaves(state))]
        results += [(f"out[{index} * out_stride + lane]", leaf) for index, leaf in enumerate(leaves(told))]
        self._outputs = sum(1 for _ in leaves(told))
        filled = {
            "LANES": LANES,
            "STATES": self._counts[0],
            "PARAMS": self._counts[1],
            "INPUTS": self._counts[2],
            "OUTPUTS": self._outputs,
            "STEP": program.statements(results),
        }
        source = _SOURCE
        for name, value in filled.items():
            source = source.replace(f"@{name}@", str(value))
        return source


def _padded(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """Contiguous, its last axis filled up to ``length`` with its last column."""
    missing = length - tensor.shape[-1]
    if missing:
        tensor = torch.cat((tensor, tensor[..., -1:].expand(*tensor.shape[:-1], missing)), -1)
    return tensor.contiguous()
