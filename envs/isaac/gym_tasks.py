"""Registers the tasks with gymnasium, where Isaac Lab's tools look for them; light, since all of them import it."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)

from __future__ import annotations

from typing import Any

import gymnasium

from corvids.envs.environment import EnvConfig
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.tasks import TEAM_TASKS

CONFIGS = {
    "juggle": EnvConfig(task="juggle", vehicle="air"),
    "hover": EnvConfig(task="hover", vehicle="x500", episode_s=10.0),
    "track": EnvConfig(task="track", vehicle="x500", episode_s=10.0),
    "carry": EnvConfig(
        task="carry", control_hz=100, episode_s=10.0, command_s=(5.0, 10.0),
        randomization=Randomization(command_delay_s=(0.0, 0.008), wild_share=0.15, wind_mps=(-3.5, 3.5)),
        carry=CarryConfig(
            law_near=0.6, accel_max_mps2=12.0, fast_share=0.3, load_mass_factor=(0.85, 1.55), lost_share=0.15,
            steady_share=0.1, weak_share=0.1,
        ),
    ),
}  # fmt: skip
"""What is registered, by task: what the preset ``full`` trains in."""


def juggle_cfg() -> Any:
    """Isaac Lab's configuration of ``Corvids-Juggle-v0``."""
    return _cfg("juggle")


def hover_cfg() -> Any:
    """Isaac Lab's configuration of ``Corvids-Hover-v0``."""
    return _cfg("hover")


def track_cfg() -> Any:
    """Isaac Lab's configuration of ``Corvids-Track-v0``."""
    return _cfg("track")


def carry_cfg() -> Any:
    """Isaac Lab's configuration of ``Corvids-Carry-v0``."""
    from corvids.envs.isaac.team_task_env import team_task_env_cfg

    return team_task_env_cfg(CONFIGS["carry"])


def _cfg(task: str) -> Any:
    from corvids.envs.isaac.task_env import task_env_cfg  # takes seconds to import

    return task_env_cfg(CONFIGS[task])


for _task in CONFIGS:
    gymnasium.register(
        id=f"Corvids-{_task.capitalize()}-v0",
        entry_point=f"corvids.envs.isaac.{'team_task_env:Team' if _task in TEAM_TASKS else 'task_env:'}TaskEnv",
        disable_env_checker=True,  # it is for single worlds, in numpy
        order_enforce=False,
        kwargs={
            "env_cfg_entry_point": f"{__name__}:{_task}_cfg",
            "rsl_rl_cfg_entry_point": f"corvids.training.isaac_agents:{_task}_agent",
        },
    )
