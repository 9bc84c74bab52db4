"""The tasks of single vehicles as genuine Isaac Lab environments, for its scenes, viewers, learners and tools.

Observation, reward, termination, randomization and commands are :class:`corvids.envs.environment.Environment`'s, called
at the places that ``DirectRLEnv`` has for them; only who steps the bodies differs.
"""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import functools
from typing import Any

import torch
from isaaclab.envs import DirectRLEnv, DirectRLEnvCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass

from corvids.envs.engines.contact import Contact, solver_of
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.isaac.scene import scene_cfg, simulation_cfg
from corvids.envs.isaac.simulator import IsaacSimulator
from corvids.envs.isaac.stepping import SteppedByLab, quiet_start
from corvids.envs.mdp.actions import ACTIONS
from corvids.envs.mdp.critic_truth import TRUTH_MIRRORS
from corvids.envs.physics.nominal import world_params
from corvids.envs.tasks import task_named
from corvids.vehicle import load_vehicle

WORLDS = 1024
"""Worlds of an environment that nobody has given a number."""


@configclass
class TaskEnvCfg(DirectRLEnvCfg):
    """A task in Isaac Lab; what is not here is in the ``config`` that :class:`TaskEnv` takes."""

    task: str = "juggle"
    """Name of the task."""
    vehicle: str = "air"
    """Name or path of the vehicle file."""
    contact: Contact = "ours"
    """Who resolves what happens between ball and vehicle; scene and solver must be those for it."""
    decimation: int = 10
    episode_length_s: float = 20.0
    action_space: int = ACTIONS
    observation_space: int = 0
    state_space: int = 0
    sim: SimulationCfg = simulation_cfg(0.002)
    scene: InteractiveSceneCfg = InteractiveSceneCfg(num_envs=WORLDS, env_spacing=0.0)


def task_env_cfg(config: EnvConfig, worlds: int = WORLDS, device: str = "cpu", seed: int = 0) -> TaskEnvCfg:
    """Isaac Lab's configuration of an environment."""
    task = task_named(config.task)
    dt_s = 1.0 / config.physics_hz
    nominal = world_params(load_vehicle(config.vehicle), config.ball, dt_s, task.WITH_BALL)
    decimation = config.physics_hz // config.control_hz
    simulation = simulation_cfg(dt_s, device, solver_of(config.contact))
    simulation.render_interval = decimation
    return TaskEnvCfg(
        task=config.task,
        vehicle=config.vehicle,
        contact=config.contact,
        decimation=decimation,
        episode_length_s=config.episode_s,
        observation_space=len(task.MIRRORS),
        state_space=len(task.MIRRORS) + len(TRUTH_MIRRORS),
        sim=simulation,
        scene=scene_cfg(nominal, worlds, task.WITH_BALL, config.contact != "ours"),
        seed=seed,
    )


class TaskEnv(SteppedByLab["LabEnvironment"], DirectRLEnv):
    """A task in many worlds of an Isaac Lab scene.

    ``config``: the whole environment, where ``cfg`` is not enough; ``registered`` is what gymnasium's registry knows.
    """

    cfg: TaskEnvCfg

    def __init__(
        self,
        cfg: TaskEnvCfg,
        render_mode: str | None = None,
        *,
        config: EnvConfig | None = None,
        compile_kernels: bool = True,
        **registered: Any,
    ) -> None:
        super().__init__(cfg, render_mode, **registered)
        if config is None:
            config = EnvConfig(
                task=cfg.task, vehicle=cfg.vehicle, contact=cfg.contact, episode_s=cfg.episode_length_s
            )
        simulator = functools.partial(IsaacSimulator, self.scene, self._no_advance, contact=config.contact)
        self.core = LabEnvironment(
            self, config, self.num_envs, device=self.device, seed=cfg.seed or 0, compile_kernels=compile_kernels,
            make_simulator=simulator,
        )  # fmt: skip
        self.episode_length_buf = self.core.steps.clone()

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin every episode anew; with ``seed``, all that is drawn from then on follows from it."""
        if seed is not None:
            self.core.reseed(seed)
        return super().reset(seed, options)

    def _pre_physics_step(self, actions: torch.Tensor) -> None:
        self.begin(actions)

    def _get_dones(self) -> tuple[torch.Tensor, torch.Tensor]:
        self._reward, failed, timed_out = self.end()
        self.extras.pop("log", None)
        return failed, timed_out

    def _get_rewards(self) -> torch.Tensor:
        return self._reward

    def _reset_idx(self, env_ids: Any) -> None:
        super()._reset_idx(env_ids)
        ids = torch.as_tensor(env_ids, device=self.device, dtype=torch.long)
        self.extras["log"] = self.core.restart(ids, self.reset_terminated)

    def _get_observations(self) -> dict[str, torch.Tensor]:
        seen = self.core.look()
        return {"policy": seen["actor"], "critic": seen["critic"]}


class LabEnvironment(Environment):
    """The environment behind a :class:`TaskEnv`, stepped through it: what corvids' own learning takes."""

    def __init__(self, lab: TaskEnv, *args: Any, **options: Any) -> None:
        self.lab = lab
        super().__init__(*args, **options)

    def step(
        self, action: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, dict[str, Any]]:
        """One control step, as :meth:`Environment.step`."""
        self.lab.episode_length_buf = self.steps.clone()
        _, reward, failed, timed_out, extras = self.lab.step(action)
        found: dict[str, Any] = {"time_outs": timed_out.float()}
        if "log" in extras:
            found["log"] = extras["log"]
        return self.observations, reward, failed | timed_out, found


def open_environment(
    config: EnvConfig,
    worlds: int,
    device: str | torch.device = "cpu",
    seed: int = 0,
    compile_kernels: bool = True,
) -> LabEnvironment:
    """An environment of Isaac Lab's, for corvids' own learning; ends the simulation before, if there is one."""
    with quiet_start():
        cfg = task_env_cfg(config, worlds, str(device), seed)
        return TaskEnv(cfg, config=config, compile_kernels=compile_kernels).core
