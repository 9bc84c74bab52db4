"""Features of a flying ball against trajectories that scipy integrates, in a vacuum and in air."""

from __future__ import annotations

import pytest
import torch
from flight_truth import integrated

from corvids.envs.mdp.ball_features import descent, fallen, launch_speed, rise
from corvids.envs.mdp.features import GRAVITY_MPS2
from corvids.envs.physics.nominal import BallConfig

FLIGHTS = [
    (3.4, 0.0, 0.3),
    (2.0, 0.5, 0.3),
    (-2.0, 0.5, 0.5),
    (0.0, 0.7, 1.0),
    (-1.0, 0.02, 0.0),
    (5.0, 1.0, 0.5),
]


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(("up", "height", "aside"), FLIGHTS)
def test_descent_says_when_where_and_how_fast(up: float, height: float, aside: float):
    time_s, place_m, speed = integrated(0.0, up, height, aside)
    landing, speed_said, until_s = descent(row(0, 0, height), row(aside, 0, up))
    assert until_s.item() == pytest.approx(time_s, abs=1e-7)
    assert landing[0].tolist() == pytest.approx([place_m, 0.0], abs=1e-7)
    assert speed_said.item() == pytest.approx(speed, rel=1e-7)


@pytest.mark.parametrize(("up", "height", "aside"), FLIGHTS[:5])
def test_air_changes_little_of_a_juggled_balls_descent(up: float, height: float, aside: float):
    """The ball that policies train with, from 0.7 m at the most: 7 ms and 1 cm, and 4 % of the speed."""
    time_s, place_m, speed = integrated(BallConfig().drag_per_m, up, height, aside)
    landing, speed_said, until_s = descent(row(0, 0, height), row(aside, 0, up))
    assert until_s.item() == pytest.approx(time_s, abs=7e-3)
    assert landing[0, 0].item() == pytest.approx(place_m, abs=1e-2)
    assert speed_said.item() == pytest.approx(speed, rel=0.04)


def test_a_ball_below_is_there_already():
    landing, speed, until_s = descent(row(0.1, 0.2, -0.3), row(1.0, 1.0, -2.0))
    assert landing[0].tolist() == pytest.approx([0.1, 0.2])
    assert (speed.item(), until_s.item()) == pytest.approx((2.0, 0.0))


def test_a_ball_thrown_up_fast_enough_for_a_height_gains_it():
    """0.6 m take 3.43 m/s."""
    height = torch.linspace(0.05, 2.0, 40, dtype=torch.float64)[:, None]
    torch.testing.assert_close(rise(launch_speed(height)), height)
    assert launch_speed(row(0.6)).item() == pytest.approx(3.4304, abs=1e-4)


def test_falling_for_a_while():
    """From 3 m/s downwards, 0.1 s: 0.3 + 0.049 m further down, moving 1 m/s aside all the while."""
    pos, vel = fallen(row(0, 0, 2), row(1, 0, -3), row(0.1))
    assert pos[0].tolist() == pytest.approx([0.1, 0.0, 2.0 - 0.3 - GRAVITY_MPS2 * 0.005])
    assert vel[0].tolist() == pytest.approx([1.0, 0.0, -3.0 - GRAVITY_MPS2 * 0.1])
