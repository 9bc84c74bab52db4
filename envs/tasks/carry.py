"""Carry a load on cables to any pose, each drone deciding alone from its own state and the load's."""

from __future__ import annotations

import functools
import math
from typing import ClassVar, NamedTuple

import torch

from corvids.controllers.spatial import Scalar
from corvids.envs.episodes.randomization import Draws
from corvids.envs.episodes.team_starts import hanging, outward
from corvids.envs.mdp.accbr_action import ACCBR_ACTIONS
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.carry_law import carrying, summed
from corvids.envs.mdp.carry_rewards import LOSS, errors, own_reward, zeng_reward
from corvids.envs.mdp.features import rotation_matrix, turned
from corvids.envs.mdp.goal_path import COMMAND, PATH_ROWS, command_of, moved, pose_at, some_path
from corvids.envs.mdp.member_frame import from_own, own_direction, seen
from corvids.envs.mdp.pose_features import goals_to_come, rotated, turn_between
from corvids.envs.mdp.team_facts import FACTS, team_facts
from corvids.envs.mdp.team_task import Actions, TeamInputs, TeamScore
from corvids.envs.physics.team_world import TeamParams, TeamWorld
from corvids.team import Team

LAW_SHARE = 0.95
"""Largest part of the limits that the law asks for: what is left lets the network take part."""
CARRIED_S = 0.1
"""Time constant with which a network's correction of the law fades: what it adds is smooth, and so is its exploration,
which a load would hardly feel if it changed with every tick."""
CARRIED_MOST = 1.0
"""Largest correction that lives on."""
MOST_SHARE = 0.999
"""Of the limits, beyond which actions are told apart badly."""
SUMS = 6
"""Numbers in a law's sums."""
TRIED_S = 0.8
"""Time constant with which a correction is given up where the error stays: what cannot be reached, such as the attitude
of a load that hangs on too few, must not be pulled at to the cost of the load's place, which the law's sums then make
up for where there is nothing. With 2.5 s such a load ended 5 cm further off, and steps took 0.2 s longer to settle."""
GATE = 2
"""Numbers in the memory that tell how far the network takes part: how far the load has been off, and the part now."""


