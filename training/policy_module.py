"""What a policy file computes, as torch modules: exactly the operations of training, in their order."""

from __future__ import annotations

import torch
from rsl_rl.modules import MLP, EmpiricalNormalization

from corvids.controllers.ball_filter import UNKNOWN_BALL, BallFilterConfig, ball_filter
from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Vec3
from corvids.envs.actions import ACTIONS, CtbrAction
from corvids.envs.environment import PAST_ACTIONS
from corvids.envs.mirrors import CTBR, Signs
from corvids.envs.task import PolicyInputs, Task
from corvids.envs.tasks import task_named
from corvids.errors import CorvidsError
from corvids.training.checkpoint import Checkpoint
from corvids.training.mirrored_mlp import MirroredMLP
from corvids.vehicle import Vehicle

BALL_INPUTS = ("ball_pos_w", "ball_vel_w", "ball_age_s")
"""Fields of :class:`PolicyInputs` that a task without a ball does not look at."""


class Actor(torch.nn.Module):
    """Normalisation and network: observation (n, features) to raw action (n, 4), without exploration noise."""

    def __init__(self, checkpoint: Checkpoint, mirrors: tuple[Signs, ...]) -> None:
        super().__init__()
        network, weights = checkpoint.config.network, checkpoint.actor
        self.features = weights["obs_normalizer._mean"].shape[-1]
        """Numbers in an observation."""
        self.obs_normalizer = EmpiricalNormalization(self.features)
        if network.mirrored:
            self.mlp = MirroredMLP(mirrors, CTBR, network.actor, network.activation)
        else:
            self.mlp = MLP(self.features, ACTIONS, network.actor, network.activation)
        own = {name: tensor for name, tensor in weights.items() if not name.startswith("distribution.")}
        self.load_state_dict(own)
        if isinstance(self.mlp, MirroredMLP):
            self.mlp = self.mlp.plain()
        self.eval()

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Mean of the raw action."""
        return self.mlp(self.obs_normalizer(observation))


class PolicyModule(torch.nn.Module):
    """The main graph. ``forward`` takes :attr:`inputs`, then ``memory`` (n, MEMORY) and ``actions`` (n, past · 4)."""

    def __init__(self, task: Task, vehicle: Vehicle, actor: Actor, control_hz: int) -> None:
        super().__init__()
        self.actor = actor
        self.task, self.action, self.tick_s = task, CtbrAction(vehicle), 1.0 / control_hz
        self.inputs = tuple(n for n in PolicyInputs._fields if task.WITH_BALL or n not in BALL_INPUTS)
        """Names of the inputs besides the states."""
        self.actions = PAST_ACTIONS * ACTIONS
        """Numbers in the history of actions."""

    @staticmethod
    def of(checkpoint: Checkpoint, vehicle: Vehicle) -> PolicyModule:
        """The policy of a checkpoint; raises :class:`CorvidsError` where its parts do not fit each other."""
        env = checkpoint.config.env
        task = task_named(env.task)(vehicle)
        features = checkpoint.actor["obs_normalizer._mean"].shape[-1]
        if features != len(task.MIRRORS):
            raise CorvidsError(
                f"{checkpoint.path}: its network takes {features} numbers, but task {task.NAME!r} now observes "
                f"{len(task.MIRRORS)}: train again, or export with the version that trained it"
            )
        try:
            actor = Actor(checkpoint, task.MIRRORS)
        except RuntimeError as error:  # torch's word for weights that do not fit
            reason = " ".join(str(error).split())
            raise CorvidsError(
                f"{checkpoint.path}: its actor is not the one of its own config: {reason}"
            ) from None
        return PolicyModule(task, vehicle, actor, env.control_hz)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """``thrust_n`` (n, 1), ``rate_b_radps`` (n, 3), and the states after this tick."""
        *signals, memory, actions = tensors
        given = dict(zip(self.inputs, signals, strict=True))
        absent = given["pos_w"]  # stands in for what the task does not look at
        inputs = PolicyInputs(**{name: given.get(name, absent) for name in PolicyInputs._fields})
        memory = self.task.remember(inputs, memory, self.tick_s)
        observation = self.task.observe(inputs, memory, actions)
        squashed = self.action.squash(self.actor(observation))
        thrust_n, rate_b_radps = self.action.command(squashed)
        return thrust_n, rate_b_radps, memory, torch.cat((squashed, actions[:, :-ACTIONS]), dim=1)


class BallFilterModule(torch.nn.Module):
    """The ball filter on rows: ``estimate`` (n, 10) holds the leaves of ``BallEstimate`` in order."""

    def __init__(self, config: BallFilterConfig) -> None:
        super().__init__()
        self._config = config

    def forward(
        self, measured_w: torch.Tensor, elapsed_s: torch.Tensor, estimate: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ball position (n, 3) and velocity (n, 3) at the measurement, and the estimate after it."""
        columns = iter(estimate.split(1, dim=1))
        before = map_leaves(lambda _: next(columns), UNKNOWN_BALL)
        after = ball_filter(before, Vec3(*measured_w.split(1, dim=1)), elapsed_s, self._config)
        pos_w, vel_w = torch.cat(tuple(after.pos_w), dim=1), torch.cat(tuple(after.vel_w), dim=1)
        return pos_w, vel_w, torch.cat((pos_w, vel_w, *leaves(after[2:])), dim=1)
