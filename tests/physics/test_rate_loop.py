"""The rate loop: its filters, its integrator, and the closed loop against linear theory."""

from __future__ import annotations

import cmath
import dataclasses
import math

import pytest
import torch
from physics_lab import DRAGLESS, DT_S, G, air, column, columns, rows, setup, vec

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import (
    Four,
    RateCommand,
    RateGains,
    RateLoopState,
    gains_of,
    lowpassed,
    rate_loop,
)
from corvids.envs.physics.world import World, WorldParams, control, fly
from corvids.vehicle import Vehicle

LOOP_S = 0.001
HALF_POWER = 1.0 / math.sqrt(2.0)
ZERO_RATE = (0.0, 0.0, 0.0)
ZERO = vec(ZERO_RATE)


def gains(vehicle: Vehicle, dt_s: float = LOOP_S) -> RateGains:
    return map_leaves(lambda leaf: leaf.reshape(1, 1), gains_of(vehicle, dt_s, dtype=torch.float64))


def memory(worlds: int = 1) -> RateLoopState:
    return RateLoopState(*(vec((0.0, 0.0, 0.0), worlds) for _ in range(5)))


def tuned(**px4: float) -> Vehicle:
    """The juggling vehicle with other parameters of PX4's."""
    return air(px4=px4)


def response(vehicle: Vehicle, signal, steps: int, dt_s: float = LOOP_S) -> tuple[list[float], list[float]]:
    """Filtered rate and filtered acceleration about x for a gyro that reads ``signal(step)`` [rad/s]."""
    state, loop, rates, accels = memory(), gains(vehicle, dt_s), [], []
    hover = RateCommand(column(vehicle.weight_n), ZERO)
    for step in range(steps):
        state, _ = rate_loop(state, hover, vec((signal(step), 0.0, 0.0)), loop, dt_s)
        rates.append(state.rate_b.x.item())
        accels.append(state.accel_b.x.item())
    return rates, accels


def amplitude(samples: list[float], hz: float, dt_s: float = LOOP_S) -> complex:
    """Complex amplitude of a sine in whole periods of ``samples``."""
    turn = [cmath.exp(-2j * math.pi * hz * dt_s * k) for k in range(len(samples))]
    return 2j * sum(s * t for s, t in zip(samples, turn, strict=True)) / len(samples)


def test_gyro_filter_passes_constants_and_halves_power_at_its_cutoff():
    vehicle = tuned(IMU_GYRO_CUTOFF=40.0)
    rates, _ = response(vehicle, lambda step: 1.0, 200)
    assert rates[-1] == pytest.approx(1.0, abs=1e-9)
    # 40 Hz at 1 kHz is 25 samples a period: 10 periods after 10 to settle.
    rates, _ = response(vehicle, lambda step: math.sin(2 * math.pi * 40.0 * LOOP_S * step), 500)
    assert abs(amplitude(rates[250:], 40.0)) == pytest.approx(HALF_POWER, rel=1e-4)


def test_gyro_filter_falls_by_40_db_a_decade_and_stops_at_nyquist():
    vehicle = tuned(IMU_GYRO_CUTOFF=10.0)
    rates, _ = response(vehicle, lambda step: math.sin(2 * math.pi * 100.0 * LOOP_S * step), 500)
    # Two poles: (10/100)² = 1/100, a little less by the bilinear transform.
    assert 0.005 < abs(amplitude(rates[250:], 100.0)) < 0.0101
    rates, _ = response(vehicle, lambda step: (-1.0) ** step, 500)
    assert abs(rates[-1]) < 1e-9


@pytest.mark.parametrize("cutoff_hz", [0.0, 500.0, 900.0])
def test_gyro_filter_without_a_cutoff_below_nyquist_passes_everything(cutoff_hz: float):
    rates, _ = response(tuned(IMU_GYRO_CUTOFF=cutoff_hz), lambda step: math.sin(1.7 * step * step), 50)
    assert rates == pytest.approx([math.sin(1.7 * step * step) for step in range(50)], abs=1e-12)


