"""A team ends its flight together: it holds, sinks at one rate, and is released once every cable is slack."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from corvids.commands.evaluating.carry_trials import CarryTrialsConfig, check, fly_carry_trials
from corvids.deploy.member_fallback import MemberFallback
from corvids.deploy.policy import read_policy_file
from corvids.deploy.supervision.reactions import RULES, TAUT_RULES, Reaction, Violation
from corvids.deploy.team_descent import DescentConfig, Phase, TeamDescent
from corvids.vehicle import load_vehicle

SHARE = np.array([7.6, 7.6, 7.6])
TAUT, SLACK = np.tile((0.0, 0.0, -7.6), (3, 1)), np.tile((0.5, 0.0, -0.3), (3, 1))
CONFIG = DescentConfig(hold_s=1.0, rate_mps=0.4, ramp_s=1.0, slack_part=0.2, slack_s=0.5)
TICK_S = 0.01


def descend(descent: TeamDescent, start_s: float, end_s: float, pulls: np.ndarray) -> float:
    """How far down it goes."""
    ticks = np.arange(round(start_s / TICK_S), round(end_s / TICK_S)) * TICK_S
    return sum(descent.advance(now_s, pulls) for now_s in ticks)


def test_it_holds_first_then_sinks_and_is_released_when_all_are_slack():
    descent = TeamDescent(SHARE, CONFIG)
    assert descend(descent, 0.0, 2.0, TAUT) == 0.0
    assert descent.phase is Phase.CARRYING
    assert descent.begin(2.0)
    assert not descent.begin(2.1), "once"
    assert descend(descent, 2.0, 3.0, TAUT) == 0.0
    assert descent.phase is Phase.HOLDING
    # The rate is reached in a second, so that half a second's way is missing.
    assert descend(descent, 3.0, 6.0, TAUT) == pytest.approx(0.4 * (3.0 - 0.5), abs=0.01)
    two_are_slack = SLACK.copy()
    two_are_slack[1] = TAUT[1]
    assert descend(descent, 6.0, 8.0, two_are_slack) == pytest.approx(0.8, abs=0.01)
    assert descent.phase is Phase.LOWERING, "a load may touch the ground with one side first"
    descend(descent, 8.0, 8.4, SLACK)
    descend(descent, 8.4, 8.5, TAUT)
    descend(descent, 8.5, 8.9, SLACK)
    assert descent.phase is Phase.LOWERING, "a bounce is no rest"
    descend(descent, 8.9, 9.1, SLACK)
    assert descent.phase is Phase.RELEASED
    assert descend(descent, 9.1, 10.0, SLACK) == 0.0


def test_what_is_held_sinks_alike_whoever_was_pushed_aside():
    law = MemberFallback(2, 10.0)
    everyone, still = np.ones(2, dtype=bool), np.zeros((2, 3))
    place = np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 2.5]])
    assert np.array_equal(law.command(everyone, place, still), still)
    law.sink(0.1)
    down = law.command(everyone, place, still)
    assert (down[:, 2] < 0.0).all()
    assert down[0, 2] == down[1, 2]
    assert np.array_equal(law.command(everyone, place - (0.0, 0.0, 0.1), still), still)


def test_a_member_that_bears_a_load_is_never_asked_to_land_or_hold_for_what_the_team_can_do_together():
    together = (Violation.BATTERY_LOW, Violation.OPERATOR_STOP, Violation.OPERATOR_LAND)
    for violation in together:
        assert RULES[violation].reaction in (Reaction.PX4_HOLD, Reaction.PX4_LAND)
        assert TAUT_RULES[violation].reaction is Reaction.LOWER
        assert TAUT_RULES[violation].states == RULES[violation].states
    unseen = {Violation.LOAD_LOST, Violation.LOAD_IMPLAUSIBLE}
    assert {TAUT_RULES[violation].reaction for violation in unseen} == {Reaction.CLIP}
    outside = Violation.FENCE_OUTER
    assert RULES[outside].reaction is Reaction.PX4_LAND
    assert TAUT_RULES[outside].reaction is Reaction.HOVER
    alike = set(Violation) - {*together, *unseen, outside}
    assert all(TAUT_RULES[violation] == RULES[violation] for violation in alike)


@pytest.mark.slow
def test_in_mujoco_the_load_is_put_down_and_then_the_members_land():
    file = read_policy_file(Path(__file__).parents[2] / "pretrained/carry.onnx", "carry")
    config = CarryTrialsConfig(condition="random-steps", trials=1, seconds=40.0)
    verdict, _, trials = fly_carry_trials(file, config, check(config, file), progress=False, land_s=2.0)
    assert verdict.end == ["time"]
    assert verdict.seconds[0] < 20.0
    half_m = float(trials.params.load.half_size_m.z)
    assert verdict.load_pos_w[-1, 2] == pytest.approx(half_m, abs=0.03), "its pose point is its middle"
    clearance_m = load_vehicle("falcon").airframe.ground_clearance_m
    assert verdict.members_pos_w[-1, :, 2] == pytest.approx(clearance_m, abs=0.05)
    assert verdict.tension_n[-50:].max() < 1e-6
    # In sync: from the hold on until the first cable is slack, heights keep their differences.
    held = np.searchsorted(verdict.time_s, 3.4)
    slack = int(np.argmax((verdict.tension_n[held:] < 1e-6).any(axis=1))) + held
    assert verdict.time_s[slack] > 4.5
    heights = verdict.members_pos_w[held:slack, :, 2]
    assert np.ptp(heights - heights[0], axis=1).max() < 0.08
    assert np.ptp(heights, axis=0).min() > 0.3, "they went down"
    assert math.isfinite(verdict.members_m[0])
    assert verdict.members_m[0] > 0.5
