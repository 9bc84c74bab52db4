"""What the policy gets to see: sampled, late, noisy signals, and the ball through the filter that will fly.

Every signal is sampled at its own rate and phase and arrives after its own delay. Since a delay is constant within an
episode, the newest sample that has arrived at a control tick is the truth at one moment of the past, read from the
simulator's history: the same as a queue of messages, without the queue. Its age goes from tick to tick by a recursion.

Stamps are part of a signal: motion capture and PX4 both say when a sample was taken, so a policy is told the age of
what it sees, up to the error of the clocks (``clock_error_s``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL, BallEstimate, BallFilterConfig, ball_filter
from corvids.controllers.spatial import Quat, Scalar, Vec3, where
from corvids.envs.compiled.tile_functions import TracedHistory

BALL_SLOTS = 3
"""Most ball measurements that are taken in at one control tick (120 Hz over 50 Hz gives two or three)."""
NOISE_ROWS = 12 + 4 * BALL_SLOTS
"""Standard normal numbers that one call of :func:`sense` uses for each world."""


class SensorParams(NamedTuple):
    """Sensors of a world, drawn per episode."""

    vehicle_delay_s: Scalar
    vehicle_period_s: Scalar
    ball_delay_s: Scalar
    ball_period_s: Scalar
    clock_error_s: Scalar
    """Reported age minus true age, the same for all signals."""
    drop_quantile: Scalar
    """A ball measurement is lost where a standard normal number lies below this."""
    pos_std_m: Scalar
    vel_std_mps: Scalar
    attitude_std_rad: Scalar
    rate_std_radps: Scalar
    ball_std_m: Scalar


class SensorState(NamedTuple):
    """Memory of the sensors."""

    vehicle_age_s: Scalar
    """True age of the newest vehicle sample that has arrived."""
    ball_age_s: Scalar
    """True age of the newest ball sample that has arrived, lost or not."""
    estimate_age_s: Scalar
    """Reported age of the ball estimate."""
    estimate: BallEstimate
    since_start_s: Scalar
    """Time since the episode began. Before, the vehicle stood as it did then, and a hand carried the ball evenly."""
    hand_vel_w: Vec3
    """Velocity of that hand: the one with which the ball was let go."""


class Signals(NamedTuple):
    """What the policy is given at a control tick."""

    pos_w: Vec3
    vel_w: Vec3
    quat_wb: Quat
    omega_b: Vec3
    vehicle_age_s: Scalar
    ball_pos_w: Vec3
    ball_vel_w: Vec3
    ball_age_s: Scalar


class Past:
    """Linear interpolation of the history at an age that differs from world to world."""

    def __init__(
        self,
        history: torch.Tensor | TracedHistory,
        newest: torch.Tensor,
        sample_s: float,
        age_s: torch.Tensor,
        since_s: torch.Tensor | None = None,
    ) -> None:
        """Of before the history's beginning, ``since_s`` ago, it is what was seen then."""
        back = age_s * (1.0 / sample_s)
        if since_s is not None:
            back = torch.minimum(back, torch.floor(since_s * (1.0 / sample_s) + 0.5))
        is_traced = isinstance(history, TracedHistory)  # then compiled code looks back by itself
        self._row = history.past(back) if is_traced else _seen(history, newest, back)

    def row(self, index: int) -> Any:
        """Row ``index`` of what sensors see, of the age's shape: ``(rows, drones)``."""
        return self._row(index)

    def vec3(self, first: int) -> Vec3:
        """Three rows from ``first``."""
        return Vec3(*(self.row(first + i) for i in range(3)))


def _seen(history: torch.Tensor, newest: torch.Tensor, back: torch.Tensor) -> Callable[[int], torch.Tensor]:
    whole = torch.floor(back)
    share = back - whole
    slots, _, rows, drones = history.shape
    late = torch.remainder(newest - whole.to(torch.int64), slots)
    early = torch.remainder(late - 1, slots)
    worlds = torch.arange(rows, device=history.device).reshape(-1, 1)
    columns = torch.arange(drones, device=history.device).reshape(1, -1)

    def row(index: int) -> torch.Tensor:
        newer, older = history[late, index, worlds, columns], history[early, index, worlds, columns]
        return newer + (older - newer) * share

    return row


