"""A training run's checkpoint, read back without running code that it might carry."""

from __future__ import annotations

import dataclasses
import pickle
import typing
import zipfile
from pathlib import Path
from typing import Any

import torch

from corvids.controllers.ball_filter import BallFilterConfig
from corvids.controllers.load_filter import LoadFilterConfig
from corvids.envs.environment import EnvConfig
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.physics.nominal import BallConfig
from corvids.errors import CorvidsError
from corvids.training.config import NetworkConfig, PpoConfig, TrainConfig
from corvids.training.runner import find_checkpoint

_CONFIGS = [
    TrainConfig, EnvConfig, NetworkConfig, PpoConfig, BallConfig, Randomization, BallFilterConfig,
    CarryConfig, LoadFilterConfig,
]  # fmt: skip


class Checkpoint(typing.NamedTuple):
    """What export needs of a checkpoint."""

    path: Path
    config: TrainConfig
    actor: dict[str, torch.Tensor]
    """State of rsl_rl's actor model."""
    iterations: int
    git_revision: str


def load_checkpoint(run: Path) -> Checkpoint:
    """The checkpoint of a run's folder (or the file itself); raises :class:`CorvidsError` where it cannot be read."""
    path = find_checkpoint(run)
    try:
        with torch.serialization.safe_globals(_CONFIGS):
            state = torch.load(path, map_location="cpu", weights_only=True)
        values, actor, iterations = state["config"], state["actor_state_dict"], state["iter"] + 1
        revision = state["git_revision"]
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, OSError):
        raise CorvidsError(f"{path}: is not a checkpoint that `corvids train` wrote") from None
    except (KeyError, TypeError) as error:
        raise CorvidsError(f"{path}: is not a checkpoint of corvids: it lacks {error}") from None
    for name, weights in actor.items():
        if not torch.isfinite(weights).all():
            raise CorvidsError(f"{path}: actor weight {name} is not finite; resume from an earlier run")
    return Checkpoint(path, _rebuilt(TrainConfig, values, f"{path}: config"), actor, iterations, revision)


def _rebuilt(kind: Any, values: dict[str, Any], where: str) -> Any:
    """The dataclass ``kind`` from what :func:`dataclasses.asdict` made of it; refuses fields that it does not have."""
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise CorvidsError(f"{where}.{name} is unknown to this version; use the one that trained the run")
    return kind(
        **{
            name: _rebuilt(hints[name], value, f"{where}.{name}")
            if dataclasses.is_dataclass(hints[name])
            else value
            for name, value in values.items()
        }
    )
