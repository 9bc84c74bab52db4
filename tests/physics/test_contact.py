"""Contact over time: what is counted, what rests, what bounces on the airframe."""

from __future__ import annotations

import math

import pytest
import torch
from physics_lab import (
    DRAGLESS,
    DT_S,
    G,
    air,
    ball_energy_j,
    columns,
    immovable,
    quat_about,
    rows,
    run,
    setup,
    vec,
)

from corvids.controllers.rate_loop import Four
from corvids.envs.physics.ball import Ball
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.physics.world import World, WorldParams, fly

BALL = BallConfig(drag_per_m=0.0, magnus=0.0)


def landed(places: list[tuple[float, float, float]], tilt_rad: float = 0.0) -> tuple[World, WorldParams]:
    """Vehicles on the ground, motors off, each with a ball at rest at a place above it [m, from its centre]."""
    worlds = len(places)
    world, params = setup(air(body=DRAGLESS, rotors={"speed_min_radps": 0.0}), BALL, worlds=worlds)
    tilt = quat_about(
        torch.tensor([[0.0, 1.0, 0.0]]).double().expand(worlds, 3), torch.full((worlds,), tilt_rad)
    )
    body = world.body._replace(pos_w=vec((0.0, 0.0, 0.1), worlds), quat_wb=tilt)
    place = body.pos_w + tilt.rotate(vec(places, worlds))
    return world._replace(
        body=body, ball=Ball(place, vec((0.0, 0.0, 0.0), worlds), vec((0.0, 0.0, 0.0), worlds))
    ), params


def test_a_resting_ball_neither_sinks_nor_gains_energy():
    # On the racket's middle and near its edge, and on the airframe, from 1 mm above; top faces at 0.055 and 0.03 m.
    world, params = landed([(0.0, 0.0, 0.096), (0.03, 0.02, 0.096), (0.16, 0.0, 0.071)])
    params = immovable(params)
    rest = torch.tensor([0.195, 0.195, 0.17], dtype=torch.float64)
    world = run(world, params, 0.5)
    heights = []
    for _ in range(100):
        world = fly(world, params, DT_S)
        heights.append(world.ball.pos_w.z[:, 0] - rest)
    heights = torch.stack(heights)
    # Within the fall of one step, g·dt²; and, being the same in every step, for ever.
    assert heights.abs().max().item() < 2 * G * DT_S**2
    assert (heights - heights[0]).abs().max().item() < 1e-9
    assert rows(world.ball.vel_w).abs().max().item() <= G * DT_S * 1.01
    assert ball_energy_j(world.ball, params.ball).max().item() < 0.5 * 0.0472 * (1.01 * G * DT_S) ** 2
    assert (
        rows(world.ball.pos_w)[:, :2].sub(torch.tensor([[0.0, 0.0], [0.03, 0.02], [0.16, 0.0]])).abs().max()
        < 1e-6
    )


def test_a_ball_wedged_between_racket_and_airframe_stays_there():
    world, params = landed([(0.1, 0.0, 0.08)])
    world = run(world, params, 1.0)
    energy = ball_energy_j(world.ball, params.ball).item()
    assert math.isfinite(energy) and energy < 0.0472 * G * 0.2
    assert world.ball.pos_w.z.item() >= 0.04 - 1e-9


def test_a_ball_on_a_tilted_racket_starts_to_roll_like_one_on_an_incline():
    tilt = math.radians(10.0)
    world, params = landed([(-0.03, 0.0, 0.0951)], tilt_rad=tilt)
    start = world.ball.pos_w.x.item()
    world = run(world, params, 0.15)
    # Rolling without sliding: a = g·sin θ/(1 + k) with k = 0.5, along the incline.
    accel = G * math.sin(tilt) / 1.5
    assert (world.ball.pos_w.x.item() - start) / math.cos(tilt) == pytest.approx(
        0.5 * accel * 0.15**2, rel=0.05
    )
    assert world.ball.spin_w.y.item() * 0.04 == pytest.approx(
        world.ball.vel_w.x.item() / math.cos(tilt), rel=0.05
    )


