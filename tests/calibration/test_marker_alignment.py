"""Markers that sit askew on a body, and a clock of their own: both are found again, or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from marker_lab import OFFSET_S, TURN, recordings
from ulog_lab import flight_topics, ulog

from corvids.calibration.flight.marker_alignment import fit_markers
from corvids.cli import main
from corvids.errors import CorvidsError


def test_turn_and_clock_are_found():
    found = fit_markers(*recordings(0)).figures
    for axis, truth in zip("xyz", TURN.as_rotvec(), strict=True):
        one = found[f"marker_turn_{axis}_rad"]
        assert one.identified and one.value is not None and one.std is not None, one
        assert abs(one.value - truth) < min(4.0 * one.std, 0.004), (axis, one, truth)
    clock = found["clock_offset_s"]
    assert clock.identified and clock.value is not None and clock.std is not None
    assert abs(clock.value - OFFSET_S) < 4.0 * clock.std < 0.0005


def test_clocks_are_compared_without_bias():
    """Rates that were straight between samples made the markers' clock late by 0.13 ms, whatever the noise."""
    clocks = [fit_markers(*recordings(seed)).figures["clock_offset_s"].value for seed in range(1, 4)]
    assert sum(clock - OFFSET_S for clock in clocks if clock is not None) / 3.0 == pytest.approx(
        0.0, abs=1e-4
    )


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
