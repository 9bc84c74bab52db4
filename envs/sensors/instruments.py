"""Sensors of a plant: samples that are taken on time, arrive late, and sometimes not at all.

This is deliberately not the sensing that policies train with (``envs/sensors/sensing.py``): there a signal is the truth
at an age; here it is a queue of messages, as it is on a vehicle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array, State

HORIZON_S = 0.25
"""How long a message may be under way or wait to be fetched before a newer one takes its place [s]."""


class Signal(NamedTuple):
    """How one signal is sampled and delivered in each world; arrays (worlds,)."""

    period_s: Array
    """Time between samples."""
    phase_s: Array
    """When the first sample is taken, 0..period."""
    delay_s: Array
    """From sample to arrival."""
    drop_rate: Array
    """Part of the samples that never arrive."""


class Sensors(NamedTuple):
    """All sensors of a plant; arrays (worlds,) unless said otherwise."""

    vehicle: Signal
    ball: Signal
    clock_error_s: Array
    """Added to every stamp."""
    pos_std_m: Array
    """Noise of the vehicle's position, each axis."""
    vel_std_mps: Array
    attitude_std_rad: Array
    """Noise of the attitude about each body axis."""
    rate_std_radps: Array
    ball_std_m: Array
    """Noise of the ball's position, each axis."""
    is_seen_held: Array
    """1 where the ball is seen before it is let go, 0 where only from then on."""
    pos_bias_w_m: Array
    """Error of the vehicle's position that stays, (worlds, 3)."""
    attitude_bias_b_rad: Array
    """Error of the attitude that stays, as a rotation vector, (worlds, 3)."""
    ball_bias_w_m: Array
    """Error of the ball's position that stays, (worlds, 3)."""


class Queue:
    """Messages of one signal under way, for each world.

    A ring of as many messages as fit in :data:`HORIZON_S`; what does not fit pushes out the oldest.
    """

    def __init__(self, signal: Signal, width: int, rng: np.random.Generator) -> None:
        worlds = len(signal.period_s)
        held_s = HORIZON_S + np.max(signal.delay_s)
        self._depth = int(np.ceil(held_s / np.min(signal.period_s))) + 1
        self._signal, self._rng = signal, rng
        self._has_drops = bool(np.any(signal.drop_rate > 0.0))
        self._due_s = signal.phase_s.copy()
        self._stamp_s = np.full((worlds, self._depth), np.nan)
        self._values = np.zeros((worlds, self._depth, width))
        self._written = np.zeros(worlds, dtype=np.int64)
        self._fetched_s = np.full(worlds, -np.inf)

    def due(self, until_s: float) -> NDArray[np.int64]:
        """Worlds in which a sample is taken up to ``until_s``; their times are :meth:`stamps`."""
        return np.flatnonzero(self._due_s <= until_s)

    def stamps(self, worlds: NDArray[np.int64]) -> Array:
        """When the next sample of these worlds is taken [s]."""
        return self._due_s[worlds]

    def put(self, worlds: NDArray[np.int64], values: Array) -> None:
        """Take the samples ``values`` (n, width) that are due in ``worlds`` (n,)."""
        stamps = self._due_s[worlds]
        self._due_s[worlds] = stamps + self._signal.period_s[worlds]
        if self._has_drops:
            kept = self._rng.random(len(worlds)) >= self._signal.drop_rate[worlds]
            worlds, values, stamps = worlds[kept], values[kept], stamps[kept]
        slot = self._written[worlds] % self._depth
        self._stamp_s[worlds, slot], self._values[worlds, slot] = stamps, values
        self._written[worlds] += 1

    def newest(self, now_s: float) -> tuple[Array, Array]:
        """Stamp (worlds,) and values (worlds, width) of the newest message that has arrived; NaN where none has."""
        arrived = self._arrived(now_s)
        slot = np.argmax(np.where(arrived, self._stamp_s, -np.inf), axis=1)
        each = np.arange(len(slot))
        got = arrived[each, slot]
        return np.where(got, self._stamp_s[each, slot], np.nan), np.where(
            got[:, None], self._values[each, slot], np.nan
        )

    def fetch(self, now_s: float) -> tuple[Array, Array]:
        """All messages that have arrived since the last call, oldest first, padded with NaN.

        Stamps (worlds, most), values (worlds, most, width); ``most`` is the largest number in any world.
        """
        new = self._arrived(now_s) & (self._stamp_s > self._fetched_s[:, None])
        most = int(new.sum(axis=1).max())
        stamps = np.where(new, self._stamp_s, np.inf)
        order = np.argsort(stamps, axis=1)[:, :most]
        stamps = np.take_along_axis(stamps, order, axis=1)
        values = np.take_along_axis(self._values, order[:, :, None], axis=1)
        missing = np.isinf(stamps)
        self._fetched_s = np.maximum(self._fetched_s, np.max(np.where(new, self._stamp_s, -np.inf), axis=1))
        return np.where(missing, np.nan, stamps), np.where(missing[:, :, None], np.nan, values)

    def begin_before(self, samples: NDArray[np.int64]) -> None:
        """Let the first sample of each world be taken that many (worlds,) periods earlier."""
        self._due_s -= self._signal.period_s * samples

    def backfill(self, values: Array) -> None:
        """Fill the queue with samples ``values`` (depth, worlds, width) taken before time 0, oldest first."""
        self.begin_before(np.full(len(self._due_s), len(values)))
        for sample in values:
            self.put(np.arange(len(self._due_s)), sample)

    @property
    def depth(self) -> int:
        """Messages that the queue holds."""
        return self._depth

    def _arrived(self, now_s: float) -> NDArray[np.bool_]:
        return self._stamp_s <= now_s - self._signal.delay_s[:, None]


