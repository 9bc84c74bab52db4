"""Simulated flights beside measured ones, with their derivatives: the simulator that trains policies, in float64.

Every piece of flight is one world. Beside it fly its siblings, in each of which one unknown is off by a millionth of
its scale: one pass of the batched simulator gives the flight and its derivatives by all unknowns. In float64 such a
quotient errs by about a millionth, which a test holds against torch's own forward mode.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch

from corvids.calibration.flight.parameters import Airframe, FlightParameters
from corvids.calibration.flight.rollout import Rollout
from corvids.calibration.flight.segments import Segments
from corvids.calibration.statistics.projection import Comparison
from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.physics.vehicle_dynamics import RigidBody, RotorForces, VehicleParams, fly_free, step_rotors

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


CHANNELS = tuple(f"{signal} {axis}" for signal in ("gyro", "accel", "velocity", "attitude") for axis in "xyz")
"""The compared signals, in the order of the rows; the first six at every step, the others every ``SLOW_S``."""


def row_channels(segments: Segments) -> list[slice]:
    """The rows of each of ``CHANNELS`` in a comparison."""
    steps = segments.gyro_b.shape[1]
    slow = len(range(0, steps, _slow_every(segments)))
    rows, begin = [], 0
    for index in range(len(CHANNELS)):
        length = steps if index < 6 else slow
        rows.append(slice(begin, begin + length))
        begin += length
    return rows


class _State(NamedTuple):
    """A vehicle in flight."""

    body: RigidBody
    force_w: Vec3
    """Specific force of the last step [m/s²], world."""
    rotors: Four


class _Params(NamedTuple):
    """What one sibling is."""

    vehicle: VehicleParams
    trim_yaw_radps2: Scalar
    later_s: Scalar
    """By how much more than the others its commands are late [s]."""


class _Command(NamedTuple):
    """What the rotors lag towards during a part of a step, and how that changes with the commands' delay [1/s]."""

    mean: Four
    by_delay: Four


class _Inputs(NamedTuple):
    """What is known of one step."""

    moving: Scalar
    """0 at a piece's first sample, where its start is compared and nothing moves; 1 afterwards."""
    commands: tuple[_Command, ...]
    """One for each part of the step."""
    gyro_b: Vec3
    accel_b: Vec3
    vel_w: Vec3
    quat_wb: Quat


_NONE, _NO_FOUR = Vec3(0.0, 0.0, 0.0), Four(0.0, 0.0, 0.0, 0.0)
_NO_COMMAND = _Command(_NO_FOUR, _NO_FOUR)


