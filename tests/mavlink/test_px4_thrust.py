"""Newtons and PX4's thrust."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvids.deploy.px4.thrust import ThrustMap, thrust_map_of
from corvids.vehicle import load_vehicle


def test_where_both_curves_agree_it_is_the_fraction_of_full_thrust():
    air = load_vehicle("air")
    assert thrust_map_of(air).normalised(air.weight_n) == pytest.approx(1.0 / air.thrust_to_weight)


def test_the_thrust_of_sih_is_linear():
    sih = load_vehicle("px4_sih")
    assert thrust_map_of(sih).normalised(9.80665) == pytest.approx(0.4903325)


def test_an_empty_battery_takes_more():
    # 39.744 N full, 20 % lost: 31.795 N
    assert ThrustMap(39.744, 1.0, 1.0, 0.2).normalised(10.0, battery=0.0) == pytest.approx(10.0 / 31.7952)
    assert ThrustMap(39.744, 1.0, 1.0, 0.2).normalised(10.0, math.nan) == pytest.approx(10.0 / 39.744)


def test_a_mixer_that_believes_in_a_line_meets_a_parabola():
    # True thrust is u² of 40 N; PX4 hands the motors u itself: for 10 N, u = 0.5.
    assert ThrustMap(40.0, 1.0, 0.0, 0.0).normalised(10.0) == pytest.approx(0.5)


@given(*[st.floats(0.0, 1.0)] * 4)
def test_there_and_back_is_the_same(share: float, curve: float, px4_curve: float, battery: float):
    thrust_map = ThrustMap(40.0, curve, px4_curve, 0.3)
    thrust_n = share * 40.0 * (1.0 - 0.3 * (1.0 - battery))
    normalised = thrust_map.normalised(thrust_n, battery)
    assert 0.0 <= normalised <= 1.0
    assert thrust_map.newtons(normalised, battery) == pytest.approx(thrust_n, abs=1e-5)
