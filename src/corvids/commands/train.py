"""``corvids train TASK``: learn a task."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import torch

from corvids.cli import first_word, option_value, parse
from corvids.envs.environment import Environment
from corvids.envs.tasks import TASKS, task_named
from corvids.errors import CorvidsError
from corvids.training.config import TrainConfig
from corvids.training.presets import preset
from corvids.training.runner import CHECKPOINT, Runner
from corvids.training.vec_env import RslVecEnv


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Train a task with PPO. Every field of the preset can be overridden, e.g. --config.worlds 512."""

    preset: str = "quick"
    """Configuration to start from: quick (minutes on two CPU cores) or full."""
    run: Path | None = None
    """Folder for the checkpoint and the curves; default runs/TASK-PRESET."""
    resume: bool = False
    """Continue from the checkpoint in the run's folder."""
    device: str = "cpu"
    """Where to simulate and learn: cpu, cuda, cuda:0."""
    config: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    """The preset's fields."""


def main(argv: list[str]) -> int:
    """Entry point."""
    task, rest = first_word(argv, "train", "task", TASKS)
    task_named(task)
    default = TrainOptions(config=preset(task, option_value(rest, "--preset") or "quick"))
    options = parse(TrainOptions, rest, f"train {task}", default)
    run = options.run or Path("runs") / f"{task}-{options.preset}"
    train(options.config, run, device=options.device, resume=options.resume)
    print(f"trained: {run / CHECKPOINT}\nnext: corvids export {run} --out {task}.onnx")
    return 0


def train(config: TrainConfig, run: Path, device: str = "cpu", resume: bool = False) -> float:
    """Train into folder ``run``; returns the seconds that learning took.

    Under ``torchrun`` each process simulates ``config.worlds`` worlds and takes the GPU of its local rank. Raises
    :class:`CorvidsError` where the folder holds another run, or no checkpoint to resume from, or the device is absent.
    """
    rank, local = int(os.getenv("RANK", "0")), int(os.getenv("LOCAL_RANK", "0"))
    if device == "cuda":
        device = f"cuda:{local}"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise CorvidsError(
            f"device {device!r} is not there; use cpu, or cuda on a machine with a GPU"
        ) from None
    if rank == 0:
        if (run / CHECKPOINT).exists() and not resume:
            raise CorvidsError(f"{run}: holds a run already; continue it with --resume or name another --run")
        if run.exists() and not run.is_dir():
            raise CorvidsError(f"{run}: is a file; --run names a folder")
        run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed + rank)
    env = RslVecEnv(Environment(config.env, config.worlds, device=device, seed=config.seed + 1000 * rank))
    runner = Runner(env, config, run, device)
    if resume:
        runner.resume()
    start = time.perf_counter()
    runner.train()
    return time.perf_counter() - start
