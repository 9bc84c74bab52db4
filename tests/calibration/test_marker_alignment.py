"""Markers that sit askew on a body, and a clock of their own: both are found again, or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from ulog_lab import flight_topics, ulog

from corvids.calibration.flight.marker_alignment import fit_markers
from corvids.calibration.readers.record import Channel
from corvids.cli import main
from corvids.errors import CorvidsError

OFFSET_S = 7.3127
TURN = Rotation.from_rotvec([0.05, -0.03, 1.6])
"""From the markers' axes to the body's: mounted with a quarter turn, and a few degrees askew."""


def rates(time: np.ndarray, seed: int) -> np.ndarray:
    """Body rates (n, 3) [rad/s] of a vehicle that is shaken."""
    rng = np.random.default_rng(seed)
    frequency, phase = rng.uniform(0.2, 2.0, (6, 3)), rng.uniform(0.0, 6.3, (6, 3))
    return 0.4 * np.sin(2.0 * np.pi * frequency * time[:, None, None] + phase).sum(axis=1)


def recordings(seed: int, seconds: float = 16.0) -> tuple[Channel, Channel]:
    """Gyroscope at 250 Hz with bias and noise; poses at 120 Hz with noise, their clock late by ``OFFSET_S``."""
    rng = np.random.default_rng(seed)
    step = 0.002
    fine = np.arange(0.0, seconds, step)
    attitude = Rotation.identity()
    quats = np.empty((len(fine), 4))
    turns = Rotation.from_rotvec(rates(fine + 0.5 * step, seed) * step)
    for index in range(len(fine)):
        quats[index] = attitude.as_quat(scalar_first=True)
        attitude = attitude * turns[index]
    gyro_time = np.arange(0.1, seconds - 0.1, 0.004)
    gyro = rates(gyro_time, seed) + rng.normal((0.01, -0.02, 0.005), 0.03, (len(gyro_time), 3))
    body = quats[::4]  # 125 Hz
    noise = Rotation.from_rotvec(rng.normal(0.0, 0.002, (len(body), 3)))
    markers = Rotation.from_quat(body, scalar_first=True) * TURN * noise
    pose = np.concatenate((np.zeros((len(body), 3)), markers.as_quat(scalar_first=True)), -1)
    return (
        Channel("gyro", "rad/s", gyro_time, gyro),
        Channel("poses", "m", fine[::4] + OFFSET_S, pose),
    )


def test_turn_and_clock_are_found():
    found = fit_markers(*recordings(0)).figures
    for axis, truth in zip("xyz", TURN.as_rotvec(), strict=True):
        one = found[f"marker_turn_{axis}_rad"]
        assert one.identified and one.value is not None and one.std is not None, one
        assert abs(one.value - truth) < min(4.0 * one.std, 0.004), (axis, one, truth)
    clock = found["clock_offset_s"]
    assert clock.identified and clock.value == pytest.approx(OFFSET_S, abs=0.0005)


def test_another_flight_is_refused():
    with pytest.raises(CorvidsError, match="are both of one flight"):
        fit_markers(recordings(0)[0], recordings(1)[1])


def test_the_command_aligns_a_log_with_a_table_of_poses(tmp_path: Path):
    gyro, pose = recordings(0, seconds=12.0)
    topics = flight_topics(seconds=11.8)
    arrays = topics["sensor_combined"][1]
    arrays["gyro_rad"] = gyro.values[: len(arrays["timestamp"])] * [1.0, -1.0, -1.0]
    log, poses, figures = tmp_path / "flight.ulg", tmp_path / "poses.csv", tmp_path / "out.json"
    log.write_bytes(ulog(topics))
    with poses.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [f"vehicle_{part}" for part in ("x_m", "y_m", "z_m", "qw", "qx", "qy", "qz")]
        writer.writerow(["time_s", *names])
        writer.writerows([time_s, *row] for time_s, row in zip(pose.time_s, pose.values, strict=True))
    words = ["calibrate", "align", "--log", str(log), "--poses", str(poses), "--json", str(figures)]
    assert main(words) == 0
    found = json.loads(figures.read_text())["figures"]
    assert found["marker_turn_z_rad"]["value"] == pytest.approx(TURN.as_rotvec()[2], abs=0.01)
    assert figures.with_suffix(".html").exists()
