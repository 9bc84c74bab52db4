"""The training loop: rsl_rl's on-policy runner with atomic checkpoints, a progress bar, and CPU processes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rsl_rl.runners import OnPolicyRunner
from rsl_rl.utils.logger import Logger

from corvids.errors import CorvidsError
from corvids.training.config import TrainConfig, rsl_rl_config
from corvids.training.vec_env import RslVecEnv

CHECKPOINT = "checkpoint.pt"
"""Name of the one checkpoint in a run's folder; replaced atomically."""


class ProgressLogger(Logger):
    """rsl_rl's TensorBoard logger, with one live line in place of its pages of text."""

    progress: Progress | None = None

    def log(self, it: int, start_it: int, total_it: int, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write all curves; show episode metrics, speed and time left."""
        means = self._episode_means()
        with contextlib.redirect_stdout(io.StringIO()):
            super().log(it, start_it, total_it, *args, **kwargs)
        if self.writer is None or self.progress is None:
            return
        samples = self.cfg["num_steps_per_env"] * self.num_envs * self.gpu_world_size
        rate = samples / max(kwargs["collect_time"] + kwargs["learn_time"], 1e-9)
        shown = "  ".join(f"{name} {value:.2f}" for name, value in means.items())
        self.progress.update(
            self.progress.task_ids[0], completed=it + 1, status=f"{shown}  {rate / 1e3:.0f}k samples/s"
        )
        if not self.progress.console.is_terminal and (it + 1) % 10 == 0:
            print(f"iteration {it + 1}/{total_it}  {shown}  {rate / 1e3:.0f}k samples/s", flush=True)

    def _episode_means(self) -> dict[str, float]:
        totals: dict[str, list[torch.Tensor]] = {}
        for extras in self.ep_extras:
            for name, values in extras.items():
                totals.setdefault(name, []).append(values)
        means = {name: float(torch.cat(values).float().mean()) for name, values in totals.items()}
        if "hits" in means:
            means["hits_per_s"] = means["hits"] / max(means["episode_s"], 1e-9)
        return means


class Runner(OnPolicyRunner):
    """Trains a task. ``run_dir`` receives TensorBoard curves and the checkpoint."""

    def __init__(self, env: RslVecEnv, config: TrainConfig, run_dir: Path, device: str) -> None:
        self.train_config = config
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(env, rsl_rl_config(config), str(run_dir), device)
        self.run_dir = run_dir
        self.logger = ProgressLogger(
            log_dir=str(run_dir),
            cfg=self.cfg,
            env_cfg=env.cfg,
            num_envs=env.num_envs,
            is_distributed=self.is_distributed,
            gpu_world_size=self.gpu_world_size,
            gpu_global_rank=self.gpu_global_rank,
            device=device,
        )
        self.logger.git_status_repos = []

    def train(self) -> None:
        """Learn from where the runner stands up to the configured number of iterations."""
        remaining = self.train_config.iterations - self.current_learning_iteration
        if remaining <= 0:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn(), TextColumn("{task.fields[status]}"))  # fmt: skip
        with Progress(*columns, transient=False, disable=self.gpu_global_rank != 0) as progress:
            progress.add_task("training", total=self.train_config.iterations, status="")
            assert_logger(self.logger).progress = progress
            with contextlib.redirect_stdout(_Quiet()):
                self.learn(remaining, init_at_random_ep_len=True)

    def save(self, path: str, infos: dict | None = None) -> None:
        """Replace the checkpoint atomically. ``path`` is ignored: a run has one checkpoint."""
        state = self.alg.save()
        state["iter"] = self.current_learning_iteration
        state["infos"] = infos
        state["config"] = dataclasses.asdict(self.train_config)
        state["train_config"] = self.train_config
        state["git_revision"] = git_revision()
        target = self.run_dir / CHECKPOINT
        partial = target.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)

    def resume(self) -> None:
        """Continue after the checkpoint in the run's folder; raises :class:`CorvidsError` if there is none."""
        self.load(str(find_checkpoint(self.run_dir)), map_location=self.device)
        self.current_learning_iteration += 1

    def _configure_multi_gpu(self) -> None:
        """As rsl_rl's, which knows CUDA only: processes on CPUs talk through gloo."""
        if self.device.startswith("cuda") or int(os.getenv("WORLD_SIZE", "1")) == 1:
            super()._configure_multi_gpu()
            return
        self.gpu_world_size = int(os.environ["WORLD_SIZE"])
        self.gpu_local_rank, self.gpu_global_rank = int(os.environ["LOCAL_RANK"]), int(os.environ["RANK"])
        self.is_distributed = True
        self.cfg["multi_gpu"] = {
            "global_rank": self.gpu_global_rank,
            "local_rank": self.gpu_local_rank,
            "world_size": self.gpu_world_size,
        }
        torch.distributed.init_process_group(
            "gloo", rank=self.gpu_global_rank, world_size=self.gpu_world_size
        )


class _Quiet(io.StringIO):
    """Swallows rsl_rl's own prints but lets :class:`ProgressLogger`'s lines through."""

    def write(self, text: str) -> int:
        import sys

        if text.startswith("iteration ") or text == "\n":
            return sys.__stdout__.write(text) if sys.__stdout__ else 0
        return len(text)

    def flush(self) -> None:
        import sys

        if sys.__stdout__:
            sys.__stdout__.flush()


def assert_logger(logger: Logger) -> ProgressLogger:
    """The runner's logger with its type."""
    if not isinstance(logger, ProgressLogger):
        raise TypeError(type(logger))
    return logger


def find_checkpoint(run: Path) -> Path:
    """The checkpoint of a run's folder (or the file itself); raises :class:`CorvidsError` if there is none."""
    path = run / CHECKPOINT if run.is_dir() else run
    if not path.is_file():
        raise CorvidsError(
            f"{run}: no checkpoint there; expected a run folder with {CHECKPOINT}, or such a file"
        )
    return path


def git_revision() -> str:
    """Commit of the working tree that corvids runs from, with ``+`` where it was changed; empty outside git."""
    here = Path(__file__).resolve().parent
    try:
        revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return revision + ("+" if changed else "")
