"""MuJoCo as the engine of a team's plant: its rigid bodies, tendons and integrator, under our rate loops."""

from __future__ import annotations

import numpy as np
import torch

from corvids.controllers.packing import leaves, map_leaves, pack, unpack
from corvids.controllers.rate_loop import RateCommand, RateLoopState, gains_of, rate_loop
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.compiling import compiled
from corvids.envs.engines.engine import TICK_S, Array
from corvids.envs.engines.mujoco_team import MujocoTeam
from corvids.envs.engines.team_engine import Bodies, Mask, TeamState
from corvids.envs.physics.team_world import TeamParams
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2

STEPS_PER_TICK = 4
"""MuJoCo's steps in a tick of 2 ms: one of them is a fifth of the stiffest cable's time constant."""
_ZERO = Vec3(0.0, 0.0, 0.0)
_AT_REST = RateLoopState(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO)


class MujocoTeamEngine:
    """``worlds`` worlds in one MuJoCo model (see :class:`corvids.envs.engines.team_engine.TeamEngine`)."""

    dt_s = TICK_S

    def __init__(
        self,
        team: Team,
        worlds: int,
        *,
        compile_kernels: bool = True,
        steps_per_tick: int = STEPS_PER_TICK,
    ) -> None:
        self.worlds, self.drones = worlds, len(team.members)
        self._steps = steps_per_tick
        each = [gains_of(member.vehicle, TICK_S, dtype=torch.float64) for member in team.members]
        packed = torch.stack([torch.stack([leaf.reshape(()) for leaf in leaves(one)]) for one in each], dim=1)
        self._gains = packed.repeat(1, worlds)
        template = each[0]

        def control(memory, gains, given):
            thrust_n, rate, omega = given[0], Vec3(*given[1:4].unbind(0)), Vec3(*given[4:7].unbind(0))
            loop, motors = rate_loop(
                unpack(memory, _AT_REST), RateCommand(thrust_n, rate), omega, unpack(gains, template), TICK_S
            )
            return torch.stack(list(leaves(loop))), torch.stack(list(motors))

        self._control = compiled(control, compile_kernels)
        self._loop = torch.empty(0)
        self._given = torch.zeros((7, worlds * self.drones), dtype=torch.float64)

    def reset(self, state: TeamState, params: TeamParams, thrust_n: Array) -> None:
        self._team = team = MujocoTeam(params, steps_per_tick=self._steps)
        full_n = np.sum([np.asarray(full).reshape(-1) for full in params.drones.vehicle.thrust_max_n], axis=0)
        rotors = np.tile(np.sqrt(thrust_n / full_n)[:, None], (1, 4))
        bodies = [np.empty((len(team.pos_w), part.shape[1])) for part in state.drones]
        for both, drones, load in zip(bodies, state.drones, state.load, strict=True):
            both[team.of_drones], both[team.of_loads] = drones, load
        pos_w, vel_w, quat_wb, omega_b = bodies
        team.reset(pos_w, quat_wb, vel_w, omega_b, rotors)
        self._loop = pack(map_leaves(lambda _: torch.zeros(len(rotors), dtype=torch.float64), _AT_REST))
        self._force_w = state.specific_force_w

    @torch.inference_mode()
    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        team, given = self._team, self._given.numpy()
        given[0], given[1:4], given[4:] = thrust_n, rate_b_radps.T, team.omega_b[team.of_drones].T
        self._loop, motors = self._control(self._loop, self._gains, self._given)
        self.step_motors(motors.numpy().T)

    def step_motors(self, command: Array) -> None:
        """One tick under motor commands 0..1 (rows, 4), past the rate loop."""
        team = self._team
        before = team.vel_w[team.of_drones]
        team.step(command)
        self._force_w = (team.vel_w[team.of_drones] - before) / TICK_S
        self._force_w[:, 2] += GRAVITY_MPS2

    def lose(self, rows: Mask, cut: Mask) -> None:
        self._team.lose(rows, cut)

    @property
    def state(self) -> TeamState:
        team = self._team
        parts = (team.pos_w, team.vel_w, team.quat_wb, team.omega_b)
        return TeamState(
            Bodies(*(part[team.of_drones] for part in parts)),
            Bodies(*(part[team.of_loads] for part in parts)),
            self._force_w,
            team.tension_n.copy(),
        )
