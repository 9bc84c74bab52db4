"""What a team's environment computes at every control step, on packed tensors; compiled by
:mod:`corvids.envs.compiled.kernels`.

Packed tensors have shape ``(k · drones, rows, 1)``, drones innermost, those of the load and of a world
``(k, rows, 1)``; component tensors ``(rows, drones)`` and ``(rows, 1)``; feature tensors a row for each drone,
``(drones · rows, ·)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.ball_filter import BallFilterConfig
from corvids.controllers.load_filter import LoadFilterConfig
from corvids.controllers.packing import leaves, unpack
from corvids.envs.episodes.episode_starts import SENSORS_UNUSED
from corvids.envs.mdp.accbr_action import ACCBR_ACTIONS, GUIDANCE, AccbrAction
from corvids.envs.mdp.team_task import Actions, TeamInputs, TeamTask
from corvids.envs.physics.team_world import DRIVE_AT_REST, LOAD_AT_REST, MOTION_AT_REST, TeamParams, TeamWorld
from corvids.envs.physics.wind import blown
from corvids.envs.sensors.load_sensing import LOAD_NOISE_ROWS, LOAD_UNSEEN, LoadSensorParams, sense_load
from corvids.envs.sensors.sensing import SensorParams, sense
from corvids.envs.sensors.team_observation import critic_view, team_inputs

OWN_NOISE_ROWS = 12
"""Standard normal numbers that a drone's own sensors use at a control step."""
NOISE_ROWS = OWN_NOISE_ROWS + LOAD_NOISE_ROWS
_LONG_S = 1e6
"""Longer than any signal takes: the history reaches back before the episode's start."""

Function = Callable[..., tuple[torch.Tensor, ...]]


