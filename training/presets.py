"""Training runs that are known to work: one per task and purpose."""

from __future__ import annotations

import dataclasses

from corvids.envs.environment import EnvConfig
from corvids.envs.episodes.randomization import NO_RANDOMIZATION, Randomization
from corvids.envs.mdp.carry_config import EXACT_CARRY, CarryConfig
from corvids.envs.tasks import check_task
from corvids.errors import CorvidsError
from corvids.training.config import NetworkConfig, PpoConfig, TrainConfig

_JUGGLE = TrainConfig(env=EnvConfig(task="juggle", vehicle="air"))
_CARRY = TrainConfig(
    env=EnvConfig(
        task="carry",
        control_hz=100,
        episode_s=10.0,
        command_s=(5.0, 10.0),
        randomization=Randomization(command_delay_s=(0.0, 0.008), wild_share=0.3),
    ),
    network=NetworkConfig(noise_std=0.3, mirrored=False),
    ppo=PpoConfig(steps=32, discount=0.99, desired_kl=0.012, entropy=0.0),
    worlds=528,  # a packed row of that many needs no padding
)

PRESETS: dict[str, dict[str, TrainConfig]] = {
    "juggle": {
        "quick": dataclasses.replace(
            _JUGGLE,
            env=dataclasses.replace(
                _JUGGLE.env, randomization=Randomization(command_share=0.2, wild_share=0.0), episode_s=15.0
            ),
            iterations=210,
        ),
        "full": dataclasses.replace(_JUGGLE, iterations=3000),
    },
    "hover": {
        "quick": TrainConfig(env=EnvConfig(task="hover", vehicle="x500", episode_s=10.0), iterations=200),
        "full": TrainConfig(env=EnvConfig(task="hover", vehicle="x500", episode_s=10.0), iterations=1500),
    },
    "track": {
        "quick": TrainConfig(env=EnvConfig(task="track", vehicle="x500", episode_s=10.0), iterations=300),
        "full": TrainConfig(env=EnvConfig(task="track", vehicle="x500", episode_s=10.0), iterations=1500),
    },
    "carry": {
        "quick": dataclasses.replace(
            _CARRY,
            env=dataclasses.replace(
                _CARRY.env,
                randomization=dataclasses.replace(_CARRY.env.randomization, wild_share=0.0),
                carry=CarryConfig(moving_share=0.0),
                command_s=(100.0, 100.0),
            ),
            iterations=300,
        ),
        # A correction of the law: a critic that knows the law first, smooth actions, and steps that settle.
        "full": dataclasses.replace(
            _CARRY,
            env=dataclasses.replace(
                _CARRY.env,
                randomization=dataclasses.replace(
                    _CARRY.env.randomization, wild_share=0.15, wind_mps=(-3.5, 3.5)
                ),
                carry=CarryConfig(
                    law_near=0.6,
                    accel_max_mps2=12.0,
                    fast_share=0.3,
                    load_mass_factor=(0.85, 1.55),
                    lost_share=0.15,
                    steady_share=0.1,
                    weak_share=0.1,
                ),
            ),
            network=NetworkConfig(actor=(64, 64), noise_std=0.25, noise_std_min=0.15, mirrored=False),
            ppo=dataclasses.replace(
                _CARRY.ppo,
                hold_steps=4,
                epochs=2,
                discount=0.99,
                desired_kl=0.008,
                desired_kl_last=0.0002,
                learning_rate=1e-3,
                critic_first=20,
                mixed_precision=False,
            ),
            teams=("falcon3", "falcon4", "falcon5", "falcon6"),
            worlds=176,
            iterations=600,
        ),
        # The conditions of Zeng et al. (arXiv 2508.01522), so that curves can be laid side by side.
        "zeng": dataclasses.replace(
            _CARRY,
            env=dataclasses.replace(
                _CARRY.env,
                randomization=dataclasses.replace(NO_RANDOMIZATION, wild_share=0.0),
                carry=dataclasses.replace(EXACT_CARRY, reward="zeng", guided=False, moving_share=0.0),
                episode_s=20.0,
                command_s=(100.0, 100.0),
            ),
            iterations=550,
        ),
    },
}
"""Configurations by task and preset: ``quick`` takes minutes on two CPU cores, ``full`` trains to the end."""


def preset(task: str, name: str) -> TrainConfig:
    """The preset called ``name`` of a task; raises :class:`CorvidsError` with what exists."""
    check_task(task)
    presets = PRESETS[task]
    if name not in presets:
        raise CorvidsError(f"task {task!r} has no preset {name!r}; there are: {', '.join(presets)}")
    return presets[name]
