"""A whole control step of a team's simulator in one call, on the CPU; see :mod:`corvids.envs.compiled.tiles`.

A thread takes a tile of worlds, with all drones and the load of each, through all physics steps of a control step. A
physics step is the three functions that :mod:`corvids.envs.team_simulator` compiles for other devices, traced into C++:
what each drone does alone, called for one drone after the other; the cables and the load; and each drone's correction.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.lane_functions import FUNCTIONS
from corvids.envs.compiled.lanes import LANES, VECTORS
from corvids.envs.compiled.native_code import load
from corvids.envs.compiled.tracing import Program
from corvids.envs.physics.inner_loop import INNER_AT_REST, run_inner_loop
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    NO_FLIGHT,
    NO_PULLS,
    TeamParams,
    control,
    fly_drones,
    haul_each,
    settle,
)
from corvids.errors import CorvidsError

_SOURCE = (
    "#define SINGLE\nusing Real = float;\n"
    + VECTORS
    + FUNCTIONS
    + """
constexpr int64_t DRONES = @DRONES@, MOTION = @MOTION@, DRIVE = @DRIVE@, INNER = @INNER@, LOAD = @LOAD@,
                  PARAMS = @PARAMS@, LOAD_PARAMS = @LOAD_PARAMS@, COMMANDS = @COMMANDS@, GAINS = @GAINS@,
                  FREE = @FREE@, PULLS = @PULLS@, FLY_STEADY = @FLY_STEADY@, HAUL_STEADY = @HAUL_STEADY@,
                  SETTLE_STEADY = @SETTLE_STEADY@, SENSED = 16;

struct Drone {
  Lanes motion[MOTION], drive[DRIVE], inner[INNER], params[PARAMS], last[COMMANDS], next[COMMANDS], delay_steps;
  Lanes free[FREE], pulls[PULLS], fly_steady[FLY_STEADY], settle_steady[SETTLE_STEADY];
};
struct Carried {
  Lanes load[LOAD], params[LOAD_PARAMS], steady[HAUL_STEADY];
};

// What follows from parameters alone, once a control step.
static void prepare(Drone& d, const Real* __restrict gains) {
@PREPARE_FLY@
@PREPARE_SETTLE@
}
static void prepare_load(const Drone* __restrict drones, Carried& c) {
@PREPARE_HAUL@
}
static void fly(Drone& d, const Real* __restrict gains, const Real index) {
@FLY@
}
static void haul(Drone* __restrict drones, Carried& c) {
@HAUL@
}
static void settle(Drone& d) {
@SETTLE@
}

static void load(Lanes* tile, const Real* from, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(tile + row, from + row * stride, sizeof(Lanes));
}
static void store(Real* to, const Lanes* tile, const int64_t count, const int64_t stride) {
  for (int64_t row = 0; row < count; ++row) std::memcpy(to + row * stride, tile + row, sizeof(Lanes));
}

