"""A team as a ParallelEnv of PettingZoo, for people who bring their own multi-agent learning library.

One world. Agents are the drones; each is given what its policy file will see, and ``state`` is the truth of the whole
world, for a centralised critic. An action is what a network here would say: it is squashed to the limits of the
acceleration and body rates, after the law's own is added where one guides (``EnvConfig.carry.guided``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from corvids.envs.environment import EnvConfig
from corvids.envs.team_environment import TeamEnvironment

Array = NDArray[np.float32]
ACTION_MAX = 3.0
"""Actions are drawn from within this; what is larger is squashed to nearly the same."""


class ParallelTeam(ParallelEnv[str, Any, Any]):
    """``config``'s team in one world; episodes end for all drones at once, and begin anew with :meth:`reset` alone."""

    metadata = {"name": "corvids_carry_v0", "render_modes": []}  # noqa: RUF012 as PettingZoo has it
    render_mode = None

    def __init__(self, config: EnvConfig, *, seed: int = 0, compile_kernels: bool = True) -> None:
        self._env = TeamEnvironment(config, 1, seed=seed, compile_kernels=compile_kernels)
        self._is_fresh = True
        self.possible_agents = [f"drone_{number}" for number in range(self._env.drones)]
        self.agents = list(self.possible_agents)

        def box(size: int, most: float) -> Box:
            return Box(-most, most, (size,), np.float32)

        self._features = self._env.observations["actor"].shape[1]
        self._seen_in = {agent: box(self._features, np.inf) for agent in self.possible_agents}
        self._said_in = {agent: box(self._env.action_size, ACTION_MAX) for agent in self.possible_agents}
        self.state_space = box(self.state().size, np.inf)

    def observation_space(self, agent: str) -> Box:
        """What an agent is given; in SI, scaled, see :class:`corvids.envs.tasks.carry.Carry`."""
        return self._seen_in[agent]

    def action_space(self, agent: str) -> Box:
        """What it may say."""
        return self._said_in[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Begin an episode; with a ``seed``, all that is drawn from then on follows from it."""
        if seed is not None:
            self._env.reseed(seed)
        if seed is not None or not self._is_fresh:
            self._env.restart(torch.tensor([0]), torch.tensor([False]))
            self._env.look()
        self._is_fresh = True
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[
        dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """One control step; nothing begins anew by itself, so the last observation is of the episode that ended."""
        self._is_fresh, env = False, self._env
        given = torch.from_numpy(np.stack([actions[agent] for agent in self.agents]).astype(np.float32))
        env.simulator.step(env.order(given), env.delay_steps)
        rewards, failed, timed_out = env.judge()
        env.look()
        agents = self.agents
        if failed.any() or timed_out.any():
            self.agents = []
        return (
            self._seen(),
            dict(zip(agents, rewards.tolist(), strict=True)),
            dict.fromkeys(agents, bool(failed[0])),
            dict.fromkeys(agents, bool(timed_out[0])),
            {agent: {} for agent in agents},
        )

    def state(self) -> Array:
        """The truth that a critic here is told: of the world, from each drone in turn."""
        return self._env.observations["critic"][:, self._features :].flatten().numpy().copy()

    def close(self) -> None:
        """Nothing is held."""

    def _seen(self) -> dict[str, Array]:
        rows = self._env.observations["actor"].numpy().copy()
        return dict(zip(self.possible_agents, rows, strict=True))
