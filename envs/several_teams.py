"""Several teams that learn at once: one policy has to carry with any of them.

Rows are ordered team by team, and within a team as in :mod:`corvids.envs.team_environment`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from corvids.envs.environment import EnvConfig
from corvids.envs.sensors.team_observation import EACH_MEMBER
from corvids.envs.team_environment import TeamEnvironment


class SeveralTeams:
    """As :class:`~corvids.envs.team_environment.TeamEnvironment`, with ``worlds`` worlds of each of ``teams``.

    What the critic sees of every member is padded by zeros to that of the largest team.
    """

    action_size = TeamEnvironment.action_size

    def __init__(
        self,
        config: EnvConfig,
        teams: tuple[str, ...],
        worlds: int,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        compile_kernels: bool = True,
    ) -> None:
        self.config, self.worlds, self.device = config, worlds, torch.device(device)
        self.each = [
            TeamEnvironment(
                dataclasses.replace(config, carry=dataclasses.replace(config.carry, team=team)), worlds,
                device=device, seed=seed + index, compile_kernels=compile_kernels,
            )
            for index, team in enumerate(teams)
        ]  # fmt: skip
        first = self.each[0]
        self.simulator, self.steps_max = first.simulator, first.steps_max
        self._rows = [worlds * env.drones for env in self.each]
        self._most = max(env.drones for env in self.each)
        self.observations = self._together()

    @property
    def steps(self) -> torch.Tensor:
        """Control steps since the start of each row's episode."""
        return torch.cat([env.steps for env in self.each])

    @steps.setter
    def steps(self, steps: torch.Tensor) -> None:
        for env, part in zip(self.each, steps.split(self._rows), strict=True):
            env.steps = part

    def step(
        self, action: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Advance all teams by one control step under raw actions (all rows, 5)."""
        parts = [env.step(part) for env, part in zip(self.each, action.split(self._rows), strict=True)]
        _, rewards, done, extras = zip(*parts, strict=True)
        together: dict[str, Any] = {"time_outs": torch.cat([extra["time_outs"] for extra in extras])}
        logs = [extra["log"] for extra in extras if "log" in extra]
        if logs:
            together["log"] = {name: torch.cat([log[name] for log in logs]) for name in logs[0]}
        self.observations = self._together()
        return self.observations, torch.cat(rewards), torch.cat(done), together

    def reseed(self, seed: int) -> None:
        """As :meth:`corvids.envs.environment.Environment.reseed`."""
        for index, env in enumerate(self.each):
            env.reseed(seed + index)

    def named_state(self) -> dict[str, torch.Tensor]:
        """As of one team, each name with its team's."""
        return {
            f"{env.config.carry.team} {name}": values
            for env in self.each
            for name, values in env.named_state().items()
        }

    def _together(self) -> dict[str, torch.Tensor]:
        seen = [env.observations for env in self.each]
        actor = torch.cat([part["actor"] for part in seen])
        own = actor.shape[1]
        critic = [
            _widened(part["critic"], own, env.drones, self._most)
            for part, env in zip(seen, self.each, strict=True)
        ]
        return {"actor": actor, "critic": torch.cat(critic)}


def _widened(critic: torch.Tensor, own: int, drones: int, most: int) -> torch.Tensor:
    """What critics of ``drones`` members see, (n, ·), as wide as it is for ``most``."""
    sees, everyone, rest = critic.split(
        (own, EACH_MEMBER * drones, critic.shape[1] - own - EACH_MEMBER * drones), 1
    )
    each = torch.nn.functional.pad(everyone.view(-1, EACH_MEMBER, drones), (0, most - drones))
    return torch.cat((sees, each.flatten(1), rest), dim=1)
