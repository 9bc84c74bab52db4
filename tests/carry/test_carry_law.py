"""The law that members carry by: statics by hand, and no step where its parts meet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from corvids.envs.mdp.carry_law import (
    FAN_M,
    HANG_M,
    NEAR_M,
    goal_derivatives,
    hanging,
    hanging_places,
    load_share,
    summed,
)
from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.goal_path import COMMAND, PREVIEWS_S
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.plants.team_goals import quaternions
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


def test_derivatives_of_a_goal_that_moves_as_a_polynomial_are_exact():
    def place(t: float) -> torch.Tensor:
        return torch.tensor([[1.0 + 2.0 * t + 1.5 * t**2, -t - 0.5 * t**3, 0.25 * t**4]], dtype=torch.float64)

    command = torch.zeros(1, len(COMMAND)).double()
    command[:, :3], command[:, 7:10] = place(0.0), torch.tensor([[2.0, -1.0, 0.0]])
    for index, ahead_s in enumerate(PREVIEWS_S):
        command[:, 13 + 7 * index : 16 + 7 * index] = place(ahead_s)
    accel, jerk, snap = goal_derivatives(command)
    for found, true in ((accel, [3.0, 0.0, 0.0]), (jerk, [0.0, -3.0, 0.0]), (snap, [0.0, 0.0, 6.0])):
        assert found[0].tolist() == pytest.approx(true, abs=1e-9)


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
