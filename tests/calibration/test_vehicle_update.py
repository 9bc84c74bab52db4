"""What a fit means for the vehicle file: values and errors that a Monte Carlo of the same formulas agrees with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corvids.calibration.flight.fit import BIASES, FlightFit
from corvids.calibration.flight.groups import estimate_groups
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import Segments
from corvids.calibration.flight.vehicle_update import physical_estimates
from corvids.calibration.readers.record import Channel
from corvids.calibration.statistics.estimates import updated_vehicle
from corvids.vehicle import load_vehicle, save_vehicle


def known_fit(airframe: Airframe) -> FlightFit:
    """A fit that found the file's own numbers: each logarithm to half a percent, thrust and roll correlated."""
    free = airframe.free()
    names = free + BIASES
    covariance = np.diag([0.005**2] * len(names))
    thrust, roll = names.index("log_accel_max"), names.index("log_roll")
    covariance[thrust, roll] = covariance[roll, thrust] = 0.5 * 0.005**2
    nothing = np.zeros((0, 1, 3))
    channel = Channel("planted", "1", np.zeros(1), np.zeros((1, 4)))
    pieces = Segments(
        0.004, 1, (channel,), nothing, nothing, nothing, nothing, np.zeros(0), np.zeros(0, int), 0.001
    )
    start = airframe.start()
    return FlightFit(
        names=names,
        values=np.array([getattr(start, name) for name in free] + [0.0] * len(BIASES)),
        covariance=covariance,
        prior_std=np.ones(len(names)),
        start=start,
        noise={},
        noise_before={},
        left_out={},
        residuals=np.zeros((0, 1)),
        segments=pieces,
    )


def test_errors_and_correlations_are_those_of_a_monte_carlo():
    """Thrust = a·m/4, I_x = lever·thrust/roll with a, roll log-normal and m normal: to first order in the errors."""
    vehicle = load_vehicle("air")
    airframe = Airframe(vehicle)
    fit = known_fit(airframe)
    estimates, correlations = physical_estimates(airframe, fit, estimate_groups(fit))

    rng = np.random.default_rng(0)
    count = 200_000
    two = 0.005**2 * np.array([[1.0, 0.5], [0.5, 1.0]])
    accel, roll = rng.multivariate_normal((0.0, 0.0), two, count).T
    mass = rng.normal(vehicle.body.mass_kg, vehicle.provenance["body.mass_kg"].std, count)
    thrust = mass * np.exp(accel)
    inertia = thrust / np.exp(roll)
    value, std = estimates["rotors.thrust_coeff_ns2prad2"]
    assert value == pytest.approx(vehicle.rotors.thrust_coeff_ns2prad2, rel=1e-9)
    assert std / value == pytest.approx(thrust.std() / thrust.mean(), rel=0.02)
    moments, moment_stds = estimates["body.inertia_kgm2"]
    assert moments[0] == pytest.approx(vehicle.body.inertia_kgm2[0], rel=1e-9)
    assert moment_stds[0] / moments[0] == pytest.approx(inertia.std() / inertia.mean(), rel=0.02)
    pairs = {
        ("body.inertia_kgm2.x", "rotors.thrust_coeff_ns2prad2"): np.corrcoef(inertia, thrust)[0, 1],
        ("body.mass_kg", "rotors.thrust_coeff_ns2prad2"): np.corrcoef(mass, thrust)[0, 1],
    }
    for pair, correlation in pairs.items():
        assert correlations[pair] == pytest.approx(correlation, abs=0.01)
    assert correlations["rotors.tau_fall_s", "rotors.tau_rise_s"] == pytest.approx(1.0)
    # Yaw's inertia has the errors of mass, thrust, yaw and of the ratio of torque to thrust.
    weighed = vehicle.provenance["body.mass_kg"].std / vehicle.body.mass_kg
    assert moment_stds[2] / moments[2] == pytest.approx(math.sqrt(weighed**2 + 3.0 * 0.005**2), rel=1e-6)
    tau, tau_std = estimates["rotors.tau_rise_s"]
    assert tau_std == pytest.approx(math.hypot(0.005 * tau, 0.001), rel=1e-6)


def test_the_new_file_holds_them(tmp_path):
    vehicle = load_vehicle("air")
    airframe = Airframe(vehicle)
    fit = known_fit(airframe)
    estimates, correlations = physical_estimates(airframe, fit, estimate_groups(fit))
    new = updated_vehicle(vehicle, estimates, correlations, "planted")
    save_vehicle(new, tmp_path / "new.toml")
    read = load_vehicle(tmp_path / "new.toml")
    assert read.correlations == pytest.approx(correlations)
    assert read.provenance["body.inertia_kgm2"].source == "planted"
    again = updated_vehicle(read, {"body.inertia_kgm2": estimates["body.inertia_kgm2"]}, {}, "anew")
    assert not any("inertia_kgm2.x" in name for pair in again.correlations for name in pair)
    assert ("body.mass_kg", "rotors.thrust_coeff_ns2prad2") in again.correlations
