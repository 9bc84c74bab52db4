"""What is commanded in flights without a ball, and a flight of a policy that keeps its place."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import policy_lab
import pytest
from flying import FlyingStandin, VirtualLink

from corvids.cli import main
from corvids.commands.flying.course import Course
from corvids.commands.flying.px4 import Plan, fly_over
from corvids.deploy.policy import read_policy_file
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.handover import Source
from corvids.deploy.supervision.reactions import Reaction, State
from corvids.deploy.supervision.supervisor import Verdict
from corvids.vehicle import load_vehicle

PLACE = ("place_x_w_m", "place_y_w_m", "place_z_w_m")
VELOCITY = ("vel_x_w_mps", "vel_y_w_mps", "vel_z_w_mps")
AT = (0.5, -0.5, 1.5)
AIR = load_vehicle("air")


def verdict(state: State) -> Verdict:
    return Verdict(state, Source.POLICY, None, None, Reaction.NONE, ())


def seen(now_s: float, pos_w) -> Seen:
    return Seen(now_s, None, now_s, pos_w, (0.0,) * 3, (1.0, 0.0, 0.0, 0.0), (0.0,) * 3, 0)  # pyright: ignore[reportArgumentType]


def test_each_task_is_commanded_in_its_own_words():
    assert Course(PLACE, AT, 0.6).command(3.0).tolist() == [*AT]
    assert Course((*PLACE, "apex_m"), AT, 0.6).command(3.0).tolist() == [*AT, 0.6]
    assert Course((*PLACE, *VELOCITY), AT, 0.6).command(3.0).tolist() == [*AT, 0.0, 0.0, 0.0]


def test_the_curve_begins_at_the_place_when_the_policy_does_and_its_velocity_is_its_slope():
    course = Course((*PLACE, *VELOCITY), AT, 0.6)
    course.watch(seen(9.0, AT), verdict(State.ENGAGING))
    course.watch(seen(10.0, AT), verdict(State.POLICY))
    start = course.command(10.0)
    assert start[:3] == pytest.approx(AT)
    for now_s in (10.0, 11.3, 14.0):
        slope = (course.command(now_s + 1e-4)[:3] - course.command(now_s)[:3]) / 1e-4
        assert course.command(now_s)[3:] == pytest.approx(slope, abs=1e-3)
    course.watch(seen(15.0, AT), verdict(State.RECOVERING))
    assert course.command(15.0)[:3] == pytest.approx(AT), "it waits there until the policy flies again"


def test_the_truth_counts_beside_what_px4_believes():
    course = Course(PLACE, AT, 0.6, truth=lambda: (AT[0] + 0.3, AT[1], AT[2] + 0.4))
    for now_s in (0.0, 2.5, 3.0):
        course.watch(seen(now_s, AT), verdict(State.POLICY))
    assert (course.rmse_m, course.true_rmse_m) == (0.0, pytest.approx(0.5))
    assert math.isnan(Course(PLACE, AT, 0.6).true_rmse_m)


def test_the_distance_counts_while_the_policy_flies_but_for_its_first_two_seconds():
    course = Course(PLACE, AT, 0.6)
    assert math.isnan(course.rmse_m)
    for now_s, off_m, state in (
        (0.0, 5.0, State.ENGAGING), (1.0, 5.0, State.POLICY), (2.9, 5.0, State.POLICY),
        (3.0, 0.3, State.POLICY), (3.1, 0.4, State.POLICY), (3.2, 5.0, State.LANDING),
    ):  # fmt: skip
        course.watch(seen(now_s, (AT[0] + off_m, AT[1], AT[2])), verdict(state))
    assert course.rmse_m == pytest.approx(math.sqrt((0.09 + 0.16) / 2.0))


def test_a_policy_without_a_ball_flies_and_lands(tmp_path: Path):
    """It has learned nothing and is soon taken back: what counts is that it was handed over, and that all end well."""
    file = read_policy_file(policy_lab.save_policy(tmp_path, "hover"), "hover")
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    plan = Plan(vehicle=None, seconds=8.0, seed=0, record=None, origin=None)
    outcome = fly_over(file, AIR, VirtualLink(px4), None, plan)
    assert outcome.states["policy"] > 0.0
    assert outcome.has_ended_safely
    assert not px4.crashed
    assert np.isfinite(px4.truth.pos_ned).all()


def test_mistakes_are_said_in_one_line(capsys):
    assert main(["fly", "hover", "--plant", "px4", "--arm"]) == 2
    error = capsys.readouterr().err
    assert "hover.onnx" in error
    assert error.count("\n") == 1


def test_a_long_flight_takes_no_more_memory_than_a_short_one():
    """Half an hour at 250 Hz had kept 16 MB of distances."""
    course = Course(("x_w_m", "y_w_m", "z_w_m"), AT, 0.0, lambda: AT)
    tracemalloc.start()
    try:
        for tick in range(2000):
            course.watch(seen(0.01 * tick, AT), verdict(State.POLICY))
        early = tracemalloc.get_traced_memory()[0]
        for tick in range(2000, 12_000):
            course.watch(seen(0.01 * tick, AT), verdict(State.POLICY))
        grown = tracemalloc.get_traced_memory()[0] - early
    finally:
        tracemalloc.stop()
    assert grown < 4096
