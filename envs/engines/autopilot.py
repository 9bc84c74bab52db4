"""The rate loop and the rotors, for engines that only have rigid bodies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from corvids.controllers.packing import leaves, map_leaves, pack, unpack
from corvids.controllers.rate_loop import Four, RateCommand, RateLoopState, gains_of, rate_loop
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.compiling import compiled, padded
from corvids.envs.engines.engine import PARAMS, TICK_S, Array, spread
from corvids.envs.physics.vehicle_dynamics import VehicleParams, step_rotors
from corvids.envs.physics.world import WorldParams
from corvids.vehicle import Vehicle

_ZERO = Vec3(0.0, 0.0, 0.0)


class _Memory(NamedTuple):
    """What rate loop and rotors carry from tick to tick."""

    loop: RateLoopState
    rotors: Four


class RotorWrench(NamedTuple):
    """What the rotors exert on the body during one tick."""

    thrust_n: Array
    """Along body z, (worlds,)."""
    torque_b: Array
    """About the centre of mass, body, (3, worlds) [N m]."""
    spin_momentum: Array
    """Angular momentum of the rotors along body z, (worlds,) [N m s]."""
    motors: Array
    """Motor commands 0..1 that they follow, (4, worlds)."""


_AT_REST = _Memory(RateLoopState(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO), Four(0.0, 0.0, 0.0, 0.0))
_LOOP_ROWS = 15


class Autopilot:
    """Turns commands into forces, tick by tick, for ``worlds`` worlds in float64."""

    def __init__(self, vehicle: Vehicle, worlds: int, *, compile_kernels: bool = True) -> None:
        self.worlds = worlds
        self._columns = padded(worlds)
        gains = gains_of(vehicle, TICK_S, dtype=torch.float64)
        self._gains = pack(map_leaves(lambda gain: gain.reshape(1), gains))
        self._memory = torch.zeros((_LOOP_ROWS + 4, self._columns), dtype=torch.float64)
        self._params = torch.empty(0)
        self._input = torch.zeros((7, self._columns), dtype=torch.float64)

        def spin(memory: _Memory, command: Four, params: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            truth: VehicleParams = unpack(params, PARAMS.vehicle)
            rotors, wrench = step_rotors(memory.rotors, command, truth, TICK_S)
            return torch.stack([*leaves(memory.loop), *rotors]), torch.stack([*leaves(wrench), *command])

        def fly(memory, params, gains_packed, given):
            omega, thrust_n, rate = Vec3(*given[:3].unbind(0)), given[3], Vec3(*given[4:7].unbind(0))
            held: _Memory = unpack(memory, _AT_REST)
            loop, motors = rate_loop(
                held.loop, RateCommand(thrust_n, rate), omega, unpack(gains_packed, gains), TICK_S
            )
            return spin(_Memory(loop, held.rotors), motors, params)

        def drive(memory, params, given):
            return spin(unpack(memory, _AT_REST), Four(*given[:4].unbind(0)), params)

        self._fly, self._drive = compiled(fly, compile_kernels), compiled(drive, compile_kernels)

    @torch.inference_mode()
    def reset(self, rotors: Array, params: WorldParams) -> None:
        """Clear the rate loop's memory and set the rotors (worlds, 4) turning."""
        pad = (0, self._columns - self.worlds)
        rows = [np.pad(leaf, pad, mode="edge") for leaf in leaves(spread(params, self.worlds).vehicle)]
        self._params = torch.tensor(np.array(rows))
        self._memory = torch.zeros((_LOOP_ROWS + 4, self._columns), dtype=torch.float64)
        self._memory[_LOOP_ROWS:] = torch.tensor(np.pad(rotors.T, ((0, 0), pad), mode="edge"))

    @torch.inference_mode()
    def fly(self, omega_b: Array, thrust_n: Array, rate_b_radps: Array) -> RotorWrench:
        """One tick at body rates ``omega_b`` (worlds, 3) under thrust (worlds,) and rates (worlds, 3)."""
        given = self._input.numpy()[:, : self.worlds]
        given[:3], given[3], given[4:] = omega_b.T, thrust_n, rate_b_radps.T
        self._memory, wrench = self._fly(self._memory, self._params, self._gains, self._input)
        return self._wrench(wrench)

    @torch.inference_mode()
    def drive(self, command: Array) -> RotorWrench:
        """One tick under motor commands 0..1 (worlds, 4)."""
        self._input.numpy()[:4, : self.worlds] = command.T
        self._memory, wrench = self._drive(self._memory, self._params, self._input)
        return self._wrench(wrench)

    @property
    def rotors(self) -> Array:
        """Lagged quantity of each rotor, (worlds, 4)."""
        return self._memory[_LOOP_ROWS:, : self.worlds].numpy().T.copy()

    def _wrench(self, packed: torch.Tensor) -> RotorWrench:
        rows = packed.numpy()[:, : self.worlds]
        return RotorWrench(rows[0], rows[1:4], rows[4], rows[5:9])
