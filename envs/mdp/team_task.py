"""What a team's task is given and gives; see :mod:`corvids.envs.mdp.task` for those of a single vehicle.

Component tensors have shape ``(rows, drones)``, those of the load and of a whole world ``(rows, 1)``. Feature tensors
have one row for each drone of each world: what one drone's policy file computes, alone.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import torch

from corvids.controllers.spatial import Scalar
from corvids.envs.episodes.randomization import Draws
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.physics.team_world import TeamParams, TeamWorld
from corvids.team import Team


class TeamInputs(NamedTuple):
    """What a drone's policy is given at a control tick. Shapes ``(n, ·)``, SI, world ENU. Nothing of a neighbour."""

    pos_w: torch.Tensor
    """Own position [m], (n, 3)."""
    vel_w: torch.Tensor
    """Own velocity [m/s], (n, 3)."""
    quat_wb: torch.Tensor
    """Own attitude, rotates body (FLU) into world, scalar first, (n, 4)."""
    omega_b: torch.Tensor
    """Own body rates [rad/s], (n, 3)."""
    vehicle_age_s: torch.Tensor
    """Age of the four above [s], (n, 1)."""
    load_pos_w: torch.Tensor
    """Filtered position of the load's pose point [m], (n, 3)."""
    load_vel_w: torch.Tensor
    """Its velocity [m/s], (n, 3)."""
    load_quat_wb: torch.Tensor
    """Filtered attitude of the load, (n, 4)."""
    load_omega_b: torch.Tensor
    """Its angular velocity [rad/s], load's axes, (n, 3)."""
    load_age_s: torch.Tensor
    """Age of the four above [s], (n, 1)."""
    command: torch.Tensor
    """Where the load is wanted, (n, c): see the task's ``COMMAND``."""
    facts: torch.Tensor
    """What a drone knows of its team without a radio, (n, f): see the task's ``FACTS``."""


class Actions(NamedTuple):
    """Squashed actions of every drone, a component each of shape ``(rows, drones)``."""

    now: tuple[Scalar, ...]
    last: tuple[Scalar, ...]


class TeamScore(NamedTuple):
    """What one control step was worth."""

    reward: Scalar
    """Of every drone, (rows, drones)."""
    failed: Scalar
    """Whether the episode ends here, as a failure, (rows, 1)."""
    episode: Any
    """The task's memory of the episode, a named tuple of (rows, 1)."""


class TeamTask(Protocol):
    """One task of a team. Methods on component tensors must be traceable by the compiler."""

    NAME: ClassVar[str]
    COMMAND: ClassVar[tuple[str, ...]]
    """Names of the command's components, with units."""
    FACTS: ClassVar[tuple[str, ...]]
    """Names of the facts' components, with units."""
    MEMORY: ClassVar[int]
    """Numbers that a policy carries from tick to tick besides its past actions."""
    OWN_PLACE: ClassVar[tuple[int, int]]
    """Columns of an observation, counted from its end, that say where the member pulls at the load [m, load]."""
    PATH: ClassVar[int]
    """Rows that say where the load is wanted, now and later."""
    EPISODE: ClassVar[Any]
    """Initial memory of an episode: a named tuple of floats."""
    METRICS: ClassVar[tuple[str, ...]]
    """Fields of the episode's memory whose mean over finished episodes is logged."""

    def __init__(self, team: Team, config: CarryConfig) -> None: ...

    def facts(self) -> torch.Tensor:
        """What each drone knows of its team, (drones, f)."""
        ...

    def draw_path(self, draws: Draws, count: int) -> torch.Tensor:
        """Paths (PATH, count)."""
        ...

    def draw_start(
        self, draws: Draws, truth: TeamParams, path: torch.Tensor, severity: torch.Tensor
    ) -> TeamWorld:
        """States in which episodes start; ``truth`` and they have leaves (count, drones), the load's (count, 1).

        ``severity`` (count, 1): 0 for a calm start, up to 1.
        """
        ...

    def move(self, path: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """Path one control step later; on component tensors."""
        ...

    def command(self, path: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        """The policy's command on a path; on component tensors."""
        ...

    def score(
        self,
        world: TeamWorld,
        truth: TeamParams,
        path: tuple[Scalar, ...],
        actions: Actions,
        episode: Any,
        tick_s: float,
    ) -> TeamScore:
        """Value of the last control step; on component tensors."""
        ...

    def remember(
        self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, tick_s: float
    ) -> torch.Tensor:
        """A policy's memory (n, MEMORY) after one more tick; ``actions`` as of :meth:`observe`. Exported."""
        ...

    def guidance(self, inputs: TeamInputs, memory: torch.Tensor) -> torch.Tensor:
        """What a law says of the action, (n, :data:`~corvids.envs.mdp.accbr_action.GUIDANCE`); exported."""
        ...

    def observe(
        self, inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, guidance: torch.Tensor
    ) -> torch.Tensor:
        """The actor's observation (n, features); ``actions`` are the past ones, flat, newest first. Exported."""
        ...
