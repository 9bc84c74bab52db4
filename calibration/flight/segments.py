"""Pieces of a flight on one uniform time base: what a fit simulates, each from an initial state of its own.

A piece never spans a gap of any of its signals, nor a jump of the estimate. The gyroscope, the accelerometer, attitude
and velocity are interpolated between neighbouring samples. Motor commands are kept as they were logged, because when
within a step they reach the rotors is for a fit to find out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from corvids.calibration.readers.record import Channel, FlightRecord
from corvids.errors import CorvidsError

GROUND_MARGIN_S = 0.6
"""Flight next to contact with the ground that is left out [s]: lift-off and touch-down are not free flight."""
MAX_RATE_HZ = 250.0
"""Faster sensors are averaged down to at most this rate."""
EVERY_COMMAND = 1.5
"""Commands are taken to be all in the log if they are apart by less than so many steps."""
RUNNING = 0.05
"""Mean motor command above which the motors carry something."""


_ARRAYS = ("gyro_b", "accel_b", "quat_wb", "vel_w", "start_s", "log")
"""Fields of :class:`Segments` that have one row for each piece."""


@dataclasses.dataclass(frozen=True)
class Segments:
    """N pieces of T steps, and the motor commands of the logs that they are from."""

    dt_s: float
    """Length of a step [s]."""
    lead: int
    """Steps before each piece through which the motor commands are known, too: the rotors' past."""
    commands: tuple[Channel, ...]
    """Motor commands 0..1 of each log."""
    gyro_b: np.ndarray
    """Shape (N, T, 3): body rates [rad/s], FLU, at the end of each step."""
    accel_b: np.ndarray
    """Shape (N, T, 3): specific force [m/s²], FLU."""
    quat_wb: np.ndarray
    """Shape (N, T, 4): attitude."""
    vel_w: np.ndarray
    """Shape (N, T, 3): velocity [m/s], ENU."""
    start_s: np.ndarray
    """Shape (N,): when each piece begins, since the start of its log."""
    log: np.ndarray
    """Shape (N,): index of the log that a piece is from."""
    lag_std_s: float
    """How uncertain a rotor's lag is because of when commands were logged, beside what residuals tell [s]."""

    def __len__(self) -> int:
        return len(self.start_s)

    def take(self, chosen: np.ndarray | slice) -> Segments:
        """The pieces that ``chosen`` (indices, mask or slice) selects."""
        return dataclasses.replace(self, **{name: getattr(self, name)[chosen] for name in _ARRAYS})

    def held(
        self, meaning: Callable[[np.ndarray], np.ndarray], delay_s: float, lead: int, parts: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """``meaning`` of the commands ``delay_s`` ago, averaged over each of ``parts`` equal parts of each step.

        Each command holds until the next. Returns the means through ``lead`` steps before each piece and T of it, and
        their derivatives by the delay [1/s]: both of shape (N, (lead + T)·parts, 4).
        """
        width_s = self.dt_s / parts
        ends = width_s * np.arange(1 - lead * parts, self.gyro_b.shape[1] * parts + 1) - delay_s
        means = np.empty((len(self), len(ends), 4))
        slopes = np.empty_like(means)
        for log, channel in enumerate(self.commands):
            chosen = self.log == log
            at = self.start_s[chosen, None] + ends
            time, values = channel.time_s, meaning(channel.values)
            integral = np.zeros_like(values)
            np.cumsum(values[:-1] * np.diff(time)[:, None], axis=0, out=integral[1:])
            since = np.clip(np.searchsorted(time, at, "right") - 1, 0, len(time) - 1)
            before = np.clip(np.searchsorted(time, at - width_s, "right") - 1, 0, len(time) - 1)
            whole = integral[since] + values[since] * (at - time[since])[..., None]
            begun = integral[before] + values[before] * (at - width_s - time[before])[..., None]
            means[chosen] = (whole - begun) / width_s
            slopes[chosen] = (values[before] - values[since]) / width_s
        return means, slopes


def cut(record: FlightRecord, length_s: float = 1.0, lead_s: float = 0.4, tail_s: float = 0.05) -> Segments:
    """The free flight in ``record`` in pieces of ``length_s``; perhaps none.

    ``lead_s`` and ``tail_s``: how long before and after each piece nothing may be missing either.
    """
    gyro, command, quat, vel = record.gyro_b, record.command, record.quat_wb, record.vel_w
    dt_s = _step(gyro)
    steps, lead = (max(1, round(span / dt_s)) for span in (length_s, lead_s))
    if command is None or quat is None or vel is None:
        return _empty(dt_s, lead, steps)
    needed = [gyro, record.accel_b, command, quat, vel]
    jumps = np.stack((record.resets_s, record.resets_s), axis=-1)
    blocked = np.concatenate([channel.gaps() for channel in needed] + [_not_flying(record), jumps])
    begin = max(channel.time_s[0] for channel in needed) + lead_s + 2 * dt_s
    end = min(channel.time_s[-1] for channel in needed) - tail_s - 2 * dt_s
    starts = free_starts(begin, end, steps * dt_s, lead_s, tail_s + dt_s, blocked)
    if not len(starts):
        return _empty(dt_s, lead, steps)
    # On samples of the gyroscope, so that its noise stays as it is.
    starts = gyro.time_s[np.searchsorted(gyro.time_s, starts - 1e-9)]
    at = starts[:, None] + dt_s * np.arange(1, steps + 1)
    return Segments(
        dt_s=dt_s,
        lead=lead,
        commands=(command,),
        gyro_b=_sampled(gyro, at, dt_s),
        accel_b=_sampled(record.accel_b, at, dt_s),
        quat_wb=_unit(_sampled(_continuous(quat), at, 0.0)),
        vel_w=_sampled(vel, at, 0.0),
        start_s=starts,
        log=np.zeros(len(starts), int),
        lag_std_s=_lag_std_s(record.simulated, command.interval_s, dt_s),
    )


def joined(parts: list[Segments]) -> Segments:
    """The pieces of several logs of one vehicle; raises :class:`CorvidsError` where their rates differ."""
    first = parts[0]
    for part in parts[1:]:
        if (part.lead, part.gyro_b.shape[1]) != (first.lead, first.gyro_b.shape[1]):
            raise CorvidsError(
                f"logs sampled at {1 / first.dt_s:.0f} Hz and {1 / part.dt_s:.0f} Hz cannot be fitted together;"
                " fit each alone"
            )
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    commands = [part.commands for part in parts]
    first_log = np.cumsum([0, *map(len, commands)])
    arrays["log"] = np.concatenate([part.log + begin for part, begin in zip(parts, first_log, strict=False)])
    return dataclasses.replace(
        first,
        lag_std_s=max(part.lag_std_s for part in parts),
        commands=tuple(channel for channels in commands for channel in channels),
        **arrays,
    )


def flying_s(record: FlightRecord) -> float:
    """How long motors carry the vehicle in this log [s]."""
    if record.command is None:
        return 0.0
    spans = _not_flying(record)
    begin, end = record.command.time_s[[0, -1]]
    return max(
        0.0, float(end - begin - sum(min(b, end) - max(a, begin) for a, b in spans if b > begin and a < end))
    )


def _lag_std_s(simulated: bool, command_interval_s: float, dt_s: float) -> float:
    """Standard deviation of a rotor's lag that the residuals do not show [s]; 0 where every command was logged.

    Commands that were logged more rarely than the sensors: what they were in between is not in the log, and a lag looks
    shorter, by less than half their interval. PX4's simulators advance a lag by ``dt/τ`` of what is missing in each of
    their steps: an exact lag that does the same is shorter by half a step. Both are taken as even up to that.
    """
    if simulated or command_interval_s > EVERY_COMMAND * dt_s:
        return max(dt_s, command_interval_s) / math.sqrt(12.0)
    return 0.0


def _step(gyro: Channel) -> float:
    """The step [s]: the gyroscope's interval, or the multiple of it that keeps ``MAX_RATE_HZ``; rounded to 1 µs."""
    interval = gyro.interval_s
    return round(interval * max(1, int(np.ceil(1.0 / (MAX_RATE_HZ * 1.02 * interval)))), 6)


def _not_flying(record: FlightRecord) -> np.ndarray:
    """Shape (m, 2): spans [s] in which the vehicle touches the ground or its motors are off, merged."""
    command = record.command
    if command is None:
        return np.array([[-np.inf, np.inf]])
    spans = _spans(command.time_s, command.values.mean(axis=-1) < RUNNING)
    if record.on_ground is not None:
        spans += _spans(record.on_ground.time_s, record.on_ground.values[:, 0] > 0.5)
    merged: list[list[float]] = []
    for begin, end in sorted((a - GROUND_MARGIN_S, b + GROUND_MARGIN_S) for a, b in spans):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return np.array(merged).reshape(-1, 2)


def _spans(time_s: np.ndarray, is_so: np.ndarray) -> list[tuple[float, float]]:
    """Where a held signal is true: from its first true sample to its next false one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_so, [False])).astype(int)))
    until = np.concatenate((time_s, [np.inf]))
    since = np.concatenate(([-np.inf], time_s[1:])) if len(time_s) else time_s
    return [(float(since[a]), float(until[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def free_starts(
    begin: float, end: float, length: float, lead: float, tail: float, blocked: np.ndarray
) -> np.ndarray:
    """Beginnings of the pieces that fit between the blocked spans, their lead and tail included."""
    edges = [begin - lead]
    free = []
    for a, b in blocked[np.argsort(blocked[:, 0])] if len(blocked) else []:
        free.append((edges[-1], min(a, end + tail)))
        edges.append(max(edges[-1], b))
    free.append((edges[-1], end + tail))
    starts = []
    for a, b in free:
        count = int((b - tail - a - lead) / length) if b > a else 0
        starts += [a + lead + index * length for index in range(max(0, count))]
    return np.array(starts)


def _sampled(channel: Channel, at: np.ndarray, dt_s: float) -> np.ndarray:
    """Values at the times ``at`` (N, T); averaged over ``dt_s`` where the channel is sampled faster than that."""
    time, values = channel.time_s, channel.values
    if dt_s > 1.5 * channel.interval_s:
        integral = np.concatenate(
            (np.zeros((1, values.shape[1])), np.cumsum(values[1:] * np.diff(time)[:, None], 0))
        )
        return np.stack(
            [(np.interp(at, time, one) - np.interp(at - dt_s, time, one)) / dt_s for one in integral.T],
            axis=-1,
        )
    return np.stack([np.interp(at, time, one) for one in values.T], axis=-1)


def _continuous(quat: Channel) -> Channel:
    """The same attitudes without jumps between q and -q."""
    turns = np.sum(quat.values[1:] * quat.values[:-1], axis=-1) < 0.0
    signs = np.where(np.cumsum(np.concatenate(([False], turns))) % 2, -1.0, 1.0)
    return dataclasses.replace(quat, values=quat.values * signs[:, None])


def _unit(quat: np.ndarray) -> np.ndarray:
    return quat / np.linalg.norm(quat, axis=-1, keepdims=True)


def _empty(dt_s: float, lead: int, steps: int) -> Segments:
    shapes = {"gyro_b": 3, "accel_b": 3, "quat_wb": 4, "vel_w": 3}
    arrays = {name: np.zeros((0, steps, width)) for name, width in shapes.items()}
    none = np.zeros(0)
    return Segments(dt_s, lead, (), **arrays, start_s=none, log=np.zeros(0, int), lag_std_s=0.0)
