"""Flight logs as CSV files, one time base for all signals.

Columns are as :data:`~corvids.envs.plants.flight_log.COLUMNS` says. A file with other names or units comes with a
mapping (:mod:`corvids.calibration.readers.csv_table`). Cells may be empty where a signal is slower than others.
"""

from __future__ import annotations

import os

import numpy as np

from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.csv_table import Table, read_table
from corvids.calibration.readers.inertial import check_sensors
from corvids.calibration.readers.record import Channel, Finding, FlightRecord
from corvids.envs.plants.flight_log import COLUMNS
from corvids.errors import CorvidsError

OPTIONAL = ("on_ground_1", "voltage_v")
"""Columns that a log may have besides."""


def read_csv_flight(
    path: str | os.PathLike[str], mapping: str | os.PathLike[str] | None = None
) -> FlightRecord:
    """The flight in a CSV file, its sensors checked; raises :class:`CorvidsError` in one line."""
    record = flight_of(read_table(path, COLUMNS, OPTIONAL, mapping))
    check_sensors(record.name, record.gyro_b, record.accel_b)
    return record


def flight_of(table: Table) -> FlightRecord:
    """The flight in a table; raises :class:`CorvidsError` where it cannot be one."""
    findings: list[Finding] = []
    time_s = table.columns["time_s"]
    known = np.isfinite(time_s)
    if not known.any():
        raise CorvidsError(f"{table.name}: no time_s is a number")
    first_s = float(time_s[known].min())
    time_us = np.round(1e6 * (time_s[known] - first_s)).astype(np.int64)

    def channel(signal: str, unit: str, names: list[str]) -> Channel | None:
        values = np.stack([table.columns[name][known] for name in names], axis=-1)
        there = ~np.isnan(values).all(axis=1)  # an empty cell is no fault: another signal was sampled then
        found, wrong = clean(signal, "CSV", unit, time_us[there], values[there], 0)
        findings.extend(wrong)
        return found

    by_start = {start: [name for name in COLUMNS if name.startswith(start)] for start in
                ("gyro_", "accel_", "motor", "quat_", "vel_")}  # fmt: skip
    gyro, accel = (
        channel("gyro_b", "rad/s", by_start["gyro_"]),
        channel("accel_b", "m/s2", by_start["accel_"]),
    )
    command = channel("command", "1", by_start["motor"])
    quat = channel("quat_wb", "1", by_start["quat_"])
    if gyro is None or accel is None:
        raise CorvidsError(f"{table.name}: holds no body rates, or no specific force")
    if command is not None and not -0.05 <= command.values.min() <= command.values.max() <= 1.05:
        low, high = command.values.min(), command.values.max()
        raise CorvidsError(f"{table.name}: motor commands run from {low:.4g} to {high:.4g}, must be 0..1")
    if quat is not None:
        length = np.linalg.norm(quat.values, axis=-1)
        if (np.abs(length - 1.0) > 0.01).any():
            raise CorvidsError(
                f"{table.name}: attitudes of length {length.min():.3g} to {length.max():.3g}; must be 1"
            )
    optional = {
        name: channel(name, unit, [name]) if name in table.columns else None
        for name, unit in (("on_ground_1", "1"), ("voltage_v", "V"))
    }
    return FlightRecord(
        name=table.name,
        sha256=table.sha256,
        gyro_b=gyro,
        accel_b=accel,
        command=command,
        quat_wb=quat,
        vel_w=channel("vel_w", "m/s", by_start["vel_"]),
        on_ground=optional["on_ground_1"],
        voltage=optional["voltage_v"],
        resets_s=np.zeros(0),
        parameters={},
        findings=tuple(findings),
    )
