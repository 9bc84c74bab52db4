"""From a flight log to the tables that fits of thrust, motors, rate loops and latency read.

Every signal keeps its own time stamps: rows of different signals stand side by side, a cell that was not measured holds
no number.
"""

from __future__ import annotations

import itertools
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.spatial.transform import Rotation

from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.csv_table import Table
from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.record import Channel, FlightRecord
from corvids.calibration.readers.ulog import RawLog
from corvids.errors import CorvidsError
from corvids.vehicle import GRAVITY_MPS2

Axis = Literal["roll", "pitch", "yaw"]
AXES: tuple[Axis, ...] = get_args(Axis)
Signals = Literal["attitude", "velocity", "rate"]
"""What may be late: the estimate of attitude or velocity, after the inertial sensors; or rates, after set-points."""

HOVER_S = 0.5
"""Length of the pieces of hover whose means are points of thrust."""
CALM_MPS, CALM_RADPS, CALM_SPREAD = 1.0, 1.0, 0.1
"""A piece is a hover up to this speed, this rate, and this difference between motor commands."""
SMOOTH_S = 0.04
"""What a gyroscope says is averaged over so long where its delay is compared."""
_RADPS_PER_RPM = 2.0 * np.pi / 60.0


def thrust_table(raw: RawLog, mass_kg: float) -> Table:
    """Means of pieces of hover: ``command_1``, ``thrust_n`` of one rotor by the accelerometer, ``voltage_v``."""
    record = px4_flight(raw)
    command = _there(record, record.command, "motor commands")
    voltage = record.voltage
    edges = np.arange(command.time_s[0], command.time_s[-1], HOVER_S)
    rows = []
    for start, stop in itertools.pairwise(edges):
        force, rate = (_within(one, start, stop) for one in (record.accel_b, record.gyro_b))
        given = _within(command, start, stop)
        vel = None if record.vel_w is None else _within(record.vel_w, start, stop)
        if not (len(force) and len(rate) and len(given)):
            continue
        is_calm = np.abs(rate).max() < CALM_RADPS and np.ptp(given.mean(axis=0)) < CALM_SPREAD
        is_slow = vel is None or not len(vel) or np.linalg.norm(vel, axis=-1).max() < CALM_MPS
        if is_calm and is_slow and given.min() > 0.0 and not _grounded(record, start, stop):
            volts = np.nan if voltage is None else np.interp(0.5 * (start + stop), *_columns(voltage))
            rows.append((float(given.mean()), 0.25 * mass_kg * float(force[:, 2].mean()), float(volts)))
    if not rows:
        raise CorvidsError(
            f"{raw.name}: has no half second of calm hover: under {CALM_MPS:g} m/s and {CALM_RADPS:g} rad/s"
        )
    commands, thrusts, volts = np.array(rows).T
    columns = {"command_1": commands, "thrust_n": thrusts}
    if np.isfinite(volts).all():
        columns["voltage_v"] = volts
    return Table(raw.name, raw.sha256, columns)


def rate_table(raw: RawLog, axis: Axis) -> Table:
    """``setpoint_radps`` and ``rate_radps`` about one axis, FRD."""
    record = px4_flight(raw)
    wanted = _signal(raw, record, "vehicle_rates_setpoint", axis, "rate set-points")
    index = AXES.index(axis)
    rate = record.gyro_b.values[:, index] * (1.0 if axis == "roll" else -1.0)
    return _side_by_side(raw, "setpoint_radps", wanted, "rate_radps", (record.gyro_b.time_s, rate))


def motor_table(raw: RawLog, motor: int) -> Table:
    """``command_1`` and ``speed_radps`` of one motor, counted from 1, by its ESC."""
    record = px4_flight(raw)
    command = _there(record, record.command, "motor commands")
    if not 1 <= motor <= command.values.shape[1]:
        raise CorvidsError(f"--motor {motor}: must be 1 to {command.values.shape[1]}")
    time_s, rpm = _signal(raw, record, "esc_status", f"esc[{motor - 1}].esc_rpm", "speeds of the motors")
    given = command.time_s, command.values[:, motor - 1]
    return _side_by_side(raw, "command_1", given, "speed_radps", (time_s, _RADPS_PER_RPM * np.abs(rpm)))


