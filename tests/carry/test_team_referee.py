"""What counts as a crash, on states made by hand; and when a load has settled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corvids.commands.evaluating.carry import settling_s, wilson
from corvids.envs.engines.team_engine import TeamState
from corvids.envs.plants.team_conditions import CONDITIONS, TeamTrials, draw
from corvids.envs.plants.team_referee import TeamReferee
from corvids.team import load_team

FALCON3 = load_team("falcon3")


def scene(name: str = "step", trials: int = 2) -> tuple[TeamTrials, TeamReferee]:
    drawn = draw(CONDITIONS[name], FALCON3, trials, 0)
    return drawn, TeamReferee(drawn, np.full(trials, 20.0))


def moved(state: TeamState, row: int, by_m: tuple[float, float, float]) -> TeamState:
    pos_w = state.drones.pos_w.copy()
    pos_w[row] += by_m
    return state._replace(drones=state.drones._replace(pos_w=pos_w))


def test_a_calm_start_is_no_crash_and_a_time_limit_is_none_either():
    trials, referee = scene()
    referee.look(0.0, trials.start)
    assert not referee.done.any()
    referee.look(20.0, trials.start)
    assert referee.done.all() and referee.verdict.end == ["time", "time"]
    assert referee.verdict.pos_error_m[0] == pytest.approx([2.0, 2.0], abs=1e-4)
    np.testing.assert_allclose(referee.verdict.seconds, 20.0)


def test_members_too_close_end_their_trial_alone():
    trials, referee = scene()
    first, second = trials.start.drones.pos_w[3], trials.start.drones.pos_w[4]
    referee.look(0.01, moved(trials.start, 3, tuple(np.add(second - first, (0.3, 0.0, 0.0)))))
    assert referee.verdict.end == ["time", "crashed: members close"]
    assert referee.verdict.members_m[1] == pytest.approx(0.3, abs=1e-6)


def test_a_member_at_anothers_cable_crashes():
    trials, referee = scene()
    load, other = trials.start.load.pos_w[0], trials.start.drones.pos_w[1]
    middle = 0.4 * other + 0.6 * np.add(load, (0.27, -0.22, 0.08))
    way = middle - trials.start.drones.pos_w[0]
    referee.look(0.01, moved(trials.start, 0, tuple(way)))
    assert referee.verdict.end[0] == "crashed: cable close" and referee.verdict.cable_m[0] < 0.1


def test_what_is_low_tilted_or_far_crashes():
    trials, _ = scene(trials=1)
    low = moved(trials.start, 2, (0.0, 0.0, 0.05 - trials.start.drones.pos_w[2, 2]))
    far = moved(trials.start, 2, (0.0, 0.0, 6.0))
    quat = trials.start.drones.quat_wb.copy()
    quat[1] = (math.cos(0.9), math.sin(0.9), 0.0, 0.0)  # 103°
    tilted = trials.start._replace(drones=trials.start.drones._replace(quat_wb=quat))
    for state, why in ((low, "member low"), (far, "far"), (tilted, "tilted")):
        referee = TeamReferee(trials, np.full(1, 20.0))
        referee.look(0.01, state)
        assert referee.verdict.end == [f"crashed: {why}"]


def test_a_lost_member_is_exempt_and_a_load_on_the_ground_may_lie_until_it_has_risen():
    trials, referee = scene("lost-hang", 1)
    row = int(np.flatnonzero(trials.chosen.reshape(-1))[0])
    low = moved(trials.start, row, (0.0, 0.0, 0.05 - trials.start.drones.pos_w[row, 2]))
    referee.look(float(trials.loss_s[0]) + 0.1, low)
    assert not referee.done.any()
    trials, referee = scene("slack-start", 1)
    assert trials.start.load.pos_w[0, 2] < 0.1
    referee.look(0.01, trials.start)
    assert not referee.done.any()


def test_settling_counts_from_when_the_load_stays_for_a_second():
    near, far = np.full(100, 0.05), np.full(50, 0.2)
    small = np.zeros(300)
    assert settling_s(np.concatenate((far, near[:90], far, near)), small[:290]) == pytest.approx(1.9)
    assert settling_s(np.concatenate((far, near[:90], far)), small[:190]) == math.inf
    assert settling_s(np.concatenate((far, near)), np.full(150, math.radians(11.0))) == math.inf
    assert settling_s(near, small[:100]) == 0.0


def test_wilsons_interval_is_the_textbook_one():
    assert wilson(0, 1000) == pytest.approx((0.0, 0.00383), abs=1e-5)
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
