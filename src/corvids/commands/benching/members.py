"""One member of a team in the runtime, of teams of three to six: what it takes must not grow with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corvids.commands.benching.loops import Inference, Setting
from corvids.deploy.pilot import Readings, TeamReadings
from corvids.deploy.policy import PolicyFile
from corvids.envs.mdp.team_facts import team_facts
from corvids.team import load_team

TEAMS = ("falcon3", "falcon4", "falcon5", "falcon6")
"""Teams whose first member is measured."""


class MemberInference(Inference):
    """A member's control tick, from readings to the acceleration that it commands: load filter, policy, supervision."""

    NAME = "member"

    def __init__(self, file: PolicyFile, setting: Setting, team: str) -> None:
        facts = team_facts(load_team(team)).numpy()
        self._drones = len(facts)
        super().__init__(file, setting, facts[:1])

    def extras(self) -> dict[str, float]:
        """The same, and how many drones the team has."""
        return {"drones": self._drones, **super().extras()}

    def command(self, names: Sequence[str]) -> np.ndarray:
        """The load level at 1 m, now and later."""
        return np.array([1.0 if name.startswith(("pos_z", "quat_w")) else 0.0 for name in names])

    def readings(self, seen_s: np.ndarray) -> Readings:
        """At rest above its point of a load that hangs at 1 m, both seen at ``seen_s`` (1,)."""
        zero, level = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]])
        above, load = np.array([[0.7, 0.6, 1.9]]), np.array([[[0.0, 0.0, 1.0]]])
        return TeamReadings(seen_s, above, zero, level, zero, seen_s[None], load, level[None])


def members(file: PolicyFile, setting: Setting) -> list[MemberInference]:
    """A member of each of :data:`TEAMS`."""
    return [MemberInference(file, setting, team) for team in TEAMS]
