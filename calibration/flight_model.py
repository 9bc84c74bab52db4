"""Simulated flights beside measured ones, with their derivatives: the simulator that trains policies, in float64.

Every piece of flight is one world. Beside it fly its siblings, in each of which one unknown is off by a millionth of
its scale: one pass of the batched simulator gives the flight and its derivatives by all unknowns. In float64 such a
quotient errs by about a millionth, which a test holds against torch's own forward mode; carrying derivatives along
each operation gave the same estimates and took five times as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from corvids.calibration.parameters import Airframe, FlightParameters
from corvids.calibration.segments import Segments
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.vehicle_dynamics import RigidBody, RotorForces, VehicleParams, fly_free, step_rotors

LOCALS = 9
"""Unknowns of each piece: corrections to its first body rate [rad/s], velocity [m/s] and attitude [rad, body]."""
SLOW_S = 0.04
"""Attitude and velocity, which an estimator has smoothed, are compared this often [s]."""
ROTOR_DT_S = 0.0021
"""Rotors, whose commands change within a step, advance in steps no longer than this [s]."""
_SETTLED = 8.0
"""Rotors are simulated for so many time constants before a piece begins, as far as its lead reaches."""
_NUDGE = 1e-6
"""How far an unknown is off in its sibling, times its scale."""
_SCALE = {"delay_s": 0.01, "centre_x_m": 0.01, "centre_y_m": 0.01}
"""Scales of unknowns whose natural scale is not one."""


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
    chunk: int = 120,
) -> Comparison:
    """Simulate every piece from its measured start corrected by ``local`` (N, LOCALS), and compare.

    ``unknown``: floats. ``free``: the names of the unknowns to differentiate by; the two time constants are one unknown
    where the airframe's rotors speed up and slow down alike.
    """
    with torch.inference_mode():
        parts = [
            _compare(airframe, segments.take(span), unknown, free, local[span])
            for span in (slice(begin, begin + chunk) for begin in range(0, len(segments), chunk))
        ]
        return Comparison(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _compare(
    airframe: Airframe,
    segments: Segments,
    unknown: FlightParameters,
    free: tuple[str, ...],
    local: torch.Tensor,
) -> Comparison:
    count = len(free) + LOCALS
    steps = torch.tensor([_NUDGE * _SCALE.get(name, 1.0) for name in free] + [_NUDGE] * LOCALS).double()
    nudges = torch.cat((torch.zeros(1, count), torch.diag(steps))).double()
    leaves = {}
    for name, value in unknown._asdict().items():
        source = "log_tau_rise" if name == "log_tau_fall" and airframe.common_lag else name
        leaves[name] = value + (
            nudges[:, free.index(source), None] if source in free else nudges[:, :1] * 0.0
        )
    corrections = [local[:, index] + nudges[:, len(free) + index, None] for index in range(LOCALS)]
    columns = predict(airframe, segments, FlightParameters(**leaves), corrections)
    error = torch.cat([torch.stack(column, -1) for column in columns], -1)
    slope = ((error[1:] - error[0]) / steps[:, None, None]).permute(1, 2, 0)
    return Comparison(error[0], slope[..., : len(free)], slope[..., len(free) :])


def predict(
    airframe: Airframe, segments: Segments, unknown: FlightParameters, corrections: list[torch.Tensor]
) -> list[list[torch.Tensor]]:
    """Prediction minus measurement by channel, step by step: tensors (siblings, N).

    Leaves of ``unknown`` have shape (siblings, 1), the ``LOCALS`` corrections of the start (siblings, N).
    """
    measured = {
        name: torch.as_tensor(getattr(segments, name), dtype=torch.float64)
        for name in ("gyro_b", "accel_b", "quat_wb", "vel_w")
    }
    dt_s, steps = segments.dt_s, segments.gyro_b.shape[1]
    params = airframe.physics(unknown, dt_s)
    forces_of_steps = _rotor_forces(airframe, segments, unknown)

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
    channels: list[list[torch.Tensor]] = [[] for _ in CHANNELS]
    forces = next(forces_of_steps)
    felt_b = body.quat_wb.unrotate(_felt_at_start(body, forces, params))
    for step in range(steps):
        if step:
            forces = next(forces_of_steps)
            forces = forces._replace(torque_b=_with_trim(forces.torque_b, unknown, params))
            before = body.quat_wb
            body, force_w = fly_free(body, force_w, forces, Vec3(0.0, 0.0, 0.0), params, dt_s)
            felt_b = _midway(before, body.quat_wb).unrotate(force_w)
        _append(channels[0:3], body.omega_b, measured["gyro_b"][:, step])
        _append(channels[3:6], felt_b, measured["accel_b"][:, step])
        if step in slow:
            _append(channels[6:9], body.vel_w, measured["vel_w"][:, step])
            turn = Quat(*measured["quat_wb"][:, step].unbind(-1)).conjugate().multiply(body.quat_wb)
            for column, component in zip(channels[9:12], (turn.x, turn.y, turn.z), strict=True):
                column.append(2.0 * component)
    return channels


def _rotor_forces(airframe: Airframe, segments: Segments, unknown: FlightParameters) -> Iterator[RotorForces]:
    """What the rotors exert in each step of the piece, from the commands before it and in it."""
    parts = math.ceil(segments.dt_s / ROTOR_DT_S)
    dt_s = segments.dt_s / parts
    params = airframe.physics(unknown, dt_s)
    slowest_s = max(math.exp(float(log.flatten()[0])) for log in (unknown.log_tau_rise, unknown.log_tau_fall))
    lead = min(segments.lead, math.ceil(_SETTLED * slowest_s / segments.dt_s))
    base_s = float(unknown.delay_s.flatten()[0])
    means, slopes = segments.held(airframe.lagged, base_s, lead, parts)
    mean, slope = (torch.as_tensor(one).permute(1, 2, 0) for one in (means, slopes))
    later_s = unknown.delay_s - base_s
    commands = (
        Four(
            *((now + by_delay * later_s).clamp_min(0.0) for now, by_delay in zip(one, its_slope, strict=True))
        )
        for one, its_slope in zip(mean, slope, strict=True)
    )
    rotors = Four(*mean[0])
    for _ in range(lead * parts):
        rotors, _ = step_rotors(rotors, next(commands), params, dt_s)
    for command in commands:
        rotors, forces = step_rotors(rotors, command, params, dt_s)
        for _ in range(parts - 1):
            rotors, more = step_rotors(rotors, next(commands), params, dt_s)
            forces = RotorForces(
                forces.thrust_n + more.thrust_n,
                forces.torque_b + more.torque_b,
                forces.spin_momentum + more.spin_momentum,
            )
        yield RotorForces(
            forces.thrust_n * (1.0 / parts),
            forces.torque_b * (1.0 / parts),
            forces.spin_momentum * (1.0 / parts),
        )


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


def _append(columns: list[list[torch.Tensor]], predicted: Vec3, measured: torch.Tensor) -> None:
    for column, value, truth in zip(columns, predicted, measured.unbind(-1), strict=True):
        column.append(value - truth)


def _slow_steps(segments: Segments) -> range:
    return range(0, segments.gyro_b.shape[1], max(1, round(SLOW_S / segments.dt_s)))