def test_a_hovering_vehicle_carries_a_ball_that_rests_on_it():
    world, params = setup(air(), BALL)
    together = (1.0975 + 0.0472) * G
    speed = math.sqrt(together / air().max_thrust_n)
    steady = columns(Four(*[speed] * 4))
    ball = Ball(vec((0.0, 0.0, 100.095)), vec((0.0, 0.0, 0.0)), vec((0.0, 0.0, 0.0)))
    world = run(world._replace(rotors=steady, command=steady, ball=ball), params, 1.0)
    # Thrust equals the weight of both: neither falls, up to the first steps in which the ball settles.
    assert abs(world.body.vel_w.z.item()) < 0.01
    assert world.ball.pos_w.z.item() - world.body.pos_w.z.item() == pytest.approx(0.095, abs=2e-4)


def test_only_hits_on_the_rackets_face_count_as_such():
    # On the face; beside the racket on the airframe; from below on the airframe; on the airframe's edge.
    places = [(0.0, 0.0, 0.15), (0.15, 0.0, 0.12), (0.1, 0.0, -0.12), (0.3, 0.0, 0.0)]
    velocities = [(0.0, 0.0, -3.0), (0.0, 0.0, -3.0), (0.0, 0.0, 3.0), (-3.0, 0.0, 0.0)]
    world, params = setup(worlds=4)
    place = world.body.pos_w + vec(places, 4)
    world = world._replace(ball=Ball(place, vec(velocities, 4), vec((0.0, 0.0, 0.0), 4)))
    world = run(world, params, 0.04)
    assert world.impact.racket_count.flatten().tolist() == [1.0, 0.0, 0.0, 0.0]
    assert world.impact.other_count.flatten().tolist() == [0.0, 1.0, 1.0, 1.0]


def test_a_hit_from_below_on_a_racket_that_stands_free_does_not_count():
    # A racket wider than the airframe and high above it.
    high = air(racket={"position_b_m": (0.0, 0.0, 0.3), "radius_m": 0.5, "sweet_radius_m": 0.5})
    world, params = setup(high, BALL)
    params = immovable(params)
    ball = Ball(vec((0.4, 0.0, 100.2)), vec((0.0, 0.0, 4.0)), vec((0.0, 0.0, 0.0)))
    world = run(world._replace(ball=ball), params, 0.04)
    assert (world.impact.racket_count.item(), world.impact.other_count.item()) == (0.0, 1.0)
    assert world.ball.vel_w.z.item() < 0.0


def test_a_ball_dropped_on_the_airframe_bounces():
    world, params = landed([(0.16, 0.0, 0.57)])
    params = immovable(params)
    # Contact at 0.07 m above the centre: a fall of 0.5 m, and a rise of 0.4² of it.
    top, world = 0.0, run(world, params, math.sqrt(2 * 0.5 / G) + 0.01)
    assert world.impact.other_count.item() == 1.0
    for _ in range(100):
        world = fly(world, params, DT_S)
        top = max(top, world.ball.pos_w.z.item() - 0.17)
    assert top == pytest.approx(0.16 * 0.5, rel=0.01)


def test_the_last_impact_is_described_as_it_was():
    world, params = setup(air(body=DRAGLESS, racket={"friction": 0.0}, rotors={"speed_min_radps": 0.0}), BALL)
    ball = Ball(vec((0.01, 0.02, 100.3)), vec((0.0, 0.0, -2.0)), vec((0.0, 0.0, 0.0)))
    world = run(world._replace(ball=ball), params, 0.2)
    # Both fall, so the gap of 0.205 m closes at a constant 2 m/s: 0.1025 s. The ball is then at 100.095 − g·t²/2.
    height = 100.095 - 0.5 * G * 0.1025**2
    assert rows(world.impact.pos_w)[0].tolist() == pytest.approx([0.01, 0.02, height], abs=1e-4)
    assert world.impact.offset_m.item() == pytest.approx(math.hypot(0.01, 0.02), abs=1e-6)
    # Just after: what it has now, plus g times the time since.
    assert world.impact.vel_after_w.z.item() == pytest.approx(
        world.ball.vel_w.z.item() + G * (0.2 - 0.1025), abs=1e-4
    )
