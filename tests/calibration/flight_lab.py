"""Flights of vehicles whose numbers are planted, flown by the rate loop in the native simulator, logged with noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from corvids.calibration.flight.calibration import Calibration, calibrate_records
from corvids.calibration.readers.record import Channel, FlightRecord
from corvids.controllers.packing import leaves, map_leaves, unpack
from corvids.controllers.rate_loop import RateCommand, RateLoopState, gains_of, rate_loop
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams, step_body, step_rotors
from corvids.vehicle import Vehicle

PHYSICS_DT_S, LOG_DT_S = 0.002, 0.004
NOISE = {"gyro": 0.03, "accel": 0.6, "velocity": 0.03, "attitude": 0.004}
"""Standard deviations [rad/s, m/s², m/s, rad]; the last two wander with a time constant of half a second."""


def planted_vehicle(file: Vehicle, rng: np.random.Generator) -> Vehicle:
    """``file`` with thrust, inertia, lag and drag off by up to 25 %; the rotors' places as they are.

    Mass and the rotors' torque per thrust, which a flight does not tell, are off by what the file says of its own
    measurements: one standard deviation.
    """

    def off(value, part=0.25):
        return float(value * rng.uniform(1.0 - part, 1.0 + part))

    def measured(where, value):
        return float(rng.normal(value, file.provenance[where].std or 0.0))

    body, rotors = file.body, file.rotors
    thrust, tau = off(rotors.thrust_coeff_ns2prad2, 0.2), off(rotors.tau_rise_s)
    x, y, z = body.inertia_kgm2
    kappa = measured("rotors.torque_coeff_nms2prad2", rotors.torque_coeff_nms2prad2)
    kappa /= rotors.thrust_coeff_ns2prad2
    mass = measured("body.mass_kg", body.mass_kg)
    drag = float(rng.uniform(0.15, 0.6) * mass)
    return dataclasses.replace(
        file,
        body=dataclasses.replace(
            body,
            mass_kg=mass,
            inertia_kgm2=(off(x, 0.2), off(y, 0.2), off(z, 0.1)),
            linear_drag_nspm=(drag, drag, drag),
        ),
        rotors=dataclasses.replace(
            rotors,
            thrust_coeff_ns2prad2=thrust,
            torque_coeff_nms2prad2=kappa * thrust,
            tau_rise_s=tau,
            tau_fall_s=tau,
        ),
        limits=dataclasses.replace(file.limits, thrust_max_n=0.75 * file.max_thrust_n),
    )


def truths(vehicle: Vehicle) -> dict[str, float]:
    """The groups of a planted vehicle, from their definition."""
    rotors, body = vehicle.rotors, vehicle.body
    thrust = rotors.thrust_coeff_ns2prad2 * rotors.speed_max_radps**2
    torque = rotors.torque_coeff_nms2prad2 * rotors.speed_max_radps**2
    x, y, _ = zip(*rotors.position_b_m, strict=True)
    return {
        "accel_max_mps2": 4.0 * thrust / body.mass_kg,
        "roll_accel_max_radps2": thrust * sum(v for v in y if v > 0) / body.inertia_kgm2[0],
        "pitch_accel_max_radps2": thrust * sum(-v for v in x if v < 0) / body.inertia_kgm2[1],
        "yaw_accel_max_radps2": 2.0 * torque / body.inertia_kgm2[2],
        "motor_tau_s": rotors.tau_rise_s,
        "drag_per_mass_1ps": body.linear_drag_nspm[0] / body.mass_kg,
    }


def fly(vehicles: list[Vehicle], seconds: float, delays_s: np.ndarray, seed: int) -> list[FlightRecord]:
    """Logs of one flight of each vehicle: multi-sine rates, tilts and thrust steps about a hover.

    ``delays_s``: by how much each log's sensors are stamped late.
    """
    rng = np.random.default_rng(seed)
    count = len(vehicles)
    flat = [list(leaves(vehicle_params(vehicle, PHYSICS_DT_S))) for vehicle in vehicles]
    packed = torch.tensor(flat, dtype=torch.float64).T
    params: VehicleParams = unpack(packed, vehicle_params(vehicles[0], PHYSICS_DT_S))
    # Every autopilot holds the same nominal gains: those of the first vehicle's file.
    gains = gains_of(vehicles[0], LOG_DT_S, dtype=torch.float64)
    zero = torch.zeros(count, dtype=torch.float64)
    body = RigidBody(
        Vec3(zero, zero, zero + 50.0),
        Vec3(zero, zero, zero),
        Quat(zero + 1.0, zero, zero, zero),
        Vec3(zero, zero, zero),
    )
    loop = map_leaves(lambda _: zero, RateLoopState(*(Vec3(0.0, 0.0, 0.0),) * 5))
    hover = torch.tensor([vehicle.hover_command for vehicle in vehicles], dtype=torch.float64)
    rotors = None
    force_w = Vec3(zero, zero, zero + 9.81)
    phases = rng.uniform(0.0, 2.0 * math.pi, (6, 6))
    weight = torch.tensor([vehicle.weight_n for vehicle in vehicles], dtype=torch.float64)
    logged: dict[str, list[np.ndarray]] = {name: [] for name in ("gyro", "accel", "command", "quat", "vel")}
    felt_b = Vec3(zero, zero, zero + 9.81)
    for step in range(round(seconds / LOG_DT_S)):
        t = step * LOG_DT_S
        gyro = body.omega_b.stack() + torch.as_tensor(rng.normal(0.0, NOISE["gyro"], (count, 3)))
        logged["gyro"].append(gyro.numpy())
        logged["accel"].append(felt_b.stack().numpy() + rng.normal(0.0, NOISE["accel"], (count, 3)))
        logged["quat"].append(torch.stack(tuple(body.quat_wb), -1).numpy())
        logged["vel"].append(body.vel_w.stack().numpy())
        command = _command(body, weight, t, phases)
        loop, motors = rate_loop(loop, command, Vec3.unstack(gyro), gains, LOG_DT_S)
        logged["command"].append(torch.stack(tuple(motors), -1).numpy())
        if rotors is None:
            rotors = motors.map(lambda _: torch.sqrt(hover))
        for _ in range(round(LOG_DT_S / PHYSICS_DT_S)):
            rotors, forces = step_rotors(rotors, motors, params, PHYSICS_DT_S)
            body, force_w = step_body(body, force_w, forces, Vec3(0.0, 0.0, 0.0), params, PHYSICS_DT_S)
        felt_b = body.quat_wb.unrotate(force_w)
    arrays = {name: np.stack(values, 1) for name, values in logged.items()}
    return [
        _record(f"vehicle-{index}", {name: one[index] for name, one in arrays.items()}, delays_s[index], rng)
        for index in range(count)
    ]


def _command(body: RigidBody, weight_n: torch.Tensor, t: float, phases: np.ndarray) -> RateCommand:
    """Rates that follow wandering tilts with a multi-sine on top; thrust that holds height, with steps on top."""
    frequencies = np.array([0.7, 1.1, 1.7, 2.6, 3.7, 5.3])
    sines = np.sin(2.0 * math.pi * frequencies * t + phases[:3]).sum(axis=-1) / math.sqrt(6.0)
    tilts = 0.3 * np.sin(2.0 * math.pi * np.array([0.13, 0.17]) * t + phases[3, :2])
    up = body.quat_wb.body_z()
    # The body's x axis is near the world's x axis: a tilt about y moves it along x.
    rate_x = 5.0 * (float(tilts[0]) + up.y + 0.06 * body.vel_w.y) + 0.8 * float(sines[0])
    rate_y = 5.0 * (float(tilts[1]) - up.x - 0.06 * body.vel_w.x) + 0.8 * float(sines[1])
    rate_z = 0.6 * float(sines[2]) - 1.0 * body.quat_wb.yaw()
    step = 0.2 * math.copysign(1.0, math.sin(2.0 * math.pi * 0.31 * t + phases[4, 0]))
    rise = 1.0 + step - 0.25 * body.vel_w.z - 0.1 * (body.pos_w.z - 50.0)
    return RateCommand(weight_n * rise.clamp(0.3, 1.8), Vec3(rate_x, rate_y, rate_z))


def _record(
    name: str, logged: dict[str, np.ndarray], delay_s: float, rng: np.random.Generator
) -> FlightRecord:
    length = len(logged["gyro"])
    time_s = LOG_DT_S * np.arange(length)
    late_s = time_s + delay_s
    velocity = logged["vel"] + _wander((length, 3), NOISE["velocity"], rng)
    turn = _wander((length, 3), NOISE["attitude"], rng)
    quat = Quat(*torch.as_tensor(logged["quat"]).unbind(-1)).turned(Vec3.unstack(torch.as_tensor(turn)))
    return FlightRecord(
        name=name,
        sha256="0" * 64,
        gyro_b=Channel("planted", "rad/s", late_s, logged["gyro"]),
        accel_b=Channel("planted", "m/s2", late_s, logged["accel"]),
        command=Channel("planted", "1", time_s, logged["command"]),
        quat_wb=Channel("planted", "1", late_s, torch.stack(tuple(quat), -1).numpy()),
        vel_w=Channel("planted", "m/s", late_s, velocity),
        on_ground=None,
        voltage=None,
        resets_s=np.zeros(0),
        parameters={},
        findings=(),
    )


def _wander(shape: tuple[int, int], std: float, rng: np.random.Generator) -> np.ndarray:
    """First-order noise with a time constant of half a second."""
    keep = math.exp(-LOG_DT_S / 0.5)
    noise = np.empty(shape)
    noise[0] = rng.normal(0.0, std, shape[1:])
    kicks = rng.normal(0.0, std * math.sqrt(1.0 - keep * keep), shape)
    for index in range(1, shape[0]):
        noise[index] = keep * noise[index - 1] + kicks[index]
    return noise


@dataclasses.dataclass(frozen=True)
class Trial:
    """One planted vehicle, and what its log told."""

    vehicle: Vehicle
    delay_s: float
    found: Calibration


def trials(file: Vehicle, count: int, seconds: float, seed: int) -> list[Trial]:
    """Plant, fly, log and fit ``count`` vehicles."""
    rng = np.random.default_rng(seed)
    vehicles = [planted_vehicle(file, rng) for _ in range(count)]
    delays = rng.uniform(0.0, 0.008, count)
    records = fly(vehicles, seconds, delays, seed + 1)
    return [
        Trial(vehicle, float(delay), calibrate_records(file, [record]))
        for vehicle, delay, record in zip(vehicles, delays, records, strict=True)
    ]
