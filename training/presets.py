"""Training runs that are known to work: one per task and purpose."""

from __future__ import annotations

import dataclasses

from corvids.envs.environment import EnvConfig
from corvids.envs.randomization import Randomization
from corvids.envs.tasks import task_named
from corvids.errors import CorvidsError
from corvids.training.config import TrainConfig

_JUGGLE = TrainConfig(env=EnvConfig(task="juggle", vehicle="air"))

PRESETS: dict[str, dict[str, TrainConfig]] = {
    "juggle": {
        "quick": dataclasses.replace(
            _JUGGLE,
            env=dataclasses.replace(
                _JUGGLE.env, randomization=Randomization(command_share=0.2, wild_share=0.0), episode_s=15.0
            ),
            iterations=210,
        ),
        "full": dataclasses.replace(_JUGGLE, iterations=5000),
    },
    "hover": {
        "quick": TrainConfig(env=EnvConfig(task="hover", vehicle="x500", episode_s=10.0), iterations=200),
        "full": TrainConfig(env=EnvConfig(task="hover", vehicle="x500", episode_s=10.0), iterations=1500),
    },
    "track": {
        "quick": TrainConfig(env=EnvConfig(task="track", vehicle="x500", episode_s=10.0), iterations=300),
        "full": TrainConfig(env=EnvConfig(task="track", vehicle="x500", episode_s=10.0), iterations=1500),
    },
}
"""Configurations by task and preset: ``quick`` takes minutes on two CPU cores, ``full`` trains to the end."""


def preset(task: str, name: str) -> TrainConfig:
    """The preset called ``name`` of a task; raises :class:`CorvidsError` with what exists."""
    task_named(task)
    presets = PRESETS[task]
    if name not in presets:
        raise CorvidsError(f"task {task!r} has no preset {name!r}; there are: {', '.join(presets)}")
    return presets[name]
