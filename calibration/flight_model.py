"""Simulated flights beside measured ones, with exact derivatives: the simulator that trains policies, in float64.

Every piece of flight is one world, and every number in it carries its derivatives (:mod:`corvids.calibration.duals`),
so that one pass through the simulator gives the flight and its derivatives by all unknowns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.calibration.duals import Dual
from corvids.calibration.parameters import Airframe, FlightParameters
from corvids.calibration.segments import Segments
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.vehicle_dynamics import RigidBody, VehicleParams, step_body, step_rotors

LOCALS = 9
"""Unknowns of each piece: corrections to its first body rate [rad/s], velocity [m/s] and attitude [rad, body]."""
SLOW_S = 0.04
"""Attitude and velocity, which an estimator has smoothed, are compared this often [s]."""
_TINY_COMMAND = 1e-6
"""Keeps the slope of the square root finite where a motor is told to stop."""


class Comparison(NamedTuple):
    """Prediction minus measurement over N pieces, and its derivatives. Rows: see :func:`row_channels`."""

    error: torch.Tensor
    """Shape (N, R)."""
    by_global: torch.Tensor
    """Shape (N, R, G), by the unknowns named ``free``."""
    by_local: torch.Tensor
    """Shape (N, R, LOCALS)."""


CHANNELS = tuple(f"{signal} {axis}" for signal in ("gyro", "accel", "velocity", "attitude") for axis in "xyz")
"""The compared signals, in the order of the rows; the first six at every step, the others every ``SLOW_S``."""


def row_channels(segments: Segments) -> list[slice]:
    """The rows of each of ``CHANNELS`` in a comparison."""
    steps = segments.gyro_b.shape[1]
    slow = len(_slow_steps(segments))
    rows, begin = [], 0
    for index in range(len(CHANNELS)):
        length = steps if index < 6 else slow
        rows.append(slice(begin, begin + length))
        begin += length
    return rows


def compare(
    airframe: Airframe,
    segments: Segments,
    unknown: FlightParameters,
    free: tuple[str, ...],
    local: torch.Tensor,
    chunk: int = 96,
) -> Comparison:
    """Simulate every piece from its measured start corrected by ``local`` (N, LOCALS), and compare.

    ``unknown``: floats. ``free``: the names of the unknowns to differentiate by; the two time constants are one unknown
    where the airframe's rotors speed up and slow down alike.
    """
    parts = [
        _compare(
            airframe, segments.take(slice(begin, begin + chunk)), unknown, free, local[begin : begin + chunk]
        )
        for begin in range(0, len(segments), chunk)
    ]
    return Comparison(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _compare(airframe, segments: Segments, unknown: FlightParameters, free, local) -> Comparison:
    count = len(free) + LOCALS
    leaves = {}
    for name, value in unknown._asdict().items():
        source = "log_tau_rise" if name == "log_tau_fall" and airframe.common_lag else name
        index = free.index(source) if source in free else None
        leaves[name] = _along(torch.full((1,), float(value), dtype=torch.float64), index, count)
    corrections = [_along(local[:, index], len(free) + index, count) for index in range(LOCALS)]
    columns = _fly(airframe, segments, FlightParameters(**leaves), corrections)
    error = torch.cat([torch.stack([one.value for one in column], -1) for column in columns], -1)
    slope = torch.cat([torch.stack([one.slope for one in column], -1) for column in columns], -1).permute(
        1, 2, 0
    )
    return Comparison(error, slope[..., : len(free)], slope[..., len(free) :])


def _along(value: torch.Tensor, index: int | None, count: int) -> Dual:
    """``value`` with slope 1 along the unknown ``index`` of ``count``."""
    slope = torch.zeros(count, len(value), dtype=torch.float64)
    if index is not None:
        slope[index] = 1.0
    return Dual(value, slope)


def _fly(
    airframe: Airframe, segments: Segments, unknown: FlightParameters, corrections: list[Dual]
) -> list[list[Dual]]:
    """Prediction minus measurement by channel, step by step."""
    measured = {
        name: torch.as_tensor(getattr(segments, name), dtype=torch.float64)
        for name in ("gyro_b", "accel_b", "quat_wb", "vel_w")
    }
    dt_s, steps = segments.dt_s, segments.gyro_b.shape[1]
    params = airframe.physics(unknown, dt_s)
    commands = _delayed(segments, unknown.delay_s)
    rotors = commands[0]
    for command in commands[1 : len(commands) - steps]:
        rotors, _ = step_rotors(rotors, command, params, dt_s)

    start = {name: values[:, 0] for name, values in measured.items()}
    rate, speed, tilt = (Vec3(*corrections[k : k + 3]) for k in (0, 3, 6))
    zero = corrections[0] * 0.0
    body = RigidBody(
        Vec3(zero, zero, zero),
        Vec3.unstack(start["vel_w"]) + speed,
        Quat(*start["quat_wb"].unbind(-1)).turned(tilt),
        Vec3.unstack(start["gyro_b"]) + rate,
    )
    force_w = Quat(*start["quat_wb"].unbind(-1)).rotate(Vec3.unstack(start["accel_b"]))
    # The start is the state at the first sample, so the first step leads to the second.
    slow = set(_slow_steps(segments))
    channels: list[list[Dual]] = [[] for _ in CHANNELS]
    rotors, forces = step_rotors(rotors, commands[-steps], params, dt_s)
    felt_b = body.quat_wb.unrotate(_felt_at_start(body, forces, params))
    for step in range(steps):
        if step:
            rotors, forces = step_rotors(rotors, commands[step - steps], params, dt_s)
            forces = forces._replace(torque_b=_with_trim(forces.torque_b, unknown, params))
            before = body.quat_wb
            body, force_w = step_body(body, force_w, forces, Vec3(0.0, 0.0, 0.0), params, dt_s)
            felt_b = _midway(before, body.quat_wb).unrotate(force_w)
        _append(channels[0:3], body.omega_b, measured["gyro_b"][:, step])
        _append(channels[3:6], felt_b, measured["accel_b"][:, step])
        if step in slow:
            _append(channels[6:9], body.vel_w, measured["vel_w"][:, step])
            turn = Quat(*measured["quat_wb"][:, step].unbind(-1)).conjugate().multiply(body.quat_wb)
            for column, component in zip(channels[9:12], (turn.x, turn.y, turn.z), strict=True):
                column.append(2.0 * component)
    return channels


def _delayed(segments: Segments, delay_s: Dual) -> list[Four]:
    """Motor commands at the rotors, for the lead and the piece: mixed from the two logged steps around the delay."""
    command = torch.as_tensor(segments.command, dtype=torch.float64).clamp_min(_TINY_COMMAND).permute(1, 2, 0)
    in_steps = delay_s / segments.dt_s
    whole = int(torch.floor(in_steps.value))
    whole = min(max(whole, -segments.tail + 1), segments.lead - 2)
    part = in_steps - whole
    steps = segments.gyro_b.shape[1]
    return [
        Four(*(one + (older - one) * part for one, older in zip(command[now], command[now - 1], strict=True)))
        for now in range(max(1, 1 - whole), segments.lead + steps - whole)
    ]


def _felt_at_start(body: RigidBody, forces, params: VehicleParams) -> Vec3:
    """Specific force [m/s², world] in the state that a piece starts from: thrust and drag."""
    air_b = body.quat_wb.unrotate(body.vel_w)
    drag = params.linear_drag_nspm
    felt = Vec3(-air_b.x * drag.x, -air_b.y * drag.y, forces.thrust_n - air_b.z * drag.z)
    return body.quat_wb.rotate(felt)


def _with_trim(torque_b: Vec3, unknown: FlightParameters, params: VehicleParams) -> Vec3:
    return Vec3(torque_b.x, torque_b.y, torque_b.z + unknown.trim_yaw_radps2 * params.inertia_kgm2.z)


def _midway(before: Quat, after: Quat) -> Quat:
    return Quat(*(a + b for a, b in zip(before, after, strict=True))).normalized()


def _append(columns: list[list[Dual]], predicted: Vec3, measured: torch.Tensor) -> None:
    for column, value, truth in zip(columns, predicted, measured.unbind(-1), strict=True):
        column.append(value - truth)


def _slow_steps(segments: Segments) -> range:
    return range(0, segments.gyro_b.shape[1], max(1, round(SLOW_S / segments.dt_s)))
