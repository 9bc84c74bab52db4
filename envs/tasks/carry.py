"""Carry a load on cables to any pose, each drone deciding alone from its own state and the load's."""

from __future__ import annotations

import functools
import math
from typing import ClassVar, NamedTuple

import torch

from corvids.controllers.spatial import Scalar
from corvids.envs.episodes.randomization import Draws
from corvids.envs.episodes.team_starts import hanging, outward
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.carry_law import carrying, summed
from corvids.envs.mdp.carry_rewards import LOSS, errors, own_reward, zeng_reward
from corvids.envs.mdp.features import rotation_matrix, turned
from corvids.envs.mdp.goal_path import COMMAND, PATH_ROWS, command_of, moved, pose_at, some_path
from corvids.envs.mdp.pose_features import previews, rotated, turn_between
from corvids.envs.mdp.team_facts import FACTS, team_facts
from corvids.envs.mdp.team_task import Actions, TeamInputs, TeamScore
from corvids.envs.physics.team_world import TeamParams, TeamWorld
from corvids.team import Team

LAW_SHARE = 0.95
"""Largest part of the limits that the law asks for: what is left lets the network take part."""


class Episode(NamedTuple):
    """What is remembered of an episode."""

    steps: Scalar
    error_m: Scalar
    """Running mean (1 s) of the load's distance from its goal."""
    error_deg: Scalar
    """The same of the angle."""
    team_return: Scalar
    """Rewards so far, summed over the drones."""


class Carry:
    """Command: the load's pose, twist and poses to come, as in :data:`corvids.envs.mdp.goal_path.COMMAND`."""

    NAME: ClassVar[str] = "carry"
    COMMAND: ClassVar[tuple[str, ...]] = COMMAND
    FACTS: ClassVar[tuple[str, ...]] = FACTS
    MEMORY: ClassVar[int] = 6
    PATH: ClassVar[int] = PATH_ROWS
    EPISODE: ClassVar[Episode] = Episode(0.0, 0.0, 0.0, 0.0)
    METRICS: ClassVar[tuple[str, ...]] = ("error_m", "error_deg", "team_return")

    def __init__(self, team: Team, config: CarryConfig) -> None:
        self._team, self._config = team, config
        self._most = (config.accel_max_mps2,) * 3 + (config.rate_max_radps,) * 2
        self._outward = outward(team)
        self._mass_kg = team.members[0].vehicle.body.mass_kg

    def facts(self) -> torch.Tensor:
        """As :func:`corvids.envs.mdp.team_facts`."""
        return team_facts(self._team)

    def draw_path(self, draws: Draws, count: int) -> torch.Tensor:
        """A pose within the range of goals, about which some swing."""
        config = self._config
        return some_path(draws, count, config.tilt_rad, config.moving_share, config.fast_share)

    def draw_start(
        self, draws: Draws, truth: TeamParams, path: torch.Tensor, severity: torch.Tensor
    ) -> TeamWorld:
        """The load level where a goal might be; the drones above it."""
        place, yaw = self.draw_path(draws, truth.load.mass_kg.shape[0])[[0, 1, 2, 5]].split((3, 1))
        return hanging(draws, truth, self._outward, place, yaw[0], severity)

    def move(self, path: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """The goal swings on."""
        return moved(path, tick_s)

    def command(self, path: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        """Pose, twist and poses to come."""
        return command_of(path)

    def score(
        self,
        world: TeamWorld,
        truth: TeamParams,
        path: tuple[Scalar, ...],
        actions: Actions,
        episode: Episode,
        tick_s: float,
    ) -> TeamScore:
        """Rewards the load's being where it is wanted, and room between the drones."""
        goal = pose_at(path)
        off = errors(world, truth, goal)
        if self._config.reward == "zeng":
            running, failed = zeng_reward(world, truth, goal, off, actions, self._most)
            reward = tick_s * running
        else:
            running, failed = own_reward(world, truth, goal, off, actions)
            reward = tick_s * running - torch.where(failed, LOSS, 0.0)
        share = torch.where(episode.steps > 0.0, tick_s, 1.0)
        mean_m = episode.error_m + (off.pos_m - episode.error_m) * share
        degrees = off.angle_rad * (180.0 / math.pi)
        mean_deg = episode.error_deg + (degrees - episode.error_deg) * share
        earned = functools.reduce(torch.add, reward.split(1, dim=1))
        after = Episode(episode.steps + 1.0, mean_m, mean_deg, episode.team_return + earned)
        return TeamScore(reward, failed, after)

    def remember(self, inputs: TeamInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
        """Sums of the load's errors."""
        return summed(inputs, memory, tick_s)

    def guidance(self, inputs: TeamInputs, memory: torch.Tensor) -> torch.Tensor:
        """The law of :mod:`corvids.envs.mdp.carry_law`, as far as what it wants is within the limits."""
        if not self._config.guided:
            return torch.zeros_like(inputs.pos_w[:, :1]).expand(-1, 5)
        wanted = carrying(inputs, memory, self._mass_kg)
        most = torch.tensor(self._most, dtype=wanted.dtype, device=wanted.device)
        share = (wanted / most).clamp(-LAW_SHARE, LAW_SHARE)
        return 0.5 * torch.log((1.0 + share) / (1.0 - share))

    def observe(
        self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        """Own state and the load's brought to the present by their ages, seen from each other and from the goal."""
        age, load_age = inputs.vehicle_age_s, inputs.load_age_s
        pos = inputs.pos_w + inputs.vel_w * age
        attitude = rotation_matrix(turned(inputs.quat_wb, inputs.omega_b * age))
        load_pos = inputs.load_pos_w + inputs.load_vel_w * load_age
        load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * load_age)
        load_axes = rotation_matrix(load_quat)
        command, facts = inputs.command, inputs.facts
        goal_pos, goal_quat = command[:, :3], command[:, 3:7]
        arm, goal_arm = rotated(load_axes, facts[:, :3]), rotated(rotation_matrix(goal_quat), facts[:, :3])
        cable, off = pos - load_pos - arm, goal_pos - load_pos
        stretch = cable.square().sum(-1, keepdim=True).sqrt() - facts[:, 11:12]
        turn = turn_between(load_quat, goal_quat)
        return torch.cat(
            (
                cable,
                stretch.clamp(-0.2, 0.2) * 10.0,
                inputs.vel_w * 0.5,
                attitude,
                inputs.omega_b * 0.3,
                load_axes,
                inputs.load_vel_w * 0.5,
                (inputs.vel_w - inputs.load_vel_w) * 0.5,
                inputs.load_omega_b * 0.5,
                off.clamp(-2.0, 2.0),
                (off * 5.0).clamp(-1.0, 1.0),
                turn,
                (turn * 3.0).clamp(-1.0, 1.0),
                off.clamp(-2.0, 2.0) + goal_arm - arm,
                (off * 5.0 + (goal_arm - arm) * 5.0).clamp(-1.0, 1.0),
                arm * 3.0,
                command[:, 7:13] * 0.5,
                previews(command) * 2.0,
                torch.cat((pos[:, 2:3], load_pos[:, 2:3]), dim=-1).clamp(0.0, 1.5),
                facts,
                torch.cat((age, load_age), dim=-1) * 20.0,
                memory * 4.0,
                guidance[:, :3],
                actions,
            ),
            dim=-1,
        )
