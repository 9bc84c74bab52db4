"""What a policy file computes, as torch modules: exactly the operations of training, in their order."""

from __future__ import annotations

import torch
from rsl_rl.modules import MLP, EmpiricalNormalization

from corvids.controllers.ball_filter import UNKNOWN_BALL, BallFilterConfig, ball_filter
from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Vec3
from corvids.envs.environment import PAST_ACTIONS
from corvids.envs.mdp.accbr_action import ACCBR_ACTIONS, AccbrAction
from corvids.envs.mdp.actions import ACTIONS, CtbrAction
from corvids.envs.mdp.mirrors import CTBR, Signs
from corvids.envs.mdp.task import PolicyInputs, Task
from corvids.envs.mdp.team_task import TeamInputs, TeamTask
from corvids.envs.tasks import TEAM_TASKS, task_named, team_task_named
from corvids.errors import CorvidsError
from corvids.team import load_team
from corvids.training.checkpoint import Checkpoint
from corvids.training.member_actors import MemberMLP, Members, members_of
from corvids.training.mirrored_mlp import MirroredMLP
from corvids.vehicle import Vehicle

BALL_INPUTS = ("ball_pos_w", "ball_vel_w", "ball_age_s")
"""Fields of :class:`PolicyInputs` that a task without a ball does not look at."""


class Actor(torch.nn.Module):
    """Normalisation and network: observation (n, features) to raw action (n, a), without exploration noise."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        mirrors: tuple[Signs, ...],
        actions: int = ACTIONS,
        members: Members | None = None,
    ) -> None:
        super().__init__()
        network, weights = checkpoint.config.network, checkpoint.actor
        self.features = weights["obs_normalizer._mean"].shape[-1]
        """Numbers in an observation."""
        self.obs_normalizer = EmpiricalNormalization(self.features)
        self._own_place = None if members is None else slice(*members.own_place)
        if members is not None:
            self.mlp = MemberMLP(members.points, self.features, actions, network.actor, network.activation)
        elif network.mirrored:
            self.mlp = MirroredMLP(mirrors, CTBR, network.actor, network.activation)
        else:
            self.mlp = MLP(self.features, actions, network.actor, network.activation)
        own = {name: tensor for name, tensor in weights.items() if not name.startswith("distribution.")}
        self.load_state_dict(own)
        if isinstance(self.mlp, MirroredMLP):
            self.mlp = self.mlp.plain()
        self.eval()

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Mean of the raw action."""
        seen = self.obs_normalizer(observation)
        if self._own_place is not None:
            seen = torch.cat((seen, observation[:, self._own_place]), dim=-1)
        return self.mlp(seen)


class PolicyModule(torch.nn.Module):
    """The main graph. ``forward`` takes :attr:`inputs`, then ``memory`` (n, MEMORY) and ``actions`` (n, past · a)."""

    def __init__(self, task: Task, action: CtbrAction, actor: Actor, control_hz: int) -> None:
        super().__init__()
        self.actor = actor
        self.task, self.action, self.tick_s = task, action, 1.0 / control_hz
        self.inputs = tuple(n for n in PolicyInputs._fields if task.WITH_BALL or n not in BALL_INPUTS)
        """Names of the inputs besides the states."""
        self.actions = PAST_ACTIONS * ACTIONS
        """Numbers in the history of actions."""

    @staticmethod
    def of(checkpoint: Checkpoint, vehicle: Vehicle) -> PolicyModule | TeamPolicyModule:
        """The policy of a checkpoint; raises :class:`CorvidsError` where its parts do not fit each other."""
        env = checkpoint.config.env
        if env.task in TEAM_TASKS:
            return TeamPolicyModule.of_team(checkpoint)
        task = task_named(env.task)(vehicle)
        _check_features(checkpoint, len(task.MIRRORS))
        return PolicyModule(task, CtbrAction(vehicle), _actor(checkpoint, task.MIRRORS), env.control_hz)

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


class TeamPolicyModule(torch.nn.Module):
    """As :class:`PolicyModule`, of one member of a team, which commands ACCBR."""

    inputs = TeamInputs._fields
    """Names of the inputs besides the states."""
    actions = PAST_ACTIONS * ACCBR_ACTIONS
    """Numbers in the history of actions."""

    def __init__(self, task: TeamTask, action: AccbrAction, actor: Actor, control_hz: int) -> None:
        super().__init__()
        self.actor, self.task, self.action, self.tick_s = actor, task, action, 1.0 / control_hz

    @staticmethod
    def of_team(checkpoint: Checkpoint) -> TeamPolicyModule:
        """The policy of a checkpoint."""
        env = checkpoint.config.env
        team = load_team(env.carry.team)
        task = team_task_named(env.task)(team, env.carry)
        members = None if checkpoint.config.network.actors == "shared" else members_of(task)
        actor = _actor(checkpoint, (), ACCBR_ACTIONS, members)
        module = TeamPolicyModule(task, AccbrAction(env.carry), actor, env.control_hz)
        _check_features(checkpoint, module.observed)
        return module

    @property
    def observed(self) -> int:
        """Numbers in an observation."""
        widths = (3, 3, 4, 3, 1, 3, 3, 4, 3, 1, len(self.task.COMMAND), len(self.task.FACTS))
        inputs = TeamInputs(*(torch.full((1, width), 0.5) for width in widths))
        memory, actions = torch.zeros(1, self.task.MEMORY), torch.zeros(1, self.actions)
        return self.task.observe(inputs, memory, actions, self.task.guidance(inputs, memory)).shape[-1]

    def act(self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Squashed action (n, 5) with the memory of this tick."""
        guidance = self.task.guidance(inputs, memory)
        raw = self.actor(self.task.observe(inputs, memory, actions, guidance))
        return self.action.squash(raw, guidance)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """``accel_w_mps2`` (n, 3), ``turn_b_radps`` (n, 2), and the states after this tick."""
        *signals, memory, actions = tensors
        inputs = TeamInputs(*signals)
        memory = self.task.remember(inputs, memory, actions, self.tick_s)
        squashed = self.act(inputs, memory, actions)
        command = self.action.command(squashed)
        past = torch.cat((squashed, actions[:, :-ACCBR_ACTIONS]), dim=1)
        return command[:, :3], command[:, 3:], memory, past


def _actor(
    checkpoint: Checkpoint,
    mirrors: tuple[Signs, ...],
    actions: int = ACTIONS,
    members: Members | None = None,
) -> Actor:
    try:
        return Actor(checkpoint, mirrors, actions, members)
    except RuntimeError as error:  # torch's word for weights that do not fit
        reason = " ".join(str(error).split())
        raise CorvidsError(
            f"{checkpoint.path}: its actor is not the one of its own config: {reason}"
        ) from None


def _check_features(checkpoint: Checkpoint, observed: int) -> None:
    features = checkpoint.actor["obs_normalizer._mean"].shape[-1]
    if features != observed:
        raise CorvidsError(
            f"{checkpoint.path}: its network takes {features} numbers, but task {checkpoint.config.env.task!r} now "
            f"observes {observed}: train again, or export with the version that trained it"
        )


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
