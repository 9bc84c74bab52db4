"""Rotors: first-order lag, thrust curve, idle."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from physics_lab import DT_S, air, column, columns, setup

from corvids.controllers.rate_loop import Four, inverse_thrust_fraction, thrust_fraction
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.vehicle_dynamics import VehicleParams, step_rotors
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

share = st.floats(0.0, 1.0)


def spin_up(vehicle: Vehicle, start: float, command: float, seconds: float, dt_s: float = DT_S) -> float:
    """The lagged quantity of rotor 1 after ``seconds`` under ``command``."""
    params = columns(vehicle_params(vehicle, dt_s))
    rotors = columns(Four(*[start] * 4))
    for _ in range(round(seconds / dt_s)):
        rotors, _ = step_rotors(rotors, columns(Four(*[command] * 4)), params, dt_s)
    return rotors.r1.item()


@pytest.mark.parametrize("dt_s", [0.001, 0.002, 0.01])
def test_lag_covers_63_percent_in_one_time_constant_up_and_down(dt_s: float):
    vehicle = air(rotors={"tau_rise_s": 0.02, "tau_fall_s": 0.05})
    # In this vehicle the lagged quantity is speed, which is the command.
    rise = spin_up(vehicle, 0.2, 0.8, 0.02, dt_s)
    fall = spin_up(vehicle, 0.8, 0.2, 0.05, dt_s)
    assert (rise - 0.2) / 0.6 == pytest.approx(1.0 - math.exp(-1.0), abs=1e-12)
    assert (0.8 - fall) / 0.6 == pytest.approx(1.0 - math.exp(-1.0), abs=1e-12)


def test_an_armed_rotor_does_not_turn_slower_than_idle():
    vehicle = air()
    assert spin_up(vehicle, 0.5, 0.0, 1.0) == pytest.approx(100.0 / 1356.6, abs=1e-9)


@given(share, share)
def test_thrust_curve_and_its_inverse_undo_each_other(curve: float, fraction: float):
    f = column(curve)
    command = inverse_thrust_fraction(column(fraction), f)
    assert -1e-9 <= command.item() <= 1.0 + 1e-9
    assert thrust_fraction(command, f).item() == pytest.approx(fraction, abs=2e-9)


@given(share)
def test_thrust_curve_runs_from_none_to_full(curve: float):
    f = column(curve)
    assert thrust_fraction(column(0.0), f).item() == 0.0
    assert thrust_fraction(column(1.0), f).item() == pytest.approx(1.0)
    # Half command: f/4 + (1−f)/2.
    assert thrust_fraction(column(0.5), f).item() == pytest.approx(curve / 4 + (1 - curve) / 2)


def steady(curve: float, lag: str, command: float) -> tuple[Vehicle, VehicleParams, torch.Tensor]:
    vehicle = air(
        rotors={
            "thrust_curve": curve,
            "thrust_lag": lag,
            "speed_min_radps": 0.0,
            "inertia_kgm2": 0.0 if lag == "thrust" else 2e-5,
        }
    )
    params = columns(vehicle_params(vehicle, DT_S))
    rotors = columns(Four(*[0.5] * 4))
    motors = columns(Four(*[command] * 4))
    for _ in range(499):
        rotors, _ = step_rotors(rotors, motors, params, DT_S)
    return vehicle, params, step_rotors(rotors, motors, params, DT_S)[1].thrust_n


@pytest.mark.parametrize("lag", ["speed", "thrust"])
@pytest.mark.parametrize("curve", [0.0, 0.74, 1.0])
def test_steady_thrust_follows_the_curve_whatever_lags(curve: float, lag: str):
    vehicle, _, thrust = steady(curve, lag, 0.6)
    want = vehicle.max_thrust_n * (curve * 0.36 + (1.0 - curve) * 0.6)
    assert thrust.item() == pytest.approx(want, rel=1e-6)


def test_thrust_lags_linearly_where_thrust_lags_and_as_a_square_where_speed_does():
    for lag, want in (("thrust", 1.0 - math.exp(-1.0)), ("speed", (1.0 - math.exp(-1.0)) ** 2)):
        inertia = 0.0 if lag == "thrust" else 2e-5
        vehicle = air(
            rotors={"thrust_lag": lag, "speed_min_radps": 0.0, "inertia_kgm2": inertia, "tau_rise_s": 0.02}
        )
        lagged = spin_up(vehicle, 0.0, 1.0, 0.02)
        curve = columns(vehicle_params(vehicle, DT_S)).lag_curve
        assert thrust_fraction(column(lagged), curve).item() == pytest.approx(want, abs=1e-12)


def test_forces_are_the_mean_over_the_step():
    _, params = setup()
    old = columns(Four(0.2, 0.2, 0.2, 0.2))
    new, forces = step_rotors(old, columns(Four(0.9, 0.9, 0.9, 0.9)), params.vehicle, DT_S)
    full = params.vehicle.thrust_max_n.r1.item()
    # Four rotors, each the mean of its thrusts at both ends: 4·½·(0.2² + new²)·full.
    assert forces.thrust_n.item() == pytest.approx(2.0 * full * (0.04 + new.r1.item() ** 2))


def test_rotors_without_a_speed_may_not_have_inertia():
    with pytest.raises(CorvidsError, match=r"rotors.inertia_kgm2 = 2e-05 kg m2 must be 0"):
        vehicle_params(air(rotors={"thrust_lag": "thrust"}), DT_S)
