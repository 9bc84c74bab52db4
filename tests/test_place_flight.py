"""Keeping a place, commanded and judged: by hand-made states, then with a file that was never trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import policy_lab
import pytest

from corvids.cli import main
from corvids.envs.engines.engine import Contacts, State
from corvids.envs.plants.conditions import CONDITIONS, draw
from corvids.envs.plants.place_flight import (
    CENTRE_W_M,
    HOLD_S,
    SETTLE_S,
    PlaceReferee,
    figure_eight,
    places_that_jump,
)
from corvids.vehicle import load_vehicle

X500 = load_vehicle("x500")
NOTHING: Any = Contacts(np.zeros(2, np.int64), np.zeros((2, 3)), np.zeros(2, np.int64))


def test_places_stand_and_then_jump_by_trial():
    command, again = places_that_jump(3, seed=4), places_that_jump(2, seed=4)
    np.testing.assert_array_equal(command(0.0), np.tile(CENTRE_W_M, (3, 1)))
    first, last = command(HOLD_S), command(2.0 * HOLD_S - 0.01)
    np.testing.assert_array_equal(first, last)
    assert len({tuple(place) for place in first.tolist()}) == 3
    np.testing.assert_array_equal(again(HOLD_S), first[:2])  # a trial is the same however many are flown
    assert (command(2.0 * HOLD_S) != first).all()


def test_the_curve_moves_as_it_says():
    command = figure_eight(1, seed=0)
    times, step = np.linspace(0.0, 9.0, 50), 1e-5
    moved = np.array([(command(t + step) - command(t - step))[0, :3] / (2.0 * step) for t in times])
    np.testing.assert_allclose(moved, [command(t)[0, 3:] for t in times], atol=1e-6)
    np.testing.assert_array_equal(command(0.0)[0, :3], CENTRE_W_M)


def at(*places: tuple[float, float, float]) -> State:
    """Two level vehicles."""
    zero = np.zeros((2, 3))
    level = np.tile([1.0, 0.0, 0.0, 0.0], (2, 1))
    return State(np.array(places), zero, level, zero, np.zeros((2, 4)), zero, zero, zero)


def test_distance_counts_once_a_place_has_stood_and_a_crash_ends_a_trial():
    """One is 0.3 m aside for half of the time that counts and 0.4 m for the other; one falls down on its way."""
    trials = draw(CONDITIONS["nominal"], X500, 2, 0, place_w_m=CENTRE_W_M, with_ball=False)
    referee = PlaceReferee(trials.params, 2, lambda _: np.tile(CENTRE_W_M, (2, 1)), seconds=2.0 * HOLD_S)
    for tick in range(round(200 * HOLD_S) + 1):
        now_s = 0.01 * tick
        aside = 2.0 if now_s % HOLD_S < SETTLE_S - 0.001 else 0.3 if now_s < HOLD_S else 0.4
        fallen = (9.0, 0.0, 0.2) if now_s > 1.0 else (0.0, 0.0, 3.0)
        ended = referee.judge(now_s, at((aside, 0.0, 3.0), fallen), NOTHING)
        assert ended[1] == (tick == 101)
    found = referee.verdict
    assert found.end == ["time", "crashed"] and referee.done.all()
    assert found.rmse_m[0] == pytest.approx(np.sqrt(0.5 * (0.3**2 + 0.4**2)), rel=2e-3)
    assert np.isnan(found.rmse_m[1]) and found.seconds[1] == pytest.approx(1.01)


def test_without_a_ball_a_vehicle_needs_no_racket_and_the_ball_lies_far_away():
    start = draw(CONDITIONS["throws"], X500, 3, 1, place_w_m=CENTRE_W_M, with_ball=False).start
    np.testing.assert_array_equal(start.pos_w, np.tile(CENTRE_W_M, (3, 1)))
    np.testing.assert_array_equal(start.ball_vel_w, 0.0)
    assert (np.linalg.norm(start.ball_pos_w - start.pos_w, axis=1) > 100.0).all()


def test_a_policy_file_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    policy, figures = policy_lab.save_policy(tmp_path, "hover", "crazyflie"), tmp_path / "hover.json"
    words = ["--policy", str(policy), "--plant", "native", "--seconds", "0.3", "--json", str(figures)]
    assert main(["eval", "hover", *words, "--trials", "3"]) == 0
    found = json.loads(figures.read_text())
    assert [trial["end"] for trial in found["trials"]] == ["time"] * 3
    assert found["trials"][0]["seconds"] == pytest.approx(0.3, abs=0.003)
    assert found["summary"]["place_rmse_m"] is None  # so soon, no distance counts
    assert found["summary"]["survival"] == 1.0
    assert main(["fly", "track", *words]) == 2
    assert "is a policy for the task 'hover'" in capsys.readouterr().err
    assert main(["eval", "hover", *words, "--seed", "-1"]) == 2
    assert "--seed -1: must be a whole number from 0" in capsys.readouterr().err
