"""A simulated ball against reported poses."""

from __future__ import annotations

import dataclasses

import pytest

from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.virtual_ball import AWAY_S, VirtualBall
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
RACKET_M = 0.055
STILL = BallConfig(drag_per_m=0.0, magnus=0.0)


@dataclasses.dataclass
class Hovering:
    """A vehicle that stands still in the air."""

    stamp_s: float = 10.0
    pos_w: tuple[float, float, float] = (0.0, 0.0, 1.0)
    vel_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat_wb: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    omega_b: tuple[float, float, float] = (0.0, 0.0, 0.0)


def play(ball: VirtualBall, pose: Hovering, seconds: float) -> list[tuple[float, tuple[float, float, float]]]:
    """Report poses at 125 Hz; all that was measured."""
    measured = []
    for _ in range(round(seconds * 125)):
        pose.stamp_s += 0.008
        measured += ball.measure(pose.stamp_s + 0.002, pose)
    return measured


def make(height_m: float) -> VirtualBall:
    """A ball held ``height_m`` above where it would lie on the racket."""
    return VirtualBall(AIR, height_m, STILL, seed=0)


def test_it_is_held_until_it_is_released():
    ball = make(0.6)
    heights = [pos_w[2] for _, pos_w in play(ball, Hovering(), 1.0)]
    assert len(heights) == pytest.approx(115, abs=12), "about 120 Hz, on the poses' grid"
    assert sum(heights) / len(heights) == pytest.approx(1.695, abs=0.002)
    assert ball.hits == ball.drops == 0


def test_it_bounces_as_high_as_in_closed_form():
    """0.6 m of fall and e = 0.82 against a vehicle of 1.0975 kg: it leaves with (e·M - m)/(M + m) of its speed."""
    ball, pose = make(0.6), Hovering()
    play(ball, pose, 0.1)
    ball.release()
    heights = [pos_w[2] for _, pos_w in play(ball, pose, 0.9)]
    mass, ball_mass = AIR.body.mass_kg, STILL.mass_kg
    back = (0.82 * mass - ball_mass) / (mass + ball_mass)
    assert max(heights[-30:]) == pytest.approx(1.0 + RACKET_M + 0.04 + 0.6 * back**2, abs=0.015)
    assert ball.hits == 1, "0.34 m"


def test_a_dropped_ball_comes_back_to_be_held():
    ball = make(0.6)
    pose = Hovering()
    play(ball, pose, 0.1)
    ball.release()
    pose.pos_w = (0.5, 0.0, 1.0)
    play(ball, pose, 1.0)
    assert (ball.hits, ball.drops) == (0, 1)
    assert play(ball, pose, AWAY_S - 0.7) == [], "out of sight"
    heights = [pos_w[2] for _, pos_w in play(ball, pose, 1.0)]
    assert heights[-1] == pytest.approx(1.695, abs=0.015)


def test_it_is_held_over_the_vehicle_wherever_that_goes():
    ball, pose = make(0.6), Hovering(pos_w=(-1.0, 2.0, 3.0))
    _, (x, y, z) = play(ball, pose, 0.5)[-1]
    assert (x, y, z) == pytest.approx((-1.0, 2.0, 3.695), abs=0.015)


def test_a_gap_between_poses_is_not_flown_through():
    ball, pose = make(0.6), Hovering()
    play(ball, pose, 0.1)
    ball.release()
    pose.stamp_s += 5.0
    play(ball, pose, 0.1)
    assert ball.drops == 1
