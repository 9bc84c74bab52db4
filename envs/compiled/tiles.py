"""A whole control step of the simulator in one call, on the CPU.

Worlds do not interact, so a thread takes a tile of them — as many as fill one cache line of a row — through all physics
steps of a control step before it turns to the next: state and parameters of a tile stay in the first-level cache, and
threads meet once a control step. The step is the very one that runs on tensors, traced (see
``envs/compiled/tracing.py``); the lanes of a tile are what the compiler vectorises over.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import RateCommand, RateGains
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.lanes import LANES, VECTORS
from corvids.envs.compiled.native_code import load
from corvids.envs.compiled.tracing import Program
from corvids.envs.physics.world import AT_REST, WorldParams, control, fly
from corvids.errors import CorvidsError

COMMANDS = 4

_SOURCE = (
    VECTORS
    + """
#include <cstring>

constexpr int64_t STATES = @STATES@, PARAMS = @PARAMS@, COMMANDS = @COMMANDS@, STEADY = @STEADY@;

// What follows from parameters alone, once a control step.
static void prepare(const Lanes* __restrict params, Lanes* __restrict steady) {
@PREPARE@
}

// A physics step, first with the rate loop and then without.
static void control_and_fly(Lanes* __restrict state, const Lanes* __restrict params, const Lanes* __restrict steady,
                            const Lanes* __restrict last, const Lanes* __restrict next, const Lanes delay_steps,
                            const Real index) {
@CONTROL_AND_FLY@
}

static void coast(Lanes* __restrict state, const Lanes* __restrict params, const Lanes* __restrict steady) {
@COAST@
}

static void load(Lanes* tile, const Real* from, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(tile + row, from + row * stride, sizeof(Lanes));
}

static void store(Real* to, const Lanes* tile, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(to + row * stride, tile + row, sizeof(Lanes));
}

extern "C" void advance(Real* state, const Real* params, const Real* last, const Real* next, const Real* delay_steps,
                        Real* history, int64_t worlds, int64_t substeps, int64_t control_every, int64_t slots,
                        int64_t sensed, int64_t newest, int64_t threads) {
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t first = 0; first < worlds; first += LANES) {
    Lanes at[STATES], of[PARAMS], steady[STEADY], before[COMMANDS], after[COMMANDS], delay;
    load(at, state + first, STATES, worlds);
    load(of, params + first, PARAMS, worlds);
    load(before, last + first, COMMANDS, worlds);
    load(after, next + first, COMMANDS, worlds);
    load(&delay, delay_steps + first, 1, worlds);
    prepare(of, steady);
    int64_t slot = newest;
    for (int64_t i = 0; i < substeps; ++i) {
      if (i % control_every == 0) control_and_fly(at, of, steady, before, after, delay, Real(i));
      else coast(at, of, steady);
      if (i % 2 == 1) {
        slot = (slot + 1) % slots;
        spread(history + (first * slots + slot) * sensed, slots * sensed, at, sensed);
      }
    }
    store(state + first, at, STATES, worlds);
  }
}
"""
)


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
        program = Program()
        with_control = _traced(program, nominal, gains, dt_s, control_every, with_ball)
        without = _traced(program, nominal, None, dt_s, control_every, with_ball)
        steady = program.steady([*with_control, *without])
        prepare = program.statements((f"steady[{index}]", term) for index, term in enumerate(steady))
        for index, term in enumerate(steady):
            program.recall(term, f"steady[{index}]")
        filled = {
            "STATES": sum(1 for _ in leaves(AT_REST)),
            "PARAMS": sum(1 for _ in leaves(nominal)),
            "COMMANDS": COMMANDS,
            "STEADY": max(len(steady), 1),
            "PREPARE": prepare,
            "CONTROL_AND_FLY": program.statements(with_control, with_branches=True),
            "COAST": program.statements(without, with_branches=True),
        }
        source = {
            torch.float32: "#define SINGLE\nusing Real = float;\n",
            torch.float64: "using Real = double;\n",
        }[dtype] + _SOURCE
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

        Every second step's sensed rows go into ``history`` behind slot ``newest``. All tensors are contiguous,
        ``history`` once its axis of worlds is moved to the front.
        """
        worlds = state.shape[1]
        tensors = (state, params, last, command, delay_steps, history)
        for tensor in tensors:  # compiled code would read past the end of what does not fit
            whole = tensor.permute(2, 0, 1, 3) if tensor is history else tensor
            if tensor.shape[-2] != worlds or tensor.dtype != self._dtype or not whole.is_contiguous():
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
    program: Program,
    nominal: WorldParams,
    gains: RateGains | None,
    dt_s: float,
    control_every: int,
    with_ball: bool,
) -> list[tuple[str, Any]]:
    """What one physics step writes, and where to, on vectors; without ``gains``, without the rate loop."""

    def rows(name: str, template: Any, is_steady: bool = False) -> Any:
        numbers = iter(range(sum(1 for _ in leaves(template))))
        return map_leaves(lambda _: program.variable(f"{name}[{next(numbers)}]", is_steady), template)

    world, params = rows("state", AT_REST), rows("params", nominal, is_steady=True)
    if gains is not None:
        is_new: Any = program.variable("delay_steps") <= program.variable("all(index)")
        thrust_n, *rates = (
            torch.where(is_new, new, old)
            for new, old in zip(rows("next", (0,) * COMMANDS), rows("last", (0,) * COMMANDS), strict=True)
        )
        known = map_leaves(lambda gain: program.constant(float(gain)), gains)
        world = control(world, RateCommand(thrust_n, Vec3(*rates)), known, dt_s * control_every)
    moved = fly(world, params, dt_s, with_ball)
    before, after = leaves(rows("state", AT_REST)), leaves(moved)
    return [
        (f"state[{row}]", new)
        for row, (old, new) in enumerate(zip(before, after, strict=True))
        if new is not old
    ]
