"""A goal's twist is the derivative of its pose, and what is previewed is what comes."""

from __future__ import annotations

import pytest
import torch

from corvids.controllers.load_filter import rotation_between
from corvids.envs.mdp.goal_path import COMMAND, PATH_ROWS, PREVIEWS_S, command_of, moved, pose_at


def some_path() -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    path = torch.rand(PATH_ROWS, 5, 1, dtype=torch.float64, generator=random)
    path[18:] *= 6.28
    return path.unbind(0)


def test_the_twist_is_the_derivative_of_the_pose():
    path, small = some_path(), 1e-6
    command, now, soon = command_of(path), pose_at(path), pose_at(path, small)
    for vel, before, after in zip(command[7:10], now.pos_w, soon.pos_w, strict=True):
        torch.testing.assert_close(vel, (after - before) / small, rtol=0.0, atol=1e-5)
    turn = rotation_between(now.quat_wb, soon.quat_wb)
    for omega, angle in zip(command[10:13], turn, strict=True):
        # The command's is the mean over 10 ms.
        torch.testing.assert_close(omega, angle / small, rtol=0.0, atol=0.03)


def test_previews_are_what_comes():
    path = some_path()
    command = command_of(path)
    assert len(command) == len(COMMAND)
    for index, ahead_s in enumerate(PREVIEWS_S):
        later = path
        for _ in range(round(ahead_s / 0.01)):
            later = moved(later, 0.01)
        pose = pose_at(later)
        told = command[13 + 7 * index : 20 + 7 * index]
        for one, other in zip(told, (*pose.pos_w, *pose.quat_wb), strict=True):
            torch.testing.assert_close(one, other, rtol=0.0, atol=1e-12)


def test_a_goal_without_amplitude_stands():
    path = list(some_path())
    path[6:12] = [torch.zeros_like(path[0])] * 6
    command = command_of(tuple(path))
    assert max(float(part.abs().max()) for part in command[7:13]) == pytest.approx(0.0, abs=1e-12)
    for index in range(7):
        torch.testing.assert_close(command[index], command[13 + index], rtol=0.0, atol=0.0)
