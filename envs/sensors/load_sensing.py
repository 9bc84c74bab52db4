"""What a member of a team gets to see: its own state, and the load's pose through the filter that will fly.

Every drone receives the load's pose by itself: its own delay, phase and noise (see
:mod:`corvids.envs.sensors.sensing`). Components have shape ``(rows, drones)``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.load_filter import UNKNOWN_LOAD, LoadEstimate, LoadFilterConfig, load_filter
from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.sensors.sensing import Past, aged

LOAD_SLOTS = 2
"""Most poses of the load that are taken in at one control tick."""
LOAD_NOISE_ROWS = 6 * LOAD_SLOTS
"""Standard normal numbers that one call of :func:`sense_load` uses for each drone."""


class LoadSensorParams(NamedTuple):
    """How a drone receives the load's pose, drawn per episode."""

    delay_s: Scalar
    period_s: Scalar
    pos_std_m: Scalar
    attitude_std_rad: Scalar


class LoadSensorState(NamedTuple):
    """Memory of the reception."""

    age_s: Scalar
    """True age of the newest pose that has arrived."""
    estimate: LoadEstimate


LOAD_UNSEEN = LoadSensorState(0.0, UNKNOWN_LOAD)
"""Template."""


def sense_load(
    history: torch.Tensor,
    newest: torch.Tensor,
    sample_s: float,
    tick_s: float,
    pose_point_b_m: Vec3,
    params: LoadSensorParams,
    state: LoadSensorState,
    noise: torch.Tensor,
    config: LoadFilterConfig,
) -> LoadSensorState:
    """The estimate at a control tick ``tick_s`` [s] after the last one.

    ``history``: ring ``(slots, 13, rows, 1)`` of the load's body; ``noise``: ``(LOAD_NOISE_ROWS, rows, drones)``.
    """
    white = iter(noise.unbind(0))
    age, arrived = aged(state.age_s, tick_s, params.delay_s, params.period_s)
    estimate, estimate_age = state.estimate, state.age_s + tick_s
    for slot in range(LOAD_SLOTS):
        # Newest last: slot k is the sample (arrived - 1 - k) periods before the newest one.
        behind = torch.clamp(arrived, max=float(LOAD_SLOTS)) - 1.0 - slot
        sample_age = age + torch.relu(behind) * params.period_s
        past = Past(history, newest, sample_s, sample_age)
        tilt = Vec3(*(params.attitude_std_rad * next(white) for _ in range(3)))
        true = Quat(*(past.row(6 + i) for i in range(4))).normalized()
        shaken = Vec3(*(params.pos_std_m * next(white) for _ in range(3)))
        pos = past.vec3(0) + true.rotate(pose_point_b_m) + shaken
        updated = load_filter(estimate, pos, true.turned(tilt), estimate_age - sample_age, config)
        taken = behind >= 0.0
        estimate = _choose(taken, updated, estimate)
        estimate_age = torch.where(taken, sample_age, estimate_age)
    return LoadSensorState(age, estimate)


def _choose(mask: torch.Tensor, a: LoadEstimate, b: LoadEstimate) -> LoadEstimate:
    chosen = iter([torch.where(mask, one, other) for one, other in zip(leaves(a), leaves(b), strict=True)])
    return map_leaves(lambda _: next(chosen), a)
