"""Small policy files for tests: random networks, exported like trained ones with less of a parity check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch

from corvids.deploy.contract import METADATA_KEY
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.tasks import TEAM_TASKS
from corvids.envs.team_environment import TeamEnvironment
from corvids.training.config import NetworkConfig, TrainConfig
from corvids.training.export import export_policy
from corvids.training.parity import Effort
from corvids.training.runner import CHECKPOINT, Runner
from corvids.training.vec_env import RslVecEnv

BRIEF = Effort(states=40, sequences=4, length=4)
"""A parity check of seconds."""
NETWORK = NetworkConfig(actor=(32, 16), critic=(8,))


def save_run(folder: Path, env: EnvConfig, seed: int = 0) -> Path:
    """A run's folder with the checkpoint of a network that was never trained, its normalisation made up."""
    of_team = env.task in TEAM_TASKS
    network = dataclasses.replace(NETWORK, mirrored=not of_team)
    config = TrainConfig(env=env, network=network, worlds=2)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    kind = TeamEnvironment if of_team else Environment
    runner = Runner(RslVecEnv(kind(env, 2, compile_kernels=False)), config, folder, "cpu")
    normalizer: Any = runner.alg.actor.obs_normalizer
    normalizer._mean.normal_(0.0, 0.1)
    normalizer._std.uniform_(0.5, 2.0)
    with torch.no_grad():
        for weight in runner.alg.actor.mlp.parameters():
            if not weight.any():  # as a law's corrections begin; no export would notice what lies before
                weight.normal_(0.0, 0.05)
    runner.save("")
    return folder


def save_policy(folder: Path, task: str = "juggle", vehicle: str = "air") -> Path:
    """A policy file for ``task``."""
    out = folder / f"{task}.onnx"
    export_policy(save_run(folder / "run", EnvConfig(task=task, vehicle=vehicle)), out, BRIEF)
    return out


def changed_checkpoint(run: Path, out: Path, change: Callable[[dict], None]) -> Path:
    """A copy of a run's checkpoint with something else in it."""
    state = torch.load(run / CHECKPOINT, weights_only=False)
    change(state)
    torch.save(state, out)
    return out


def changed_policy(policy: Path, out: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A copy of a policy file with another graph."""
    model = onnx.load(policy)
    change(model)
    out.write_bytes(model.SerializeToString())
    return out


def with_metadata(policy: Path, out: Path, change: Callable[[str], str]) -> Path:
    """A copy of a policy file with another contract."""

    def rewrite(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                entry.value = change(entry.value)

    return changed_policy(policy, out, rewrite)


def first_weight(model: onnx.ModelProto) -> onnx.TensorProto:
    """The largest initializer: a matrix that the network, or what it is given, needs."""
    return max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))


def still(env: EnvConfig) -> EnvConfig:
    """``env`` without wind, so that flights last."""
    calm = dataclasses.replace(env.randomization, wind_mps=(0.0, 0.0), gust_std_mps=(0.0, 0.0))
    return dataclasses.replace(env, randomization=calm)
