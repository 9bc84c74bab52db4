"""Flights of vehicles whose numbers are planted, flown by the rate loop in the native simulator, logged with noise."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from corvids.calibration.flight.calibration import Calibration, calibrate_records
from corvids.calibration.flight.rollout import Rollout
from corvids.calibration.readers.record import Channel, FlightRecord
from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four, RateCommand, RateGains, RateLoopState, gains_of, rate_loop
from corvids.controllers.spatial import Quat, Scalar, Vec3, clip
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams, step_body, step_rotors
from corvids.vehicle import GRAVITY_MPS2, Vehicle, load_vehicle

PHYSICS_DT_S, LOG_DT_S = 0.0008, 0.004
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


class _State(NamedTuple):
    body: RigidBody
    force_w: Vec3
    felt_b: Vec3
    """What an accelerometer feels, mean of a step of the log."""
    rotors: Four
    loop: RateLoopState
    command: Four
    """Motor commands that the rate loop last gave."""


class _Params(NamedTuple):
    vehicle: VehicleParams
    gains: RateGains
    weight_n: Scalar
    late: Scalar
    """Physics steps that pass before a new motor command reaches the rotors."""


class _Inputs(NamedTuple):
    rate_b: Vec3
    """Rates to add to those that follow the tilts."""
    tilt_x: Scalar
    tilt_y: Scalar
    thrust: Scalar
    """Part of the weight to add."""
    noise_b: Vec3
    """Of the gyroscope."""


_NONE, _NO_FOUR = Vec3(0.0, 0.0, 0.0), Four(0.0, 0.0, 0.0, 0.0)


def fly(
    vehicles: list[Vehicle],
    seconds: float,
    delays_s: np.ndarray,
    seed: int,
    computing_s: np.ndarray | None = None,
) -> list[FlightRecord]:
    """Logs of one flight of each vehicle: multi-sine rates, tilts and thrust steps about a hover.

    ``delays_s``: by how much each log's sensors are stamped late; ``computing_s``: how long after its time stamp, less
    than a sampling interval, a motor command reaches the rotors.
    """
    rng = np.random.default_rng(seed)
    # Every autopilot holds the same nominal gains: those of the first vehicle's file.
    gains = map_leaves(float, gains_of(vehicles[0], LOG_DT_S, dtype=torch.float64))
    roll = _rollout()
    taken_s = np.zeros(len(vehicles)) if computing_s is None else computing_s
    records = []
    for index, (vehicle, delay_s, late_s) in enumerate(zip(vehicles, delays_s, taken_s, strict=True)):
        params = _Params(
            vehicle_params(vehicle, PHYSICS_DT_S), gains, vehicle.weight_n, round(late_s / PHYSICS_DT_S)
        )
        hover = vehicle.hover_command
        state = _State(
            RigidBody(Vec3(0.0, 0.0, 50.0), _NONE, Quat(1.0, 0.0, 0.0, 0.0), _NONE),
            Vec3(0.0, 0.0, GRAVITY_MPS2),
            Vec3(0.0, 0.0, GRAVITY_MPS2),
            _NO_FOUR.map(lambda _, hover=hover: math.sqrt(hover)),
            _LOOP_AT_REST,
            _NO_FOUR.map(lambda _, hover=hover: hover),
        )
        inputs = torch.as_tensor(_inputs(round(seconds / LOG_DT_S), rng))[..., None]
        _, told = roll(_tensors(state), _tensors(params), inputs)
        rows = told[0, :, :, 0].numpy()
        gyro, accel, quat, vel, command = np.split(rows, (3, 6, 10, 13), axis=-1)
        accel = accel + rng.normal(0.0, NOISE["accel"], accel.shape)
        logged = {"gyro": gyro, "accel": accel, "quat": quat, "vel": vel, "command": command}
        records.append(_record(f"vehicle-{index}", logged, float(delay_s), rng))
    return records


_LOOP_AT_REST = RateLoopState(*(_NONE,) * 5)


def _tensors(tree: Any) -> Any:
    return map_leaves(lambda leaf: torch.full((1, 1), float(leaf), dtype=torch.float64), tree)


@functools.lru_cache(maxsize=1)
def _rollout() -> Rollout:
    """The flight of one vehicle, a step of the log at a time."""

    def step(at: _State, of: _Params, given: _Inputs) -> tuple[_State, Any]:
        gyro_b = at.body.omega_b + given.noise_b
        loop, motors = rate_loop(at.loop, _command(at.body, of.weight_n, given), gyro_b, of.gains, LOG_DT_S)
        body, force_w, rotors, felt_b = at.body, at.force_w, at.rotors, _NONE
        parts = round(LOG_DT_S / PHYSICS_DT_S)
        for part in range(parts):
            is_old = of.late > part + 0.5
            obeyed = Four(
                *(torch.where(is_old, old, new) for old, new in zip(at.command, motors, strict=True))
            )
            rotors, forces = step_rotors(rotors, obeyed, of.vehicle, PHYSICS_DT_S)
            body, force_w = step_body(body, force_w, forces, _NONE, of.vehicle, PHYSICS_DT_S)
            felt_b = felt_b + body.quat_wb.unrotate(force_w) * (1.0 / parts)
        after = _State(body, force_w, felt_b, rotors, loop, motors)
        return after, (gyro_b, at.felt_b, at.body.quat_wb, at.body.vel_w, motors)

    vehicle = load_vehicle("air")
    params = _Params(
        vehicle_params(vehicle, PHYSICS_DT_S),
        map_leaves(float, gains_of(vehicle, LOG_DT_S, dtype=torch.float64)),
        0.0,
        0.0,
    )
    still = RigidBody(_NONE, _NONE, Quat(1.0, 0.0, 0.0, 0.0), _NONE)
    state = _State(still, _NONE, _NONE, _NO_FOUR, _LOOP_AT_REST, _NO_FOUR)
    return Rollout(step, state, params, _Inputs(_NONE, 0.0, 0.0, 0.0, _NONE))


def _inputs(steps: int, rng: np.random.Generator) -> np.ndarray:
    """Shape (steps, 9): the rows of :class:`_Inputs`: a multi-sine, wandering tilts, steps of thrust; noise."""
    phases = rng.uniform(0.0, 2.0 * math.pi, (6, 6))
    t = LOG_DT_S * np.arange(steps)
    frequencies = np.array([0.7, 1.1, 1.7, 2.6, 3.7, 5.3])
    angles = 2.0 * math.pi * frequencies * t[:, None, None] + phases[:3]
    sines = np.sin(angles).sum(axis=-1) / math.sqrt(6.0) * [0.8, 0.8, 0.6]
    tilts = 0.3 * np.sin(2.0 * math.pi * np.array([0.13, 0.17]) * t[:, None] + phases[3, :2])
    thrust = 0.2 * np.sign(np.sin(2.0 * math.pi * 0.31 * t + phases[4, 0]))[:, None]
    return np.concatenate((sines, tilts, thrust, rng.normal(0.0, NOISE["gyro"], (steps, 3))), axis=-1)


def _command(body: RigidBody, weight_n: Scalar, given: _Inputs) -> RateCommand:
    """Rates that follow wandering tilts with a multi-sine on top; thrust that holds height, with steps on top."""
    up = body.quat_wb.body_z()
    # The body's x axis is near the world's x axis: a tilt about y moves it along x.
    rate_x = 5.0 * (given.tilt_x + up.y + 0.06 * body.vel_w.y) + given.rate_b.x
    rate_y = 5.0 * (given.tilt_y - up.x - 0.06 * body.vel_w.x) + given.rate_b.y
    rate_z = given.rate_b.z - 1.0 * body.quat_wb.yaw()
    rise = 1.0 + given.thrust - 0.25 * body.vel_w.z - 0.1 * (body.pos_w.z - 50.0)
    return RateCommand(weight_n * clip(rise, 0.3, 1.8), Vec3(rate_x, rate_y, rate_z))


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
