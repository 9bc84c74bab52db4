"""Randomization draws what its table says, within its ranges, and nothing else."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist

import pytest
import torch

from corvids.controllers.packing import leaf_names, leaves, unpack
from corvids.envs.episodes.randomization import NO_RANDOMIZATION, Draws, Randomization
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import WorldParams
from corvids.envs.sensors.sensing import SensorParams
from corvids.vehicle import load_vehicle

WORLDS = 4000
NOMINAL = world_params(load_vehicle("air"), BallConfig(), 0.002)
NAMES = leaf_names(NOMINAL)
VALUES = dict(zip(NAMES, leaves(NOMINAL), strict=True))
AXES, ROTORS = "xyz", ("r1", "r2", "r3", "r4")


def draws(config: Randomization, seed: int = 0) -> Draws:
    return Draws(config, NOMINAL, torch.device("cpu"), torch.Generator().manual_seed(seed))


def only(**ranges) -> Randomization:
    """No randomization but for these."""
    return dataclasses.replace(NO_RANDOMIZATION, **ranges)


def drawn(config: Randomization, seed: int = 0) -> dict[str, torch.Tensor]:
    """Parameters by name, each (worlds,)."""
    packed = draws(config, seed).params(WORLDS)
    assert packed.shape == (len(NAMES), WORLDS, 1)
    return dict(zip(NAMES, packed[..., 0], strict=True))


def sensed(config: Randomization, seed: int = 0) -> SensorParams:
    return SensorParams(*draws(config, seed).sensors(WORLDS)[..., 0])


def fills(values: torch.Tensor, low: float, high: float) -> bool:
    """Whether ``values`` are spread evenly over low..high: extremes near the ends, mean and deviation of a uniform."""
    width = high - low
    mean, std = float(values.mean()), float(values.std())
    return (
        low - 1e-6 * abs(low) <= float(values.min()) < low + 0.01 * width
        and high - 0.01 * width < float(values.max()) <= high + 1e-6 * abs(high)
        and abs(mean - (low + high) / 2) < 5 * width / math.sqrt(12 * WORLDS)
        and abs(std / (width / math.sqrt(12)) - 1) < 0.05
    )


INDEPENDENT = {
    "mass_factor": ["vehicle.mass_kg"],
    "inertia_factor": [f"vehicle.inertia_kgm2.{axis}" for axis in AXES],
    "rotor_factor": [f"vehicle.thrust_max_n.{rotor}" for rotor in ROTORS],
    "torque_factor": ["vehicle.torque_per_thrust_m"],
    "friction_factor": ["racket.friction"],
    "ball_mass_factor": ["ball.mass_kg"],
    "ball_radius_factor": ["ball.radius_m"],
    "ball_drag_factor": ["ball.drag_per_m"],
    "magnus_factor": ["ball.magnus"],
}
"""What each factor multiplies, one draw each."""
SHARED = {
    "thrust_factor": [f"vehicle.thrust_max_n.{rotor}" for rotor in ROTORS],
    "lag_factor": ["vehicle.rise_fraction", "vehicle.fall_fraction"],
    "drag_factor": [
        f"vehicle.{kind}.{axis}"
        for kind in ("linear_drag_nspm", "quadratic_drag_ns2pm2", "angular_drag_nmsprad")
        for axis in AXES
    ],
    "restitution_factor": ["racket.restitution", "racket.restitution_rim"],
}
"""What each factor multiplies, all by the same draw."""


@pytest.mark.parametrize("factor", [*INDEPENDENT, *SHARED])
def test_a_factor_moves_exactly_its_parameters_over_its_whole_range(factor: str):
    moved = {**INDEPENDENT, **SHARED}[factor]
    # Wider draws of the moments of inertia are cut to what a body can have.
    bounds = (0.85, 1.15) if factor == "inertia_factor" else (0.6, 1.7)
    params = drawn(only(**{factor: bounds}))
    for name in NAMES:
        if name in moved:
            assert fills(params[name] / VALUES[name], *bounds), name
        else:
            torch.testing.assert_close(params[name], torch.full((WORLDS,), VALUES[name]), msg=name)


@pytest.mark.parametrize("factor", SHARED)
def test_a_shared_factor_is_one_draw(factor: str):
    params = drawn(only(**{factor: (0.6, 1.7)}))
    ratios = torch.stack([params[name] / VALUES[name] for name in SHARED[factor]])
    assert (ratios.amax(0) - ratios.amin(0)).max() < 1e-5


def test_other_factors_are_drawn_apart():
    params = drawn(Randomization())
    independent = [name for names in INDEPENDENT.values() for name in names if "thrust_max" not in name]
    one_of_each = [SHARED[factor][0] for factor in ("lag_factor", "drag_factor", "restitution_factor")]
    ratios = torch.stack([params[name] / VALUES[name] for name in (*independent, *one_of_each)])
    assert (torch.corrcoef(ratios) - torch.eye(len(ratios))).abs().max() < 5.0 / math.sqrt(WORLDS)


def test_each_rotor_differs_about_what_all_share():
    config = Randomization()
    params = drawn(config)
    thrust = torch.stack([params[name] / VALUES[name] for name in SHARED["thrust_factor"]])
    low, high = (a * b for a, b in zip(config.thrust_factor, config.rotor_factor, strict=True))
    assert thrust.min() >= low - 1e-6
    assert thrust.max() <= high + 1e-6
    spread = thrust.amax(0) / thrust.amin(0)
    assert spread.max() <= config.rotor_factor[1] / config.rotor_factor[0] + 1e-6
    assert spread.min() > 1.0  # no two rotors of a vehicle are equal
    assert thrust.mean(0).std() > 3.0 * (thrust - thrust.mean(0)).std()  # most of it is shared


def test_every_range_is_in_use():
    """A field that nothing reads would be a promise that is not kept: each moves a parameter, a sensor or a start."""
    used = {*INDEPENDENT, *SHARED, "racket_tilt_rad", "wind_mps", "gust_std_mps", "command_delay_s"}
    used |= {
        "vehicle_delay_s",
        "vehicle_period_s",
        "ball_delay_s",
        "ball_period_s",
        "clock_error_s",
        "noise_factor",
    }
    assert used == {field.name for field in dataclasses.fields(Randomization) if field.type == "Range"}


@pytest.mark.parametrize("vehicle", ["air", "x500", "crazyflie"])
def test_every_body_that_is_drawn_could_exist(vehicle: str):
    nominal = world_params(load_vehicle(vehicle), BallConfig(), 0.002, with_ball=False)
    drawing = Draws(Randomization(), nominal, torch.device("cpu"), torch.Generator().manual_seed(0))
    first = NAMES.index("vehicle.inertia_kgm2.x")
    moments = drawing.params(WORLDS)[first : first + 3, :, 0].sort(dim=0).values
    assert (moments[2] <= moments[0] + moments[1]).all()


def test_the_racket_tilts_within_its_range_and_keeps_its_length():
    params = drawn(only(racket_tilt_rad=(-0.02, 0.02)))
    x, y, z = (params[f"racket.normal_b.{axis}"] for axis in AXES)
    torch.testing.assert_close(x * x + y * y + z * z, torch.ones(WORLDS))
    assert fills(x / z, -0.02, 0.02)
    assert fills(y / z, -0.02, 0.02)


def test_wind_blows_level_within_its_range():
    params = drawn(only(wind_mps=(-1.5, 2.5)))
    assert fills(params["wind_w.x"], -1.5, 2.5)
    assert fills(params["wind_w.y"], -1.5, 2.5)
    assert not params["wind_w.z"].any()


def test_sensors_are_drawn_within_their_ranges():
    config = Randomization()
    sensor = sensed(config)
    for name in ("vehicle_delay_s", "vehicle_period_s", "ball_delay_s", "ball_period_s", "clock_error_s"):
        assert fills(getattr(sensor, name), *getattr(config, name)), name
    scales = torch.stack([getattr(sensor, name) / getattr(config, name) for name in SensorParams._fields[6:]])
    assert fills(scales[0], *config.noise_factor)
    assert (scales - scales[0]).abs().max() < 1e-5  # one factor for all signals of a world


@pytest.mark.parametrize("rate", [0.02, 0.4])
def test_the_quantile_below_which_a_measurement_is_lost_gives_the_rate(rate: float):
    quantile = sensed(only(ball_drop_rate=rate)).drop_quantile
    assert NormalDist().cdf(float(quantile[0])) == pytest.approx(rate, rel=1e-5)
    assert (quantile == quantile[0]).all()


def test_no_randomization_is_the_vehicle_file_with_exact_sensors():
    for name, values in drawn(NO_RANDOMIZATION).items():
        torch.testing.assert_close(values, torch.full((WORLDS,), VALUES[name]), rtol=1e-6, atol=0, msg=name)
    sensor = sensed(NO_RANDOMIZATION)
    for name in ("vehicle_delay_s", "ball_delay_s", "clock_error_s", *SensorParams._fields[6:]):
        assert not getattr(sensor, name).any(), name
    assert sensor.drop_quantile.max() < -5.9  # beyond what a float32 generator of normal numbers can reach


def test_a_seed_says_everything_that_is_drawn():
    first, again, other = (draws(Randomization(), seed) for seed in (3, 3, 4))
    for draw in (Draws.params, Draws.sensors):
        one = draw(first, 50)
        torch.testing.assert_close(draw(again, 50), one, atol=0, rtol=0)
        assert (draw(other, 50) != one).any()
    assert (first.params(50) != draws(Randomization(), 3).params(50)).any()  # the next draw is a new one


def test_packed_parameters_are_the_tree_that_the_physics_reads():
    packed = draws(only(ball_mass_factor=(2.0, 2.0))).params(3)
    tree = unpack(packed, NOMINAL)
    assert isinstance(tree, WorldParams)
    torch.testing.assert_close(tree.ball.mass_kg, torch.full((3, 1), 2.0 * BallConfig().mass_kg))
