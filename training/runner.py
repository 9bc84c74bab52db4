"""The training loop: rsl_rl's on-policy runner with atomic checkpoints, a guard against divergence, CPU processes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rsl_rl.runners import OnPolicyRunner

from corvids.envs.environment import Environment
from corvids.envs.mdp.mirrors import Signs, asymmetry
from corvids.envs.several_teams import SeveralTeams
from corvids.envs.team_environment import TeamEnvironment
from corvids.errors import CorvidsError
from corvids.training.config import TrainConfig, rsl_rl_config
from corvids.training.member_actors import MemberMLP, Members, members_of
from corvids.training.progress import ProgressLogger, progress_bar
from corvids.training.vec_env import RslVecEnv
from corvids.whole_files import write_whole

_NO_CONTEXT = contextlib.nullcontext()
CHECKPOINT = "checkpoint.pt"
"""Name of the one checkpoint in a run's folder; replaced atomically."""


class Runner(OnPolicyRunner):
    """Trains a task. ``run_dir`` receives TensorBoard curves and the checkpoint."""

    def __init__(self, env: RslVecEnv, config: TrainConfig, run_dir: Path, device: str) -> None:
        self.train_config = config
        mirrors = _mirrors(env.env) if config.network.mirrored else {}
        with contextlib.redirect_stdout(io.StringIO()):
            settings = rsl_rl_config(config, device, mirrors, _members(env.env, config))
            super().__init__(env, settings, str(run_dir), device)
        if isinstance(env.env, TeamEnvironment | SeveralTeams) and config.env.carry.guided:
            _silence(self.alg.actor.mlp)
        self.run_dir = run_dir
        self.logger: ProgressLogger = ProgressLogger(
            log_dir=str(run_dir),
            cfg=self.cfg,
            env_cfg=env.cfg,
            num_envs=env.num_envs,
            is_distributed=self.is_distributed,
            gpu_world_size=self.gpu_world_size,
            gpu_global_rank=self.gpu_global_rank,
            device=device,
        )

    def train(self) -> None:
        """Learn from where the runner stands up to the configured number of iterations."""
        remaining = self.train_config.iterations - self.current_learning_iteration
        if remaining <= 0:
            if self.train_config.iterations == self.current_learning_iteration == 0:
                # What is there before learning, such as a law; a run that has learned keeps what it has.
                self.current_learning_iteration = -1
                self.save("")
            return
        # What rsl_rl prints goes nowhere; the bar keeps the console that it was given before.
        with (
            open(os.devnull, "w") as nowhere,
            progress_bar(is_main=self.gpu_global_rank == 0) as progress,
            contextlib.redirect_stdout(nowhere),
        ):
            done = self.current_learning_iteration
            progress.add_task("training", total=self.train_config.iterations, completed=done, status="")
            self.logger.progress = progress
            setattr(self.alg, "update", self._watched(self.alg.update, done))  # noqa: B010
            self.learn(remaining, init_at_random_ep_len=True)

    def _watched(self, update: Callable[[], dict[str, float]], done: int) -> Callable[[], dict[str, float]]:
        """``update`` that stops where learning has diverged, before that becomes the checkpoint.

        ``done`` batches were learned from before; the first ``critic_first`` of all leave the actor as it is.
        """
        batches = itertools.count(done)

        ppo, whole = self.train_config.ppo, self.train_config.iterations

        def watched() -> dict[str, float]:
            batch = next(batches)
            self.alg.desired_kl = ppo.desired_kl_at(batch / whole)
            with self._actor_held() if batch < ppo.critic_first else _NO_CONTEXT:
                losses = update()
            for network in ("actor", "critic"):
                for name, weight in getattr(self.alg, network).state_dict().items():
                    if not torch.isfinite(weight).all():
                        raise CorvidsError(
                            f"training stopped: {network} weight {name} is not finite (last checkpoint is intact)"
                        )
            return losses

        return watched

    @contextlib.contextmanager
    def _actor_held(self) -> Iterator[None]:
        """Only the critic learns, at a rate that does not follow the policy's divergence, which is none."""
        schedule, self.alg.schedule = self.alg.schedule, "fixed"
        parameters = list(self.alg.actor.parameters())
        for parameter in parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            self.alg.schedule = schedule
            for parameter in parameters:
                parameter.requires_grad_(True)

    def save(self, path: str, infos: dict | None = None) -> None:
        """Replace the checkpoint atomically. ``path`` is ignored: a run has one checkpoint."""
        state = self.alg.save()
        state["iter"] = self.current_learning_iteration
        state["infos"] = infos
        state["config"] = dataclasses.asdict(self.train_config)
        state["train_config"] = self.train_config
        state["git_revision"] = git_revision()
        content = io.BytesIO()
        torch.save(state, content)
        target = self.run_dir / CHECKPOINT
        try:
            write_whole(target, content.getvalue())
        except CorvidsError as error:
            raise CorvidsError(f"{error} (the checkpoint before is intact)") from None

    def resume(self) -> None:
        """Continue after the checkpoint in the run's folder; raises :class:`CorvidsError` if none there fits."""
        path = find_checkpoint(self.run_dir)
        try:
            self.load(str(path), map_location=self.device)
        except RuntimeError:
            raise CorvidsError(
                f"{path}: its networks are not those of this configuration (task {self.train_config.env.task!r},"
                f" {self.train_config.network}); resume with the configuration that the run was started with"
            ) from None
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


def _silence(mlp: torch.nn.Module) -> None:
    """Let a network that corrects a law say nothing at first: learning begins from what the law does."""
    for one in mlp.each if isinstance(mlp, MemberMLP) else (mlp,):
        *_, last = (module for module in one.modules() if isinstance(module, torch.nn.Linear))
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)


def _members(env: Environment | TeamEnvironment | SeveralTeams, config: TrainConfig) -> Members | None:
    """The members that are to have actors of their own; refuses where they could not be told apart."""
    if config.network.actors == "shared":
        return None
    if not isinstance(env, TeamEnvironment):
        kind = "several teams" if isinstance(env, SeveralTeams) else "a single vehicle"
        raise CorvidsError(f"network.actors = 'own': {kind} cannot have them; train one team, or 'shared'")
    members = members_of(env.task)
    if len({tuple(point) for point in members.points}) < len(members.points):
        raise CorvidsError(
            f"network.actors = 'own': members of team {env.config.carry.team!r} pull at the same point of the load, so "
            "nothing tells them apart; train with 'shared'"
        )
    return members


def _mirrors(env: Environment | TeamEnvironment | SeveralTeams) -> dict[str, tuple[Signs, ...]]:
    """How an environment's observations change in a mirror; refuses one in which they are not of what is there."""
    if isinstance(env, TeamEnvironment | SeveralTeams):
        raise CorvidsError(
            f"task {env.config.task!r}: a team has no mirror image; train with --config.network.no-mirrored"
        )
    odd = asymmetry(env.vehicle)
    if odd:
        raise CorvidsError(
            f"vehicle {env.vehicle.name!r} is not symmetric: {odd}; train with --config.network.no-mirrored"
        )
    return env.mirrors


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
