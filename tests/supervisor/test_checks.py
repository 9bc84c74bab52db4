"""Each violation is found where it is, and only there."""

from __future__ import annotations

import math

import pytest
from supervisor_lab import DT_S, ENVELOPE, FENCE, THRESHOLDS, Scene

from corvids.deploy.supervision.checks import Checks, Proposal, Word, tilt_rad
from corvids.deploy.supervision.reactions import Violation as V

NAN = math.nan
FAULTS = [
    ({"is_heard": False, "heard_s": NAN}, {V.LINK_LOST}),
    ({"killed": True}, {V.KILLED}),
    ({"failsafe": True}, {V.FAILSAFE}),
    ({"battery": 0.15}, {V.BATTERY_LOW}),
    ({"battery": NAN}, set()),
    ({"words": frozenset({Word.STOP})}, {V.OPERATOR_STOP}),
    ({"words": frozenset({Word.LAND})}, {V.OPERATOR_LAND}),
    ({"lag_s": 0.15}, {V.STATE_LATE}),
    ({"lag_s": 0.3}, {V.STATE_LOST}),
    ({"lag_s": -0.01}, set()),
    ({"pos_w": (NAN, 0.0, 1.0)}, {V.STATE_NOT_FINITE, V.BALL_IMPLAUSIBLE}),
    ({"omega_b": (0.0, math.inf, 0.0)}, {V.STATE_NOT_FINITE}),
    ({"is_frozen": True}, {V.STATE_FROZEN}),
    ({"resets": 1}, {V.ESTIMATOR_RESET}),
    ({"pos_w": (3.1, 0.0, 1.0)}, {V.FENCE_OUTER}),
    ({"pos_w": (0.0, 0.0, -0.6)}, {V.FENCE_OUTER}),
    # stops 2.0 · (0.15 + 2.0 / 6.0) = 0.967 m further on: at 2.93 and at 3.03 m
    ({"pos_w": (1.96, 0.0, 1.0), "vel_w": (2.0, 0.0, 0.0)}, set()),
    ({"pos_w": (2.06, 0.0, 1.0), "vel_w": (2.0, 0.0, 0.0)}, {V.FENCE_INNER}),
    ({"vel_w": (0.0, 0.0, -3.0)}, {V.FENCE_INNER}),
    ({"vel_w": (0.0, 0.0, 5.1)}, {V.FENCE_INNER, V.TOO_FAST}),
    ({"quat_wb": (math.cos(0.65), math.sin(0.65), 0.0, 0.0)}, set()),
    ({"quat_wb": (math.cos(0.66), 0.0, math.sin(0.66), 0.0)}, {V.TILTED}),
    ({"omega_b": (0.0, 0.0, 3.1)}, {V.SPINNING}),
    ({"omega_b": (14.9, -14.9, 2.9)}, set()),
    ({"has_ball": False, "ball_stamp_s": NAN}, {V.BALL_LOST}),
    ({"has_ball": False, "ball_stamp_s": 200.0}, {V.BALL_LOST}),
    ({"ball_pos_w": (0.0, 0.0, 6.1)}, {V.BALL_IMPLAUSIBLE}),
    ({"pos_w": (0.0, 0.0, 1.0), "ball_pos_w": (0.0, 0.0, 0.71)}, set()),
    ({"pos_w": (0.0, 0.0, 1.0), "ball_pos_w": (0.0, 0.0, 0.69)}, {V.BALL_LOST}),
    ({"load_stamp_s": NAN}, {V.LOAD_LOST}),
    ({"load_stamp_s": 100.0}, set()),
    ({"load_stamp_s": 100.0, "load_doubt": "9 m off"}, {V.LOAD_IMPLAUSIBLE}),
    ({"load_stamp_s": 99.0, "load_doubt": "9 m off"}, {V.LOAD_LOST, V.LOAD_IMPLAUSIBLE}),
    ({"load_doubt": "9 m off"}, set()),
    ({"proposal": None}, {V.POLICY_SILENT}),
    ({"compute_s": 0.02}, {V.POLICY_SLOW}),
    ({"proposal": Proposal(NAN, (0.0, 0.0, 0.0))}, {V.COMMAND_NOT_FINITE}),
    ({"proposal": Proposal(40.0, (0.0, 0.0, 0.0))}, {V.COMMAND_OUTSIDE, V.COMMAND_SATURATED}),
    ({"proposal": Proposal(10.0, (0.0, -10.0, 0.0))}, {V.COMMAND_SATURATED}),
    ({"proposal": Proposal(0.5, (0.0, 0.0, 0.0))}, {V.COMMAND_SATURATED}),
]


def name_of(value: dict | set[V]) -> str:
    """The same in every process, which the order of a set is not."""
    return "+".join(sorted(one.name for one in value)) if isinstance(value, set) else str(value)[:60]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=name_of)
def test_a_fault_is_found(fault: dict, expected: set[V]):
    scene, checks = Scene(), Checks(ENVELOPE, FENCE, THRESHOLDS)
    assert checks.find(scene.see()) == {}
    scene.now_s += DT_S
    for name, value in fault.items():
        setattr(scene, name, value)
    found = checks.find(scene.see())
    assert set(found) == expected
    assert all(found.values()), "each says what was seen"


@pytest.mark.parametrize("step_s", [-0.001, 0.11, NAN])
def test_a_jump_of_time_is_found(step_s: float):
    scene, checks = Scene(), Checks(ENVELOPE, FENCE, THRESHOLDS)
    checks.find(scene.see())
    scene.now_s += step_s
    assert V.TICK_GAP in checks.find(scene.see())


def test_a_state_is_frozen_only_if_its_stamps_go_on():
    scene, checks = Scene(is_frozen=True), Checks(ENVELOPE, FENCE, THRESHOLDS)
    checks.find(scene.see())
    scene.now_s, scene.is_stamped = scene.now_s + DT_S, False
    assert V.STATE_FROZEN not in checks.find(scene.see())


def test_what_is_not_a_number_ages():
    scene, checks = Scene(), Checks(ENVELOPE, FENCE, THRESHOLDS)
    scene.vel_w = (NAN, 0.0, 0.0)
    scene.now_s += DT_S
    found = checks.find(scene.see())
    assert {V.STATE_NOT_FINITE, V.STATE_LOST} <= set(found), "there never was a good one"


def test_tasks_without_a_ball_lose_none():
    seen = Scene().see()._replace(ball_stamp_s=None)
    assert Checks(ENVELOPE, FENCE, THRESHOLDS).find(seen) == {}


def test_tilt_is_the_angle_to_the_vertical():
    assert tilt_rad((1.0, 0.0, 0.0, 0.0)) == 0.0
    assert tilt_rad((0.0, 1.0, 0.0, 0.0)) == pytest.approx(math.pi)
    assert tilt_rad((math.cos(0.2), 0.0, math.sin(0.2), 0.0)) == pytest.approx(0.4)
    assert tilt_rad((0.0, 0.0, 0.0, 0.0)) == pytest.approx(math.pi), "no attitude counts as the worst"
