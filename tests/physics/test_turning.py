"""Rotation of the vehicle: angular momentum and energy, which no torque of the vehicle's own parts may change."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from physics_lab import (
    DRAGLESS,
    DT_S,
    air,
    body_energy_j,
    body_spin_w,
    column,
    columns,
    rotor_momentum_nms,
    rows,
    run,
    setup,
    vec,
)

from corvids.controllers.rate_loop import Four
from corvids.envs.physics.vehicle_dynamics import RotorForces, gyroscopic_torque, step_body
from corvids.envs.physics.world import World, WorldParams, fly

number = st.floats(-100.0, 100.0)


def isolated(**changes: object) -> tuple[World, WorldParams]:
    """A vehicle whose rotors turn but exert nothing on the air, in a vacuum: its angular momentum cannot change."""
    world, params = setup(air(body=DRAGLESS | changes, rotors={"speed_min_radps": 0.0}))
    silent = params.vehicle._replace(thrust_max_n=columns(Four(0.0, 0.0, 0.0, 0.0)))
    return world, params._replace(vehicle=silent)


def total_spin_w(world: World, params: WorldParams) -> torch.Tensor:
    return body_spin_w(world.body, params.vehicle, rotor_momentum_nms(world.rotors, params.vehicle))


@given(number, number, number, number)
def test_gyroscopic_torque_does_no_work(x: float, y: float, z: float, momentum: float):
    omega = vec((x, y, z))
    torque = gyroscopic_torque(omega, column(momentum))
    assert omega.dot(torque).abs().item() <= 1e-12 * (1.0 + x * x + y * y) * (1.0 + abs(momentum))


def test_gyroscopic_torque_has_the_sign_that_turns_angular_momentum_with_the_body():
    # The rotors' momentum h ẑ is carried round by ω: d/dt = ω × h ẑ. What it gains the body loses: −ω × h ẑ.
    # ω = (0, 1, 0), h = 2: ω × h ẑ = (2, 0, 0), so the body feels (−2, 0, 0).
    assert rows(gyroscopic_torque(vec((0.0, 1.0, 0.0)), column(2.0))).tolist() == [[-2.0, 0.0, 0.0]]


def test_spinning_rotors_make_a_symmetric_body_precess():
    world, params = isolated(inertia_kgm2=(0.005, 0.005, 0.008))
    omega0, omega_z, momentum = 2.0, 1.5, 0.02
    body = world.body._replace(omega_b=vec((omega0, 0.0, omega_z)))
    rotors = RotorForces(column(0.0), vec((0.0, 0.0, 0.0)), column(momentum))
    zero = vec((0.0, 0.0, 0.0))
    for _ in range(500):
        body, _ = step_body(body, zero, rotors, zero, params.vehicle, DT_S)
    # Euler: I·ω̇_x = −((I_z − I)·ω_z + h)·ω_y and I·ω̇_y = +(…)·ω_x, so (ω_x, ω_y) turns at λ = ((I_z−I)·ω_z + h)/I.
    rate = ((0.008 - 0.005) * omega_z + momentum) / 0.005
    want = [omega0 * math.cos(rate * 1.0), omega0 * math.sin(rate * 1.0), omega_z]
    assert rows(body.omega_b)[0].tolist() == pytest.approx(want, abs=1e-3)


def test_torque_free_tumbling_keeps_energy_and_angular_momentum():
    world, params = isolated(inertia_kgm2=(0.004, 0.006, 0.009))
    # About the middle axis, where rotation is unstable, and where a wrong term shows most.
    world = world._replace(body=world.body._replace(omega_b=vec((0.05, 6.0, 0.05))))
    end = run(world, params, 3.0, with_ball=False)
    spin = torch.linalg.norm(total_spin_w(world, params))
    drift = torch.linalg.norm(total_spin_w(end, params) - total_spin_w(world, params)) / spin
    spin_energy = 0.5 * 0.006 * 36.0
    fall = 0.5 * params.vehicle.mass_kg.item() * end.body.vel_w.norm2().item()
    energy = (body_energy_j(end.body, params.vehicle).item() - fall) / spin_energy
    assert end.body.omega_b.y.item() < 5.0, "it must have left the middle axis for this to test anything"
    assert drift.item() < 1e-3
    assert energy == pytest.approx(1.0, abs=1e-3)


def test_angular_momentum_of_body_and_rotors_is_kept_while_rotors_speed_up():
    errors, exchanged = [], 0.0
    for halvings in range(2):
        dt_s = DT_S / 2**halvings
        world, params = isolated()
        vehicle = params.vehicle
        _, finer = setup(air(), dt_s=dt_s)
        vehicle = vehicle._replace(
            rise_fraction=finer.vehicle.rise_fraction, fall_fraction=finer.vehicle.fall_fraction
        )
        params = params._replace(vehicle=vehicle)
        body = world.body._replace(omega_b=vec((3.0, -2.0, 1.0)))
        # The diagonal pair that turns counter-clockwise speeds up, the other slows down.
        world = world._replace(
            body=body, rotors=columns(Four(0.2, 0.2, 0.8, 0.8)), command=columns(Four(0.9, 0.9, 0.1, 0.1))
        )
        start = total_spin_w(world, params)
        end = run(world, params, 0.5, dt_s, with_ball=False)
        exchanged = (
            rotor_momentum_nms(end.rotors, vehicle) - rotor_momentum_nms(world.rotors, vehicle)
        ).item()
        errors.append(torch.linalg.norm(total_spin_w(end, params) - start).item() / exchanged)
    # Exchanged: 2e-5 kg m² · 1356.6 rad/s · (4·0.7) N m s. A wrong sign or factor would show as an error of order 1.
    assert exchanged == pytest.approx(2e-5 * 1356.6 * 2.8, rel=1e-3)
    assert errors[0] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)


def test_body_yaws_against_rotors_that_speed_up():
    world, params = isolated()
    world = world._replace(command=columns(Four(0.5, 0.5, 0.0, 0.0)))
    after = fly(world, params, DT_S, with_ball=False)
    # Rotors 1 and 2 turn counter-clockwise (spin +1): I_z·ω_z = −J·Δ(speeds), by a hundred thousandth of rounding.
    gained = 2e-5 * 1356.6 * (after.rotors.r1 + after.rotors.r2).item()
    assert after.body.omega_b.z.item() == pytest.approx(-gained / 0.007805, rel=1e-9)


def test_each_axis_turns_the_right_way_with_the_right_torque():
    vehicle = air(body=DRAGLESS, rotors={"speed_min_radps": 0.0})
    _, params = setup(vehicle)
    world, _ = setup(vehicle)
    inertia = vehicle.body.inertia_kgm2
    full_n, arm_m = 5.399e-6 * 1356.6**2, 0.088388

    def accel(*rotors: float) -> list[float]:
        steady = columns(Four(*rotors))
        end = fly(world._replace(rotors=steady, command=steady), params, DT_S, with_ball=False)
        return [rate / DT_S for rate in rows(end.body.omega_b)[0].tolist()]

    # PX4's order: front right, rear left, front left, rear right. Thrust goes with the square of speed: 0.25.
    # Left rotors alone lift the left side: roll > 0. Rear rotors alone lift the tail: pitch > 0.
    pair = 2 * 0.25 * full_n * arm_m
    assert accel(0.0, 0.5, 0.5, 0.0) == pytest.approx([pair / inertia[0], 0.0, 0.0], rel=1e-3, abs=1e-6)
    assert accel(0.0, 0.5, 0.0, 0.5) == pytest.approx([0.0, pair / inertia[1], 0.0], rel=1e-3, abs=1e-6)
    # Rotors that turn clockwise (3 and 4) drag the body counter-clockwise: yaw > 0.
    drag = 2 * 0.25 * 1.5216e-7 * 1356.6**2
    assert accel(0.0, 0.0, 0.5, 0.5) == pytest.approx([0.0, 0.0, drag / inertia[2]], rel=1e-3, abs=1e-6)


def test_angular_drag_brakes_as_an_exponential():
    world, params = setup(
        air(body=DRAGLESS | {"angular_drag_nmsprad": (0.0, 0.0, 0.01)}, rotors={"speed_min_radps": 0.0})
    )
    world = world._replace(body=world.body._replace(omega_b=vec((0.0, 0.0, 5.0))))
    end = run(world, params, 0.5, with_ball=False).body
    assert end.omega_b.z.item() == pytest.approx(5.0 * math.exp(-0.01 / 0.007805 * 0.5), rel=1e-6)
    heading = 5.0 * 0.007805 / 0.01 * (1.0 - math.exp(-0.01 / 0.007805 * 0.5))
    assert end.quat_wb.yaw().item() == pytest.approx(heading, rel=1e-5)


def test_turning_frames_do_not_push_the_body():
    world, params = isolated()
    body = world.body._replace(vel_w=vec((1.0, 0.0, 0.0)), omega_b=vec((2.0, 3.0, -4.0)))
    end = run(world._replace(body=body), params, 0.5, with_ball=False).body
    assert end.vel_w.x.item() == pytest.approx(1.0, abs=1e-12)
