"""Simulated teams as the runtime meets real ones: a plant with one row for every member of every world.

Every member has a clock, sensors and a link of its own. Between control ticks its accelerometer and its attitude are
there at every tick, as on an autopilot: exact, as policies train with.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array
from corvids.envs.engines.team_engine import Bodies, TeamEngine
from corvids.envs.plants.team_conditions import TeamTrials
from corvids.envs.plants.team_referee import LOOK_S, TeamReferee, rotated
from corvids.envs.sensors.instruments import Queue, VehicleSensor, turned

LATENCY_TICKS = 1
"""From an inner loop's order to the rate loop's: ticks."""


class TeamReadings(NamedTuple):
    """What has arrived, as a runtime wants it. Frames: world ENU, body FLU; rows are members."""

    stamp_s: Array
    """When a member's own state was sampled, (rows,)."""
    pos_w: Array
    """[m], (rows, 3)."""
    vel_w: Array
    """[m/s], (rows, 3)."""
    quat_wb: Array
    """Rotates body into world, scalar first, (rows, 4)."""
    omega_b: Array
    """[rad/s], (rows, 3)."""
    load_stamp_s: Array
    """When the load's pose was sampled, (rows, most), oldest first; NaN where a member has fewer."""
    load_pos_w: Array
    """Pose point [m], (rows, most, 3)."""
    load_quat_wb: Array
    """Load's attitude, (rows, most, 4)."""


class TeamPlant:
    """``engine`` under ``trials``, judged by ``referee``; sensor noise is drawn from ``seed``."""

    def __init__(self, engine: TeamEngine, trials: TeamTrials, *, seed: int, referee: TeamReferee) -> None:
        self._engine, self._trials, self._referee = engine, trials, referee
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        engine.reset(trials.start, trials.params, trials.thrust_n)
        self._state = engine.state
        self._own = VehicleSensor(trials.sensors, trials.start.drones, rng)
        self._load = LoadSensor(trials, rng)
        self._ticks = 0
        self._look_ticks = round(LOOK_S / engine.dt_s)
        self._order = (trials.thrust_n, np.zeros((len(trials.thrust_n), 3)))
        self._orders: deque[tuple[int, Array, Array]] = deque()
        self._is_lost = np.zeros(trials.chosen.size, dtype=bool)
        referee.look(0.0, self._state)

    @property
    def now_s(self) -> float:
        """The plant's clock [s]."""
        return self._ticks * self._engine.dt_s

    def imu(self, until_s: float) -> tuple[Array, Array]:
        """Let time pass until ``until_s``: members' specific force [m/s², FLU] (rows, 3) and attitude (rows, 4)."""
        self._pass(until_s)
        quat = self._state.drones.quat_wb
        inverse = quat * (1.0, -1.0, -1.0, -1.0)
        return rotated(inverse, self._state.specific_force_w), quat

    def receive(self, until_s: float) -> TeamReadings:
        """Let time pass until ``until_s`` [s, plant's clock] and return what has arrived by then."""
        self._pass(until_s)
        stamp_s, rows = self._own.queue.newest(self.now_s)
        load_stamp_s, pose = self._load.queue.fetch(self.now_s)
        pos_w, vel_w, quat_wb, omega_b = np.split(rows, (3, 6, 10), axis=1)
        return TeamReadings(
            stamp_s, pos_w, vel_w, quat_wb, omega_b, load_stamp_s, pose[..., :3], pose[..., 3:]
        )

    def send(self, thrust_n: Array, rate_b_radps: Array, /) -> None:
        """Command collective thrust [N], (rows,), and body rates [rad/s], (rows, 3), from the next tick on."""
        self._orders.append((self._ticks + LATENCY_TICKS, np.array(thrust_n), np.array(rate_b_radps)))

    def _pass(self, until_s: float) -> None:
        until = round(until_s / self._engine.dt_s)
        while self._ticks < until:
            if self._referee.done.all():
                self._ticks = until
            else:
                self._advance()

    def _advance(self) -> None:
        """One tick."""
        while self._orders and self._orders[0][0] <= self._ticks:
            self._order = self._orders.popleft()[1:]
        trials, engine, start_s, before = self._trials, self._engine, self.now_s, self._state
        lost = (trials.chosen & (start_s >= trials.loss_s)[:, None]).reshape(-1) & ~self._is_lost
        if lost.any():
            engine.lose(lost, lost & trials.is_cut)
            self._is_lost |= lost
        engine.step(*self._order)
        self._ticks += 1
        self._state = after = engine.state
        self._own.observe(before.drones, after.drones, start_s, self.now_s)
        self._load.observe(before.load, after.load, start_s, self.now_s)
        if self._ticks % self._look_ticks == 0:
            self._referee.look(self.now_s, after)


class LoadSensor:
    """The load's pose, as motion capture gives it to every member by itself."""

    def __init__(self, trials: TeamTrials, rng: np.random.Generator) -> None:
        self._trials, self._rng = trials, rng
        self._members = trials.chosen.shape[1]
        self.queue = Queue(trials.sensors.ball, 7, rng)
        everyone = np.arange(trials.chosen.size)
        truth = self._poses(trials.start.load)
        self.queue.backfill(np.stack([self._measured(everyone, truth) for _ in range(self.queue.depth)]))

    def observe(self, before: Bodies, after: Bodies, start_s: float, end_s: float) -> None:
        """Take the samples that fall into the tick from ``start_s`` to ``end_s``."""
        rows = self.queue.due(end_s)
        if len(rows):
            share = ((self.queue.stamps(rows) - start_s) / (end_s - start_s))[:, None]
            old, new = self._poses(before)[rows], self._poses(after)[rows]
            self.queue.put(rows, self._measured(rows, old + (new - old) * share))

    def _poses(self, load: Bodies) -> Array:
        """Pose point and attitude, one row a member, (rows, 7)."""
        place = load.pos_w + rotated(load.quat_wb, self._trials.pose_point_b_m)
        return np.repeat(np.concatenate((place, load.quat_wb), axis=1), self._members, axis=0)

    def _measured(self, rows: NDArray[np.int64], truth: Array) -> Array:
        trials, white = self._trials, self._rng.standard_normal((len(rows), 6))
        pos_w = truth[:, :3] + white[:, :3] * trials.sensors.ball_std_m[rows, None]
        tilt = white[:, 3:] * trials.load_attitude_std_rad[rows, None]
        return np.concatenate((pos_w, turned(truth[:, 3:], tilt)), axis=1)
