"""``corvids train TASK``: learn a task."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import torch

from corvids.cli import first_word, option_value, parse
from corvids.envs.environment import Environment
from corvids.envs.episodes.calibrated import describe
from corvids.envs.isaac import require_isaac
from corvids.envs.several_teams import SeveralTeams
from corvids.envs.tasks import TASKS, TEAM_TASKS
from corvids.envs.team_environment import TeamEnvironment
from corvids.errors import CorvidsError
from corvids.training.checkpoint import load_checkpoint
from corvids.training.checks import check_config, check_reach
from corvids.training.config import TrainConfig
from corvids.training.presets import preset
from corvids.training.runner import CHECKPOINT, Runner, find_checkpoint
from corvids.training.vec_env import RslVecEnv
from corvids.vehicle import load_vehicle
from corvids.whole_files import remove_unfinished

LOCK = "lock"
"""Name of the file in a run's folder that the process which trains there holds."""


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Train a task with PPO. Every field of the preset can be overridden, e.g. --config.worlds 512."""

    preset: str = "quick"
    """Configuration to start from: quick (minutes on two CPU cores) or full."""
    run: Path | None = None
    """Folder for the checkpoint and the curves; default runs/TASK-PRESET."""
    resume: bool = False
    """Continue from the checkpoint in the run's folder, with its configuration but for what is given here."""
    sim: Literal["native", "isaac"] | None = None
    """Simulator to learn in: native, or Isaac Lab. A resumed run stays in its own."""
    device: str = "cpu"
    """Where to simulate and learn: cpu, cuda, cuda:0."""
    randomize: Literal["ranges", "calibrated"] | None = None
    """Draw the vehicle's numbers from the configured ranges, or from the errors that its file says they have."""
    config: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    """The preset's fields."""


def main(argv: list[str]) -> int:
    """Entry point."""
    task, rest = first_word(argv, "train", "task", (*TASKS, *TEAM_TASKS))
    name = option_value(rest, "--preset") or "quick"
    default, run = preset(task, name), Path(option_value(rest, "--run") or Path("runs", f"{task}-{name}"))
    if "--resume" in rest:
        default = load_checkpoint(run).config
        if default.env.task != task:
            raise CorvidsError(f"{run}: is a run of {default.env.task!r}; continue it with that task")
    options = parse(TrainOptions, rest, f"train {task}", TrainOptions(config=default))
    config = options.config
    if options.randomize is not None:
        config = dataclasses.replace(config, env=dataclasses.replace(config.env, randomize=options.randomize))
    if options.sim is not None:
        config = dataclasses.replace(config, sim=options.sim)
    train(config, run, device=options.device, resume=options.resume)
    print(f"trained: {run / CHECKPOINT}")
    print(f"next: corvids export {run} --out {task}.onnx")
    return 0


def train(config: TrainConfig, run: Path, device: str = "cpu", resume: bool = False) -> float:
    """Train into folder ``run``; returns the seconds that learning took.

    Under ``torchrun`` each process simulates ``config.worlds`` worlds and takes the GPU of its local rank. Raises
    :class:`CorvidsError`, and writes nothing, where the configuration is wrong, the folder holds another run or no
    checkpoint to resume from, or the device is absent.
    """
    rank, local = int(os.getenv("RANK", "0")), int(os.getenv("LOCAL_RANK", "0"))
    check_config(config)
    calibrated = config.env.randomize == "calibrated"
    if calibrated and config.env.task in TEAM_TASKS:
        raise CorvidsError(
            f"task {config.env.task!r}: only single vehicles are drawn from their file's errors; use ranges"
        )
    if config.sim == "isaac":
        require_isaac()
    if device == "cuda":
        device = f"cuda:{local}"
    check_device(device)
    if resume:
        find_checkpoint(run)
    if rank == 0:
        _check_folder(run, resume)
    torch.manual_seed(config.seed + rank)
    make = _environment(config)
    env = RslVecEnv(
        make(config.env, config.worlds, device=device, seed=config.seed + 1000 * rank), config.ppo.hold_steps
    )
    check_reach(config, env.env.simulator)
    if calibrated and rank == 0:
        for line in describe(load_vehicle(config.env.vehicle), config.env.randomization):
            print(f"randomization: {line}")
    with _held(run) if rank == 0 else contextlib.nullcontext():
        runner = Runner(env, config, run, device)
        if resume:
            runner.resume()
        start = time.perf_counter()
        runner.train()
        return time.perf_counter() - start


def _environment(config: TrainConfig) -> Callable[..., Environment | TeamEnvironment | SeveralTeams]:
    """What makes the environment: the task's kind, in the simulator that is asked for."""
    is_team = config.env.task in TEAM_TASKS
    if config.teams:
        if config.sim != "native" or not is_team:
            raise CorvidsError(
                "config.teams: several teams learn at once in carry alone, in the native simulator"
            )
        return lambda env, worlds, **given: SeveralTeams(env, config.teams, worlds, **given)
    if config.sim == "native":
        return TeamEnvironment if is_team else Environment
    if is_team:
        from corvids.envs.isaac.team_task_env import open_team_environment

        return open_team_environment
    from corvids.envs.isaac.task_env import open_environment

    return open_environment


def check_device(device: str) -> None:
    """Refuse a device that torch does not find."""
    try:
        if torch.device(device).type not in ("cpu", "cuda"):
            raise RuntimeError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise CorvidsError(
            f"device {device!r} is not there; use cpu, or cuda on a machine with a GPU"
        ) from None


def _check_folder(run: Path, resume: bool) -> None:
    if (run / CHECKPOINT).exists() and not resume:
        raise CorvidsError(f"{run}: holds a run already; continue it with --resume or name another --run")
    there = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    if not there.is_dir():
        raise CorvidsError(f"{there}: is a file; --run names a folder")
    if not os.access(there, os.W_OK):
        raise CorvidsError(f"{there}: is not writable; name another --run")


@contextlib.contextmanager
def _held(run: Path) -> Iterator[None]:
    """Keep other trainings out of the folder. The lock goes with the process, however that ends."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = (run / LOCK).open("w")
    except OSError as error:
        raise CorvidsError(f"{run}: cannot be written: {error.strerror}; name another --run") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorvidsError(
                f"{run}: another process is training there; wait for it or name another --run"
            ) from None
        remove_unfinished(run / CHECKPOINT)
        yield
