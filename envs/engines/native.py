"""The engine that policies train in, one tick at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from corvids.controllers.packing import leaf_names, leaves, map_leaves, pack, unpack
from corvids.controllers.rate_loop import Four, RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.compiling import compiled, padded
from corvids.envs.engines.engine import PARAMS, TICK_S, Array, Contacts, State, check_state, spread
from corvids.envs.physics.world import AT_REST, WorldParams, control, fly
from corvids.vehicle import Vehicle

_NAMES = leaf_names(AT_REST)


def _rows(first: str, last: str) -> slice:
    return slice(_NAMES.index(first), _NAMES.index(last) + 1)


_FIELDS = (
    _rows("body.pos_w.x", "body.pos_w.z"),
    _rows("body.vel_w.x", "body.vel_w.z"),
    _rows("body.quat_wb.w", "body.quat_wb.z"),
    _rows("body.omega_b.x", "body.omega_b.z"),
    _rows("rotors.r1", "rotors.r4"),
    _rows("ball.pos_w.x", "ball.pos_w.z"),
    _rows("ball.vel_w.x", "ball.vel_w.z"),
    _rows("ball.spin_w.x", "ball.spin_w.z"),
)
"""Rows of a packed world that make up a :class:`State`, field by field."""
_COUNTS = _rows("impact.racket_count", "impact.other_count")
_IMPACT_POS = _rows("impact.pos_w.x", "impact.pos_w.z")
_MOTORS = _rows("command.r1", "command.r4")
_FORCE = _rows("specific_force_w.x", "specific_force_w.z")


class NativeEngine:
    """``worlds`` worlds of the training simulator's physics (see :class:`corvids.envs.engines.engine.Engine`).

    ``compile_kernels`` pays from some ten thousand ticks on; without it, or where no C++ compiler is found, a tick
    takes milliseconds. ``dtype`` float64 is the reference for other engines. Without ``with_ball`` the ball stays where
    it is, and a tick costs less.
    """

    dt_s = TICK_S

    def __init__(
        self,
        vehicle: Vehicle,
        worlds: int,
        *,
        dtype: torch.dtype = torch.float32,
        compile_kernels: bool = True,
        with_ball: bool = True,
    ) -> None:
        self.worlds = worlds
        self._rows = padded(worlds)
        self._dtype = dtype
        self._command = torch.zeros((4, self._rows, 1), dtype=dtype)
        self._state = pack(map_leaves(lambda leaf: torch.full((self._rows, 1), leaf, dtype=dtype), AT_REST))
        self._counts = np.zeros((2, worlds))
        self._params = torch.empty(0)
        self._make_ticks(vehicle, with_ball, compile_kernels)

    def _make_ticks(self, vehicle: Vehicle, with_ball: bool, compile_kernels: bool) -> None:
        """Make the functions of a tick, under a command to the rate loop and under motor commands."""
        gains = gains_of(vehicle, TICK_S, dtype=self._dtype)
        gains_packed = pack(map_leaves(lambda gain: gain.reshape(1, 1), gains))

        def tick(state, params, gains_packed, command):
            world = unpack(state, AT_REST)
            thrust_n, *rates = command.unbind(0)
            order = RateCommand(thrust_n, Vec3(*rates))
            world = control(world, order, unpack(gains_packed, gains), TICK_S)
            return torch.stack(list(leaves(fly(world, unpack(params, PARAMS), TICK_S, with_ball))))

        def tick_motors(state, params, command):
            world = unpack(state, AT_REST)._replace(command=Four(*command.unbind(0)))
            return torch.stack(list(leaves(fly(world, unpack(params, PARAMS), TICK_S, with_ball))))

        fused = compiled(tick, compile_kernels)
        self._tick = lambda state, params, command: fused(state, params, gains_packed, command)
        self._tick_motors = compiled(tick_motors, compile_kernels)

    @torch.inference_mode()
    def reset(self, state: State, params: WorldParams) -> None:
        check_state(state, self.worlds)
        self._params = pack(map_leaves(self._tensor, spread(params, self.worlds)))
        self._state = pack(
            map_leaves(lambda leaf: torch.full((self._rows, 1), leaf, dtype=self._dtype), AT_REST)
        )
        for rows, values in zip(_FIELDS, state, strict=True):
            for row, column in zip(self._state[rows], values.T, strict=True):
                row.copy_(self._tensor(column))
        self._counts = np.zeros((2, self.worlds))
        self._last_counts = self._counts

    @torch.inference_mode()
    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        self._order(np.column_stack((thrust_n, rate_b_radps)))
        self._advance(self._tick(self._state, self._params, self._command))

    @torch.inference_mode()
    def step_motors(self, command: Array) -> None:
        self._order(command)
        self._advance(self._tick_motors(self._state, self._params, self._command))

    def retire(self, done: NDArray[np.bool_]) -> None:
        """Nothing to do: leaving worlds out of the fused kernel would cost more than flying them on."""

    @property
    def state(self) -> State:
        rows = self._read(slice(0, max(field.stop for field in _FIELDS)))
        return State(*(rows[:, field] for field in _FIELDS))

    @property
    def specific_force_w(self) -> Array:
        return self._read(_FORCE)

    @property
    def motors(self) -> Array:
        return self._read(_MOTORS)

    @property
    def contacts(self) -> Contacts:
        racket, other = (self._counts - self._last_counts).astype(np.int64)
        return Contacts(racket, self._read(_IMPACT_POS), other)

    def _advance(self, state: torch.Tensor) -> None:
        self._state = state
        self._last_counts, self._counts = self._counts, self._read(_COUNTS).T

    def _order(self, columns: Array) -> None:
        self._command[:, : self.worlds, 0] = torch.from_numpy(columns.T)

    def _read(self, rows: slice) -> Array:
        return self._state[rows, : self.worlds, 0].numpy().T.astype(np.float64)

    def _tensor(self, column: Array) -> torch.Tensor:
        """One row of a packed tensor; padding repeats the last world, so that it stays finite."""
        padding = np.full(self._rows - self.worlds, column[-1])
        return torch.from_numpy(np.concatenate((column, padding))).to(self._dtype)[:, None]
