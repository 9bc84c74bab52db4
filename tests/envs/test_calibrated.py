"""Draws from a vehicle file's errors have the file's means, deviations and correlations; the rest stays wide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch

from corvids.controllers.packing import leaf_names
from corvids.envs.episodes.calibrated import CalibratedDraws, describe
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.vehicle import Vehicle, load_vehicle

COUNT = 20_000
RANGES = Randomization(rotor_factor=(1.0, 1.0))


def vehicle_with(stds: Mapping[str, object], correlations: dict[tuple[str, str], float]) -> Vehicle:
    """The vehicle ``air`` whose only known errors are ``stds``; its battery does not sag."""
    air = load_vehicle("air")
    provenance = {
        where: dataclasses.replace(origin, std=stds.get(where)) for where, origin in air.provenance.items()
    }
    assert air.battery is not None
    steady = dataclasses.replace(air.battery, thrust_loss_full_to_empty=0.0)
    return dataclasses.replace(air, provenance=provenance, correlations=correlations, battery=steady)


def draw(vehicle: Vehicle) -> dict[str, torch.Tensor]:
    nominal = world_params(vehicle, BallConfig(), 0.002)
    draws = CalibratedDraws(RANGES, nominal, torch.device("cpu"), torch.Generator().manual_seed(0), vehicle)
    return dict(zip(leaf_names(nominal), draws.params(COUNT)[..., 0], strict=True))


def test_thrust_per_mass_is_as_certain_as_the_correlation_makes_it():
    mass, thrust = "body.mass_kg", "rotors.thrust_coeff_ns2prad2"
    file = load_vehicle("air")
    stds = {mass: 0.02 * file.body.mass_kg, thrust: 0.02 * file.rotors.thrust_coeff_ns2prad2}
    drawn = draw(vehicle_with(stds, {(mass, thrust): 0.99}))
    per_mass = drawn["vehicle.thrust_max_n.r1"] / drawn["vehicle.mass_kg"]
    # var(t - m) = 2·σ²·(1 - ρ), relative
    assert float(per_mass.std() / per_mass.mean()) == pytest.approx(0.02 * (2.0 * 0.01) ** 0.5, rel=0.05)
    assert float(drawn["vehicle.mass_kg"].std()) == pytest.approx(0.02 * file.body.mass_kg, rel=0.05)


def test_a_time_constant_is_drawn_as_one():
    tau = load_vehicle("air").rotors.tau_rise_s
    drawn = draw(vehicle_with({"rotors.tau_rise_s": 0.1 * tau}, {}))
    found = -0.002 / torch.log1p(-drawn["vehicle.rise_fraction"])
    assert float(found.mean()) == pytest.approx(tau, rel=0.01)
    assert float(found.std()) == pytest.approx(0.1 * tau, rel=0.05)


def test_draws_stay_within_what_the_format_allows_and_what_bodies_can_be():
    file = load_vehicle("air")
    half = tuple(0.5 * moment for moment in file.body.inertia_kgm2)
    drawn = draw(vehicle_with({"body.inertia_kgm2": half, "racket.restitution": 0.5}, {}))
    assert float(drawn["racket.restitution"].min()) >= 0.0 and float(drawn["racket.restitution"].max()) <= 1.0
    moments = torch.stack([drawn[f"vehicle.inertia_kgm2.{axis}"] for axis in "xyz"])
    assert float(moments.min()) > 0.0
    assert bool((moments <= moments.sum(0) - moments).all())


def test_what_the_file_does_not_know_keeps_its_range_and_is_named():
    file = vehicle_with({"body.mass_kg": 0.001}, {})
    drawn = draw(file)
    share = drawn["racket.restitution"] / load_vehicle("air").racket.restitution  # type: ignore[union-attr]
    low, high = RANGES.restitution_factor
    assert float(share.min()) < low + 0.01 and float(share.max()) > high - 0.01
    lines = "\n".join(describe(file, RANGES))
    assert "mass_factor: calibrated: body.mass_kg ± 0.001" in lines
    assert "restitution_factor: (0.9, 1.08), wide, for the file has no error of racket.restitution" in lines


def test_correlations_that_no_distribution_has_are_drawn_as_near_as_can_be():
    names = ("body.mass_kg", "rotors.inertia_kgm2", "racket.friction")
    a, b, c = names
    stds = {a: 0.01, b: 1e-6, c: 0.01}
    drawn = draw(vehicle_with(stds, {(a, b): 0.99, (c, b): 0.99, (a, c): -0.99}))
    assert all(bool(torch.isfinite(values).all()) for values in drawn.values())
    assert float(drawn["vehicle.mass_kg"].std()) == pytest.approx(0.01, rel=0.05)
