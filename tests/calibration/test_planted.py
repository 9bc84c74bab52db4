"""A fit recovers what was planted, and its error bars say how well."""

from __future__ import annotations

import os

import numpy as np
import pytest
from flight_lab import Trial, trials, truths

from corvids.vehicle import load_vehicle

MEDIAN = {
    "accel_max_mps2": 0.01,
    "roll_accel_max_radps2": 0.03,
    "pitch_accel_max_radps2": 0.03,
    "yaw_accel_max_radps2": 0.03,
    "motor_tau_s": 0.05,
    "drag_per_mass_1ps": 0.10,
}
"""Largest median relative error."""
COUNT = int(os.environ.get("CORVIDS_PLANTED", "40"))
"""Vehicles in the slow test."""


def errors(flown: list[Trial]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Relative errors, and errors in standard deviations, of each group."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in MEDIAN:
        relative, normal = [], []
        for trial in flown:
            truth, group = truths(trial.vehicle)[name], trial.found.groups[name]
            assert group.identified and group.value is not None and group.std is not None, (name, group)
            relative.append(group.value / truth - 1.0)
            normal.append((group.value - truth) / group.std)
        found[name] = np.array(relative), np.array(normal)
    return found


def delay_errors_s(flown: list[Trial]) -> np.ndarray:
    """Absolute errors of the latency between commands and sensors [s]."""
    return np.array(
        [abs(trial.found.fit.value("delay_s") - trial.delay_s) for trial in flown if trial.found.fit]
    )


def test_a_planted_vehicle_is_recovered():
    flown = trials(load_vehicle("air"), count=1, seconds=12.0, seed=3)
    for name, (relative, normal) in errors(flown).items():
        assert np.median(np.abs(relative)) < 1.5 * MEDIAN[name], (name, relative)
        assert np.abs(normal).max() < 4.0, (name, normal)
    assert delay_errors_s(flown).max() < 0.001


@pytest.mark.slow
def test_medians_and_coverage_over_many_vehicles():
    flown = trials(load_vehicle("air"), count=COUNT, seconds=40.0, seed=7)
    inside = []
    print(f"\n{len(flown)} vehicles, 40 s of flight each")
    for name, (relative, normal) in errors(flown).items():
        print(
            f"{name:24} median |error| {np.median(np.abs(relative)):.3%},"
            f" in the 95 % interval: {np.mean(abs(normal) < 1.96):.1%}"
        )
        assert np.median(np.abs(relative)) < MEDIAN[name]
        inside.append(np.abs(normal) < 1.96)
    print(f"{'latency':24} median |error| {1e3 * np.median(delay_errors_s(flown)):.3f} ms")
    print(f"all figures in their 95 % intervals: {np.mean(inside):.1%}")
    assert np.median(delay_errors_s(flown)) < 0.001
    assert 0.90 < np.mean(inside) <= 0.98