def compare(
    airframe: Airframe,
    segments: Segments,
    unknown: FlightParameters,
    free: tuple[str, ...],
    local: torch.Tensor,
    chunk: int = 40,
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
    error = predict(airframe, segments, FlightParameters(**leaves), corrections)
    slope = ((error[1:] - error[0]) / steps[:, None, None]).permute(1, 2, 0)
    return Comparison(error[0], slope[..., : len(free)], slope[..., len(free) :])


def predict(
    airframe: Airframe,
    segments: Segments,
    unknown: FlightParameters,
    corrections: list[torch.Tensor],
    on_tensors: bool = False,
) -> torch.Tensor:
    """Prediction minus measurement, shape (siblings, N, R); the rows are those of :func:`row_channels`.

    Leaves of ``unknown`` have shape (siblings, 1), the ``LOCALS`` corrections of the start (siblings, N).
    ``on_tensors`` is for types that compiled code does not know: dual numbers.
    """
    dt_s, steps = segments.dt_s, segments.gyro_b.shape[1]
    pieces = math.ceil(dt_s / ROTOR_DT_S)
    roll_rotors, roll = _rollouts(dt_s, pieces)
    base_s = float(unknown.delay_s.flatten()[0])
    params = _Params(
        airframe.physics(unknown, dt_s / pieces), unknown.trim_yaw_radps2, unknown.delay_s - base_s
    )
    lead, commands = _commands(airframe, segments, unknown, base_s, pieces)
    rotors = Four(*(column + 0.0 * params.later_s for column in commands[0, :4]))
    first = lead * pieces
    if first:
        rotors, _ = (roll_rotors.on_tensors if on_tensors else roll_rotors)(rotors, params, commands[:first])

    measured = torch.cat(
        [
            torch.as_tensor(getattr(segments, name), dtype=torch.float64).permute(1, 2, 0)
            for name in ("gyro_b", "accel_b", "vel_w", "quat_wb")
        ],
        1,
    )
    moving = torch.ones(steps, 1, len(segments), dtype=torch.float64)
    moving[0] = 0.0
    inputs = torch.cat((moving, commands[first:].reshape(steps, -1, len(segments)), measured), 1)
    gyro_b, accel_b, vel_w, quat_wb = measured[0].split((3, 3, 3, 4))
    rate, speed, tilt = (Vec3(*corrections[k : k + 3]) for k in (0, 3, 6))
    zero = corrections[0] * 0.0
    body = RigidBody(
        Vec3(zero, zero, zero), Vec3(*vel_w) + speed, Quat(*quat_wb).turned(tilt), Vec3(*gyro_b) + rate
    )
    state = _State(body, Quat(*quat_wb).rotate(Vec3(*accel_b)), rotors)
    _, errors = (roll.on_tensors if on_tensors else roll)(state, params, inputs)
    errors = errors.permute(0, 3, 2, 1)  # siblings, pieces, channels, steps
    slow = errors[:, :, 6:, :: _slow_every(segments)]
    return torch.cat((errors[:, :, :6].flatten(2), slow.flatten(2)), -1)


def _commands(
    airframe: Airframe, segments: Segments, unknown: FlightParameters, base_s: float, parts: int
) -> tuple[int, torch.Tensor]:
    """Steps before each piece that matter, and (·, 8, N): what the rotors lag towards in each part of each step."""
    slowest_s = max(math.exp(float(log.flatten()[0])) for log in (unknown.log_tau_rise, unknown.log_tau_fall))
    lead = min(segments.lead, math.ceil(_SETTLED * slowest_s / segments.dt_s))
    means, slopes = segments.held(airframe.lagged, base_s, lead, parts)
    return lead, torch.cat([torch.as_tensor(one).permute(1, 2, 0) for one in (means, slopes)], 1)


@functools.lru_cache(maxsize=4)
def _rollouts(dt_s: float, parts: int) -> tuple[Rollout, Rollout]:
    """The rotors alone, a part of a step at a time; and the flight, compared, step by step."""
    params = _Params(
        VehicleParams(0.0, _NONE, _NONE, _NONE, _NONE, _NO_FOUR, _NO_FOUR, _NO_FOUR, _NO_FOUR, *(0.0,) * 9),
        0.0,
        0.0,
    )
    state = _State(RigidBody(_NONE, _NONE, Quat(1.0, 0.0, 0.0, 0.0), _NONE), _NONE, _NO_FOUR)
    inputs = _Inputs(0.0, (_NO_COMMAND,) * parts, _NONE, _NONE, _NONE, Quat(1.0, 0.0, 0.0, 0.0))

    def turn(rotors: Four, of: _Params, command: _Command) -> tuple[Four, RotorForces]:
        target = Four(
            *(
                torch.relu(now + slope * of.later_s)
                for now, slope in zip(command.mean, command.by_delay, strict=True)
            )
        )
        return step_rotors(rotors, target, of.vehicle, dt_s / parts)

    def step(at: _State, of: _Params, given: _Inputs) -> tuple[_State, Any]:
        rotors, forces = turn(at.rotors, of, given.commands[0])
        for command in given.commands[1:]:
            rotors, more = turn(rotors, of, command)
            forces = RotorForces(
                forces.thrust_n + more.thrust_n,
                forces.torque_b + more.torque_b,
                forces.spin_momentum + more.spin_momentum,
            )
        forces = map_leaves(lambda leaf: leaf * (1.0 / parts), forces)
        trimmed = forces._replace(torque_b=_with_trim(forces.torque_b, of))
        flown, force_w = fly_free(at.body, at.force_w, trimmed, _NONE, of.vehicle, dt_s)
        felt_b = _midway(at.body.quat_wb, flown.quat_wb).unrotate(force_w)
        moves = given.moving > 0.5
        flown, force_w, felt_b = _chosen(
            moves,
            (flown, force_w, felt_b),
            (at.body, at.force_w, _felt_at_start(at.body, forces, of.vehicle)),
        )
        turned = given.quat_wb.conjugate().multiply(flown.quat_wb)
        errors = (
            flown.omega_b - given.gyro_b,
            felt_b - given.accel_b,
            flown.vel_w - given.vel_w,
            Vec3(turned.x, turned.y, turned.z) * 2.0,
        )
        return _State(flown, force_w, rotors), errors

    return (
        Rollout(lambda at, of, given: (turn(at, of, given)[0], at.r1), _NO_FOUR, params, _NO_COMMAND),
        Rollout(step, state, params, inputs),
    )


def _chosen(mask: Scalar, one: Any, other: Any) -> Any:
    """The leaves of ``one`` where ``mask`` holds, of ``other`` elsewhere."""
    if isinstance(one, tuple):
        branches = [_chosen(mask, a, b) for a, b in zip(one, other, strict=True)]
        return type(one)(*branches) if hasattr(one, "_fields") else tuple(branches)
    return torch.where(mask, one, other)


def _felt_at_start(body: RigidBody, forces: RotorForces, params: VehicleParams) -> Vec3:
    """Specific force [m/s², body] in the state that a piece starts from: thrust and drag."""
    air_b = body.quat_wb.unrotate(body.vel_w)
    drag = params.linear_drag_nspm
    return Vec3(-air_b.x * drag.x, -air_b.y * drag.y, forces.thrust_n - air_b.z * drag.z)


def _with_trim(torque_b: Vec3, of: _Params) -> Vec3:
    return Vec3(torque_b.x, torque_b.y, torque_b.z + of.trim_yaw_radps2 * of.vehicle.inertia_kgm2.z)


def _midway(before: Quat, after: Quat) -> Quat:
    return Quat(*(a + b for a, b in zip(before, after, strict=True))).normalized()


def _slow_every(segments: Segments) -> int:
    return max(1, round(SLOW_S / segments.dt_s))
