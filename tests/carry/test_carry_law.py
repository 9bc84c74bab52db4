"""The law that members carry by: statics by hand, and no step where its parts meet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from corvids.envs.mdp.carry_law import NEAR_M, RATE_LAG_S, carrying, summed
from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.goal_ahead import AHEAD_S, goal_ahead
from corvids.envs.mdp.goal_path import COMMAND, PREVIEWS_S
from corvids.envs.mdp.hanging import FAN_M, HANG_M, hanging, hanging_places, load_share
from corvids.envs.mdp.pose_features import crossed, turn_between
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.envs.plants.team_goals import command_at, figure, pose_at, quaternions, rotations_between
from corvids.team import load_team


def cables(team_name: str, angles_deg: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Points of attachment from the load's centre of mass, and unit vectors along the cables, both world."""
    facts = team_facts(load_team(team_name)).double()
    quat = torch.from_numpy(quaternions(np.radians([angles_deg])))
    axes = rotation_matrix(quat).expand(len(facts), -1)
    place = torch.tensor([[0.3, -0.2, 1.1]]).double().expand(len(facts), -1)
    matrix = axes[0].reshape(3, 3).numpy()
    points = (facts[:, :3] - facts[:, 12:15]).numpy() @ matrix.T
    attached = place.numpy() + facts[:, :3].numpy() @ matrix.T
    along = hanging_places(place, axes, facts).numpy() - attached
    length = np.linalg.norm(along, axis=1)
    np.testing.assert_allclose(length, facts[:, 11] + HANG_M, rtol=1e-6)
    return points, along / length[:, None]


@pytest.mark.parametrize("team", ["falcon3", "falcon4", "falcon5", "falcon6"])
@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (30, -20, -90), (-30, 25, 120)])
def test_tensions_exist_that_hold_the_load_at_every_tilt(team: str, angles_deg):
    """Sum of forces = weight, sum of moments about the centre of mass = 0, by cables that all pull."""
    points, along = cables(team, angles_deg)
    wrench = np.concatenate((along.T, np.cross(points, along).T))
    weight = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    tension, *_ = np.linalg.lstsq(wrench, weight, rcond=None)
    assert np.abs(wrench @ tension - weight).max() < 1e-5
    if team == "falcon3":  # more cables than three are shared by infinitely many tensions
        assert tension.min() > 0.05


def test_cables_lean_outward_and_meet_below_the_load():
    points, along = cables("falcon3", (0, 0, 0))
    level = along[:, :2] / along[:, 2:]
    np.testing.assert_allclose(level, points[:, :2] / FAN_M, atol=1e-4)
    assert math.degrees(math.atan(np.linalg.norm(level, axis=1).max())) < 40.0


@pytest.mark.parametrize("team", ["falcon3", "falcon4", "falcon5", "falcon6"])
@pytest.mark.parametrize("accel_w", [(0.0, 0.0, 0.0), (2.0, -3.0, 1.0)])
def test_the_pulls_that_members_yield_from_balance_the_load(team: str, accel_w):
    """Forces sum up to what the load needs, and their moments about its centre of mass are none."""
    facts = team_facts(load_team(team)).double()
    axes = rotation_matrix(torch.from_numpy(quaternions(np.array([(0.4, -0.2, 0.7)])))).expand(len(facts), -1)
    rest = torch.zeros(len(facts), 3).double()
    pull = hanging(rest, axes, facts, rest + torch.tensor(accel_w).double()).pull.numpy()
    needed = float(facts[0, 10]) * np.add(accel_w, (0.0, 0.0, 9.80665))
    np.testing.assert_allclose(pull.sum(0), needed, atol=1e-4)
    points = (facts[:, :3] - facts[:, 12:15]).numpy() @ axes[0].reshape(3, 3).numpy().T
    assert np.abs(np.cross(points, pull).sum(0)).max() < 1e-4


def test_the_member_nearest_to_the_centre_of_mass_bears_most():
    """Of three, the rear one stands against both in front: one half, by moments about the line between those."""
    share = load_share(team_facts(load_team("falcon3")), torch.zeros(3, 2))[:, 0]
    assert sorted(share.tolist()) == pytest.approx([0.25, 0.25, 0.5], abs=0.01)


@pytest.mark.parametrize("radps", [0.3, 1.3, 2.7])
def test_a_goal_that_swings_is_foreseen(radps: float):
    """Place to 1 % of the amplitude and acceleration to 5 % of its largest, whatever the phase."""
    phase = torch.linspace(0.0, 2.0 * math.pi, 24, dtype=torch.float64)
    command = torch.zeros(24, len(COMMAND), dtype=torch.float64)
    command[:, 3], command[:, 0], command[:, 7] = 1.0, phase.sin(), radps * phase.cos()
    for index, ahead_s in enumerate(PREVIEWS_S):
        command[:, 13 + 7 * index] = (phase + radps * ahead_s).sin()
        command[:, 16 + 7 * index] = 1.0
    ahead = goal_ahead(command)
    true = torch.stack([(phase + radps * ahead_s).sin() for ahead_s in AHEAD_S], dim=1)
    assert (ahead.pos_w[:, :, 0] + phase.sin()[:, None] - true).abs().max() < 0.01
    assert (ahead.accel_w[:, :, 0] + true * radps**2).abs().max() < 0.05 * radps**2
    assert ahead.accel_w[:, :, 1:].abs().max() == ahead.turn_b.abs().max() == 0.0


