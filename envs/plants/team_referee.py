"""Judges trials of carrying by the truth: how far the load was from its goal, what came too close, what crashed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from corvids.controllers.spatial import Vec3
from corvids.envs.engines.engine import Array
from corvids.envs.engines.team_engine import Bodies, TeamState, columns
from corvids.envs.physics.separations import from_line
from corvids.envs.plants.team_conditions import TeamTrials
from corvids.envs.plants.team_goals import pose_at, quaternions, rotations_between

LOW_M = 0.1
"""Load or live member below this height: a crash. The load's height counts once it has been above twice that."""
CLOSE_M = 0.35
"""Live members closer than this: a crash."""
CABLE_CLOSE_M = 0.1
"""A live member this close to another's cable: a crash."""
FAR_M = 5.0
"""Load or live member further than this from the goal: a crash."""
LOOK_S = 0.01
"""Time between looks."""


class TeamVerdict(NamedTuple):
    """What became of every trial; the time axis ends where the longest trial does."""

    time_s: Array
    """(looks,)."""
    pos_error_m: Array
    """Distance of the load's pose point from its goal, (looks, trials); NaN after the end."""
    att_error_rad: Array
    """Angle of its attitude from that of the goal, (looks, trials)."""
    load_pos_w: Array
    """Pose point of the first trial's load [m], (looks, 3)."""
    goal_pos_w: Array
    """And where it was wanted, (looks, 3)."""
    members_pos_w: Array
    """Members of the first trial [m], (looks, members, 3)."""
    load_quat_wb: Array
    """Attitude of the first trial's load, (looks, 4)."""
    goal_quat_wb: Array
    """And the one wanted, (looks, 4)."""
    members_quat_wb: Array
    """Attitudes of its members, (looks, members, 4)."""
    tension_n: Array
    """Tensions in the first trial, (looks, members)."""
    tension_max_n: Array
    """Largest tension of any cable, (trials,)."""
    members_m: Array
    """Least distance of two live members, (trials,)."""
    cable_m: Array
    """Least distance of a live member from another's cable, (trials,)."""
    seconds: Array
    """How long each trial lasted, (trials,)."""
    end: list[str]
    """``time`` or ``crashed: why``."""


