"""The training environment of teams: as :mod:`corvids.envs.environment`, with a row for every drone of every world.

Rows are ordered drone by drone: row ``d * worlds + w`` is drone ``d`` of world ``w``. All drones of a world share one
actor and one critic, which is told the truth of the whole world (MAPPO, Yu et al. 2022); they start and end together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.packing import leaf_names, leaves, pack, unpack
from corvids.envs.compiled.compiling import compiled
from corvids.envs.environment import PAST_ACTIONS, EnvConfig
from corvids.envs.episodes.episode_starts import SENSORS_UNUSED
from corvids.envs.episodes.team_randomization import TeamDraws
from corvids.envs.episodes.team_starts import settled_inner_loop
from corvids.envs.mdp.accbr_action import ACCBR_ACTIONS, AccbrAction
from corvids.envs.mdp.team_task import Actions
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import LOAD_AT_REST, MOTION_AT_REST, TeamParams
from corvids.envs.physics.wind import blown
from corvids.envs.sensors.load_sensing import (
    LOAD_NOISE_ROWS,
    LOAD_UNSEEN,
    LoadSensorParams,
    LoadSensorState,
    sense_load,
)
from corvids.envs.sensors.sensing import SensorParams, sense
from corvids.envs.sensors.team_observation import critic_view, team_inputs
from corvids.envs.tasks import team_task_named
from corvids.envs.team_simulator import TeamSimulator
from corvids.team import load_team

_NOISE_POOL = 1 << 22
"""Least size of the pool of noise; many worlds have a larger one."""
_NOISE_ROWS = 12 + LOAD_NOISE_ROWS


class TeamEnvironment:
    """Vectorised environment of ``worlds`` teams with automatic reset.

    Observations are a dict of ``actor`` (what a drone's policy file will see) and ``critic`` (the same, and the truth
    of the world), both (worlds · drones, ·).
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
        self.drones = len(self.team.members)
        self.task = team_task_named(config.task)(self.team, carry)
        self.action = AccbrAction(carry)
        self.tick_s = 1.0 / config.control_hz
        self.simulator = make_simulator(
            self.team, worlds, physics_hz=config.physics_hz, control_hz=config.control_hz, with_inner_loop=True,
            device=self.device, compile_kernels=compile_kernels,
        )  # fmt: skip
        nominal = team_params(self.team, self.simulator.dt_s)
        self._templates = nominal
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._draws = TeamDraws(config.randomization, carry, nominal, self.device, self._generator)
        rows, drones = self.simulator.rows, self.drones
        pool = max(_NOISE_POOL, 2 * _NOISE_ROWS * drones * rows)
        self._pool = torch.randn(pool, device=self.device, generator=self._generator)
        self._offsets = torch.Generator().manual_seed(seed)

        def zeros(count: int, columns: int = drones) -> torch.Tensor:
            return torch.zeros((count, columns, rows), device=self.device)

        self._sensors = zeros(len(SensorParams._fields))
        self._load_sensors = zeros(len(LoadSensorParams._fields))
        self._vehicle_age = zeros(1)[0]
        self._load_state = zeros(len(list(leaves(LOAD_UNSEEN))))
        self._episode = zeros(len(self.task.EPISODE), 1)
        self._path = zeros(self.task.PATH, 1)
        self._delay_steps = zeros(1)[0]
        self._wind_mean, self._gust = zeros(2, 1), zeros(1, 1)[0]
        drone_names, load_names = leaf_names(nominal.drones), leaf_names(nominal.load)
        self._drone_wind = slice(drone_names.index("wind_w.x"), drone_names.index("wind_w.x") + 3)
        self._load_wind = slice(load_names.index("wind_w.x"), load_names.index("wind_w.x") + 3)
        self._memory = torch.zeros((drones * rows, self.task.MEMORY), device=self.device)
        self._guidance = torch.zeros((drones * rows, ACCBR_ACTIONS), device=self.device)
        self._past = torch.zeros((drones * rows, PAST_ACTIONS * ACCBR_ACTIONS), device=self.device)
        facts = self.task.facts().to(self.device)
        self._facts = facts[:, None].expand(-1, rows, -1).reshape(drones * rows, -1).contiguous()
        self._world_steps = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.steps_max = round(config.episode_s * config.control_hz)
        """Control steps in the longest episode."""
        self._is_wild = torch.arange(rows, device=self.device) < config.randomization.wild_share * worlds
        self._next_path = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self._score = compiled(self._make_score(), compile_kernels)
        self._observe = compiled(self._make_observe(), compile_kernels)
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

    @property
    def delay_steps(self) -> torch.Tensor:
        """How many physics steps late each drone's command comes into force, (drones, rows)."""
        return self._delay_steps

    def order(self, action: torch.Tensor) -> torch.Tensor:
        """The command (5, drones, rows) that raw actions (worlds · drones, 5) mean; the wind moves on."""
        squashed = self.action.squash(self._padded(action), self._guidance)
        self._past = torch.cat((squashed, self._past[:, :-ACCBR_ACTIONS]), dim=1)
        self._blow()
        return self.action.command(squashed).t().reshape(ACCBR_ACTIONS, self.drones, self.simulator.rows)

    def judge(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rewards (worlds · drones,) of the control step that was made; which worlds failed, which are over."""
        simulator = self.simulator
        reward, failed, self._episode, self._path = self._score(
            simulator.motion, simulator.drive, simulator.load, simulator.drone_params, simulator.load_params,
            self._path, self._past, self._episode,
        )  # fmt: skip
        self._world_steps += 1
        failed = failed[: self.worlds] > 0.0
        timed_out = (self._world_steps >= self.steps_max) & ~failed
        return reward[:, : self.worlds].reshape(-1), failed, timed_out

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
        return self.real(self._past)

    @property
    def guidance(self) -> torch.Tensor:
        """What is added to the next raw action, (worlds · drones, 5)."""
        return self.real(self._guidance)

    def named_state(self) -> dict[str, torch.Tensor]:
        """The physical state, each of its numbers by name, (drones, worlds), the load's (1, worlds)."""
        simulator = self.simulator
        parts = (("drone", MOTION_AT_REST, simulator.motion), ("load", LOAD_AT_REST, simulator.load))
        return {
            f"{body} {name}": values[:, : self.worlds]
            for body, template, packed in parts
            for name, values in zip(leaf_names(template), packed, strict=True)
        }

    def _make_score(self):
        task, templates, tick_s = self.task, self._templates, self.tick_s
        drones, rows = self.drones, self.simulator.rows

        def score(motion, drive, load, drone_params, load_params, path, past, episode):
            world = TeamSimulator.tree(motion, drive, load)
            truth = _truth(drone_params, load_params, templates)
            columns = past.reshape(drones, rows, -1).permute(2, 1, 0).unbind(0)
            actions = Actions(columns[:ACCBR_ACTIONS], columns[ACCBR_ACTIONS : 2 * ACCBR_ACTIONS])
            wanted = path.transpose(1, 2).unbind(0)
            before = unpack(episode.transpose(1, 2), task.EPISODE)
            result = task.score(world, truth, wanted, actions, before, tick_s)
            moved = torch.stack(list(task.move(wanted, tick_s))).transpose(1, 2)
            failed = torch.where(result.failed, 1.0, 0.0)[:, 0]
            after = torch.stack(list(result.episode)).transpose(1, 2)
            return result.reward.t().contiguous(), failed, after.contiguous(), moved.contiguous()

        return score

    def _make_observe(self):
        task, tick_s, sample_s = self.task, self.tick_s, self.simulator.sample_s
        drones, templates, config = self.drones, self._templates, self.config

        def observe(
            motion, drive, load, drone_params, load_params, sensors, load_sensors, vehicle_age, load_state,
            history, newest, noise, path, memory, past, facts,
        ):  # fmt: skip
            seen = history.transpose(2, 3)
            truth = _truth(drone_params, load_params, templates)
            noise = noise.transpose(1, 2)
            state, signals = sense(
                seen[..., :drones], newest, sample_s, tick_s,
                SensorParams(*sensors.transpose(1, 2).unbind(0)),
                SENSORS_UNUSED._replace(
                    vehicle_age_s=vehicle_age.t(), since_start_s=torch.full_like(vehicle_age.t(), math.inf)
                ),
                noise[:12], config.ball_filter, with_ball=False,
            )  # fmt: skip
            reception = sense_load(
                seen[..., drones:], newest, sample_s, tick_s, truth.load.pose_point_b_m,
                LoadSensorParams(*load_sensors.transpose(1, 2).unbind(0)),
                unpack(load_state.transpose(1, 2), LOAD_UNSEEN),
                noise[12:], config.carry.load_filter,
            )  # fmt: skip
            command = task.command(path.transpose(1, 2).unbind(0))
            reported = reception.age_s + SensorParams(*sensors.transpose(1, 2).unbind(0)).clock_error_s
            inputs = team_inputs(signals, reception.estimate, reported, command, facts)
            memory = task.remember(inputs, memory, tick_s)
            guidance = task.guidance(inputs, memory)
            actor = task.observe(inputs, memory, past, guidance)
            world = TeamSimulator.tree(motion, drive, load)
            critic = torch.cat((actor, critic_view(world, truth, command)), dim=-1)
            kept = torch.stack(list(leaves(reception))).transpose(1, 2)
            return state.vehicle_age_s.t().contiguous(), kept.contiguous(), memory, guidance, actor, critic

        return observe

    def _look(self) -> dict[str, torch.Tensor]:
        simulator = self.simulator
        count = _NOISE_ROWS * self.drones * simulator.rows
        start = int(torch.randint(len(self._pool) - count, (), generator=self._offsets))
        noise = self._pool[start : start + count].reshape(_NOISE_ROWS, self.drones, simulator.rows)
        self._vehicle_age, self._load_state, self._memory, self._guidance, actor, critic = self._observe(
            simulator.motion, simulator.drive, simulator.load, simulator.drone_params, simulator.load_params,
            self._sensors, self._load_sensors, self._vehicle_age, self._load_state, simulator.history,
            simulator.newest, noise, self._path, self._memory, self._past, self._facts,
        )  # fmt: skip
        return {"actor": self.real(actor), "critic": self.real(critic)}

    def _reset(self, ids: torch.Tensor) -> None:
        draws, task, config, count = self._draws, self.task, self.config.randomization, len(ids)
        drones = self.drones
        drone_params, load_params = draws.team(count)
        truth = TeamParams(
            unpack(drone_params, self._templates.drones), unpack(load_params, self._templates.load)
        )
        path = task.draw_path(draws, None, count)
        # Half of the bad starts are as bad as they come, so that the worst are not the rarest.
        severity = draws.uniform((0.0, 2.0), count).clamp(max=1.0) * self._is_wild[ids]
        start = task.draw_start(draws, truth, path, severity[:, None])
        self.simulator.place(ids, start, settled_inner_loop(truth), drone_params, load_params)
        sensors = draws.sensors(count * drones).reshape(-1, drones, count)
        load_sensors = draws.load_sensors(count).transpose(1, 2)
        self._sensors[:, :, ids], self._load_sensors[:, :, ids] = sensors, load_sensors
        mine, theirs = SensorParams(*sensors), LoadSensorParams(*load_sensors)
        phase = draws.uniform((0.0, 1.0), 2, drones, count)
        self._vehicle_age[:, ids] = mine.vehicle_delay_s + phase[0] * mine.vehicle_period_s - self.tick_s
        age = theirs.delay_s + phase[1] * theirs.period_s - self.tick_s
        body = start.load.body
        pose_point = body.pos_w + body.quat_wb.rotate(truth.load.pose_point_b_m)
        seen = LOAD_UNSEEN.estimate._replace(pos_w=pose_point, vel_w=body.vel_w, quat_wb=body.quat_wb)
        fresh = LoadSensorState(age.t(), seen._replace(omega_b=body.omega_b))
        self._load_state[:, :, ids] = pack(fresh).transpose(1, 2)
        episode = torch.tensor(list(task.EPISODE), device=self.device)
        self._episode[:, :, ids] = episode[:, None, None]
        self._path[:, 0, ids] = path
        delay_s = draws.uniform(config.command_delay_s, drones, count)
        self._delay_steps[:, ids] = torch.round(delay_s / self.simulator.dt_s)
        self._wind_mean[:, 0, ids] = load_params[self._load_wind][:2, :, 0]
        self._gust[:, ids] = draws.uniform(config.gust_std_mps, 1, count)
        both = (torch.arange(drones, device=self.device)[:, None] * self.simulator.rows + ids).reshape(-1)
        self._memory[both] = 0.0
        self._past[both] = 0.0
        real = ids[ids < self.worlds]
        self._world_steps[real] = 0
        self._next_path[real] = self._path_steps(len(real))

    def _blow(self) -> None:
        """One wind for the load and all drones of a world."""
        wind = self.simulator.load_params[self._load_wind]
        kick = torch.randn(wind.shape, device=wind.device, generator=self._generator)
        wind = blown(wind, self._wind_mean, self._gust, kick, self.tick_s)
        self.simulator.load_params[self._load_wind] = wind
        self.simulator.drone_params[self._drone_wind] = wind

    def _path_steps(self, count: int) -> torch.Tensor:
        return (self._draws.uniform(self.config.command_s, count) / self.tick_s).long()

    def _change_paths(self) -> None:
        ids = (self._world_steps >= self._next_path).nonzero().squeeze(-1)
        if len(ids):
            last = self._path[:, 0, ids]
            self._path[:, 0, ids] = self.task.draw_path(self._draws, last, len(ids))
            self._next_path[ids] = self._world_steps[ids] + self._path_steps(len(ids))

    def _metrics(self, ids: torch.Tensor, failed: torch.Tensor) -> dict[str, torch.Tensor]:
        fields = list(self.task.EPISODE._fields)
        episode = self._episode[:, 0, ids]
        log = {name: episode[fields.index(name)] for name in self.task.METRICS}
        log["episode_s"] = self._world_steps[ids] * self.tick_s
        log["failed"] = failed[ids].float()
        return log

    def real(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows without padding."""
        if self.simulator.rows == self.worlds:
            return rows
        return rows.reshape(self.drones, self.simulator.rows, -1)[:, : self.worlds].flatten(0, 1)

    def _padded(self, rows: torch.Tensor) -> torch.Tensor:
        """The opposite."""
        missing = self.simulator.rows - self.worlds
        by_drone = rows.reshape(self.drones, self.worlds, -1)
        return torch.nn.functional.pad(by_drone, (0, 0, 0, missing)).flatten(0, 1)


def _truth(drone_params: torch.Tensor, load_params: torch.Tensor, templates: TeamParams) -> TeamParams:
    return TeamParams(
        unpack(drone_params.transpose(1, 2), templates.drones),
        unpack(load_params.transpose(1, 2), templates.load),
    )
