"""A satellite navigation receiver: how often it has a fix, how late that comes, and how wrong it is."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.envs.sensors.gps import DELAY_S, DRIFT_S, GRADES, RATE_HZ, Fix, GpsReceiver

STEP_S = 0.004
STILL = np.zeros(3)


def heard(receiver: GpsReceiver, seconds: float, vel_w: np.ndarray = STILL) -> list[tuple[float, Fix]]:
    """What arrives, and when, while the antenna moves from the origin with ``vel_w``."""
    fixes = []
    for step in range(round(seconds / STEP_S)):
        now_s = step * STEP_S
        receiver.look(now_s, now_s * vel_w, vel_w)
        if (fix := receiver.arrived(now_s)) is not None:
            fixes.append((now_s, fix))
    return fixes


@pytest.mark.parametrize("name", list(GRADES))
def test_fixes_come_at_their_rate_and_late(name: str):
    fixes = heard(GpsReceiver(GRADES[name], np.random.default_rng(0)), 10.0)
    assert len(fixes) == round((10.0 - DELAY_S) * RATE_HZ), "the last one is under way"
    assert np.diff([fix.stamp_s for _, fix in fixes]) == pytest.approx(1.0 / RATE_HZ, abs=1.01 * STEP_S)
    assert [now_s - fix.stamp_s for now_s, fix in fixes] == pytest.approx([DELAY_S] * len(fixes))


@pytest.mark.parametrize("name", list(GRADES))
def test_it_errs_as_its_grade_says(name: str):
    grade = GRADES[name]
    receivers = [GpsReceiver(grade, np.random.default_rng(seed)) for seed in range(400)]
    fixes = [[fix for _, fix in heard(receiver, 1.0)] for receiver in receivers]
    places = np.array([[fix.pos_w for fix in flight] for flight in fixes])
    speeds = np.array([[fix.vel_w for fix in flight] for flight in fixes])
    horizontal, vertical = grade.accuracy_m
    assert places[:, 0].std(axis=0) == pytest.approx([horizontal, horizontal, vertical], rel=0.12)
    # From fix to fix it is √2 times the noise: within 0.1 s the slow error hardly changes.
    slow = np.array([grade.drift_m[0], grade.drift_m[0], grade.drift_m[1]]) * np.sqrt(0.1 / DRIFT_S)
    noise = np.array([grade.noise_m[0], grade.noise_m[0], grade.noise_m[1]])
    assert np.diff(places, axis=1).std(axis=(0, 1)) == pytest.approx(
        np.sqrt(2.0 * (slow**2 + noise**2)), rel=0.1
    )
    assert speeds.std(axis=(0, 1)) == pytest.approx(
        [grade.speed_mps[0], grade.speed_mps[0], grade.speed_mps[1]], rel=0.1
    )


def test_its_slow_error_is_forgotten_in_its_time():
    """After one correlation time 1/e of the error is left, and it is as large as at the start."""
    receivers = [GpsReceiver(GRADES["standard"], np.random.default_rng(seed)) for seed in range(2000)]
    for receiver in receivers:
        receiver.look(0.0, STILL, STILL)
        receiver.look(DRIFT_S, STILL, STILL)
    arrived = [[receiver.arrived(now_s) for receiver in receivers] for now_s in (1.0, DRIFT_S + 1.0)]
    first, last = (np.array([fix.pos_w[0] for fix in fixes if fix]) for fixes in arrived)
    assert np.corrcoef(first, last)[0, 1] == pytest.approx(np.exp(-1.0), abs=0.06)
    assert last.std() == pytest.approx(first.std(), rel=0.1)


def test_a_moving_antenna_is_where_it_was():
    """At 10 m/s a fix that is 0.1 s old is 1 m behind."""
    vel_w = np.array([10.0, 0.0, 0.0])
    fixes = heard(GpsReceiver(GRADES["rtk"], np.random.default_rng(0)), 5.0, vel_w)
    behind = [10.0 * now_s - fix.pos_w[0] for now_s, fix in fixes]
    assert behind == pytest.approx([1.0] * len(fixes), abs=0.06)
    assert np.mean([fix.vel_w[0] for _, fix in fixes]) == pytest.approx(10.0, abs=0.05)