def on_path(time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Place and pull of the three members (3, 6), by the statics alone, on the fastest figure; and that figure."""
    facts, goals, step = team_facts(load_team("falcon3")).double(), figure(1, 2.0, 4.0), 1e-3
    before, pose, after = (pose_at(goals, time_s + side * step) for side in (-1.0, 0.0, 1.0))
    accel = torch.from_numpy((after + before - 2.0 * pose)[:, :3] / step**2).expand(3, -1)
    axes = rotation_matrix(torch.from_numpy(quaternions(pose[:, 3:])))
    hang = hanging(torch.from_numpy(pose[:, :3]).expand(3, -1), axes.expand(3, -1), facts, accel)
    return torch.cat(hang, dim=1).numpy(), command_at(goals, time_s)


@pytest.mark.parametrize("time_s", [3.5, 4.1, 5.0, 5.6])
def test_members_on_their_path_are_told_to_go_on_along_it(time_s: float):
    """With no error at all, what is wanted is the acceleration of the hanging place (differences of statics, 10 ms),

    plus what the inner loop leaves of the pull; and the turn of the thrust that both take, when rates come into force.
    """
    step, mass_kg = 0.01, 0.6168

    def derivatives(at_s: float) -> np.ndarray:
        before, now, after = (on_path(at_s + side * step)[0] for side in (-1.0, 0.0, 1.0))
        return np.stack((now, (after - before) / (2.0 * step), (after + before - 2.0 * now) / step**2))

    def thrust_n(at_s: float) -> np.ndarray:
        now, _, second = derivatives(at_s)
        return mass_kg * (second[:, :3] + (0.0, 0.0, 9.80665)) + now[:, 3:]

    (place, vel, accel), (here, command) = derivatives(time_s), on_path(time_s)
    quat, still = torch.from_numpy(command[:, 3:7]).expand(3, -1), torch.zeros(3, 1).double()
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double().expand(3, -1)
    goal = torch.from_numpy(command).expand(3, -1)
    # The filter's velocity is late; that of a load on its path is what the law makes up for.
    filtered = goal[:, 7:10] - goal_ahead(goal).accel_w[:, 0] * 0.055
    pos_w, vel_w = (torch.from_numpy(part[:, :3]) for part in (place, vel))
    inputs = TeamInputs(
        pos_w, vel_w, level, still.expand(-1, 3), still,
        goal[:, :3], filtered, quat, goal[:, 10:13], still, goal, team_facts(load_team("falcon3")).double(),
    )  # fmt: skip
    wanted = carrying(inputs, torch.zeros(3, 6).double(), mass_kg).numpy()
    left = here[:, 3:] * (1.0 - CANCELLED_PART) / mass_kg
    np.testing.assert_allclose(wanted[:, :3], accel[:, :3] + left, atol=0.5)
    assert np.abs(accel[:, :3]).max() > 1.0
    later = time_s + RATE_LAG_S
    thrust, change = thrust_n(later), (thrust_n(later + step) - thrust_n(later - step)) / (2.0 * step)
    turn = np.cross(thrust, change) / (thrust**2).sum(1, keepdims=True)
    np.testing.assert_allclose(wanted[:, 3:], turn[:, :2], atol=0.25)


def test_short_forms_of_products_are_those_of_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 8, 3))
    np.testing.assert_allclose(
        crossed(torch.from_numpy(a), torch.from_numpy(b)).numpy(), np.cross(a, b), atol=1e-6
    )
    start, end = (quaternions(angles) for angles in (0.3 * a, 0.3 * a + 0.02 * b))
    turn = turn_between(torch.from_numpy(start), torch.from_numpy(end)).numpy()
    np.testing.assert_allclose(turn, rotations_between(start, end), atol=1e-5)


def test_errors_are_summed_only_when_small():
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    zero, one = torch.zeros(1, 3), torch.zeros(1, 1)

    def after(error_m: float) -> float:
        command = torch.zeros(1, len(COMMAND))
        command[:, 0], command[:, 3] = error_m, 1.0
        inputs = TeamInputs(
            zero, zero, level, zero, one, zero, zero, level, zero, one, command, torch.zeros(1, 15)
        )
        return float(summed(inputs, torch.zeros(1, 6), 0.01)[0, 0])

    assert after(0.05) > after(0.01) > 0.0
    assert after(0.05) == -after(-0.05)
    assert after(NEAR_M) == after(2.0) == 0.0