def latency_table(raw: RawLog, signals: Signals, axis: Axis) -> Table:
    """``first_1``, what an inertial sensor says (or a set-point), and ``second_1``, the same by what may be late.

    ``attitude``: rate about the axis; ``velocity``: along east, north or up (the first, second, third axis), from the
    specific force; ``rate``: set-point, then rate.
    """
    if signals == "rate":
        table = rate_table(raw, axis)
        names = {"setpoint_radps": "first_1", "rate_radps": "second_1"}
        return Table(
            table.name,
            table.sha256,
            {names.get(name, name): values for name, values in table.columns.items()},
        )
    record = px4_flight(raw)
    index = AXES.index(axis)
    quat = _there(record, record.quat_wb, "attitudes")
    turns = Rotation.from_quat(quat.values, scalar_first=True)
    if signals == "attitude":
        steps = np.diff(quat.time_s)
        late = (
            0.5 * (quat.time_s[1:] + quat.time_s[:-1]),
            ((turns[:-1].inv() * turns[1:]).as_rotvec()[:, index] / steps),
        )
        first = record.gyro_b.time_s, _smooth(record.gyro_b.time_s, record.gyro_b.values[:, index])
        return _side_by_side(raw, "first_1", first, "second_1", late)
    vel = _there(record, record.vel_w, "velocities")
    nearest = np.clip(np.searchsorted(quat.time_s, record.accel_b.time_s), 0, len(quat.time_s) - 1)
    accel_w = Rotation.from_quat(quat.values[nearest], scalar_first=True).apply(record.accel_b.values) - [
        0.0,
        0.0,
        GRAVITY_MPS2,
    ]
    gained = np.cumsum(accel_w[:, index] * np.gradient(record.accel_b.time_s))
    late = vel.time_s, vel.values[:, index]
    return _side_by_side(raw, "first_1", (record.accel_b.time_s, gained), "second_1", late)


def _there(record: FlightRecord, channel: Channel | None, what: str) -> Channel:
    if channel is None:
        raise CorvidsError(f"{record.name}: has no {what}")
    return channel


def _signal(
    raw: RawLog, record: FlightRecord, topic: str, field: str, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Times since the start of the log [s] and values of one field that only these tables read."""
    data = raw.topics.get(topic, {})
    if field not in data:
        raise CorvidsError(f"{raw.name}: has no {what}: log {topic} ({field})")
    start_us = int(raw.topics["sensor_combined"]["timestamp"][0])
    shift_s = record.gyro_b.time_s[0]
    channel, _ = clean(field, topic, "", data["timestamp"], data[field].astype(np.float64)[:, None], start_us)
    if channel is None:
        raise CorvidsError(f"{raw.name}: {topic} has no number in {field}")
    return channel.time_s + shift_s, channel.values[:, 0]


def _side_by_side(
    raw: RawLog,
    first: str,
    at_first: tuple[np.ndarray, np.ndarray],
    second: str,
    at_second: tuple[np.ndarray, np.ndarray],
) -> Table:
    """Two signals of times of their own in one table; where one was not sampled it has no number."""
    time_s = np.union1d(at_first[0], at_second[0])
    columns = {"time_s": time_s}
    for name, (when, values) in ((first, at_first), (second, at_second)):
        columns[name] = np.full(len(time_s), np.nan)
        columns[name][np.searchsorted(time_s, when)] = values
    return Table(raw.name, raw.sha256, columns)


def _smooth(time_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means about each sample, which delay nothing: a correlation of slopes hears little but noise without."""
    return uniform_filter1d(values, 2 * round(0.5 * SMOOTH_S / float(np.median(np.diff(time_s)))) + 1)


def _columns(channel: Channel) -> tuple[np.ndarray, np.ndarray]:
    return channel.time_s, channel.values[:, 0]


def _within(channel: Channel, begin_s: float, end_s: float) -> np.ndarray:
    first, last = np.searchsorted(channel.time_s, (begin_s, end_s)).tolist()
    return channel.values[first:last]


def _grounded(record: FlightRecord, begin_s: float, end_s: float) -> bool:
    """Whether the autopilot believed at any time of this piece to touch the ground."""
    ground = record.on_ground
    if ground is None:
        return False
    held = np.searchsorted(ground.time_s, begin_s, "right") - 1
    return bool(_within(ground, begin_s, end_s).any() or (held >= 0 and ground.values[held, 0] > 0.0))
