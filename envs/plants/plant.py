"""Simulated vehicles as the runtime meets real ones: a clock, messages that come late, and a place to send commands.

The runtime in ``deploy/`` defines what it needs of a plant; this class fits it by structure. Many trials fly at once,
one per world of the engine, so that a thousand can be judged together and one can be flown as if it were real.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from corvids.envs.engines.engine import Array, Engine
from corvids.envs.plants.conditions import Trials
from corvids.envs.plants.hits import Judge
from corvids.envs.plants.recording import Watcher
from corvids.envs.sensors.instruments import BallSensor, VehicleSensor
from corvids.errors import CorvidsError
from corvids.vehicle import GRAVITY_MPS2


class Readings(NamedTuple):
    """What has arrived. Frames: world ENU, body FLU."""

    stamp_s: Array
    """When the vehicle's state was sampled, (worlds,)."""
    pos_w: Array
    """[m], (worlds, 3)."""
    vel_w: Array
    """[m/s], (worlds, 3)."""
    quat_wb: Array
    """Rotates body into world, scalar first, (worlds, 4)."""
    omega_b: Array
    """[rad/s], (worlds, 3)."""
    ball_stamp_s: Array
    """When the ball was sampled, (worlds, most), oldest first; NaN where a world has fewer."""
    ball_pos_w: Array
    """Ball's centre [m], (worlds, most, 3)."""


class Plant:
    """``engine`` under ``trials``, judged by ``referee``; sensor noise is drawn from ``seed``.

    A command takes effect ``command_latency_s`` after it was sent. Until the first does, the vehicle is commanded to
    hover. Trials that are over are no longer simulated, and when all are, only the clock goes on.
    """

    def __init__(
        self,
        engine: Engine,
        trials: Trials,
        *,
        seed: int,
        referee: Judge | None = None,
        command_latency_s: float = 0.0,
        recorder: Watcher | None = None,
    ) -> None:
        if not 0.0 <= command_latency_s < 1.0:
            raise CorvidsError(f"command latency {command_latency_s} s is out of range; allowed: 0 to 1 s")
        self._engine, self._referee, self._recorder = engine, referee, recorder
        self._latency_ticks = round(command_latency_s / engine.dt_s)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        engine.reset(trials.start, trials.params)
        self._state = engine.state
        self._clock_error_s = trials.sensors.clock_error_s
        self._vehicle_sensor = VehicleSensor(trials.sensors, trials.start, rng)
        self._ball_sensor = BallSensor(trials.sensors, trials.start, rng)
        self._ticks = 0
        self._thrust_n = trials.params.vehicle.mass_kg * GRAVITY_MPS2
        self._rate_b_radps = np.zeros((engine.worlds, 3))
        self._commands: deque[tuple[int, Array, Array]] = deque()
        self._record()

    @property
    def now_s(self) -> float:
        """The plant's clock [s]."""
        return self._ticks * self._engine.dt_s

    def receive(self, until_s: float) -> Readings:
        """Let time pass until ``until_s`` [s, plant's clock] and return what has arrived by then.

        The vehicle's state is the newest that has; of the ball, every measurement since the last call.
        """
        until = round(until_s / self._engine.dt_s)
        while self._ticks < until:
            if self._referee is not None and self._referee.done.all():
                self._ticks = until
            else:
                self._advance()
        now_s = self.now_s
        stamp_s, rows = self._vehicle_sensor.queue.newest(now_s)
        ball_stamp_s, ball_pos_w = self._ball_sensor.queue.fetch(now_s)
        error_s = self._clock_error_s
        return Readings(
            stamp_s + error_s,
            *(rows[:, part] for part in (slice(0, 3), slice(3, 6), slice(6, 10), slice(10, 13))),
            ball_stamp_s=ball_stamp_s + error_s[:, None],
            ball_pos_w=ball_pos_w,
        )

    def send(self, thrust_n: Array, rate_b_radps: Array) -> None:
        """Command collective thrust [N], (worlds,), and body rates [rad/s], (worlds, 3), from now on."""
        worlds = self._engine.worlds
        thrust_n, rate_b_radps = np.asarray(thrust_n, np.float64), np.asarray(rate_b_radps, np.float64)
        for name, value, shape in (
            ("thrust", thrust_n, (worlds,)),
            ("body rates", rate_b_radps, (worlds, 3)),
        ):
            if value.shape != shape:
                raise CorvidsError(f"commanded {name} of shape {value.shape}: must be {shape}")
            live = slice(None) if self._referee is None else ~self._referee.done
            if not np.isfinite(value[live]).all():
                raise CorvidsError(f"commanded {name} at {self.now_s:.3f} s: not a finite number")
        self._commands.append((self._ticks + self._latency_ticks, thrust_n.copy(), rate_b_radps.copy()))

    def _advance(self) -> None:
        """One tick."""
        while self._commands and self._commands[0][0] <= self._ticks:
            _, self._thrust_n, self._rate_b_radps = self._commands.popleft()
        engine, start_s, before = self._engine, self.now_s, self._state
        engine.step(self._thrust_n, self._rate_b_radps)
        self._ticks += 1
        self._state = after = engine.state
        self._vehicle_sensor.observe(before, after, start_s, self.now_s)
        self._ball_sensor.observe(before, after, start_s, self.now_s)
        if self._referee is not None:
            ended = self._referee.judge(self.now_s, after, engine.contacts)
            if ended.any():
                engine.retire(ended)
        self._record()

    def _record(self) -> None:
        if self._recorder is not None:
            hits = np.zeros(self._engine.worlds, np.int64) if self._referee is None else self._referee.hits
            self._recorder.watch(self.now_s, self._state, hits)
