"""Trials of teams: what a seed means, and states that are where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.controllers.packing import leaves
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.plants.team_conditions import CONDITIONS, STEP, condition_named, draw
from corvids.envs.plants.team_goals import quaternions, rotations_between
from corvids.envs.plants.team_referee import rotated
from corvids.errors import CorvidsError
from corvids.team import load_team

FALCON3 = load_team("falcon3")


def test_a_trial_is_the_same_whatever_the_number_of_trials():
    few, many = (draw(CONDITIONS["random-steps"], FALCON3, count, 4) for count in (2, 5))
    for one, other in zip(leaves(few.params), leaves(many.params), strict=True):
        np.testing.assert_array_equal(one, other[:2])
    np.testing.assert_array_equal(few.goals.pose, many.goals.pose[:2])
    np.testing.assert_array_equal(few.sensors.ball.delay_s, many.sensors.ball.delay_s[:6])
    assert not np.array_equal(many.goals.pose[0], many.goals.pose[1])


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_cables_are_taut_at_the_start_but_where_they_shall_be_slack(name: str):
    trials = draw(CONDITIONS[name], FALCON3, 20, 0)
    cable, start = trials.params.drones.cable, trials.start
    load = [np.repeat(part, 3, axis=0) for part in (start.load.pos_w, start.load.quat_wb)]
    below_b, above_b = (
        np.stack([part.reshape(-1).numpy() for part in point], axis=1)
        for point in (cable.load_point_b, cable.drone_point_b)
    )
    ends = start.drones.pos_w + rotated(start.drones.quat_wb, above_b)
    along = ends - load[0] - rotated(load[1], below_b)
    stretch = np.linalg.norm(along, axis=1) - cable.length_m.reshape(-1).numpy()
    if name == "slack-start":
        assert stretch.max() < -0.25
    else:
        assert np.abs(stretch).max() < 1e-6


def test_the_step_is_the_published_one():
    trials = draw(CONDITIONS["step"], FALCON3, 1, 0)
    place = trials.start.load.pos_w + rotated(trials.start.load.quat_wb, trials.pose_point_b_m)
    assert np.linalg.norm(trials.goals.pose[0, :3] - place) == pytest.approx(2.0, abs=1e-5)
    level = quaternions(np.zeros((1, 3)))
    angle = np.linalg.norm(rotations_between(level, quaternions(np.array([STEP[3:]]))))
    # Composed by hand: cos(θ/2) = cos15·cos10·cos45 + sin15·sin(-10)·sin(-45)... about the three axes.
    half = np.radians([15.0, -10.0, -45.0])
    (cr, cp, cy), (sr, sp, sy) = np.cos(half), np.sin(half)
    assert angle == pytest.approx(2.0 * np.arccos(cr * cp * cy + sr * sp * sy), abs=1e-6)


def test_heavier_loads_are_heavier_and_winds_blow():
    plain, heavy, windy = (draw(CONDITIONS[name], FALCON3, 3, 0) for name in ("step", "heavy50", "wind5"))
    np.testing.assert_allclose(heavy.params.load.mass_kg / plain.params.load.mass_kg, 1.5)
    wind = windy.params.drones.wind_w
    np.testing.assert_allclose(wind.x.square() + wind.y.square(), 25.0)
    np.testing.assert_allclose(windy.params.load.wind_w.x[:, 0], wind.x[:, 1])


def test_loss_is_of_one_member_and_cuts_only_where_it_shall():
    hang, cut = (draw(CONDITIONS[name], FALCON3, 50, 0) for name in ("lost-hang", "lost-cut"))
    assert (hang.chosen.sum(axis=1) == 1).all() and hang.chosen.any(axis=0).all()
    assert cut.is_cut and not hang.is_cut
    assert hang.loss_s.min() >= 5.0 and hang.loss_s.max() <= 10.0
    assert not np.isfinite(draw(CONDITIONS["step"], FALCON3, 2, 0).loss_s).any()


def test_facts_are_of_the_load_as_it_hangs_on_its_cables():
    facts = team_facts(FALCON3)
    assert facts.shape == (3, 15)
    np.testing.assert_allclose(facts[0, :3], (0.27, 0.22, 0.06), atol=1e-6)
    # 1.4 kg at z = -0.02 m and three halves of 23.6 g at z = 0.06 m.
    height = (1.4 * -0.02 + 0.0354 * 0.06) / 1.4354
    np.testing.assert_allclose(facts[:, 14], height, atol=1e-6)


def test_an_unknown_condition_is_refused_with_the_nearest():
    with pytest.raises(CorvidsError, match=r"no condition of a team is called 'stepp'.*step"):
        condition_named("stepp")