def test_vector_filter_treats_axes_alike_and_apart():
    loop = gains(tuned(IMU_GYRO_CUTOFF=40.0))
    filtered, newest = lowpassed(vec((1.0, 2.0, -3.0)), vec((0.1, 0.2, -0.3)), ZERO, loop)
    assert rows(filtered)[0].tolist() == pytest.approx([filtered.x.item() * k for k in (1, 2, -3)])
    assert rows(newest)[0].tolist() == pytest.approx([newest.x.item() * k for k in (1, 2, -3)])


def test_acceleration_filter_has_its_corner_where_px4_says():
    vehicle = tuned(IMU_GYRO_CUTOFF=0.0, IMU_DGYRO_CUTOFF=20.0)
    # A rate that grows by 3 rad/s²: the estimate rises to 3, by 1 − 1/e after the time 1/(2π·20 Hz) = 7.96 ms.
    fine_s = 1e-4
    _, accels = response(vehicle, lambda step: 3.0 * step * fine_s, 1000, fine_s)
    assert accels[-1] == pytest.approx(3.0, rel=1e-4)
    assert accels[round(1.0 / (2 * math.pi * 20.0) / fine_s)] == pytest.approx(
        3.0 * (1 - math.exp(-1)), rel=0.01
    )
    _, accels = response(
        tuned(IMU_GYRO_CUTOFF=0.0, IMU_DGYRO_CUTOFF=0.0), lambda step: 3.0 * step * LOOP_S, 5
    )
    assert accels[1:] == pytest.approx([3.0] * 4)


def proportional(error: float, **px4: float) -> float:
    """Integrator of the roll axis after one step with a constant rate error [rad/s]."""
    vehicle = tuned(IMU_GYRO_CUTOFF=0.0, **px4)
    command = RateCommand(column(0.5 * vehicle.max_thrust_n), vec((error, 0.0, 0.0)))
    state, _ = rate_loop(memory(), command, ZERO, gains(vehicle), LOOP_S)
    return state.integral.x.item()


def test_integrator_fades_with_the_error_as_px4s_does():
    # i·e·dt·(1 − (e/400°/s)²), with I = 0.2 1/rad and a P too small to saturate.
    quiet = {"MC_ROLLRATE_I": 0.2, "MC_ROLLRATE_P": 0.01}
    full = math.radians(400.0)
    assert proportional(0.1, **quiet) == pytest.approx(0.2 * 0.1 * LOOP_S, rel=1e-3)
    assert proportional(full / 2, **quiet) == pytest.approx(0.2 * full / 2 * LOOP_S * 0.75)
    assert proportional(full * 1.01, **quiet) == 0.0
    assert proportional(-full / 2, **quiet) == pytest.approx(-0.2 * full / 2 * LOOP_S * 0.75)


def test_gain_k_multiplies_p_i_and_d_but_not_ff():
    one = gains(tuned(MC_ROLLRATE_FF=0.1))
    two = gains(tuned(MC_ROLLRATE_FF=0.1, MC_ROLLRATE_K=2.0))
    for term in ("p", "i", "d"):
        assert getattr(two, term).x.item() == pytest.approx(2.0 * getattr(one, term).x.item(), rel=1e-6)
        assert getattr(two, term).y.item() == getattr(one, term).y.item()
    assert two.ff.x.item() == one.ff.x.item() == pytest.approx(0.1)


def test_torque_is_p_times_error_plus_integral_minus_d_times_acceleration_plus_ff():
    vehicle = tuned(
        IMU_GYRO_CUTOFF=0.0, IMU_DGYRO_CUTOFF=0.0, THR_MDL_FAC=0.0,
        MC_ROLLRATE_P=0.1, MC_ROLLRATE_D=0.001, MC_ROLLRATE_FF=0.02,
    )  # fmt: skip
    state = memory()._replace(integral=vec((0.03, 0.0, 0.0)))
    command = RateCommand(column(0.5 * vehicle.max_thrust_n), vec((2.0, 0.0, 0.0)))
    _, motors = rate_loop(state, command, vec((0.04, 0.0, 0.0)), gains(vehicle), LOOP_S)
    # 0.1·(2 − 0.04) + 0.03 − 0.001·(0.04/0.001) + 0.02·2 = 0.196 + 0.03 − 0.04 + 0.04 = 0.226; times 1/√2 a rotor.
    assert motors.r2.item() - 0.5 == pytest.approx(0.226 / math.sqrt(2.0))
    assert motors.r1.item() - 0.5 == pytest.approx(-0.226 / math.sqrt(2.0))


