"""Goals of evaluations: curves keep the speed and the acceleration that they are named for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corvids.envs.mdp.goal_path import COMMAND
from corvids.envs.plants.team_conditions import CONDITIONS
from corvids.envs.plants.team_goals import RAMP_S, command_at, figure, pose_at, quaternions, rotations_between


@pytest.mark.parametrize("name", ["track1", "track2", "track2a4", "track5"])
def test_figures_have_their_speed_and_acceleration(name: str):
    speed, accel = CONDITIONS[name].figure
    goals, dt_s = figure(1, speed, accel), 0.002
    time_s = np.arange(RAMP_S, RAMP_S + 2.0 * math.pi / goals.omega_radps, dt_s)
    pos = np.array([pose_at(goals, t)[0, :3] for t in time_s])
    vel = np.diff(pos, axis=0) / dt_s
    assert np.linalg.norm(vel, axis=1).max() == pytest.approx(speed, rel=1e-3)
    assert np.linalg.norm(np.diff(vel, axis=0) / dt_s, axis=1).max() == pytest.approx(accel, rel=1e-3)


def test_figures_begin_at_rest_and_without_a_step():
    goals = figure(1, 2.0, 4.0)
    pos = np.array([pose_at(goals, t)[0] for t in np.arange(0.0, 2.0 * RAMP_S, 0.01)])
    assert np.abs(pos[1] - pos[0]).max() < 1e-4
    assert np.abs(np.diff(pos, axis=0)).max() < 0.025


def test_commands_hold_the_twist_that_they_go_on_with():
    goals = figure(2, 2.0, 2.0)
    command, later = command_at(goals, 4.0), command_at(goals, 4.1)
    assert command.shape == (2, len(COMMAND))
    names = list(COMMAND)
    ahead = names.index("pos_x_w_m_in_0.1s")
    np.testing.assert_allclose(command[:, ahead : ahead + 7], later[:, :7], atol=1e-12)
    np.testing.assert_allclose(command[:, 7:10] * 0.1, later[:, :3] - command[:, :3], atol=0.02)
    turned = rotations_between(command[:, 3:7], later[:, 3:7])
    np.testing.assert_allclose(command[:, 10:13] * 0.1, turned, atol=5e-3)


def test_a_rotation_between_attitudes_is_the_one_that_was_made():
    angles = np.array([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, math.pi - 0.01]])
    vectors = rotations_between(quaternions(np.zeros((3, 3))), quaternions(angles))
    np.testing.assert_allclose(vectors, angles, atol=1e-9)
