"""A ten-minute log in a minute, with progress; an hour's log in a few, part of it used and said so."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from flight_lab import LOG_DT_S, fly, planted_vehicle
from ulog_lab import Topic, ulog

from corvids.calibration.readers.record import FlightRecord
from corvids.cli import main
from corvids.vehicle import load_vehicle

FLIGHT_S = 40.0
MINUTES = float(os.environ.get("CORVIDS_LOG_MINUTES", "10"))
"""Length of the log."""


def long_log(record: FlightRecord, seconds: float) -> bytes:
    """The flight over and over as PX4 would log it (FRD, NED), with a pause of half a second between two."""
    times = round(seconds / (FLIGHT_S + 0.5))
    rng = np.random.default_rng(0)
    count = len(record.gyro_b.time_s)
    begin = 1_000_000 + np.arange(times) * round(1e6 * (FLIGHT_S + 0.5))
    stamp = (begin[:, None] + np.arange(count) * round(1e6 * LOG_DT_S)).ravel()
    frd = np.array([1.0, -1.0, -1.0])
    assert record.command is not None and record.quat_wb is not None and record.vel_w is not None

    def over(values: np.ndarray, noise: float = 0.0) -> np.ndarray:
        repeated = np.tile(values, (times, 1))
        return repeated + rng.normal(0.0, noise, repeated.shape) if noise else repeated

    w, x, y, z = record.quat_wb.values.T
    # The inverse of calibration's own reading, from its definition: NED from ENU, FRD from FLU.
    ned = np.sqrt(0.5) * np.stack((w + z, x + y, x - y, w - z), -1)
    vel = over(record.vel_w.values)
    topics: dict[str, Topic] = {
        "sensor_combined": (
            [("float[3]", "gyro_rad"), ("float[3]", "accelerometer_m_s2")],
            {
                "timestamp": stamp,
                "gyro_rad": over(record.gyro_b.values * frd, 0.01),
                "accelerometer_m_s2": over(record.accel_b.values * frd, 0.1),
            },
        ),
        "actuator_motors": (
            [("float[12]", "control")],
            {
                "timestamp": stamp,
                "control": np.concatenate((over(record.command.values), np.full((len(stamp), 8), np.nan)), 1),
            },
        ),
        "vehicle_attitude": ([("float[4]", "q")], {"timestamp": stamp, "q": over(ned)}),
        "vehicle_local_position": (
            [("float", "vx"), ("float", "vy"), ("float", "vz")],
            {"timestamp": stamp, "vx": vel[:, 1], "vy": vel[:, 0], "vz": -vel[:, 2]},
        ),
    }
    return ulog(topics)


@pytest.mark.slow
def test_a_long_log_is_fitted_in_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Processor time: the wall clock of a busy machine says nothing."""
    (record,) = fly(
        [planted_vehicle(load_vehicle("air"), np.random.default_rng(3))], FLIGHT_S, np.array([0.003]), 3
    )
    path, figures = tmp_path / "long.ulg", tmp_path / "out.json"
    path.write_bytes(long_log(record, 60.0 * MINUTES))
    megabytes = path.stat().st_size / 1e6
    begin_s, wall_s = time.process_time(), time.perf_counter()
    assert main(["calibrate", "fit", "--log", str(path), "--vehicle", "air", "--json", str(figures)]) == 0
    cpu_s, wall_s = time.process_time() - begin_s, time.perf_counter() - wall_s
    said = capsys.readouterr()
    print(
        json.dumps(
            {
                "row": "speed",
                "log_minutes": MINUTES,
                "log_mb": round(megabytes, 1),
                "cpu_s": round(cpu_s, 1),
                "wall_s": round(wall_s, 1),
            }
        )
    )
    groups = json.loads(figures.read_text())["groups"]
    assert all(group["identified"] for group in groups.values()), groups
    assert "pass 1 of 3" in said.err and "evenly spread" in said.out
    assert cpu_s < 12.0 * MINUTES
