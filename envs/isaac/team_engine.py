"""Isaac Lab as the engine that a team's policy file is flown in with ``--plant isaac``."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import functools

from corvids.envs.engines.engine import TICK_S
from corvids.envs.engines.native_team import NativeTeam
from corvids.envs.isaac.scene import open_scene
from corvids.envs.isaac.team_scene import team_scene_cfg
from corvids.envs.isaac.team_simulator import IsaacTeamSimulator
from corvids.team import Team


class IsaacTeam(NativeTeam):
    """``worlds`` teams in an Isaac Lab scene (see :class:`corvids.envs.engines.team_engine.TeamEngine`)."""

    def __init__(self, team: Team, worlds: int, *, compile_kernels: bool = True) -> None:
        self._lab, self._scene = open_scene(team_scene_cfg(team, worlds, TICK_S), TICK_S)
        simulator = functools.partial(IsaacTeamSimulator, self._scene, self._advance)
        super().__init__(team, worlds, compile_kernels=compile_kernels, make_simulator=simulator)

    def _advance(self) -> None:
        """One physics step of Isaac Lab."""
        self._scene.write_data_to_sim()
        self._lab.step(render=False)
        self._scene.update(TICK_S)
