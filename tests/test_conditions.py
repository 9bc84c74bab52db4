"""The table of conditions holds the agreed numbers, and draws follow it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corvids.controllers.packing import leaf_names, leaves
from corvids.envs.engines.engine import TICK_S
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.plants.conditions import APEX_M, CONDITIONS, PLACE_W_M, condition_named, draw
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")


def test_the_agreed_numbers():
    noisy = CONDITIONS["noisy"]
    assert dataclasses.asdict(noisy) == {
        "delay_s": (0.02, 0.06),
        "pos_std_m": 0.002,
        "attitude_std_deg": 0.3,
        "vel_std_mps": 0.03,
        "rate_std_radps": 0.02,
        "ball_std_m": 0.003,
        "ball_drop_rate": 0.01,
        "body_spread": 0.1,
        "restitution_spread": 0.05,
        "ball_mass_kg": None,
        "ball_drag_per_m": None,
        "release_height_m": None,
        "release_aside_m": 0.0,
        "release_speed_mps": 0.0,
        "is_seen_held": True,
    }
    ball5g, throws = CONDITIONS["ball5g"], CONDITIONS["throws"]
    assert ball5g == dataclasses.replace(noisy, ball_mass_kg=0.005, ball_drag_per_m=0.30)
    assert (throws.release_height_m, throws.release_aside_m, throws.release_speed_mps) == (
        (0.5, 1.2),
        0.4,
        1.0,
    )
    assert CONDITIONS["throws-unseen"] == dataclasses.replace(throws, is_seen_held=False)
    assert (APEX_M, PLACE_W_M) == (0.6, (0.0, 0.0, 1.0))


def test_no_row_can_be_changed():
    with pytest.raises(TypeError):
        CONDITIONS["noisy"] = CONDITIONS["nominal"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONDITIONS["noisy"].ball_std_m = 0.0  # type: ignore[misc]


def test_an_unknown_condition_names_the_nearest():
    with pytest.raises(CorvidsError, match="did you mean noisy"):
        condition_named("noisey")


def test_a_nominal_trial_is_the_vehicle_file():
    trials = draw(CONDITIONS["nominal"], AIR, 3, 0)
    nominal = world_params(AIR, BallConfig(), TICK_S)
    for name, drawn, value in zip(leaf_names(nominal), leaves(trials.params), leaves(nominal), strict=True):
        np.testing.assert_allclose(drawn, value, rtol=1e-12, err_msg=name)
    # Released at rest with its centre 0.6 m above where it would lie on the racket: 1 + 0.055 + 0.04 + 0.6 m.
    np.testing.assert_allclose(trials.start.ball_pos_w, np.tile((0.0, 0.0, 1.695), (3, 1)))
    np.testing.assert_array_equal(trials.start.ball_vel_w, 0.0)
    np.testing.assert_array_equal(trials.sensors.vehicle.delay_s, 0.0)


def test_noisy_trials_fill_their_ranges():
    trials = draw(CONDITIONS["noisy"], AIR, 2000, 5)
    nominal = world_params(AIR, BallConfig(), TICK_S)
    drawn = trials.params
    factors = {
        "mass": (drawn.vehicle.mass_kg / nominal.vehicle.mass_kg, 0.1),
        "inertia": (drawn.vehicle.inertia_kgm2.y / nominal.vehicle.inertia_kgm2.y, 0.1),
        "thrust": (drawn.vehicle.thrust_max_n.r3 / nominal.vehicle.thrust_max_n.r3, 0.1),
        "lag": (np.log1p(-nominal.vehicle.rise_fraction) / np.log1p(-drawn.vehicle.rise_fraction), 0.1),
        "restitution": (drawn.racket.restitution / nominal.racket.restitution, 0.05),
        "vehicle delay": (1.0 + trials.sensors.vehicle.delay_s - 0.04, 0.02),
        "ball delay": (1.0 + trials.sensors.ball.delay_s - 0.04, 0.02),
    }
    for name, (factor, spread) in factors.items():
        assert np.all(np.abs(factor - 1.0) <= spread + 1e-12), name
        assert abs(factor.mean() - 1.0) < 0.1 * spread, name
        assert np.std(factor) == pytest.approx(spread / np.sqrt(3.0), rel=0.05), name  # uniform
    columns = np.array([factor for factor, _ in factors.values()])
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.1  # each is drawn for itself


def test_a_lighter_ball_is_blown_about_more():
    ball = draw(CONDITIONS["ball5g"], AIR, 1, 0).params.ball
    assert (ball.mass_kg, ball.drag_per_m) == (0.005, 0.3)
    assert ball.magnus == pytest.approx(BallConfig().magnus * BallConfig().mass_kg / 0.005)


def test_throws_fill_the_disc_evenly():
    start = draw(CONDITIONS["throws"], AIR, 4000, 1).start
    aside = np.linalg.norm(start.ball_pos_w[:, :2], axis=1)
    speed = np.linalg.norm(start.ball_vel_w[:, :2], axis=1)
    height = start.ball_pos_w[:, 2] - 1.095
    assert aside.max() <= 0.4
    assert speed.max() <= 1.0
    assert (height.min() >= 0.5) and (height.max() <= 1.2)
    # Uniform in the disc: half of the places lie within 1/√2 of its radius.
    assert np.mean(aside < 0.4 / np.sqrt(2.0)) == pytest.approx(0.5, abs=0.03)
    assert np.mean(speed < 1.0 / np.sqrt(2.0)) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(start.ball_vel_w[:, 2], 0.0)


def test_a_trial_is_the_same_however_many_are_drawn():
    few, many = (draw(CONDITIONS["throws"], AIR, count, 7) for count in (3, 50))
    for a, b in zip(leaves((few.start, few.params)), leaves((many.start, many.params)), strict=True):
        np.testing.assert_array_equal(a, np.broadcast_to(b, (50, *np.shape(b)[1:]))[:3])
    other = draw(CONDITIONS["throws"], AIR, 3, 8)
    assert not np.allclose(few.start.ball_pos_w, other.start.ball_pos_w)


def test_the_start_is_trimmed():
    """Thrust of the rotors as they turn at the start carries the weight that was drawn."""
    trials = draw(CONDITIONS["noisy"], AIR, 20, 2)
    vehicle = trials.params.vehicle
    thrust = trials.start.rotors**2 @ np.ones(4) * vehicle.thrust_max_n.r1
    np.testing.assert_allclose(thrust, vehicle.mass_kg * 9.80665)