class TeamReferee:
    """Watches ``trials``; each ends at its crash or after ``seconds`` (trials,)."""

    def __init__(self, trials: TeamTrials, seconds: Array) -> None:
        self._trials, self._limit_s = trials, seconds
        worlds, members = trials.chosen.shape
        self.done: NDArray[np.bool_] = np.zeros(worlds, dtype=bool)
        """Trials that are over, (trials,)."""
        self.may_land = False
        """Whether loads and members may come down from now on, so that distances from the goal do not count."""
        self._end = ["time"] * worlds
        self._seconds = np.zeros(worlds)
        self._has_risen = trials.start.load.pos_w[:, 2] > 2.0 * LOW_M
        self._pairs = [(i, j) for i in range(members) for j in range(members) if i != j]
        self._tension_max = np.zeros(worlds)
        self._members_m, self._cable_m = np.full(worlds, np.inf), np.full(worlds, np.inf)
        self._looks: list[tuple[float | Array, ...]] = []
        cable = trials.params.drones.cable
        self._above_b, self._below_b = columns(cable.drone_point_b), columns(cable.load_point_b)

    def look(self, now_s: float, state: TeamState) -> None:
        """Take in the truth at ``now_s`` [s]."""
        trials, (worlds, members) = self._trials, self._trials.chosen.shape
        pose = pose_at(trials.goals, now_s)
        place = state.load.pos_w + rotated(state.load.quat_wb, trials.pose_point_b_m)
        off_m = np.linalg.norm(place - pose[:, :3], axis=1)
        wanted = quaternions(pose[:, 3:])
        off_rad = np.linalg.norm(rotations_between(state.load.quat_wb, wanted), axis=1)
        live = ~(trials.chosen & (now_s >= trials.loss_s)[:, None])
        pos_w = state.drones.pos_w.reshape(worlds, members, 3)
        tension_n = state.tension_n.reshape(worlds, members)
        members_m, cable_m = self._separations(state, live, now_s)
        going = ~self.done
        for kept, new in ((self._members_m, members_m), (self._cable_m, cable_m)):
            kept[going] = np.minimum(kept, new)[going]
        self._tension_max[going] = np.maximum(self._tension_max, tension_n.max(1))[going]
        self._has_risen |= place[:, 2] > 2.0 * LOW_M
        upright = rotated(state.drones.quat_wb, np.array([[0.0, 0.0, 1.0]]))[:, 2].reshape(worlds, members)
        away = np.linalg.norm(pos_w - pose[:, None, :3], axis=2)
        unwell = ~np.isfinite(off_m + pos_w.sum((1, 2)))
        faults = {
            "load low": (place[:, 2] < LOW_M) & self._has_risen & (not self.may_land),
            "member low": (live & (pos_w[:, :, 2] < LOW_M)).any(1) & (not self.may_land),
            "members close": members_m < CLOSE_M,
            "cable close": cable_m < CABLE_CLOSE_M,
            "tilted": (live & (upright < 0.0)).any(1),
            "far": (off_m > FAR_M) | (live & (away > FAR_M)).any(1) | unwell,
        }
        turned = (state.load.quat_wb[0].copy(), wanted[0], state.drones.quat_wb[:members].copy())
        first = (place[0], pose[0, :3], pos_w[0].copy(), *turned, tension_n[0].copy())
        counts = going & (not self.may_land)
        off = (np.where(counts, off_m, np.nan), np.where(counts, off_rad, np.nan))
        self._looks.append((now_s, *off, *first))
        for why, fault in faults.items():
            for trial in np.flatnonzero(fault & ~self.done):
                self._end[trial] = f"crashed: {why}"
                self._seconds[trial], self.done[trial] = now_s, True
        timed_out = (now_s >= self._limit_s - 1e-9) & ~self.done
        self._seconds[timed_out] = now_s
        self.done |= timed_out

    def finish(self, now_s: float) -> None:
        """End the trials that go on, at ``now_s`` [s]: as if their time were up."""
        self._seconds[~self.done] = now_s
        self.done[:] = True

    def _separations(self, state: TeamState, live: NDArray[np.bool_], now_s: float) -> tuple[Array, Array]:
        """Least distances of two live members, and of a live one from another's cable, (worlds,)."""
        worlds, members = live.shape
        cut = (now_s >= self._trials.loss_s)[:, None] & self._trials.chosen
        cut &= self._trials.is_cut
        pos_w = state.drones.pos_w.reshape(worlds, members, 3)
        end = (state.drones.pos_w + rotated(state.drones.quat_wb, self._above_b)).reshape(pos_w.shape)
        load = Bodies(*(np.repeat(part, members, axis=0) for part in state.load))
        start = (load.pos_w + rotated(load.quat_wb, self._below_b)).reshape(pos_w.shape)
        near, near_cable = np.full(worlds, np.inf), np.full(worlds, np.inf)
        for i, j in self._pairs:
            both = live[:, i] & live[:, j]
            apart = np.linalg.norm(pos_w[:, i] - pos_w[:, j], axis=1)
            near = np.minimum(near, np.where(both, apart, np.inf))
            parts = (pos_w[:, i], start[:, j], end[:, j] - start[:, j])
            apart = from_line(*(Vec3(*torch.from_numpy(part).unbind(1)) for part in parts)).numpy()
            near_cable = np.minimum(near_cable, np.where(live[:, i] & ~cut[:, j], apart, np.inf))
        return near, near_cable

    @property
    def verdict(self) -> TeamVerdict:
        """Everything so far."""
        time_s, off_m, off_rad, load, goal, members, load_quat, goal_quat, quats, tension = (
            np.array(column) for column in zip(*self._looks, strict=True)
        )
        return TeamVerdict(
            time_s, off_m, off_rad, load, goal, members, load_quat, goal_quat, quats, tension, self._tension_max,
            self._members_m, self._cable_m, self._seconds, self._end,
        )  # fmt: skip


def rotated(quat_wb: Array, vector_b: Array) -> Array:
    """``vector_b`` (n, 3) by attitudes (n, 4)."""
    u = quat_wb[:, 1:]
    t = 2.0 * np.cross(u, vector_b)
    return vector_b + quat_wb[:, :1] * t + np.cross(u, t)