_MEMORY = (SUMS, ACCBR_ACTIONS, ACCBR_ACTIONS, GATE)
_OF_WORLD = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 3.0, 0.5, 4.0, 10.0, 1.0)
_SCALES = torch.tensor((*_OF_WORLD, *(2.0,) * 3, *(1.0,) * 3, 0.5, 4.0, 0.5, *(2.0,) * 3, 0.3, *(1.0,) * 6))[
    :, None
]
"""What the vectors of an observation are multiplied by, in their order: to about one."""


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
    MEMORY: ClassVar[int] = SUMS + 2 * ACCBR_ACTIONS + GATE
    OWN_PLACE: ClassVar[tuple[int, int]] = (-27, -24)
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

    def remember(
        self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, tick_s: float
    ) -> torch.Tensor:
        """Sums of the load's errors; what the law wants now; what is left of the corrections of it until now; and how
        far the network takes part."""
        sums, said, _, gate = memory.split(_MEMORY, dim=-1)
        sums = summed(inputs, sums, tick_s)
        gate = self._gated(inputs, gate[:, :1], tick_s)
        if not self._config.guided:
            return torch.cat((sums, torch.zeros_like(memory[:, SUMS:-GATE]), gate), dim=-1)
        done = actions[:, :ACCBR_ACTIONS].clamp(-MOST_SHARE, MOST_SHARE)
        corrected = (torch.atanh(done) - torch.atanh(said)).clamp(-CARRIED_MOST, CARRIED_MOST)
        wanted = carrying(inputs, sums, self._mass_kg)
        most = torch.tensor(self._most, dtype=wanted.dtype, device=wanted.device)
        share = (wanted / most).clamp(-LAW_SHARE, LAW_SHARE)
        return torch.cat((sums, share, corrected * math.exp(-tick_s / CARRIED_S), gate), dim=-1)

    def _gated(self, inputs: TeamInputs, before: torch.Tensor, tick_s: float) -> torch.Tensor:
        """How far the load has been off of late (n, 1), and the part that a network takes.

        Which is little where the load is near its goal, where it stays as far off as it is, and where it is on its way
        already: a network sets a load going, and the law brings it in.
        """
        if self._config.law_near == 0.0:
            return torch.cat((before, torch.ones_like(before)), dim=-1)
        load_pos = inputs.load_pos_w + inputs.load_vel_w * inputs.load_age_s
        load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * inputs.load_age_s)
        left = inputs.command[:, :3] - load_pos, turn_between(load_quat, inputs.command[:, 3:7])
        far, askew = (error.square().sum(-1, keepdim=True).sqrt() for error in left)
        now = ((far + askew) * (1.0 / self._config.law_near)).square().clamp(max=1.0)
        of_late = before + (now - before) * (tick_s / TRIED_S)
        return torch.cat((of_late, torch.minimum(now, 2.0 * torch.relu(now - of_late))), dim=-1)

    def guidance(self, inputs: TeamInputs, memory: torch.Tensor) -> torch.Tensor:
        """The law of :mod:`corvids.envs.mdp.carry_law`, as far as what it wants is within the limits, as corrected."""
        _, wanted, corrected, gate = memory.split(_MEMORY, dim=-1)
        load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * inputs.load_age_s)
        x_w = own_direction(rotation_matrix(load_quat), inputs.facts)
        attitude = rotation_matrix(turned(inputs.quat_wb, inputs.omega_b * inputs.vehicle_age_s))
        return torch.cat((torch.atanh(wanted) + corrected, x_w, from_own(x_w, attitude), gate[:, 1:]), dim=-1)

    def observe(
        self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        """Own state and the load's brought to the present by their ages, seen from each other and from the goal.

        All in the frame of :mod:`corvids.envs.mdp.member_frame`.
        """
        age, load_age = inputs.vehicle_age_s, inputs.load_age_s
        pos = inputs.pos_w + inputs.vel_w * age
        attitude = rotation_matrix(turned(inputs.quat_wb, inputs.omega_b * age))
        load_pos = inputs.load_pos_w + inputs.load_vel_w * load_age
        load_quat = turned(inputs.load_quat_wb, inputs.load_omega_b * load_age)
        load_axes = rotation_matrix(load_quat)
        command, facts = inputs.command, inputs.facts
        goal_pos, goal_axes = command[:, :3], rotation_matrix(command[:, 3:7])
        arm, goal_arm = rotated(load_axes, facts[:, :3]), rotated(goal_axes, facts[:, :3])
        cable, off = pos - load_pos - arm, goal_pos - load_pos
        stretch = cable.square().sum(-1, keepdim=True).sqrt() - facts[:, 11:12]
        own, of_load, of_goal = (
            axes.reshape(-1, 3, 3).transpose(1, 2) for axes in (attitude, load_axes, goal_axes)
        )
        sums, _, corrected, _ = memory.split(_MEMORY, dim=-1)
        coming = goals_to_come(command)
        pulled, turned_by = actions.reshape(actions.shape[0], -1, ACCBR_ACTIONS).split((3, 2), dim=-1)
        of_world = torch.cat(
            (
                off,
                off + goal_arm - arm,
                rotated(load_axes, turn_between(load_quat, command[:, 3:7])),
                cable,
                inputs.vel_w,
                inputs.load_vel_w,
                inputs.vel_w - inputs.load_vel_w,
                arm,
                command[:, 7:10],
                sums[:, :3],
                corrected[:, :3],
                guidance[:, :3],
            ),
            dim=1,
        )
        # Vectors in a body's axes, as rows, which the transposed rotations turn into the world.
        by_load = torch.cat((inputs.load_omega_b, sums[:, 3:]), dim=1).reshape(-1, 2, 3)
        by_goal = torch.cat((command[:, None, 10:13], coming[:, :, 3:]), dim=1)
        vectors = torch.cat(
            (
                of_world.reshape(-1, len(_OF_WORLD), 3),
                coming[:, :, :3],
                pulled,
                by_load @ of_load,
                by_goal @ of_goal,
                inputs.omega_b[:, None] @ own,
                own,
                of_load,
            ),
            dim=1,
        )
        there = seen(guidance[:, ACCBR_ACTIONS : ACCBR_ACTIONS + 2], vectors) * _SCALES.to(vectors)
        errors, rest = there.reshape(-1, 3 * len(_SCALES)).split((9, 3 * len(_SCALES) - 9), dim=1)
        return torch.cat(
            (
                errors.clamp(-2.0, 2.0),
                (errors * 5.0).clamp(-1.0, 1.0),
                rest,
                stretch.clamp(-0.2, 0.2) * 10.0,
                torch.cat((pos[:, 2:3], load_pos[:, 2:3]), dim=-1).clamp(0.0, 1.5),
                facts,
                torch.cat((age, load_age), dim=-1) * 20.0,
                guidance[:, ACCBR_ACTIONS + 2 : ACCBR_ACTIONS + 4],
                corrected[:, 3:] * 10.0,
                turned_by.reshape(actions.shape[0], -1),
            ),
            dim=-1,
        )
