"""What a task is: the part of an environment that differs between juggling, hovering and tracking.

A task says how commands are drawn, how episodes start, what the policy observes, and what is good. The environment
(``envs/environment.py``) does the rest. Two kinds of code live in a task: functions on component tensors of shape
``(rows, 1)``, compiled into the simulator's kernels, and functions on feature tensors of shape ``(n, features)``,
which are also exported into the policy file.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import torch

from corvids.controllers.spatial import Scalar
from corvids.envs.episodes.randomization import Draws
from corvids.envs.mdp.mirrors import Signs
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import Vehicle


class PolicyInputs(NamedTuple):
    """What a policy is given at a control tick, as the policy file names it. Shapes ``(n, ·)``, SI, world ENU."""

    pos_w: torch.Tensor
    """Vehicle position [m], (n, 3)."""
    vel_w: torch.Tensor
    """Vehicle velocity [m/s], (n, 3)."""
    quat_wb: torch.Tensor
    """Attitude, rotates body (FLU) into world, scalar first, (n, 4)."""
    omega_b: torch.Tensor
    """Body rates [rad/s], (n, 3)."""
    vehicle_age_s: torch.Tensor
    """Age of the four above [s], (n, 1)."""
    ball_pos_w: torch.Tensor
    """Ball estimate [m], (n, 3)."""
    ball_vel_w: torch.Tensor
    """Ball estimate [m/s], (n, 3)."""
    ball_age_s: torch.Tensor
    """Age of the ball estimate [s], (n, 1)."""
    command: torch.Tensor
    """Task command, (n, c): see the task's ``COMMAND``."""


class Score(NamedTuple):
    """What one control step was worth."""

    reward: Scalar
    failed: Scalar
    """Whether the episode ends here, as a failure."""
    episode: Any
    """The task's memory of the episode, a named tuple."""


class Task(Protocol):
    """One task. Methods on component tensors must be traceable by the compiler."""

    NAME: ClassVar[str]
    COMMAND: ClassVar[tuple[str, ...]]
    """Names of the command's components, with units."""
    MEMORY: ClassVar[int]
    """Numbers that the policy carries from tick to tick besides its past actions."""
    PATH: ClassVar[int]
    """Further rows behind the command's, for :meth:`move`; the policy does not see them."""
    WITH_BALL: ClassVar[bool]
    EPISODE: ClassVar[Any]
    """Initial memory of an episode: a named tuple of floats."""
    MIRRORS: ClassVar[tuple[Signs, ...]]
    """How each number of the observation changes in a mirror."""
    METRICS: ClassVar[tuple[str, ...]]
    """Fields of the episode's memory whose mean over finished episodes is logged."""

    def __init__(self, vehicle: Vehicle) -> None: ...

    def draw_command(self, draws: Draws, last: torch.Tensor | None, count: int) -> torch.Tensor:
        """Commands and path rows (c + PATH, count); ``last`` are those in force, or None at the start of an episode."""
        ...

    def draw_start(
        self, draws: Draws, params: WorldParams, command: torch.Tensor, severity: torch.Tensor
    ) -> World:
        """States in which episodes start; leaves (count,). ``severity`` (count,): 0 for a calm start, up to 1."""
        ...

    def move(self, command: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """Command and path rows one control step later; on component tensors."""
        ...

    def score(
        self, world: World, params: WorldParams, command: tuple[Scalar, ...], episode: Any, tick_s: float
    ) -> Score:
        """Value of the last control step; on component tensors."""
        ...

    def remember(self, inputs: PolicyInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
        """The policy's memory (n, MEMORY) after one more tick; exported."""
        ...

    def observe(self, inputs: PolicyInputs, memory: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """The actor's observation (n, features); ``actions`` are the past ones, flat, newest first. Exported."""
        ...
