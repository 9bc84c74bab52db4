"""A whole control step of the simulator in one call, on the CPU.

Worlds do not interact, so a thread takes a tile of them — as many as fill one cache line of a row — through all physics
steps of a control step before it turns to the next: state and parameters of a tile stay in the first-level cache, and
threads meet once a control step. The step is the very one that runs on tensors, traced (see ``envs/tracing.py``); the
lanes of a tile are what the compiler vectorises over.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import RateCommand, RateGains
from corvids.controllers.spatial import Vec3
from corvids.envs.native_code import load
from corvids.envs.tracing import Program
from corvids.envs.world import AT_REST, WorldParams, control, fly
from corvids.errors import CorvidsError

LANES = 16
"""Worlds in a tile: a cache line of floats. Rows must be multiples of it."""
COMMANDS = 4

_SOURCE = """
#include <cmath>
#include <cstdint>
#include <cstring>

using Real = @REAL@;
constexpr int64_t LANES = @LANES@, STATES = @STATES@, PARAMS = @PARAMS@, COMMANDS = @COMMANDS@;
typedef Real Row[LANES];

// A physics step, first with the rate loop and then without. Lanes are independent: all of a lane is read before any
// of it is written.
static void control_and_fly(Row* __restrict state, const Row* __restrict params, const Row* __restrict last,
                            const Row* __restrict next, const Real* __restrict delay_steps, const Real index) {
  #pragma omp simd
  for (int64_t lane = 0; lane < LANES; ++lane) {
@CONTROL_AND_FLY@
  }
}

static void coast(Row* __restrict state, const Row* __restrict params) {
  #pragma omp simd
  for (int64_t lane = 0; lane < LANES; ++lane) {
@COAST@
  }
}

static void load(Row* tile, const Real* from, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(tile[row], from + row * stride, sizeof(Row));
}

static void store(Real* to, const Row* tile, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(to + row * stride, tile[row], sizeof(Row));
}

extern "C" void advance(Real* state, const Real* params, const Real* last, const Real* next, const Real* delay_steps,
                        Real* history, int64_t worlds, int64_t substeps, int64_t control_every, int64_t slots,
                        int64_t sensed, int64_t newest, int64_t threads) {
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t first = 0; first < worlds; first += LANES) {
    alignas(64) Row at[STATES], of[PARAMS], before[COMMANDS], after[COMMANDS], delay[1];
    load(at, state + first, STATES, worlds);
    load(of, params + first, PARAMS, worlds);
    load(before, last + first, COMMANDS, worlds);
    load(after, next + first, COMMANDS, worlds);
    load(delay, delay_steps + first, 1, worlds);
    int64_t slot = newest;
    for (int64_t i = 0; i < substeps; ++i) {
      if (i % control_every == 0) control_and_fly(at, of, before, after, delay[0], Real(i));
      else coast(at, of);
      if (i % 2 == 1) {
        slot = (slot + 1) % slots;
        store(history + slot * sensed * worlds + first, at, sensed, worlds);
      }
    }
    store(state + first, at, STATES, worlds);
  }
}
"""


class Tiles:
    """The compiled control step; arguments as :class:`corvids.envs.simulator.Simulator` has them."""

    def __init__(
        self,
        nominal: WorldParams,
        gains: RateGains,
        dt_s: float,
        *,
        control_every: int,
        with_ball: bool,
        dtype: torch.dtype,
    ) -> None:
        self._control_every, self._dtype = control_every, dtype
        filled = {
            "REAL": {torch.float32: "float", torch.float64: "double"}[dtype],
            "LANES": LANES,
            "STATES": sum(1 for _ in leaves(AT_REST)),
            "PARAMS": sum(1 for _ in leaves(nominal)),
            "COMMANDS": COMMANDS,
            "CONTROL_AND_FLY": _traced(nominal, gains, dt_s, control_every, with_ball),
            "COAST": _traced(nominal, None, dt_s, control_every, with_ball),
        }
        source = _SOURCE
        for name, value in filled.items():
            source = source.replace(f"@{name}@", str(value))
        self._library = load(source)
        self._advance = self._library.advance
        self._advance.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int64] * 7
        self._advance.restype = None

    def advance(
        self,
        state: torch.Tensor,
        params: torch.Tensor,
        last: torch.Tensor,
        command: torch.Tensor,
        delay_steps: torch.Tensor,
        history: torch.Tensor,
        newest: int,
        substeps: int,
    ) -> None:
        """Step ``state`` in place, ``substeps`` times, ``command`` taking over from ``last`` when its delay is over.

        Every second step's sensed rows go into ``history`` behind slot ``newest``. All tensors are contiguous.
        """
        worlds = state.shape[1]
        tensors = (state, params, last, command, delay_steps, history)
        for tensor in tensors:  # compiled code would read past the end of what does not fit
            if tensor.shape[-2] != worlds or tensor.dtype != self._dtype or not tensor.is_contiguous():
                raise CorvidsError(
                    f"tensor of {tensor.dtype}, shape {tuple(tensor.shape)}, strides {tensor.stride()}: "
                    f"must be contiguous, of {self._dtype}, with {worlds} worlds on the last axis but one"
                )
        threads = min(torch.get_num_threads(), worlds // LANES)
        self._advance(
            *(tensor.data_ptr() for tensor in tensors),
            worlds, substeps, self._control_every, history.shape[0], history.shape[1], newest, threads,
        )  # fmt: skip


def _traced(
    nominal: WorldParams, gains: RateGains | None, dt_s: float, control_every: int, with_ball: bool
) -> str:
    """One physics step as C++ statements on one lane of a tile; without ``gains``, without the rate loop."""
    program = Program()

    def rows(name: str, template: Any) -> Any:
        numbers = iter(range(sum(1 for _ in leaves(template))))
        return map_leaves(lambda _: program.variable(f"{name}[{next(numbers)}][lane]"), template)

    world, params = rows("state", AT_REST), rows("params", nominal)
    if gains is not None:
        is_new: Any = program.variable("delay_steps[lane]") <= program.variable("index")
        thrust_n, *rates = (
            torch.where(is_new, new, old)
            for new, old in zip(rows("next", (0,) * COMMANDS), rows("last", (0,) * COMMANDS), strict=True)
        )
        known = map_leaves(lambda gain: program.constant(float(gain)), gains)
        world = control(world, RateCommand(thrust_n, Vec3(*rates)), known, dt_s * control_every)
    moved = fly(world, params, dt_s, with_ball)
    before, after = leaves(rows("state", AT_REST)), leaves(moved)
    return program.statements(
        (f"state[{row}][lane]", new)
        for row, (old, new) in enumerate(zip(before, after, strict=True))
        if new is not old
    )
