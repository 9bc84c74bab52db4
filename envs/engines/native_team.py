"""The engine that teams train in, one tick at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from corvids.controllers.packing import leaf_names, map_leaves, pack
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.engines.engine import TICK_S, Array
from corvids.envs.engines.team_engine import Bodies, Mask, TeamState
from corvids.envs.physics.inner_loop import INNER_AT_REST
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    TeamParams,
    TeamWorld,
)
from corvids.envs.team_simulator import TeamSimulator
from corvids.team import Team

_MOTION = leaf_names(MOTION_AT_REST)
_FORCE, _TENSION = _MOTION.index("specific_force_w.x"), _MOTION.index("tension_n")
_BODY = (slice(0, 3), slice(3, 6), slice(6, 10), slice(10, 13))


class NativeTeam:
    """``worlds`` worlds of the training simulator's physics (see :class:`.team_engine.TeamEngine`)."""

    dt_s = TICK_S

    def __init__(
        self,
        team: Team,
        worlds: int,
        *,
        compile_kernels: bool = True,
        make_simulator: Callable[..., TeamSimulator] = TeamSimulator,
    ) -> None:
        self.worlds, self.drones = worlds, len(team.members)
        rate_hz = round(1.0 / TICK_S)
        self._simulator = make_simulator(
            team, worlds, physics_hz=rate_hz, control_hz=rate_hz, history_s=TICK_S, compile_kernels=compile_kernels
        )  # fmt: skip
        rows = self._simulator.rows
        self._command = torch.zeros((4, self.drones, rows))
        self._at_once = torch.zeros((self.drones, rows))

    @torch.inference_mode()
    def reset(self, state: TeamState, params: TeamParams, thrust_n: Array) -> None:
        worlds, drones = self.worlds, self.drones

        def tensors(array: Array) -> list[torch.Tensor]:
            return list(torch.tensor(array.reshape(worlds, -1, array.shape[1])).unbind(-1))

        def moved(body, bodies: Bodies):
            pos, vel, quat, omega = (tensors(part) for part in bodies)
            return body._replace(
                pos_w=Vec3(*pos), vel_w=Vec3(*vel), quat_wb=Quat(*quat), omega_b=Vec3(*omega)
            )

        def filled(tree, columns: int):
            return map_leaves(lambda leaf: torch.full((worlds, columns), float(leaf)), tree)

        motion, load = filled(MOTION_AT_REST, drones), filled(LOAD_AT_REST, 1)
        force = Vec3(*tensors(state.specific_force_w))
        motion = motion._replace(body=moved(motion.body, state.drones), specific_force_w=force)
        load = load._replace(body=moved(load.body, state.load))
        full_n = sum(params.drones.vehicle.thrust_max_n)
        rotor = torch.sqrt(torch.tensor(thrust_n.reshape(worlds, drones)) / full_n)
        drive = filled(DRIVE_AT_REST, drones)._replace(rotors=Four(*(rotor,) * 4))
        world = map_leaves(lambda leaf: leaf.float(), TeamWorld(motion, drive, load))
        packed = [pack(map_leaves(lambda leaf: leaf.float(), part)) for part in params]
        # Padding repeats the last world, so that it stays finite.
        ids = torch.arange(self._simulator.rows).clamp(max=worlds - 1)
        world = map_leaves(lambda leaf: leaf[ids], world)
        self._simulator.place(
            torch.arange(len(ids)), world, map_leaves(lambda leaf: torch.zeros(len(ids), drones), INNER_AT_REST),
            packed[0][:, ids], packed[1][:, ids],
        )  # fmt: skip

    @torch.inference_mode()
    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        given = np.column_stack((thrust_n, rate_b_radps)).reshape(self.worlds, self.drones, 4)
        self._command[:, :, : self.worlds] = torch.from_numpy(given.transpose(2, 1, 0))
        self._simulator.step(self._command, self._at_once)

    def lose(self, rows: Mask, cut: Mask) -> None:
        names = leaf_names(self._simulator.truth.drones)
        for mask, first, count in ((rows, "vehicle.thrust_max_n.r1", 4), (cut, "cable.attached", 1)):
            worlds, drones = np.divmod(np.flatnonzero(mask), self.drones)
            start = names.index(first)
            self._simulator.drone_params[start : start + count, drones, worlds] = 0.0

    @property
    def state(self) -> TeamState:
        motion, load = self._read(self._simulator.motion), self._read(self._simulator.load)
        return TeamState(
            Bodies(*(motion[:, part] for part in _BODY)),
            Bodies(*(load[:, part] for part in _BODY)),
            motion[:, _FORCE : _FORCE + 3],
            motion[:, _TENSION],
        )

    def _read(self, packed: torch.Tensor) -> Array:
        """Packed leaves (·, drones, worlds) as rows."""
        return packed[:, :, : self.worlds].numpy().T.reshape(-1, len(packed)).astype(np.float64)