def test_integrator_does_not_wind_up_against_a_saturated_mixer():
    vehicle = tuned(MC_ROLLRATE_I=0.2)
    state, loop = memory(2), gains(vehicle, DT_S)
    # Without thrust there is no roll to be had: two seconds of it must leave no trace, either way.
    error = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]], dtype=torch.float64)
    none = column(0.0, 2)
    for _ in range(1000):
        state, _ = rate_loop(state, RateCommand(none, vec(error, 2)), vec(ZERO_RATE, 2), loop, DT_S)
    assert rows(state.integral).abs().max().item() == 0.0
    # A saturated loop may still unwind.
    state = state._replace(integral=vec(0.2 * error, 2))
    state, _ = rate_loop(state, RateCommand(none, vec(-error, 2)), vec(ZERO_RATE, 2), loop, DT_S)
    assert (rows(state.integral).abs()[:, 0] < 0.2).all()


def test_integrator_stops_at_its_limit():
    vehicle = tuned(MC_ROLLRATE_I=5.0, MC_ROLLRATE_P=0.01, MC_RR_INT_LIM=0.1)
    state, loop = memory(), gains(vehicle)
    command = RateCommand(column(0.5 * vehicle.max_thrust_n), vec((0.5, 0.0, 0.0)))
    for _ in range(200):
        state, _ = rate_loop(state, command, ZERO, loop, LOOP_S)
    assert state.integral.x.item() == pytest.approx(0.1)


def hovering(vehicle: Vehicle, worlds: int) -> tuple[World, WorldParams, RateGains]:
    world, params = setup(vehicle, worlds=worlds)
    steady = columns(Four(*[vehicle.hover_command] * 4), worlds)
    return world._replace(rotors=steady, command=steady), params, gains(vehicle, DT_S)


LOOP = air(body=DRAGLESS | {"angular_drag_nmsprad": (0.002, 0.002, 0.001)})


def plant(z: complex, inertia: float, damping: float, lever_nm: float) -> complex:
    """Rate over normalised torque: rotors that lag, acting by the mean of a step's ends, on a damped inertia."""
    covered, fade = 1.0 - math.exp(-DT_S / 0.0272), damping / inertia * DT_S
    rotors = covered / (z - 1.0 + covered) * (1.0 + z) / 2.0
    return lever_nm / inertia * DT_S * (1.0 - fade / 2.0) / (z - 1.0 + fade - fade**2 / 2.0) * rotors


def closed_loop(hz: float, axis: str) -> complex:
    """Rate over commanded rate by the z transform of each part of the loop."""
    z = cmath.exp(2j * math.pi * hz * DT_S)
    # A normalised roll of 1 is 4 · 0.088388 m · 9.936 N / √2; a yaw of 1 moves each rotor by its full drag torque.
    rotor_n = 5.399e-6 * 1356.6**2
    inertia, damping, lever = {
        "roll": (0.00529, 0.002, 4 * 0.088388 * rotor_n / math.sqrt(2.0)),
        "yaw": (0.007805, 0.001, 4 * 1.5216e-7 * 1356.6**2),
    }[axis]
    p, i, d = {"roll": (0.044283, 0.0032206, 0.00030193), "yaw": (0.178552, 0.0089276, 0.0)}[axis]
    # Butterworth at 40 Hz: s ↦ (2/T)·tan-prewarped (z − 1)/(z + 1), H = 1/(s² + √2·s + 1).
    s = (z - 1.0) / (z + 1.0) / math.tan(math.pi * 40.0 * DT_S)
    gyro = 1.0 / (s * s + math.sqrt(2.0) * s + 1.0)
    corner = 2.0 * math.pi * 20.0 * DT_S
    weight = corner / (1.0 + corner)
    accel = weight * (1.0 - 1.0 / z) / DT_S / (1.0 - (1.0 - weight) / z)
    control_ = p + i * DT_S / (z - 1.0)
    moved = plant(z, inertia, damping, lever)
    return moved * control_ / (1.0 + moved * gyro * (control_ + d * accel))


