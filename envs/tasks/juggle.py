"""Keep a ball in the air with a racket: to a commanded apex, over a commanded place, both changeable in flight."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.episodes.randomization import Draws
from corvids.envs.episodes.starts import hovering_near, place_near, thrown_over
from corvids.envs.mdp.actions import ACTIONS, CtbrAction
from corvids.envs.mdp.ball_features import descent, fallen, launch_speed, rise
from corvids.envs.mdp.features import GRAVITY_MPS2, Motion, carried_on, guidance, into_body, scaled
from corvids.envs.mdp.juggle_rewards import between_hits, hits
from corvids.envs.mdp.mirrors import CTBR, MATRIX, SAME, SPIN, VECTOR, Signs
from corvids.envs.mdp.task import PolicyInputs, Score
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import Vehicle

APEX_M = 0.6
"""The usual command."""
APEX_RANGE_M = (0.35, 1.5)
"""All commands."""
PLACE_HEIGHT_M = 1.05
"""Height about which the first place of an episode is drawn."""
PLACE_STEP_M = 0.35
"""Largest change of the commanded place along each axis."""
MEMORY_S = 3.0
"""Time constant of the running means that let the policy remove what is constantly off (restitution, thrust)."""


class Episode(NamedTuple):
    """What is remembered of an episode."""

    since_hit_s: Scalar
    hits: Scalar


class Juggle:
    """Command: place of the vehicle [m, world] and apex of the ball's centre above the point of impact [m]."""

    NAME: ClassVar[str] = "juggle"
    COMMAND: ClassVar[tuple[str, ...]] = ("place_x_w_m", "place_y_w_m", "place_z_w_m", "apex_m")
    MEMORY: ClassVar[int] = 4
    PATH: ClassVar[int] = 0
    WITH_BALL: ClassVar[bool] = True
    EPISODE: ClassVar[Episode] = Episode(1.0, 0.0)
    MIRRORS: ClassVar[tuple[Signs, ...]] = (
        *VECTOR, SAME, *VECTOR, *MATRIX, *SPIN, *VECTOR, *VECTOR, SAME, *VECTOR[:2], *VECTOR[:2], *VECTOR[:2], *VECTOR,
        SAME, SAME, SAME, SAME, SAME, *VECTOR, *CTBR, *CTBR, *CTBR,
    )  # fmt: skip
    METRICS: ClassVar[tuple[str, ...]] = ("hits",)

    def __init__(self, vehicle: Vehicle) -> None:
        racket = vehicle.racket
        self._reach_m = (racket.position_b_m[2] if racket else 0.0) + 0.04
        self._hover = math.sqrt(1.0 / vehicle.thrust_to_weight)
        self._action, self._mass_kg = CtbrAction(vehicle), vehicle.body.mass_kg

    def draw_command(self, draws: Draws, last: torch.Tensor | None, count: int) -> torch.Tensor:
        """A new apex, and a place not far from the last one."""
        place = place_near(
            draws, last, count, step_m=PLACE_STEP_M, height_m=PLACE_HEIGHT_M, heights_m=(0.8, 2.5)
        )
        low, high = (APEX_M + draws.config.command_share * (bound - APEX_M) for bound in APEX_RANGE_M)
        return torch.cat((place, draws.uniform((low, high), 1, count)))

    def draw_start(
        self, draws: Draws, params: WorldParams, command: torch.Tensor, severity: torch.Tensor
    ) -> World:
        """Hovering near the place; the ball let go above the racket, or thrown at it, well or badly."""
        spread = draws.uniform((0.0, 1.0), command.shape[1])
        state = hovering_near(
            draws, command[:3], self._hover, spread, pos_m=0.15, vel_mps=0.3, tilt_rad=0.15, rate_radps=0.5
        )
        ball = thrown_over(
            draws, state.body.pos_w + Vec3(0.0, 0.0, self._reach_m), severity.clamp(min=0.15),
            aside_m=0.4, speed_mps=1.0, heights_m=(0.48, 1.3),
        )  # fmt: skip
        return state._replace(ball=ball)

    def move(self, command: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """A command stands until the next one."""
        return command

    def score(
        self, world: World, params: WorldParams, command: tuple[Scalar, ...], episode: Episode, tick_s: float
    ) -> Score:
        """Rewards hits that send the ball to the apex and back over the place; being there; being calm."""
        place, apex_m = Vec3(*command[:3]), command[3]
        hit = hits(world, params, place, apex_m, episode.since_hit_s)
        running, failed, loss = between_hits(world, place, self._reach_m)
        reward = hit.reward + tick_s * running - torch.where(failed, loss, 0.0)
        since_hit_s = torch.where(hit.is_hit, tick_s, episode.since_hit_s + tick_s)
        return Score(
            reward, failed, Episode(since_hit_s, episode.hits + torch.where(hit.is_counted, 1.0, 0.0))
        )

    def remember(self, inputs: PolicyInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
        """Running means of the ball's apex error and of the vehicle's place error."""
        place, apex = inputs.command.split((3, 1), dim=-1)
        top = inputs.ball_pos_w[:, 2:3] + rise(inputs.ball_vel_w[:, 2:3])
        low = place[:, 2:3] + (self._reach_m + apex)
        error = torch.cat((top - low, inputs.pos_w - place), dim=-1).clamp(-0.5, 0.5)
        return memory + (error - memory) * (tick_s / MEMORY_S)

    def observe(self, inputs: PolicyInputs, memory: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Everything brought to the present by its age; the ball also where it will come down to the racket."""
        place, apex = inputs.command.split((3, 1), dim=-1)
        thrust_n, rate_b_radps = self._action.command(actions[:, ACTIONS : 2 * ACTIONS])
        ages_s = torch.cat((inputs.vehicle_age_s, inputs.ball_age_s), dim=-1).clamp(-0.1, 0.5)
        vehicle_age_s, ball_age_s = ages_s.split((1, 1), dim=-1)
        seen = Motion(inputs.pos_w, inputs.vel_w, inputs.quat_wb, inputs.omega_b)
        pos, vel, matrix, omega = carried_on(seen, thrust_n / self._mass_kg, rate_b_radps, vehicle_age_s)
        ball, ball_vel = fallen(inputs.ball_pos_w, inputs.ball_vel_w, ball_age_s)
        face = torch.tensor((0.0, 0.0, self._reach_m), dtype=pos.dtype, device=pos.device)
        rel = ball - pos - face
        landing, landing_speed, until_s = descent(rel, ball_vel)
        drift = vel[:, :2]
        wanted = guidance(landing, drift, until_s)
        up = torch.full_like(apex, GRAVITY_MPS2)
        outgoing = launch_speed(apex.clamp(0.0, 3.0))
        off = (place - pos).clamp(-1.0, 1.0)
        return scaled(
            (2.0, off),
            (1.0, pos[:, 2:3].clamp(0.0, 1.5)),
            (1.0, vel),
            (1.0, matrix),
            (0.5, omega),
            (1.0, rel),
            (0.3, ball_vel),
            (2.0, until_s),
            (4.0, landing),
            (4.0, landing - drift * until_s),
            (2.0, landing - off[:, :2]),
            (0.1, into_body(matrix, torch.cat((wanted, up), dim=-1))),
            (0.5, landing_speed - outgoing),
            (0.3, outgoing),
            (20.0, ages_s),
            (4.0, memory),
            (1.0, actions),
        )
