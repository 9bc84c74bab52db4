"""One world of a task as gymnasium has environments: numpy in and out, an episode at a time."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from corvids.envs.environment import EnvConfig
from corvids.envs.isaac.task_env import open_environment

ACTION_MOST = 4.0
"""Largest raw action: its tanh is within a thousandth of what there is."""


class OneWorld(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A task of a single vehicle, in Isaac Lab, for code that knows plain gymnasium."""

    metadata = {"render_modes": []}  # noqa: RUF012 (gymnasium's way)

    def __init__(self, config: EnvConfig, compile_kernels: bool = True) -> None:
        self._environment = open_environment(config, 1, compile_kernels=compile_kernels)
        self._environment.lab.cfg.compute_final_obs = True
        (_, size) = self._environment.observations["actor"].shape
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,))
        self.action_space = gymnasium.spaces.Box(-ACTION_MOST, ACTION_MOST, (self._environment.action_size,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._environment.lab.reset(seed, options)
        return self._seen(self._environment.observations["actor"]), {}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One control step. When it ends the episode Isaac Lab begins another; what is seen is the end."""
        given = torch.from_numpy(np.asarray(action, np.float32))[None]
        observations, reward, done, extras = self._environment.step(given)
        seen = observations["actor"]
        if done[0]:
            seen = self._environment.lab.extras["final_obs"]["policy"]
        is_over = bool(extras["time_outs"][0] > 0.0)
        return self._seen(seen), float(reward[0]), bool(done[0]) and not is_over, is_over, {}

    def close(self) -> None:
        """End the simulation."""
        self._environment.lab.close()

    @staticmethod
    def _seen(rows: torch.Tensor) -> NDArray[np.float32]:
        return rows[0].numpy().copy()
