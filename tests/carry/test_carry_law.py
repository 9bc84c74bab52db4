"""The law that members carry by: statics by hand, and no step where its parts meet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from corvids.envs.carry_law import FAN_M, HANG_M, hanging_places
from corvids.envs.features import rotation_matrix
from corvids.envs.team_facts import team_facts
from corvids.envs.team_goals import quaternions
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
