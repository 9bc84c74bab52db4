"""Keep a ball in the air with a racket: to a commanded apex, over a commanded place, both changeable in flight."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch

from corvids.controllers.spatial import Scalar, Vec3, smaller
from corvids.envs.actions import ACTIONS, CtbrAction
from corvids.envs.ball import rise_m
from corvids.envs.ball_features import descent, fallen, launch_speed, rise
from corvids.envs.features import GRAVITY_MPS2, Motion, carried_on, guidance, into_body, scaled
from corvids.envs.mirrors import CTBR, MATRIX, SAME, SPIN, VECTOR, Signs
from corvids.envs.randomization import Draws
from corvids.envs.starts import hovering_near, place_near, thrown_over
from corvids.envs.task import PolicyInputs, Score
from corvids.envs.world import World, WorldParams
from corvids.vehicle import Vehicle

RISE_MIN_M = 0.3
"""A hit counts if the ball's centre then rises this far above the point of impact."""
APEX_M = 0.6
"""The usual command."""
APEX_RANGE_M = (0.35, 1.5)
"""All commands."""
PLACE_HEIGHT_M = 1.05
"""Height about which the first place of an episode is drawn."""
PLACE_STEP_M = 0.35
"""Largest change of the commanded place along each axis."""
INTERVAL_MIN_S = 0.3
"""Hits closer together are dribbling, and cost."""
HEIGHT_MIN_M = 0.15
"""Below this the vehicle has crashed."""
USUAL_S = 0.7
"""Time between hits at the usual apex."""
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
        place, apex = Vec3(*command[:3]), command[3]
        impact, body, ball = world.impact, world.body, world.ball
        hit = impact.racket_count > 0.0
        vel = impact.vel_after_w
        up = torch.relu(vel.z)
        rise = rise_m(up, params.ball.drag_per_m)
        back_s = up * (2.0 / GRAVITY_MPS2)
        miss = Vec3(impact.pos_w.x + vel.x * back_s - place.x, impact.pos_w.y + vel.y * back_s - place.y, 0.0)
        off = body.pos_w - place
        counted = hit & (rise >= RISE_MIN_M) & (episode.since_hit_s >= INTERVAL_MIN_S)
        apex_error = (rise - apex) / apex
        missed_m, off_m = miss.norm(), off.norm()
        quality = (
            0.6 * torch.exp(-(apex_error * apex_error) * 60.0)
            + 0.8 * (1.0 - smaller(torch.abs(apex_error), 1.0))
            + 0.5 * torch.exp(-(missed_m * missed_m) * 40.0)
            + 0.3 * (1.0 - smaller(missed_m, 1.0))
            + 0.3 * torch.exp(-(off_m * off_m) * 40.0)
            - 0.2 * impact.offset_m / params.racket.radius_m
        )
        # A touch that only keeps the ball up is worth little; touching again at once is dribbling.
        dribbled = hit & (episode.since_hit_s < INTERVAL_MIN_S)
        kept_up = smaller(rise, RISE_MIN_M) - 0.3 * smaller(missed_m, 4.0)
        # A hit is worth the time that it buys, but no more than was asked for: else many low hits beat a few high ones.
        wanted_s = torch.sqrt(apex * (8.0 / GRAVITY_MPS2))
        worth = quality * torch.minimum(back_s, wanted_s) / USUAL_S
        event = torch.where(hit, kept_up, 0.0) + torch.where(counted, worth, torch.where(dribbled, -1.0, 0.0))

        over = ball.pos_w - body.pos_w
        above = over.z - self._reach_m
        until_s = (
            ball.vel_w.z + torch.sqrt(ball.vel_w.z * ball.vel_w.z + 2.0 * GRAVITY_MPS2 * torch.relu(above))
        ) * (1.0 / GRAVITY_MPS2)
        closing = ball.vel_w - body.vel_w
        passing = Vec3(over.x + closing.x * until_s, over.y + closing.y * until_s, 0.0)
        approach_m = torch.where(ball.vel_w.z < 0.0, smaller(passing.norm(), 1.0), 0.0)
        ball_off = Vec3(ball.pos_w.x - place.x, ball.pos_w.y - place.y, 0.0).norm()
        running = (
            1.0
            - 2.0 * smaller(off_m, 1.0)
            - 0.4 * smaller(ball_off, 1.5)
            - 4.0 * approach_m
            - 0.5 * torch.abs(body.quat_wb.yaw())
            - 0.008 * body.omega_b.norm2()
        )
        crashed = (body.quat_wb.body_z().z < 0.0) | (body.pos_w.z < HEIGHT_MIN_M)
        failed = (above < -0.3) | (above > 4.0) | (ball_off > 5.0) | (off_m > 4.0) | crashed
        # The nearer the ball was lost, the better: else nothing is learned from balls that are never reached. Not so in
        # a crash: else falling along with the ball, which is never lost so, is where learning stays.
        lost_m = torch.where(crashed, 0.6, smaller(Vec3(over.x, over.y, 0.0).norm(), 0.6))
        loss = 3.0 + 6.0 * lost_m
        reward = event + tick_s * running - torch.where(failed, loss, 0.0)
        since_hit_s = torch.where(hit, tick_s, episode.since_hit_s + tick_s)
        return Score(reward, failed, Episode(since_hit_s, episode.hits + torch.where(counted, 1.0, 0.0)))

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