def sense(
    history: torch.Tensor | TracedHistory,
    newest: torch.Tensor,
    sample_s: float,
    tick_s: float,
    params: SensorParams,
    state: SensorState,
    noise: torch.Tensor,
    filter_config: BallFilterConfig,
    with_ball: bool = True,
) -> tuple[SensorState, Signals]:
    """Signals at a control tick ``tick_s`` [s] after the last one.

    ``history``: ring ``(slots, 16, rows, 1)`` spaced by ``sample_s`` [s], ``newest`` its newest slot; ``noise``:
    standard normal, ``(NOISE_ROWS, rows, 1)``.
    """
    white = iter(noise.unbind(0))

    def shake(v: Vec3, std: Scalar) -> Vec3:
        return Vec3(*(component + std * next(white) for component in v))

    age = aged(state.vehicle_age_s, tick_s, params.vehicle_delay_s, params.vehicle_period_s)[0]
    since_start = state.since_start_s + tick_s
    past = Past(history, newest, sample_s, age, since_start)
    ball_age, looks = state.ball_age_s, []
    if with_ball:
        ball_age, arrived = aged(state.ball_age_s, tick_s, params.ball_delay_s, params.ball_period_s)
        # All places to be looked at, before the first is: time for the memory to bring them.
        for slot in range(BALL_SLOTS):
            # Newest last: slot k is the sample (arrived - 1 - k) periods before the newest one.
            behind = arrived - 1.0 - slot
            sample_age = ball_age + torch.relu(behind) * params.ball_period_s
            looks.append((behind, sample_age, Past(history, newest, sample_s, sample_age, since_start)))
    tilt = Vec3(*(params.attitude_std_rad * next(white) for _ in range(3)))
    quat = Quat(*(past.row(6 + i) for i in range(4))).normalized().turned(tilt)
    vehicle = (
        shake(past.vec3(0), params.pos_std_m),
        shake(past.vec3(3), params.vel_std_mps),
        quat,
        shake(past.vec3(10), params.rate_std_radps),
        age + params.clock_error_s,
    )
    if not with_ball:
        nothing = Vec3(*(torch.zeros_like(age),) * 3)
        return state._replace(vehicle_age_s=age, since_start_s=since_start), Signals(
            *vehicle, nothing, nothing, torch.zeros_like(age)
        )

    estimate, estimate_age = state.estimate, state.estimate_age_s + tick_s
    for behind, sample_age, look in looks:
        seen = look.vec3(13)
        held = state.hand_vel_w * torch.relu(sample_age - since_start)
        measured = shake(seen - held, params.ball_std_m)
        taken = (behind >= 0.0) & (next(white) > params.drop_quantile)
        reported = sample_age + params.clock_error_s
        # As the runtime's tracker has it, no time has passed before the first measurement.
        is_first = estimate.pos_var >= UNKNOWN_BALL.pos_var
        elapsed = torch.where(is_first, 0.0, estimate_age - reported)
        updated = ball_filter(estimate, measured, elapsed, filter_config)
        estimate = _choose(taken, updated, estimate)
        estimate_age = torch.where(taken, reported, estimate_age)
    return (
        SensorState(age, ball_age, estimate_age, estimate, since_start, state.hand_vel_w),
        Signals(*vehicle, estimate.pos_w, estimate.vel_w, estimate_age),
    )


def aged(age_s: Scalar, tick_s: float, delay_s: Scalar, period_s: Scalar) -> tuple[Scalar, Scalar]:
    """True age of the newest sample that has arrived after another tick, and how many have arrived meanwhile."""
    older = age_s + tick_s
    arrived = torch.floor((older - delay_s) / period_s)
    return older - arrived * period_s, arrived


def _choose(mask: torch.Tensor, a: BallEstimate, b: BallEstimate) -> BallEstimate:
    return BallEstimate(
        where(mask, a.pos_w, b.pos_w),
        where(mask, a.vel_w, b.vel_w),
        *(torch.where(mask, one, other) for one, other in zip(a[2:], b[2:], strict=True)),  # type: ignore[arg-type]
    )