@dataclasses.dataclass(frozen=True)
class TeamKernels:
    """The functions, each with what it needs to know."""

    task: TeamTask
    action: AccbrAction
    nominal: TeamParams
    """Template of the parameters."""
    facts: torch.Tensor
    """What each drone knows of its team, (drones, f)."""
    drones: int
    tick_s: float
    sample_s: float
    ball_filter: BallFilterConfig
    load_filter: LoadFilterConfig

    def act(self) -> Function:
        """Raw actions, what is added to them, and the past ones: what they command, and the past with them."""
        law = self.action

        def act(action, guidance, past):
            squashed = law.squash(self.features(action), self.features(guidance))
            ordered, newest = self._packed(law.command(squashed)), self._packed(squashed)
            return ordered, torch.cat((newest, past[: -ACCBR_ACTIONS * self.drones]))

        return act

    def blow(self) -> Function:
        """One wind for the load and all drones of a world: the load's, the drones', as they were, a tick later."""

        def wander(wind, of_drones, mean, gust_std_mps, kick):
            after = blown(wind, mean, gust_std_mps, kick, self.tick_s)
            return after, torch.cat([after[axis : axis + 1] for axis in range(3) for _ in range(self.drones)])

        return wander

    def score(self) -> Function:
        """Rewards, failures, the task's memory of the episode, and paths."""
        task = self.task

        def score(motion, drive, load, drone_params, load_params, path, past, episode):
            world, truth = self._world(motion, drive, load), self._truth(drone_params, load_params)
            columns = self._by_drone(past).unbind(0)
            actions = Actions(columns[:ACCBR_ACTIONS], columns[ACCBR_ACTIONS : 2 * ACCBR_ACTIONS])
            wanted = path.unbind(0)
            result = task.score(world, truth, wanted, actions, unpack(episode, task.EPISODE), self.tick_s)
            moved = torch.stack(list(task.move(wanted, self.tick_s)))
            failed = torch.where(result.failed, 1.0, 0.0)
            return result.reward.t().unsqueeze(-1), failed, torch.stack(list(result.episode)), moved

        return score

    def observe(self) -> Function:
        """What sensors and policies remember, what is added to the next actions, and what the critic sees.

        The latter begins with what the actor sees.
        """
        task, drones = self.task, self.drones

        def observe(
            motion, drive, load, drone_params, load_params, sensors, load_sensors, vehicle_age, load_state,
            history, newest, noise, path, memory, past,
        ):  # fmt: skip
            truth, noise = self._truth(drone_params, load_params), self._by_drone(noise)
            age = self._by_drone(vehicle_age)[0]
            own = SensorParams(*self._by_drone(sensors).unbind(0))
            before = SENSORS_UNUSED._replace(vehicle_age_s=age, since_start_s=torch.full_like(age, _LONG_S))
            state, signals = sense(
                history[..., :drones], newest, self.sample_s, self.tick_s, own, before, noise[:OWN_NOISE_ROWS],
                self.ball_filter, with_ball=False,
            )  # fmt: skip
            reception = sense_load(
                history[..., drones:], newest, self.sample_s, self.tick_s, truth.load.pose_point_b_m,
                LoadSensorParams(*self._by_drone(load_sensors).unbind(0)),
                unpack(self._by_drone(load_state), LOAD_UNSEEN), noise[OWN_NOISE_ROWS:], self.load_filter,
            )  # fmt: skip
            command, reported = task.command(path.unbind(0)), reception.age_s + own.clock_error_s
            rows = age.shape[0]
            facts = self.facts[:, None].expand(-1, rows, -1).reshape(drones * rows, -1)
            inputs = team_inputs(signals, reception.estimate, reported, command, facts)
            actions = self.features(past)
            remembered = task.remember(inputs, self.features(memory), actions, self.tick_s)
            guidance = task.guidance(inputs, remembered)
            actor = task.observe(inputs, remembered, actions, guidance)
            world = self._world(motion, drive, load)
            critic = torch.cat((actor, critic_view(world, truth, command)), dim=-1)
            return (
                self._rows([state.vehicle_age_s]),
                self._rows(list(leaves(reception))),
                self._packed(remembered),
                self._packed(guidance),
                critic,
            )

        return observe

    def actor_features(self, past_actions: int) -> int:
        """How many numbers an actor sees."""
        task, widths = self.task, {"quat_wb": 4, "load_quat_wb": 4, "vehicle_age_s": 1, "load_age_s": 1}
        widths |= {"command": len(task.COMMAND), "facts": len(task.FACTS)}
        inputs = TeamInputs(**{name: torch.zeros(1, widths.get(name, 3)) for name in TeamInputs._fields})
        past = torch.zeros(1, past_actions * ACCBR_ACTIONS)
        return task.observe(inputs, torch.zeros(1, task.MEMORY), past, torch.zeros(1, GUIDANCE)).shape[1]

    def features(self, packed: torch.Tensor) -> torch.Tensor:
        """Packed tensors as rows of features."""
        by_drone = packed.reshape(-1, self.drones, packed.shape[1])
        return by_drone.permute(1, 2, 0).reshape(self.drones * packed.shape[1], -1)

    def _packed(self, features: torch.Tensor) -> torch.Tensor:
        """The opposite."""
        rows = features.shape[0] // self.drones
        return features.reshape(self.drones, rows, -1).permute(2, 0, 1).reshape(-1, rows, 1)

    def _by_drone(self, packed: torch.Tensor) -> torch.Tensor:
        """(k, rows, drones)."""
        return packed.reshape(-1, self.drones, packed.shape[1]).transpose(1, 2)

    def _rows(self, components: list[torch.Tensor]) -> torch.Tensor:
        """Components (rows, drones), packed."""
        stacked = torch.stack(components).transpose(1, 2)
        return stacked.reshape(-1, stacked.shape[2], 1)

    def _world(self, motion: Any, drive: Any, load: Any) -> TeamWorld:
        return TeamWorld(
            unpack(self._by_drone(motion), MOTION_AT_REST),
            unpack(self._by_drone(drive), DRIVE_AT_REST),
            unpack(load, LOAD_AT_REST),
        )

    def _truth(self, drone_params: Any, load_params: Any) -> TeamParams:
        return TeamParams(
            unpack(self._by_drone(drone_params), self.nominal.drones), unpack(load_params, self.nominal.load)
        )