FREQUENCIES_HZ = (1.0, 2.0, 5.0, 10.0, 20.0)


def test_closed_loop_follows_linear_theory():
    # Small rates about hover; without rotor inertia, so that yaw has no reaction torque. Half of the worlds roll.
    vehicle = dataclasses.replace(LOOP, rotors=dataclasses.replace(LOOP.rotors, inertia_kgm2=0.0))
    sines = [(axis, hz) for axis in ("roll", "yaw") for hz in FREQUENCIES_HZ]
    world, params, loop = hovering(vehicle, len(sines))
    omega = 2 * math.pi * torch.tensor([hz for _, hz in sines], dtype=torch.float64)
    axes = torch.tensor([[axis == "roll", False, axis == "yaw"] for axis, _ in sines], dtype=torch.float64)
    samples = []
    for step in range(1000):
        rates = 0.02 * torch.sin(omega * (step * DT_S))[:, None] * axes
        command = RateCommand(column(vehicle.weight_n, len(sines)), vec(rates, len(sines)))
        samples.append((rows(world.body.omega_b) * axes).sum(1) / 0.02)
        world = fly(control(world, command, loop, DT_S), params, DT_S, with_ball=False)
    # The second of the two seconds, in which whole periods of every sine fit.
    settled = torch.stack(samples[500:], dim=1)
    for row, (axis, hz) in zip(settled, sines, strict=True):
        got, want = amplitude(row.tolist(), hz, DT_S), closed_loop(hz, axis)
        assert abs(got - want) < 0.01 * abs(want) + 1e-4, (axis, hz, got, want)


def test_bandwidth_of_the_juggling_vehicle():
    # −3 dB of its roll and yaw loops, and their resonance: what a policy for it can count on.
    at = [hz / 10.0 for hz in range(1, 400)]
    roll, yaw = ([abs(closed_loop(hz, axis)) for hz in at] for axis in ("roll", "yaw"))
    assert next(hz for hz, gain in zip(at, roll, strict=True) if gain < HALF_POWER) == pytest.approx(4.7)
    assert next(hz for hz, gain in zip(at, yaw, strict=True) if gain < HALF_POWER) == pytest.approx(6.2)
    assert (max(roll), max(yaw)) == pytest.approx((0.987, 1.160), abs=1e-3)


def step_response(before_s: float, **px4: float) -> torch.Tensor:
    """Roll rate [rad/s] for 1 s after a step to 2 rad/s, after ``before_s`` of a command that cannot be followed."""
    vehicle = dataclasses.replace(LOOP, px4=dataclasses.replace(LOOP.px4, **px4))
    world, params, loop = hovering(vehicle, 1)
    stuck = world
    for _ in range(round(before_s / DT_S)):
        # Held in a hand with the motors at rest: the mixer has no roll to give.
        stuck = control(stuck, RateCommand(column(0.0), vec((2.0, 0.0, 0.0))), loop, DT_S)
    # The gyro filter starts afresh, the integrator does not.
    world = world._replace(rate_loop=world.rate_loop._replace(integral=stuck.rate_loop.integral))
    rates = []
    for _ in range(500):
        command = RateCommand(column(vehicle.weight_n), vec((2.0, 0.0, 0.0)))
        world = fly(control(world, command, loop, DT_S), params, DT_S, with_ball=False)
        rates.append(world.body.omega_b.x.item())
    return torch.tensor(rates)


def test_a_step_settles_without_more_overshoot_after_two_seconds_of_saturation():
    fresh, after = step_response(0.0, MC_ROLLRATE_I=0.1), step_response(2.0, MC_ROLLRATE_I=0.1)
    assert after.max().item() <= fresh.max().item() + 1e-6
    assert fresh[-1].item() == pytest.approx(2.0, abs=0.05)


def test_collective_commands_newtons_of_thrust():
    vehicle = LOOP
    world, params, loop = hovering(vehicle, 1)
    command = RateCommand(column(1.2 * vehicle.weight_n), ZERO)
    for _ in range(200):
        world = fly(control(world, command, loop, DT_S), params, DT_S, with_ball=False)
    assert world.specific_force_w.z.item() == pytest.approx(1.2 * G, rel=1e-3)
