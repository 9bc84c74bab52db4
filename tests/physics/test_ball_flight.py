"""Flight of the ball: drag, Magnus force, ground."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from physics_lab import DT_S, G, ball_energy_j, columns, rows, vec

from corvids.envs.physics.ball import Ball, BallParams, rise_m, step_flight
from corvids.envs.physics.nominal import BallConfig

STILL = vec((0.0, 0.0, 0.0))


def parameters(**changes: float) -> BallParams:
    return columns(BallParams(*dataclasses.astuple(dataclasses.replace(BallConfig(), **changes))))


def flown(ball: Ball, params: BallParams, seconds: float, wind_w=STILL) -> Ball:
    for _ in range(round(seconds / DT_S)):
        ball = step_flight(ball, wind_w, params, DT_S)
    return ball


def test_free_fall_is_exact():
    ball = flown(Ball(vec((0.0, 0.0, 50.0)), vec((1.0, 2.0, 3.0)), STILL), parameters(drag_per_m=0.0), 1.0)
    assert rows(ball.pos_w)[0].tolist() == pytest.approx([1.0, 2.0, 53.0 - G / 2], abs=1e-11)
    assert rows(ball.vel_w)[0].tolist() == pytest.approx([1.0, 2.0, 3.0 - G], abs=1e-12)


@pytest.mark.parametrize("drag", [0.0, 1e-5, 0.032, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rise_is_that_of_the_flight_at_any_drag(drag: float, dtype: torch.dtype):
    ball, params, highest = Ball(STILL, vec((0.0, 0.0, 4.0)), STILL), parameters(drag_per_m=drag), 0.0
    while float(ball.vel_w.z) > 0.0:
        ball = step_flight(ball, STILL, params, DT_S)
        highest = max(highest, float(ball.pos_w.z))
    rise = float(rise_m(torch.tensor(4.0, dtype=dtype), torch.tensor(drag, dtype=dtype)))
    assert rise == pytest.approx(highest, abs=1e-4)


@pytest.mark.parametrize("drag", [0.032, 0.30])
def test_falls_with_drag_as_tanh(drag: float):
    ball = flown(Ball(vec((0.0, 0.0, 100.0)), STILL, STILL), parameters(drag_per_m=drag), 1.5)
    # v = v_t·tanh(g·t/v_t), height lost ln cosh(g·t/v_t)/k, with v_t = √(g/k).
    terminal = math.sqrt(G / drag)
    assert -ball.vel_w.z.item() == pytest.approx(terminal * math.tanh(G * 1.5 / terminal), rel=1e-6)
    assert 100.0 - ball.pos_w.z.item() == pytest.approx(
        math.log(math.cosh(G * 1.5 / terminal)) / drag, rel=1e-6
    )


def test_terminal_velocity_is_an_equilibrium():
    terminal = math.sqrt(G / 0.3)
    ball = flown(
        Ball(vec((0.0, 0.0, 100.0)), vec((0.0, 0.0, -terminal)), STILL), parameters(drag_per_m=0.3), 0.5
    )
    assert ball.vel_w.z.item() == pytest.approx(-terminal, rel=1e-9)


def test_wind_is_a_moving_frame():
    params, wind = parameters(drag_per_m=0.3, magnus=0.01), vec((2.0, -1.0, 0.5))
    start = Ball(vec((0.0, 0.0, 50.0)), vec((3.0, 0.0, 4.0)), vec((10.0, 20.0, 30.0)))
    still, windy = (
        flown(start, params, 1.0),
        flown(start._replace(vel_w=start.vel_w + wind), params, 1.0, wind),
    )
    torch.testing.assert_close(rows(windy.pos_w - wind), rows(still.pos_w))


@given(*[st.floats(-10.0, 10.0)] * 3, *[st.floats(-100.0, 100.0)] * 3)
def test_magnus_force_does_no_work(vx: float, vy: float, vz: float, wx: float, wy: float, wz: float):
    params, dt_s = parameters(drag_per_m=0.0, magnus=0.01), 1e-6
    ball = Ball(vec((0.0, 0.0, 50.0)), vec((vx, vy, vz)), vec((wx, wy, wz)))
    after = step_flight(ball, STILL, params, dt_s)
    accel = (rows(after.vel_w) - rows(ball.vel_w))[0] / dt_s + torch.tensor([0.0, 0.0, G])
    power = (accel * rows(ball.vel_w)[0]).sum().item()
    assert abs(power) < 1e-4 * (1.0 + accel.norm().item() * ball.vel_w.norm().item())


def test_backspin_lifts_and_sidespin_curves_into_a_circle():
    params = parameters(drag_per_m=0.0, magnus=0.01)
    # Backspin of a ball that flies along x: its top moves back, ω along −y. ω × v points up.
    ball = Ball(vec((0.0, 0.0, 50.0)), vec((5.0, 0.0, 0.0)), vec((0.0, -100.0, 0.0)))
    up = (step_flight(ball, STILL, params, 1e-6).vel_w.z.item()) / 1e-6 + G
    assert up == pytest.approx(0.01 * 100.0 * 5.0, rel=1e-4)
    # Spin about the vertical turns the horizontal velocity at the rate magnus·ω = 1 rad/s; falling is untouched.
    ball = flown(ball._replace(spin_w=vec((0.0, 0.0, 100.0))), params, 1.0)
    assert ball.vel_w.x.item() == pytest.approx(5.0 * math.cos(1.0), rel=1e-5)
    assert ball.vel_w.y.item() == pytest.approx(5.0 * math.sin(1.0), rel=1e-5)
    assert ball.vel_w.z.item() == pytest.approx(-G, rel=1e-9)


@pytest.mark.parametrize("restitution", [0.0, 0.6, 1.0])
def test_bounces_on_the_ground_without_gaining_energy(restitution: float):
    params = parameters(drag_per_m=0.0, ground_restitution=restitution)
    ball = Ball(vec((0.0, 0.0, 1.04)), vec((0.5, 0.0, 0.0)), STILL)
    energy, heights, last = [], [], 0.0
    for _ in range(1000):
        ball = step_flight(ball, STILL, params, DT_S)
        energy.append(ball_energy_j(ball, params).item() + params.mass_kg.item() * G * ball.pos_w.z.item())
        if last > 0.0 >= ball.vel_w.z.item():
            heights.append(ball.pos_w.z.item() - 0.04)
        last = ball.vel_w.z.item()
        assert ball.pos_w.z.item() >= 0.04 - 1e-12
    assert max(b - a for a, b in itertools.pairwise(energy)) < 1e-12
    # Dropped from 1 m, it comes back to e² m.
    if restitution > 0.0:
        assert heights[0] == pytest.approx(restitution**2, abs=1e-3)
    assert ball.vel_w.x.item() == pytest.approx(0.5)


def test_a_ball_on_the_ground_rests_there():
    params = parameters()
    ball = flown(Ball(vec((0.0, 0.0, 0.05)), STILL, STILL), params, 2.0)
    again = step_flight(ball, STILL, params, DT_S)
    # One more step changes nothing, so no number of steps will.
    assert (ball.pos_w.z.item(), ball.vel_w.z.item()) == (0.04, 0.0)
    assert (again.pos_w.z.item(), again.vel_w.z.item()) == (0.04, 0.0)
