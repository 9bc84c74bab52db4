"""Hold a commanded position, from any start: tilted, tumbling, moving."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, smaller
from corvids.envs.episodes.randomization import Draws
from corvids.envs.episodes.starts import hovering_near, place_near
from corvids.envs.mdp.features import rotation_matrix, turned
from corvids.envs.mdp.mirrors import CTBR, MATRIX, SAME, SPIN, VECTOR, Signs
from corvids.envs.mdp.task import PolicyInputs, Score
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import Vehicle

MEMORY_S = 2.0
"""Time constant of the running mean of the position error."""
SETTLED_S = 2.0
"""Time after which the position error counts for the logged figure."""


class Episode(NamedTuple):
    """What is remembered of an episode."""

    time_s: Scalar
    error_m: Scalar
    """Running mean (1 s) of the distance to the commanded position, from :data:`SETTLED_S` on."""


class Hover:
    """Command: position [m, world]."""

    NAME: ClassVar[str] = "hover"
    COMMAND: ClassVar[tuple[str, ...]] = ("place_x_w_m", "place_y_w_m", "place_z_w_m")
    MEMORY: ClassVar[int] = 3
    PATH: ClassVar[int] = 0
    WITH_BALL: ClassVar[bool] = False
    EPISODE: ClassVar[Episode] = Episode(0.0, 0.0)
    MIRRORS: ClassVar[tuple[Signs, ...]] = (
        *VECTOR, *VECTOR, *MATRIX, *SPIN, SAME, *VECTOR, *CTBR, *CTBR, *CTBR,
    )  # fmt: skip
    METRICS: ClassVar[tuple[str, ...]] = ("error_m",)

    def __init__(self, vehicle: Vehicle) -> None:
        self._hover = math.sqrt(1.0 / vehicle.thrust_to_weight)

    def draw_command(self, draws: Draws, last: torch.Tensor | None, count: int) -> torch.Tensor:
        """A position within a metre of the last one, well above the ground."""
        return place_near(draws, last, count, step_m=1.0, height_m=3.0, heights_m=(2.0, 4.0))

    def draw_start(
        self, draws: Draws, params: WorldParams, command: torch.Tensor, severity: torch.Tensor
    ) -> World:
        """Calm starts are near the place; bad ones tilt up to 70°, tumble and move."""
        return hovering_near(
            draws, command[:3], self._hover, severity.clamp(min=0.1),
            pos_m=1.0, vel_mps=2.0, tilt_rad=1.2, rate_radps=3.0,
        )  # fmt: skip

    def move(self, command: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """A command stands until the next one."""
        return command

    def score(
        self, world: World, params: WorldParams, command: tuple[Scalar, ...], episode: Episode, tick_s: float
    ) -> Score:
        """Rewards being close, upright ahead and calm."""
        body = world.body
        off = body.pos_w - Vec3(*command[:3])
        distance, upright = off.norm(), body.quat_wb.body_z().z
        running = (
            1.0
            - 0.4 * smaller(distance, 2.0)
            + 0.6 * torch.exp(-(distance * 8.0))
            - 0.3 * torch.abs(body.quat_wb.yaw())
            - 0.03 * body.omega_b.norm2()
            - 0.05 * smaller(body.vel_w.norm(), 3.0)
        )
        failed = (distance > 4.0) | (upright < -0.5) | (body.pos_w.z < 0.3)
        time_s = episode.time_s + tick_s
        share = torch.where(time_s > SETTLED_S, tick_s, 0.0)
        mean = episode.error_m + (distance - episode.error_m) * share
        return Score(tick_s * running - torch.where(failed, 2.0, 0.0), failed, Episode(time_s, mean))

    def remember(self, inputs: PolicyInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
        """Running mean of the position error."""
        error = (inputs.command[:, :3] - inputs.pos_w).clamp(-0.5, 0.5)
        return memory + (error - memory) * (tick_s / MEMORY_S)

    def observe(self, inputs: PolicyInputs, memory: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Position error, velocity, attitude and rates, brought to the present by their age."""
        pos = inputs.pos_w + inputs.vel_w * inputs.vehicle_age_s
        quat = turned(inputs.quat_wb, inputs.omega_b * inputs.vehicle_age_s)
        return torch.cat(
            (
                (inputs.command[:, :3] - pos).clamp(-2.0, 2.0),
                inputs.vel_w * 0.5,
                rotation_matrix(quat),
                inputs.omega_b * 0.3,
                inputs.vehicle_age_s * 20.0,
                memory * 4.0,
                actions,
            ),
            dim=-1,
        )
