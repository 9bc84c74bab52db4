"""The tasks of teams as genuine Isaac Lab environments of many agents; :mod:`corvids.envs.isaac.task_env` for teams."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from isaaclab.envs import DirectMARLEnv, DirectMARLEnvCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass

from corvids.envs.environment import EnvConfig
from corvids.envs.isaac.gym_tasks import CONFIGS
from corvids.envs.isaac.scene import simulation_cfg
from corvids.envs.isaac.stepping import SteppedByLab, quiet_start
from corvids.envs.isaac.team_scene import team_scene_cfg
from corvids.envs.isaac.team_simulator import IsaacTeamSimulator
from corvids.envs.team_environment import TeamEnvironment
from corvids.team import load_team

WORLDS = 256
"""Worlds of an environment that nobody has given a number."""


@configclass
class TeamTaskEnvCfg(DirectMARLEnvCfg):
    """A team's task in Isaac Lab; what is not here is in the ``config`` that :class:`TeamTaskEnv` takes."""

    task: str = "carry"
    """Name of the task."""
    decimation: int = 5
    episode_length_s: float = 10.0
    sim: SimulationCfg = simulation_cfg(0.002)
    scene: InteractiveSceneCfg = InteractiveSceneCfg(num_envs=WORLDS, env_spacing=0.0)


def team_task_env_cfg(
    config: EnvConfig, worlds: int = WORLDS, device: str = "cpu", seed: int = 0
) -> TeamTaskEnvCfg:
    """Isaac Lab's configuration of an environment: agents ``drone0``, …; the state is what every critic is told."""
    team = load_team(config.carry.team)
    dt_s, decimation = 1.0 / config.physics_hz, config.physics_hz // config.control_hz
    simulation = simulation_cfg(dt_s, device)
    simulation.render_interval = decimation
    agents = [f"drone{i}" for i in range(len(team.members))]
    seen = TeamEnvironment(config, 1, compile_kernels=False).observations
    actor, critic = (seen[group].shape[1] for group in ("actor", "critic"))
    return TeamTaskEnvCfg(
        task=config.task,
        decimation=decimation,
        episode_length_s=config.episode_s,
        possible_agents=agents,
        action_spaces=dict.fromkeys(agents, TeamEnvironment.action_size),
        observation_spaces=dict.fromkeys(agents, actor),
        state_space=len(agents) * critic,
        sim=simulation,
        scene=team_scene_cfg(team, worlds, dt_s),
        seed=seed,
    )


class TeamTaskEnv(SteppedByLab["LabTeamEnvironment"], DirectMARLEnv):
    """A team's task in many worlds of an Isaac Lab scene.

    ``config``: the whole environment, where ``cfg`` is not enough; ``registered`` is what gymnasium's registry knows.
    """

    cfg: TeamTaskEnvCfg

    def __init__(
        self,
        cfg: TeamTaskEnvCfg,
        render_mode: str | None = None,
        *,
        config: EnvConfig | None = None,
        compile_kernels: bool = True,
        **registered: Any,
    ) -> None:
        super().__init__(cfg, render_mode, **registered)
        if config is None:
            config = dataclasses.replace(CONFIGS[cfg.task], episode_s=cfg.episode_length_s)
        self.core = LabTeamEnvironment(
            self, config, self.num_envs, device=self.device, seed=cfg.seed or 0, compile_kernels=compile_kernels,
            make_simulator=functools.partial(IsaacTeamSimulator, self.scene, self._no_advance),
        )  # fmt: skip
        self.episode_length_buf = self.core.steps[: self.num_envs].clone()
        self._failed = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin every episode anew; with ``seed``, all that is drawn from then on follows from it."""
        if seed is not None:
            self.core.reseed(seed)
        return super().reset(seed, options)

    def by_agent(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Rows, drone by drone, as each agent's."""
        return dict(zip(self.cfg.possible_agents, rows.split(self.num_envs), strict=True))

    def _pre_physics_step(self, actions: dict[str, torch.Tensor]) -> None:
        self.begin(torch.cat([actions[agent] for agent in self.cfg.possible_agents]))

    def _get_dones(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        self._reward, self._failed, timed_out = self.end()
        for extras in self.extras.values():
            extras.pop("log", None)
        agents = self.cfg.possible_agents
        return dict.fromkeys(agents, self._failed), dict.fromkeys(agents, timed_out)

    def _get_rewards(self) -> dict[str, torch.Tensor]:
        return self.by_agent(self._reward)

    def _reset_idx(self, env_ids: Any) -> None:
        super()._reset_idx(env_ids)
        ids = torch.as_tensor(env_ids, device=self.device, dtype=torch.long)
        log = self.core.restart(ids, self._failed)
        for extras in self.extras.values():
            extras["log"] = log

    def _get_observations(self) -> dict[str, torch.Tensor]:
        return self.by_agent(self.core.look()["actor"])

    def _get_states(self) -> torch.Tensor:
        return torch.cat(self.core.observations["critic"].split(self.num_envs), dim=1)


class LabTeamEnvironment(TeamEnvironment):
    """The environment behind a :class:`TeamTaskEnv`, stepped through it: what corvids' own learning takes."""

    def __init__(self, lab: TeamTaskEnv, *args: Any, **options: Any) -> None:
        self.lab = lab
        super().__init__(*args, **options)

    def step(
        self, action: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, dict[str, Any]]:
        """One control step, as :meth:`TeamEnvironment.step`."""
        lab = self.lab
        lab.episode_length_buf = self.steps[: self.worlds].clone()
        _, rewards, failed, timed_out, extras = lab.step(lab.by_agent(action))
        first, *_ = lab.cfg.possible_agents
        found: dict[str, Any] = {"time_outs": timed_out[first].float().repeat(self.drones)}
        if "log" in extras[first]:
            found["log"] = extras[first]["log"]
        done = failed[first] | timed_out[first]
        return self.observations, torch.cat(list(rewards.values())), done.repeat(self.drones), found


def open_team_environment(
    config: EnvConfig,
    worlds: int,
    device: str | torch.device = "cpu",
    seed: int = 0,
    compile_kernels: bool = True,
) -> LabTeamEnvironment:
    """An environment of Isaac Lab's, for corvids' own learning; ends the simulation before, if there is one."""
    with quiet_start():
        cfg = team_task_env_cfg(config, worlds, str(device), seed)
        return TeamTaskEnv(cfg, config=config, compile_kernels=compile_kernels).core
