"""MuJoCo's contact, held against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.envs.engines.engine import TICK_S
from corvids.envs.physics.nominal import BallConfig, world_params


def drop(lab, worlds: int, ticks: int = 40, racket=None, ball: BallConfig | None = None, **start):
    """Fly ``ticks`` ticks at hover thrust; returns the engine and the impacts on face and elsewhere."""
    engine = lab.make("mujoco", lab.air, worlds)
    params = world_params(lab.air, ball or BallConfig(), TICK_S)
    engine.reset(
        lab.start(lab.air, worlds, **start), params._replace(racket=params.racket._replace(**(racket or {})))
    )
    counts = np.zeros((2, worlds), int)
    for _ in range(ticks):
        engine.step(np.full(worlds, lab.air.weight_n), np.zeros((worlds, 3)))
        counts += engine.contacts.racket, engine.contacts.other
    return engine, counts


@pytest.mark.parametrize("mass_kg", [0.005, 0.0472])
def test_restitution_holds_over_speeds_and_masses(lab, mass_kg: float):
    """Head on at 1 to 6 m/s: afterwards the ball recedes from the vehicle at e times the speed of approach."""
    speeds = np.repeat([1.0, 2.0, 3.5, 5.0, 6.0], 8)
    lead = 0.02 + np.tile(np.linspace(0.0, 1e-3, 8), 5)  # impacts fall anywhere between two steps
    height = 10.0 + 0.095 + speeds * lead
    fall = np.stack((0.0 * speeds, 0.0 * speeds, height), axis=1)
    engine, (racket, other) = drop(
        lab,
        40,
        ticks=16,
        ball=BallConfig(mass_kg=mass_kg, drag_per_m=0.0),
        ball_pos_w=fall,
        ball_vel_w=np.stack((0.0 * speeds, 0.0 * speeds, -speeds), axis=1),
    )
    assert racket.tolist() == [1] * 40
    assert other.sum() == 0
    # Closed form: fall over the gap, then e times that speed, then g for what is left of 32 ms.
    arrival_s = (-speeds + np.sqrt(speeds**2 + 2.0 * 9.80665 * speeds * lead)) / 9.80665
    impact = speeds + 9.80665 * arrival_s
    expected = 0.82 * impact - 9.80665 * (0.032 - arrival_s)
    receding = engine.state.ball_vel_w[:, 2] - engine.state.vel_w[:, 2]
    np.testing.assert_allclose(receding / impact, expected / impact, atol=0.005)


def test_an_impact_keeps_momentum(lab):
    """Thrust and weight of the vehicle cancel, so only the ball's weight changes the momentum of both."""
    engine, (racket, _) = drop(lab, 1, ticks=17, ball_pos_w=(0.02, 0.01, 10.18), ball_vel_w=(0.3, -0.2, -3.0))
    assert racket[0] == 1
    momentum = 0.0472 * engine.state.ball_vel_w[0] + lab.air.body.mass_kg * engine.state.vel_w[0]
    before = 0.0472 * np.array([0.3, -0.2, -3.0 - 9.80665 * 0.034])
    np.testing.assert_allclose(momentum, before, atol=0.001)


def test_the_rim_bounces_less(lab):
    """A sweet spot of 2 cm on a face of 5 cm: 0.82 inside, 0.64 outside."""
    offsets = np.array([0.0, 0.01, 0.03, 0.045])
    engine, (racket, _) = drop(
        lab,
        4,
        ticks=20,
        racket={"sweet_radius_m": 0.02, "friction": 0.0},
        ball=BallConfig(mass_kg=1e-4, drag_per_m=0.0),  # so light that the vehicle does not notice
        ball_pos_w=np.stack((offsets, 0 * offsets, 10.095 + 0.08 + 0 * offsets), axis=1),
        ball_vel_w=(0.0, 0.0, -4.0),
    )
    assert racket.tolist() == [1] * 4
    # 4 m/s and 8 cm of fall: 4.19 m/s after 19.5 ms, and g for the 20.5 ms that are left.
    bounce = (engine.state.ball_vel_w[:, 2] + 9.80665 * 0.0205) / 4.191
    np.testing.assert_allclose(bounce, [0.82, 0.82, 0.64, 0.64], atol=0.005)


def test_friction_spins_the_ball_until_it_rolls_and_no_further(lab):
    """2 m/s along the face at 3 m/s down: it sticks, and rolls off with 1/(1+1/0.5) of its slip gone, 1.33 m/s."""
    engine, _ = drop(lab, 1, ticks=15, ball_pos_w=(-0.03, 0.0, 10.095 + 0.045), ball_vel_w=(2.0, 0.0, -3.0))
    velocity, spin = engine.state.ball_vel_w[0], engine.state.ball_spin_w[0]
    vehicle = engine.state.vel_w[0]
    assert velocity[0] - vehicle[0] == pytest.approx(2.0 * (1.0 - 1.0 / 3.0), rel=0.03)
    # Rolling: its lowest point stands still on the face.
    arm = -0.04
    assert velocity[0] - vehicle[0] + spin[1] * arm == pytest.approx(0.0, abs=0.06)


def test_sliding_friction_is_coulombs(lab):
    """At 4 m/s along a face of friction 0.05 and 3 m/s down the ball slips: μ·(1+e)·v is all that it loses."""
    engine, _ = drop(
        lab,
        1,
        ticks=15,
        racket={"friction": 0.05},
        ball_pos_w=(-0.06, 0.0, 10.095 + 0.045),
        ball_vel_w=(4.0, 0.0, -3.0),
    )
    impact = np.sqrt(9.0 + 2.0 * 9.80665 * 0.045)
    share = lab.air.body.mass_kg / (lab.air.body.mass_kg + 0.0472)  # the vehicle gives way
    lost = 4.0 - engine.state.ball_vel_w[0, 0]
    assert lost == pytest.approx(0.05 * 1.82 * impact * share, rel=0.06)
    rise = engine.state.ball_vel_w[0, 2] - engine.state.vel_w[0, 2] + 9.80665 * (0.030 - 0.0144)
    assert rise / impact == pytest.approx(0.82, abs=0.01)  # slipping adds no bounce


def test_no_impact_is_missed(lab):
    """1000 balls at 0.5 to 8 m/s onto rackets tilted up to 50°: each is counted once and none is on the far side."""
    rng = np.random.default_rng(0)
    n = 1000
    tilt, azimuth = rng.uniform(0.0, np.radians(50.0), n), rng.uniform(0.0, 2.0 * np.pi, n)
    axis = np.stack((np.cos(azimuth), np.sin(azimuth), 0.0 * azimuth), axis=1)
    quat = np.concatenate((np.cos(tilt / 2)[:, None], axis * np.sin(tilt / 2)[:, None]), axis=1)
    normal = np.stack((np.sin(azimuth) * np.sin(tilt), -np.cos(azimuth) * np.sin(tilt), np.cos(tilt)), axis=1)
    speed = rng.uniform(0.5, 8.0, n)
    gap = speed * rng.uniform(0.004, 0.008, n)
    engine, (racket, other) = drop(
        lab,
        n,
        ticks=12,
        quat_wb=quat,
        ball_pos_w=np.array((0.0, 0.0, 10.0)) + normal * (0.095 + gap)[:, None],
        ball_vel_w=-normal * speed[:, None],
    )
    assert racket.tolist() == [1] * n
    assert other.sum() == 0
    state = engine.state
    side = np.sum((state.ball_pos_w - state.pos_w) * normal, axis=1)
    assert side.min() > 0.09
