"""Order of the integrator: halving the step divides the error by four."""

from __future__ import annotations

import itertools
import math

import torch
from physics_lab import (
    DT_S,
    air,
    columns,
    directions,
    draw,
    matrices,
    quat_about,
    rows,
    run,
    setup,
    uniform,
    vec,
)

from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Vec3
from corvids.envs.physics.ball import Ball, step_flight
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.physics.world import World


def aggressive(dt_s: float) -> World:
    """0.4 s with unequal rotors that speed up, drag, wind and a tumbling body."""
    world, params = setup(air(), dt_s=dt_s)
    body = world.body._replace(vel_w=vec((4.0, -3.0, 1.0)), omega_b=vec((3.0, -2.0, 1.0)))
    world = world._replace(
        body=body, rotors=columns(Four(0.3, 0.6, 0.5, 0.4)), command=columns(Four(0.62, 0.65, 0.60, 0.63))
    )
    return run(world, params._replace(wind_w=vec((2.0, 1.0, -0.5))), 0.4, dt_s, with_ball=False)


def test_aggressive_flight_converges_to_second_order():
    ends = [aggressive(2 * DT_S / 2**k) for k in range(4)]

    def slopes(quantity) -> list[float]:
        # Errors of the scheme of order p obey e(h) − e(h/2) = (1 − 2⁻ᵖ)·e(h): differences show the order as errors do.
        values = [quantity(end) for end in ends]
        steps = [torch.linalg.norm(a - b).item() for a, b in itertools.pairwise(values)]
        return [math.log2(a / b) for a, b in itertools.pairwise(steps)]

    for name, quantity in {
        "position": lambda end: rows(end.body.pos_w),
        "velocity": lambda end: rows(end.body.vel_w),
        "attitude": lambda end: matrices(end.body.quat_wb),
        "rates": lambda end: rows(end.body.omega_b),
    }.items():
        found = slopes(quantity)
        assert all(1.8 < p < 2.3 for p in found), (name, found)


def test_flight_of_the_ball_converges_to_second_order():
    def fly_ball(dt_s: float) -> torch.Tensor:
        _, params = setup(ball=BallConfig(drag_per_m=0.3, magnus=0.01))
        ball = Ball(vec((0.0, 0.0, 50.0)), vec((6.0, 0.0, 5.0)), vec((20.0, -60.0, 30.0)))
        for _ in range(round(1.0 / dt_s)):
            ball = step_flight(ball, vec((1.0, 2.0, 0.0)), params.ball, dt_s)
        return torch.cat((rows(ball.pos_w), rows(ball.vel_w)))

    ends = [fly_ball(0.02 / 2**k) for k in range(4)]
    steps = [torch.linalg.norm(a - b).item() for a, b in itertools.pairwise(ends)]
    found = [math.log2(a / b) for a, b in itertools.pairwise(steps)]
    assert all(1.9 < p < 2.2 for p in found), found


def juggled(dt_s: float) -> World:
    """0.06 s in which balls with spin hit tumbling rackets off centre, all effects on."""
    worlds, random = 64, draw(3)
    world, params = setup(air(), dt_s=dt_s, worlds=worlds)

    def normal(scale: float) -> Vec3:
        return vec(torch.randn(worlds, 3, generator=random, dtype=torch.float64) * scale, worlds)

    tilt = quat_about(directions(worlds, random), uniform(0.0, 0.4, (worlds,), random))
    body = world.body._replace(vel_w=normal(0.7), quat_wb=tilt, omega_b=normal(1.5))
    above = normal(0.012)._replace(z=uniform(0.16, 0.22, (worlds, 1), random))
    falling = tilt.rotate(normal(0.4) + vec((0.0, 0.0, -4.0), worlds))
    ball = Ball(body.pos_w + tilt.rotate(above), body.vel_w + falling, normal(20.0))
    command = Four(*(uniform(0.4, 0.5, (worlds, 1), random) for _ in range(4)))
    world = world._replace(body=body, ball=ball, command=command, rotors=command.map(lambda u: 0.9 * u))
    return run(world, params, 0.06, dt_s)


def test_impacts_cost_an_order_but_little_accuracy():
    # Forces are not taken anew after the impact within its step, so the error is of first order, with a small factor.
    exact = juggled(DT_S / 16)
    assert (exact.impact.racket_count == 1.0).all()

    def errors(dt_s: float) -> tuple[torch.Tensor, torch.Tensor]:
        end = juggled(dt_s)
        return tuple(
            (rows(a) - rows(b)).norm(dim=1)
            for a, b in ((end.ball.pos_w, exact.ball.pos_w), (end.ball.vel_w, exact.ball.vel_w))
        )  # type: ignore[return-value]

    (pos, vel), (finer_pos, finer_vel) = errors(DT_S), errors(DT_S / 2)
    print(pos.max(), vel.max(), pos.mean() / finer_pos.mean(), vel.mean() / finer_vel.mean())
    # At 500 Hz: a fraction of a millimetre, and of a thousandth of the 7 m/s by which the velocity changed.
    assert pos.max().item() < 5e-4
    assert vel.max().item() < 7e-3
    assert pos.mean().item() > 1.8 * finer_pos.mean().item()
    assert vel.mean().item() > 1.8 * finer_vel.mean().item()
