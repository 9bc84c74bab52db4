"""What the tests of training share: runs of seconds, without the compiler."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from corvids.envs import simulator
from corvids.envs.compiled import kernels
from corvids.envs.environment import EnvConfig
from corvids.training.config import NetworkConfig, PpoConfig, TrainConfig
from corvids.training.runner import CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
UNCOMPILED = """
from corvids.envs.compiled import kernels
from corvids.envs import simulator
kernels.compiled = simulator.compiled = lambda function, enabled=True: function
"""
"""Start of a program that simulates without the compiler."""


def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kernels, simulator):
        monkeypatch.setattr(module, "compiled", lambda function, enabled=True: function)


def tiny(**changes: Any) -> TrainConfig:
    """Three batches of eight worlds that hover."""
    config = TrainConfig(
        env=EnvConfig(task="hover", vehicle="x500", physics_hz=100, rate_loop_hz=100, episode_s=1.0),
        network=NetworkConfig(actor=(16,), critic=(16,)),
        ppo=PpoConfig(steps=4, epochs=2, minibatches=2),
        worlds=8,
        iterations=3,
        save_every=1,
    )
    return dataclasses.replace(config, **changes)


def flags(config: TrainConfig) -> list[str]:
    """Options of ``corvids train`` that make a preset as small as ``config``."""
    env, ppo = config.env, config.ppo
    values = {
        "env.physics-hz": env.physics_hz, "env.rate-loop-hz": env.rate_loop_hz, "env.episode-s": env.episode_s,
        "network.actor": 16, "network.critic": 16, "ppo.steps": ppo.steps, "ppo.epochs": ppo.epochs,
        "ppo.minibatches": ppo.minibatches, "worlds": config.worlds, "iterations": config.iterations,
        "save-every": config.save_every,
    }  # fmt: skip
    return [word for name, value in values.items() for word in (f"--config.{name}", str(value))]


def read_checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / CHECKPOINT, weights_only=False)


def weights(state: dict[str, Any]) -> torch.Tensor:
    """All parameters of actor and critic in one row, normalisation apart."""
    networks = (state["actor_state_dict"], state["critic_state_dict"])
    return torch.cat([w.flatten() for net in networks for name, w in net.items() if "normalizer" not in name])


def program_environment(**more: str) -> dict[str, str]:
    """Environment variables of a program that a test starts: this interpreter's packages, one thread, this checkout."""
    path = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]
