"""The training environment of teams: as :mod:`corvids.envs.environment`, with a row for every drone of every world.

Rows are ordered drone by drone: row ``d * worlds + w`` is drone ``d`` of world ``w``. All drones of a world share one
actor and one critic, which is told the truth of the whole world (MAPPO, Yu et al. 2022); they start and end together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.packing import leaf_names
from corvids.controllers.spatial import Quat
from corvids.envs.compiled.kernels import kernel
from corvids.envs.compiled.team_kernels import NOISE_ROWS, TeamKernels
from corvids.envs.environment import PAST_ACTIONS, EnvConfig
from corvids.envs.episodes.stock import Stock
from corvids.envs.episodes.team_episode_starts import TeamEpisodeStarts, TeamStart
from corvids.envs.episodes.team_randomization import TeamDraws
from corvids.envs.mdp.accbr_action import ACCBR_ACTIONS, GUIDANCE, AccbrAction
from corvids.envs.mdp.steady_member import place_above, steady_accel
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import LOAD_AT_REST, MOTION_AT_REST
from corvids.envs.tasks import team_task_named
from corvids.envs.team_simulator import TeamSimulator
from corvids.team import load_team

_LOAD_QUAT = tuple(leaf_names(LOAD_AT_REST).index(f"body.quat_wb.{part}") for part in "wxyz")
_NOISE_POOL = 1 << 22
"""Least size of the pool of noise; many worlds have a larger one."""


LOST_FROM_S = 2.0
"""Earliest time at which a member is lost."""
STEADY_YAW_RAD = 1.6
"""Largest turn that a goal asks of a load where a member goes straight to its place: beyond, it is in the way."""
RAISED_M = 1.5
"""How much higher goals are where one is: it hangs a metre below its load."""


class TeamEnvironment:
    """Vectorised environment of ``worlds`` teams with automatic reset.

    Observations are a dict of ``actor`` (what a drone's policy file will see) and ``critic`` (the same, and the truth
    of the world), both (worlds · drones, ·). What a step returns is overwritten by the step after the next.
    """

    action_size = ACCBR_ACTIONS
    """Numbers in an action."""

    def __init__(
        self,
        config: EnvConfig,
        worlds: int,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        compile_kernels: bool = True,
        make_simulator: Callable[..., TeamSimulator] = TeamSimulator,
    ) -> None:
        self.config, self.worlds, self.device = config, worlds, torch.device(device)
        carry = config.carry
        self.team = load_team(carry.team)
        self.drones = drones = len(self.team.members)
        self.task = team_task_named(config.task)(self.team, carry)
        self.action = AccbrAction(carry)
        self.tick_s = 1.0 / config.control_hz
        self.simulator = make_simulator(
            self.team, worlds, physics_hz=config.physics_hz, control_hz=config.control_hz, with_inner_loop=True,
            device=self.device, compile_kernels=compile_kernels,
        )  # fmt: skip
        nominal = team_params(self.team, self.simulator.dt_s)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._draws = TeamDraws(config.randomization, carry, nominal, self.device, self._generator)
        rows = self.simulator.rows
        pool = max(_NOISE_POOL, 2 * NOISE_ROWS * drones * rows)
        self._pool = torch.randn(pool, device=self.device, generator=self._generator)
        self._offsets = random.Random(seed)
        self._calm_starts, self._wild_starts = (
            TeamEpisodeStarts(
                self.task, self._draws, nominal, worlds, dt_s=self.simulator.dt_s, tick_s=self.tick_s,
                action_size=ACCBR_ACTIONS, past_actions=PAST_ACTIONS, is_wild=is_wild,
            )
            for is_wild in (False, True)
        )  # fmt: skip
        self._paths = Stock(lambda count: self.task.draw_path(self._draws, count), max(worlds // 2, 16))
        sizes = [len(part) for part in self._calm_starts.draw(1)]
        # One tensor, so that starts come into place by one operation.
        self._per_world = torch.zeros((sum(sizes), rows, 1), device=self.device)
        self._at = at = TeamStart(*self._per_world.split(sizes))
        simulator = self.simulator
        simulator.motion, simulator.drive, simulator.inner, simulator.drone_params, simulator.command = (
            part.view(-1, drones, rows) for part in (at.motion, at.drive, at.inner, at.drone_params, at.order)
        )
        simulator.load, simulator.load_params = (part.view(-1, 1, rows) for part in (at.load, at.load_params))
        drone_wind, load_wind = (leaf_names(one).index("wind_w.x") for one in nominal)
        self._drone_wind = at.drone_params[drones * drone_wind : drones * (drone_wind + 3)]
        self._load_wind = at.load_params[load_wind : load_wind + 3]
        self._given = torch.zeros((ACCBR_ACTIONS * drones, rows, 1), device=self.device)
        self._guidance = torch.zeros((GUIDANCE * drones, rows, 1), device=self.device)
        self._world_steps = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.steps_max = round(config.episode_s * config.control_hz)
        """Control steps in the longest episode."""
        self._is_wild = torch.arange(rows, device=self.device) < config.randomization.wild_share * worlds
        self._next_path = torch.zeros(worlds, dtype=torch.long, device=self.device)
        # The worlds that lose a member are the last ones; those that start badly are the first.
        self._loses = torch.arange(rows, device=self.device) >= worlds - carry.lost_share * worlds
        # Before them, those in which a member stays where it should hang.
        self._steady_from = worlds - (carry.lost_share + carry.steady_share) * worlds
        few = torch.arange(worlds, device=self.device)
        self._steady = few[(few >= self._steady_from) & ~self._loses[:worlds]]
        self._steady_member = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self._facts = self.task.facts().to(self.device)
        self._load_share = (
            self.team.load.mass_kg
            / drones
            / torch.tensor(
                [[member.vehicle.body.mass_kg] for member in self.team.members], device=self.device
            )
        )
        self._loss_step = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self._thrust_rows, self._cable_row = (
            drones * leaf_names(nominal.drones).index(name)
            for name in ("vehicle.thrust_max_n.r1", "cable.attached")
        )
        self._kernels = kernels = TeamKernels(
            self.task, self.action, nominal, self._facts, drones, self.tick_s,
            self.simulator.sample_s, config.ball_filter, carry.load_filter,
        )  # fmt: skip
        self._actor_features = kernels.actor_features(PAST_ACTIONS)
        # Each with the results that replace arguments.
        self._act, self._wander, self._score, self._observe = (
            kernel(function, into, self.device, compile_kernels, worlds, turns=2)
            for function, into in (
                (kernels.act(), {1: 2}),
                (kernels.blow(), {0: 0, 1: 1}),
                (kernels.score(), {2: 7, 3: 5}),
                (kernels.observe(), {0: 7, 1: 8, 2: 13}),
            )
        )
        # Rows beyond the last world are padding: they fly with the others, are never scored, and are never reset.
        self._reset(torch.arange(rows, device=self.device))
        self.observations = self._look()

    @property
    def steps(self) -> torch.Tensor:
        """Control steps since the start of each row's episode; writing takes each world's first row."""
        return self._world_steps.repeat(self.drones)

    @steps.setter
    def steps(self, steps: torch.Tensor) -> None:
        self._world_steps.copy_(steps[: self.worlds])

    def step(
        self, action: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Advance by one control step under raw actions (worlds · drones, 5).

        Returns observations, rewards, whether episodes ended, and extras: ``time_outs`` (all of one number a row) and
        ``log``, means over the episodes that ended.
        """
        self.simulator.step(self.order(action), self.delay_steps)
        reward, failed, timed_out = self.judge()
        done = failed | timed_out
        extras: dict[str, Any] = {"time_outs": timed_out.float().repeat(self.drones)}
        ids = done.nonzero().squeeze(-1)
        if len(ids):
            extras["log"] = self.restart(ids, failed)
        self.look()
        return self.observations, reward, done.repeat(self.drones), extras

    def reseed(self, seed: int) -> None:
        """As :meth:`corvids.envs.environment.Environment.reseed`."""
        self._generator.manual_seed(seed)
        self._pool.normal_(generator=self._generator)
        self._offsets.seed(seed)
        for stock in (self._calm_starts, self._wild_starts, self._paths):
            stock.restock()

    @property
    def episode(self) -> tuple[torch.Tensor, ...]:
        """The task's memory of each world's episode, each (worlds,), in the order of its fields."""
        return self._at.episode[:, : self.worlds, 0].unbind(0)

    @property
    def kinds(self) -> dict[str, torch.Tensor]:
        """Worlds (mask, (worlds,)) by what befalls them: a bad start, the loss of a member, a steady one; or none."""
        wild, lost = self._is_wild[: self.worlds], self._loses[: self.worlds]
        steady = torch.zeros_like(wild)
        steady[self._steady] = True
        return {"plain": ~(wild | lost | steady), "wild": wild, "lost": lost, "steady": steady}

    @property
    def delay_steps(self) -> torch.Tensor:
        """How many physics steps late each drone's command comes into force, (drones, rows)."""
        return self._at.delay_steps[..., 0]

    def order(self, action: torch.Tensor) -> torch.Tensor:
        """The command (5, drones, rows) that raw actions (worlds · drones, 5) mean; the wind moves on."""
        by_drone = (ACCBR_ACTIONS, self.drones, -1)
        self._given.view(by_drone)[..., : self.worlds].copy_(action.t().reshape(by_drone))
        command, _ = self._act(self._given, self._guidance, self._at.actions)
        self._blow()
        self._lose()
        command = command.view(by_drone)
        if len(self._steady):
            self._hold_steady(command)
        return command

    def judge(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rewards (worlds · drones,) of the control step that was made; which worlds failed, which are over."""
        at, worlds = self._at, self.worlds
        reward, failed, _, _ = self._score(
            at.motion, at.drive, at.load, at.drone_params, at.load_params, at.path, at.actions, at.episode
        )
        self._world_steps += 1
        failed = failed[:worlds, 0] > 0.0
        timed_out = (self._world_steps >= self.steps_max) & ~failed
        return reward[:, :worlds].reshape(-1), failed, timed_out

    def restart(self, ids: torch.Tensor, failed: torch.Tensor) -> dict[str, torch.Tensor]:
        """Begin episodes anew in worlds ``ids`` (n,); the figures of those that ended, ``failed`` (worlds,) or not."""
        log = self._metrics(ids, failed)
        self._reset(ids)
        return log

    def look(self) -> dict[str, torch.Tensor]:
        """Change paths whose time has come, and observe."""
        self._change_paths()
        self.observations = self._look()
        return self.observations

    @property
    def past_actions(self) -> torch.Tensor:
        """Squashed actions that the actor has been shown last, newest first, (worlds · drones, ·)."""
        return self.real(self._kernels.features(self._at.actions))

    @property
    def guidance(self) -> torch.Tensor:
        """What a law says of the next action, (worlds · drones, GUIDANCE)."""
        return self.real(self._kernels.features(self._guidance))

    def named_state(self) -> dict[str, torch.Tensor]:
        """The physical state, each of its numbers by name, (drones, worlds), the load's (1, worlds)."""
        simulator = self.simulator
        parts = (("drone", MOTION_AT_REST, simulator.motion), ("load", LOAD_AT_REST, simulator.load))
        return {
            f"{body} {name}": values[:, : self.worlds]
            for body, template, packed in parts
            for name, values in zip(leaf_names(template), packed, strict=True)
        }

    def real(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (drones · rows, ·) without padding."""
        if len(rows) == self.worlds * self.drones:
            return rows
        return rows.reshape(self.drones, self.simulator.rows, -1)[:, : self.worlds].flatten(0, 1)

    def _look(self) -> dict[str, torch.Tensor]:
        at, simulator = self._at, self.simulator
        *_, self._guidance, critic = self._observe(
            at.motion, at.drive, at.load, at.drone_params, at.load_params, at.sensors, at.load_sensors,
            at.vehicle_age, at.load_state, simulator.history, simulator.newest, self._normal(NOISE_ROWS * self.drones),
            at.path, at.memory, at.actions,
        )  # fmt: skip
        critic = self.real(critic)
        # What actors see is written once: it is what the critic's begins with.
        return {"actor": critic[:, : self._actor_features], "critic": critic}

    def _reset(self, ids: torch.Tensor) -> None:
        is_wild = self._is_wild[ids]
        for some, starts in ((ids[is_wild], self._wild_starts), (ids[~is_wild], self._calm_starts)):
            if len(some):
                self._per_world[:, some] = starts.take(len(some))
        self.simulator.forget(ids)
        real = ids[ids < self.worlds]
        self._world_steps[real] = 0
        self._next_path[real] = self._path_steps(len(real))
        self._weaken(real)
        self._settle(real[(real >= self._steady_from) & ~self._loses[real]])
        losing = real[self._loses[real]]
        if len(losing):
            self._next_path[losing] = self.steps_max + 1
            first = self._draws.uniform((LOST_FROM_S, self.config.episode_s), len(losing))
            self._loss_step[losing] = (first / self.tick_s).long()
            self._at.path[2, losing] += RAISED_M
            self._at.path[3:5, losing] = 0.0
            self._at.path[6:12, losing] = 0.0

    def _blow(self) -> None:
        """One wind for the load and all drones of a world."""
        at = self._at
        self._wander(self._load_wind, self._drone_wind, at.wind_mean, at.gust_std_mps, self._normal(3))

    def _lose(self) -> None:
        """Take the thrust of a member, and in half of the worlds its cable, where the time has come."""
        ids = ((self._world_steps == self._loss_step) & self._loses[: self.worlds]).nonzero().squeeze(-1)
        if len(ids):
            self._scale_thrust(ids, torch.zeros(len(ids), device=self.device))
            cut = ids[self._draws.uniform((0.0, 1.0), len(ids)) < 0.5]
            # The member that has no thrust is the one whose cable goes.
            thrust = self._at.drone_params[self._thrust_rows : self._thrust_rows + self.drones, cut]
            self._at.drone_params[self._cable_row : self._cable_row + self.drones, cut] *= thrust > 0.0

    def _weaken(self, ids: torch.Tensor) -> None:
        carry = self.config.carry
        if carry.weak_share == 0.0:
            return
        weak = ids[self._draws.uniform((0.0, 1.0), len(ids)) < carry.weak_share]
        if len(weak):
            self._scale_thrust(weak, self._draws.uniform(carry.weak_factor, len(weak)))

    def _scale_thrust(self, ids: torch.Tensor, factor: torch.Tensor) -> None:
        """Multiply the thrust of some member of each of the worlds ``ids`` (n,)."""
        member = self._some_member(len(ids))
        of_member = torch.where(torch.arange(self.drones, device=self.device)[:, None] == member, factor, 1.0)
        rows = slice(self._thrust_rows, self._thrust_rows + 4 * self.drones)
        self._at.drone_params[rows, ids] *= of_member.repeat(4, 1)[..., None]

    def _some_member(self, count: int) -> torch.Tensor:
        return (self._draws.uniform((0.0, 1.0), count) * self.drones).long().clamp(max=self.drones - 1)

    def _settle(self, ids: torch.Tensor) -> None:
        """Give worlds (n,) a member that holds its place, and the one goal that it knows of, standing."""
        if len(ids) == 0:
            return
        self._steady_member[ids] = self._some_member(len(ids))
        self._next_path[ids] = self.steps_max + 1
        quat = Quat(*(self.simulator.load[row, 0, ids] for row in _LOAD_QUAT))
        self._at.path[5, ids, 0] = quat.yaw() + self._draws.uniform(
            (-STEADY_YAW_RAD, STEADY_YAW_RAD), len(ids)
        )
        self._at.path[6:12, ids] = 0.0

    def _hold_steady(self, command: torch.Tensor) -> None:
        """Replace the commands (5, drones, rows) of the members that hold their place."""
        ids, simulator = self._steady, self.simulator
        member = self._steady_member[ids]
        motion, inner = simulator.motion[:6, member, ids].t(), simulator.inner[1:4, member, ids].t()
        place = place_above(self._at.path[:, ids, 0], self._facts[member])
        accel = steady_accel(place - motion[:, :3], motion[:, 3:], inner, self._load_share[member])
        command[:3, member, ids] = accel.t()
        command[3:, member, ids] = 0.0

    def _normal(self, count: int) -> torch.Tensor:
        """Standard normal numbers (count, rows, 1): somewhere in a pool of them, which is faster than new ones."""
        size = count * self.simulator.rows
        start = self._offsets.randrange(len(self._pool) - size)
        return self._pool[start : start + size].view(count, self.simulator.rows, 1)

    def _path_steps(self, count: int) -> torch.Tensor:
        return (self._draws.uniform(self.config.command_s, count) / self.tick_s).long()

    def _change_paths(self) -> None:
        ids = (self._world_steps >= self._next_path).nonzero().squeeze(-1)
        if len(ids):
            self._at.path[:, ids, 0] = self._paths.take(len(ids))
            self._next_path[ids] = self._world_steps[ids] + self._path_steps(len(ids))

    def _metrics(self, ids: torch.Tensor, failed: torch.Tensor) -> dict[str, torch.Tensor]:
        fields = list(self.task.EPISODE._fields)
        episode = self._at.episode[:, ids, 0]
        log = {name: episode[fields.index(name)] for name in self.task.METRICS}
        log["episode_s"] = self._world_steps[ids] * self.tick_s
        log["failed"] = failed[ids].float()
        return log