// Arrays are (rows, drones, worlds), the load's (rows, 1, worlds).
extern "C" void advance(Real* motion, Real* drive, Real* inner, Real* load_state, const Real* params,
                        const Real* load_params, const Real* last, const Real* next, const Real* delay_steps,
                        const Real* gains, Real* history, int64_t worlds, int64_t slots, int64_t newest,
                        int64_t substeps, int64_t threads) {
  #pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t first = 0; first < worlds; first += LANES) {
    Drone drones[DRONES];
    Carried c;
    const int64_t stride = DRONES * worlds;
    for (int64_t i = 0; i < DRONES; ++i) {
      const int64_t from = i * worlds + first;
      Drone& d = drones[i];
      load(d.motion, motion + from, MOTION, stride);
      load(d.drive, drive + from, DRIVE, stride);
      load(d.inner, inner + from, INNER, stride);
      load(d.params, params + from, PARAMS, stride);
      load(d.last, last + from, COMMANDS, stride);
      load(d.next, next + from, COMMANDS, stride);
      load(&d.delay_steps, delay_steps + from, 1, stride);
      prepare(d, gains + i * GAINS);
    }
    load(c.load, load_state + first, LOAD, worlds);
    load(c.params, load_params + first, LOAD_PARAMS, worlds);
    prepare_load(drones, c);
    for (int64_t step = 0; step < substeps; ++step) {
      for (int64_t i = 0; i < DRONES; ++i) fly(drones[i], gains + i * GAINS, Real(step));
      haul(drones, c);
      for (int64_t i = 0; i < DRONES; ++i) settle(drones[i]);
    }
    for (int64_t i = 0; i < DRONES; ++i) {
      const int64_t to = i * worlds + first;
      store(motion + to, drones[i].motion, MOTION, stride);
      store(drive + to, drones[i].drive, DRIVE, stride);
      store(inner + to, drones[i].inner, INNER, stride);
    }
    store(load_state + first, c.load, LOAD, worlds);
    // History is (worlds, slots, bodies, sensed).
    constexpr int64_t SAMPLE = (DRONES + 1) * SENSED;
    Real* now = history + (first * slots + newest) * SAMPLE;
    for (int64_t i = 0; i < DRONES; ++i) spread(now + i * SENSED, slots * SAMPLE, drones[i].motion, SENSED);
    spread(now + DRONES * SENSED, slots * SAMPLE, c.load, SENSED);
  }
}
"""
)


class TeamTiles:
    """The compiled control step; arguments as :class:`corvids.envs.team_simulator.TeamSimulator` has them, float32."""

    def __init__(
        self,
        templates: TeamParams,
        gains: Any,
        inner_gains: Any,
        drones: int,
        dt_s: float,
        *,
        commands: int,
        with_inner_loop: bool,
        sweeps: int,
    ) -> None:
        flown = _flown(templates, gains, inner_gains, dt_s, commands, with_inner_loop)
        hauled = _hauled(templates, drones, dt_s, sweeps)
        settled = _settled(templates, dt_s)
        filled: dict[str, Any] = {
            "DRONES": drones,
            "MOTION": _count(MOTION_AT_REST),
            "DRIVE": _count(DRIVE_AT_REST),
            "INNER": _count(INNER_AT_REST),
            "LOAD": _count(LOAD_AT_REST),
            "PARAMS": _count(templates.drones),
            "LOAD_PARAMS": _count(templates.load),
            "COMMANDS": commands,
            "GAINS": _count(gains) + _count(inner_gains),
            "FREE": _count(NO_FLIGHT),
            "PULLS": _count(NO_PULLS),
        }
        self._shapes = [
            *((filled[name], drones) for name in ("MOTION", "DRIVE", "INNER")), (filled["LOAD"], 1),
            (filled["PARAMS"], drones), (filled["LOAD_PARAMS"], 1), (commands, drones), (commands, drones), (drones,),
        ]  # fmt: skip
        for name, place, (program, results) in (
            ("FLY", "d.fly_steady", flown),
            ("HAUL", "c.steady", hauled),
            ("SETTLE", "d.settle_steady", settled),
        ):
            steady = program.steady(results)
            filled[f"PREPARE_{name}"] = program.statements(
                (f"{place}[{index}]", term) for index, term in enumerate(steady)
            )
            for index, term in enumerate(steady):
                program.recall(term, f"{place}[{index}]")
            filled[f"{name}_STEADY"] = max(len(steady), 1)
            filled[name] = program.statements(results, with_branches=True)
        source = _SOURCE
        for name, value in filled.items():
            source = source.replace(f"@{name}@", str(value))
        self._library = load(source)
        self._advance = self._library.advance
        self._advance.argtypes = [ctypes.c_void_p] * 11 + [ctypes.c_int64] * 5
        self._advance.restype = None

    def advance(
        self,
        tensors: Sequence[torch.Tensor],
        gains: torch.Tensor,
        history: torch.Tensor,
        newest: int,
        substeps: int,
    ) -> None:
        """Step in place, ``substeps`` times; what sensors see goes into slot ``newest`` of ``history``.

        ``tensors``: motion, drive, inner, load, drone and load parameters, the last command, the next one, which takes
        over when its delay is over, and that delay [steps], (drones, worlds). ``gains`` (drones, ·) are the rate
        loop's, then the inner loop's.
        """
        worlds = tensors[0].shape[-1]
        for tensor, shape in zip(tensors, self._shapes, strict=True):
            # Compiled code would read past the end of what does not fit.
            fits = tensor.shape == (*shape, worlds) and tensor.is_contiguous()
            if not fits or tensor.dtype != torch.float32:
                raise CorvidsError(
                    f"tensor of {tensor.dtype}, shape {tuple(tensor.shape)}: must be contiguous, of torch.float32, "
                    f"with {worlds} worlds on the last axis after {shape}"
                )
        threads = min(torch.get_num_threads(), worlds // LANES)
        slots = len(history)
        arrays = (tensor.data_ptr() for tensor in (*tensors, gains, history))
        self._advance(*arrays, worlds, slots, newest, substeps, threads)


Traced = tuple[Program, list[tuple[str, Any]]]
"""A program and what it writes, where to."""


def _flown(
    templates: TeamParams, gains: Any, inner_gains: Any, dt_s: float, commands: int, with_inner_loop: bool
) -> Traced:
    """What one drone does alone."""
    program = Program()
    motion, drive = _rows(program, "d.motion", MOTION_AT_REST), _rows(program, "d.drive", DRIVE_AT_REST)
    params = _rows(program, "d.params", templates.drones, is_steady=True)
    numbers = iter(range(_count(gains) + _count(inner_gains)))
    known, inner_known = (
        map_leaves(lambda _: program.variable(f"all(gains[{next(numbers)}])", is_steady=True), tree)
        for tree in (gains, inner_gains)
    )
    is_new: Any = program.variable("d.delay_steps") <= program.variable("all(index)")
    wanted = [
        torch.where(is_new, new, old)
        for new, old in zip(
            _rows(program, "d.next", (0,) * commands), _rows(program, "d.last", (0,) * commands), strict=True
        )
    ]
    results: list[tuple[str, Any]] = []
    if with_inner_loop:
        before = _rows(program, "d.inner", INNER_AT_REST)
        order = before.order
        after = run_inner_loop(before, wanted, motion, inner_known)
        results += _changed("d.inner", before, after)
    else:
        order = RateCommand(wanted[0], Vec3(*wanted[1:]))
    free, driven = fly_drones(motion, control(motion, drive, order, known, dt_s), params, dt_s)
    results += [(f"d.free[{row}]", leaf) for row, leaf in enumerate(leaves(free))]
    return program, results + _changed("d.drive", drive, driven)


def _hauled(templates: TeamParams, drones: int, dt_s: float, sweeps: int) -> Traced:
    """All cables of a world, and its load."""
    program = Program()
    each = [f"drones[{i}]" for i in range(drones)]
    carried = _rows(program, "c.load", LOAD_AT_REST)
    after, pulls = haul_each(
        [_rows(program, f"{one}.motion", MOTION_AT_REST) for one in each],
        [_rows(program, f"{one}.free", NO_FLIGHT) for one in each],
        carried,
        [_rows(program, f"{one}.params", templates.drones, is_steady=True) for one in each],
        _rows(program, "c.params", templates.load, is_steady=True),
        dt_s,
        sweeps,
    )
    results = _changed("c.load", carried, after)
    for one, pull in zip(each, pulls, strict=True):
        results += [(f"{one}.pulls[{row}]", leaf) for row, leaf in enumerate(leaves(pull))]
    return program, results


def _settled(templates: TeamParams, dt_s: float) -> Traced:
    """One drone's correction."""
    program = Program()
    motion = _rows(program, "d.motion", MOTION_AT_REST)
    params = _rows(program, "d.params", templates.drones, is_steady=True)
    free, pulls = _rows(program, "d.free", NO_FLIGHT), _rows(program, "d.pulls", NO_PULLS)
    after = settle(motion, free, pulls, params.vehicle, dt_s)
    return program, _changed("d.motion", motion, after)


def _count(template: Any) -> int:
    return sum(1 for _ in leaves(template))


def _rows(program: Program, name: str, template: Any, is_steady: bool = False) -> Any:
    numbers = iter(range(_count(template)))
    return map_leaves(lambda _: program.variable(f"{name}[{next(numbers)}]", is_steady), template)


def _changed(name: str, before: Any, after: Any) -> list[tuple[str, Any]]:
    return [
        (f"{name}[{row}]", new)
        for row, (old, new) in enumerate(zip(leaves(before), leaves(after), strict=True))
        if new is not old
    ]