class VehicleSensor:
    """Position, velocity, attitude and body rates of the vehicle, as motion capture and PX4 give them."""

    WIDTH = 13

    def __init__(self, sensors: Sensors, start: Sequence[Array], rng: np.random.Generator) -> None:
        self._sensors, self._rng = sensors, rng
        self.queue = Queue(sensors.vehicle, self.WIDTH, rng)
        # The vehicle was there, and was measured, before the flight began.
        truth = _vehicle_rows(start)
        everyone = np.arange(len(truth))
        self.queue.backfill(np.stack([self._measured(everyone, truth) for _ in range(self.queue.depth)]))

    def observe(self, before: Sequence[Array], after: Sequence[Array], start_s: float, end_s: float) -> None:
        """Take the samples that fall into the tick from ``start_s`` to ``end_s``.

        States begin with position, velocity, attitude and body rates, (worlds, ·).
        """
        worlds = self.queue.due(end_s)
        if len(worlds):
            share = ((self.queue.stamps(worlds) - start_s) / (end_s - start_s))[:, None]
            old, new = _vehicle_rows(before, worlds), _vehicle_rows(after, worlds)
            self.queue.put(worlds, self._measured(worlds, old + (new - old) * share))

    def _measured(self, worlds: NDArray[np.int64], truth: Array) -> Array:
        s, white = self._sensors, self._rng.standard_normal((len(worlds), 12))
        measured = np.empty_like(truth)
        measured[:, 0:3] = truth[:, 0:3] + s.pos_bias_w_m[worlds] + white[:, 0:3] * s.pos_std_m[worlds, None]
        measured[:, 3:6] = truth[:, 3:6] + white[:, 3:6] * s.vel_std_mps[worlds, None]
        tilt = s.attitude_bias_b_rad[worlds] + white[:, 6:9] * s.attitude_std_rad[worlds, None]
        measured[:, 6:10] = turned(truth[:, 6:10], tilt)
        measured[:, 10:13] = truth[:, 10:13] + white[:, 9:12] * s.rate_std_radps[worlds, None]
        return measured


class BallSensor:
    """Position of the ball's centre, as motion capture or a camera gives it.

    Until time 0, when it is let go, a hand carries it as fast as it then flies. Where it is seen there, the newest
    measurement that can have arrived by then has.
    """

    def __init__(self, sensors: Sensors, start: State, rng: np.random.Generator) -> None:
        self._sensors, self._rng = sensors, rng
        self.queue = Queue(sensors.ball, 3, rng)
        ball = sensors.ball
        earlier = np.floor((ball.phase_s + ball.delay_s) / ball.period_s).astype(np.int64) + 1
        earlier *= sensors.is_seen_held > 0.0
        self.queue.begin_before(earlier)
        while len(worlds := np.flatnonzero(earlier > 0)):
            ago = start.ball_vel_w[worlds] * self.queue.stamps(worlds)[:, None]
            self.queue.put(worlds, self._measured(worlds, start.ball_pos_w[worlds] + ago))
            earlier -= 1

    def observe(self, before: State, after: State, start_s: float, end_s: float) -> None:
        """Take the samples that fall into the tick from ``start_s`` to ``end_s``."""
        worlds = self.queue.due(end_s)
        if len(worlds):
            share = ((self.queue.stamps(worlds) - start_s) / (end_s - start_s))[:, None]
            old, new = before.ball_pos_w[worlds], after.ball_pos_w[worlds]
            self.queue.put(worlds, self._measured(worlds, old + (new - old) * share))

    def _measured(self, worlds: NDArray[np.int64], truth: Array) -> Array:
        white = self._rng.standard_normal((len(worlds), 3)) * self._sensors.ball_std_m[worlds, None]
        return truth + self._sensors.ball_bias_w_m[worlds] + white


def _vehicle_rows(state: Sequence[Array], worlds: NDArray[np.int64] | slice = slice(None)) -> Array:
    return np.concatenate([part[worlds] for part in state[:4]], axis=1)


def turned(quat_wb: Array, rotation_b: Array) -> Array:
    """Attitudes (n, 4), of any length, turned by rotation vectors (n, 3) [rad, body] and brought to unit length."""
    a, b, c = 0.5 * rotation_b.T
    angle = np.sqrt(a * a + b * b + c * c)
    cos, sinc = np.cos(angle), np.sinc(angle / np.pi)
    a, b, c = a * sinc, b * sinc, c * sinc
    w, x, y, z = quat_wb.T
    turned = np.stack(
        (
            w * cos - x * a - y * b - z * c,
            w * a + x * cos + y * c - z * b,
            w * b - x * c + y * cos + z * a,
            w * c + x * b - y * a + z * cos,
        )
    )
    return (turned / np.sqrt(np.sum(turned * turned, axis=0))).T
