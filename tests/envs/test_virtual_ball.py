"""A simulated ball against reported poses."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.ball import Ball, collide, step_flight
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import AT_REST
from corvids.envs.plants.virtual_ball import AWAY_S, VirtualBall
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
RACKET_M = 0.055
ZERO = Vec3(*torch.zeros(3, dtype=torch.float64))
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


def test_it_is_struck_as_in_the_world_that_policies_train_in():
    """A racket that leans, turns and climbs into the ball, as that world's physics has it on tensors."""
    rng = np.random.default_rng(0)
    params = map_leaves(tensor, world_params(AIR, STILL, 0.008))
    struck = 0
    for _ in range(60):
        climb = Hovering(
            vel_w=(*rng.normal(0.0, 0.5, 2), rng.uniform(1.0, 3.0)), omega_b=tuple(rng.normal(0.0, 2.0, 3))
        )
        later = dataclasses.replace(
            climb,
            stamp_s=10.008,
            pos_w=tuple(np.add((0.0, 0.0, 1.0), np.multiply(climb.vel_w, 0.008))),
            quat_wb=tuple(unit(np.array([1.0, *rng.normal(0.0, 0.2, 3)])) * rng.choice((-1.0, 1.0))),
        )
        ball = make(rng.uniform(-0.01, 0.02))
        ball.measure(10.0, climb)
        start = Ball(Vec3(*map(tensor, ball.seen_pos_w or ())), ZERO, ZERO)
        ball.release()
        ball.measure(10.008, later)
        ended = step_flight(start, params.wind_w, params.ball, 0.008)
        _, expected, impact = collide(
            (body(climb), start),
            (body(later), ended),
            params.racket,
            params.airframe,
            params.vehicle,
            params.ball,
            map_leaves(tensor, AT_REST.impact),
            0.008,
        )
        struck += int(impact.racket_count)
        assert ball.seen_pos_w == pytest.approx([float(part) for part in expected.pos_w], abs=1e-9)
    assert 20 < struck < 60


def test_a_flight_waits_for_it_no_longer_than_for_a_message():
    """PX4 reports 125 poses a second: near the racket, too, one has to be done long before the next one comes."""
    ball, pose = make(0.0), Hovering()
    play(ball, pose, 0.1)
    ball.release()
    ball.measure(pose.stamp_s, pose)
    start_s = time.process_time()
    play(ball, pose, 4.0)
    assert ball.drops == 0
    assert time.process_time() - start_s < 0.25, "half a millisecond a pose, where it takes a fiftieth of one"


def tensor(number: float) -> torch.Tensor:
    """A number as one world's tensor."""
    return torch.tensor(number, dtype=torch.float64)


def body(pose: Hovering) -> RigidBody:
    """A pose as the simulator's body."""
    pos_w, vel_w, omega_b = (Vec3(*map(tensor, three)) for three in (pose.pos_w, pose.vel_w, pose.omega_b))
    return RigidBody(pos_w, vel_w, Quat(*map(tensor, pose.quat_wb)), omega_b)


def unit(vector: np.ndarray) -> np.ndarray:
    """Its direction."""
    return vector / np.linalg.norm(vector)
