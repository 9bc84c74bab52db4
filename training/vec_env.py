"""The environment as rsl_rl sees it."""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from corvids.envs.environment import Environment
from corvids.envs.several_teams import SeveralTeams
from corvids.envs.team_environment import TeamEnvironment
from corvids.errors import CorvidsError


class RslVecEnv(VecEnv):
    """rsl_rl's vectorised environment around ours: a row for every world, or for every drone of every world."""

    def __init__(self, env: Environment | TeamEnvironment | SeveralTeams, hold_steps: int = 1) -> None:
        self.env, self._hold_steps = env, hold_steps
        self.cfg = env.config
        self.num_envs = len(env.observations["actor"])
        self.num_actions = env.action_size
        self.max_episode_length = env.steps_max
        self.device = env.device

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Steps since the start of each episode."""
        return self.env.steps

    @episode_length_buf.setter
    def episode_length_buf(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, steps: torch.Tensor
    ) -> None:
        self.env.steps = steps.clone()

    def get_observations(self) -> TensorDict:
        """The current observations."""
        return TensorDict(dict(self.env.observations), batch_size=[self.num_envs], device=self.device)

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """The control steps that an action is held for; refuses to go on with anything that is not finite.

        An episode that ends within them ends what they are worth; the next then begins with the same action.
        """
        _, rewards, dones, extras = self.env.step(actions)
        logs = [extras["log"]] if "log" in extras else []
        for _ in range(self._hold_steps - 1):
            _, more, over, others = self.env.step(actions)
            rewards = rewards + torch.where(dones, 0.0, more)
            extras["time_outs"] = torch.where(dones, extras["time_outs"], others["time_outs"])
            dones = dones | over
            logs += [others["log"]] if "log" in others else []
        if logs:
            extras["log"] = {name: torch.cat([log[name] for log in logs]) for name in logs[0]}
        total = rewards.sum()
        for group in self.env.observations.values():
            total = total + group.sum()
        if not torch.isfinite(total):
            raise CorvidsError(self._culprit(actions, rewards))
        return self.get_observations(), rewards, dones, extras

    def _culprit(self, actions: torch.Tensor, rewards: torch.Tensor) -> str:
        signals = {"action": actions.t(), **self.env.named_state(), "reward": rewards}
        signals.update({f"observation {name!r}": group.t() for name, group in self.env.observations.items()})
        for name, values in signals.items():
            bad = (~torch.isfinite(values)).nonzero()
            if len(bad):
                world = int(bad[0, -1]) % self.env.worlds
                return f"training stopped: {name} is not finite in world {world} (last checkpoint is intact)"
        return "training stopped: a sum of observations overflowed (last checkpoint is intact)"
