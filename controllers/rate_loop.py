"""The body-rate loop that flies the vehicle: PX4's ``mc_rate_control`` and its control allocation.

Collective thrust and body rates (CTBR) in, normalised rotor thrusts out. Parameters carry PX4's own names (in the
vehicle file's ``[px4]`` table) and PX4's units: torques are normalised so that a roll or pitch torque of 1 moves each
rotor of an X quadrotor by 1/√2 of its full thrust, a yaw torque of 1 by its full thrust. The behaviour follows the
PX4 user guide and the firmware's documented semantics: proportional, integral and filtered derivative on the
measurement; an integrator that fades with the error and stops in the direction in which the mixer saturates; a mixer
that gives up collective thrust first, then roll and pitch, and yaw before either.

Everything is a pure function of tensors of shape ``(worlds, drones)``: no clock, no state of its own.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Scalar, Vec3, clip, larger, seldom, smaller
from corvids.vehicle import Vehicle

RATE_ERROR_FADE_RADPS = math.radians(400.0)
"""Rate error at which PX4's integrator stops integrating (it fades with the squared error)."""
YAW_HEADROOM = 0.15
"""Part of the rotor's range by which PX4 lets yaw overshoot the upper limit before thrust is reduced for it."""


class Four(NamedTuple):
    """One component per rotor, in PX4's order: front right, rear left, front left, rear right."""

    r1: Scalar
    r2: Scalar
    r3: Scalar
    r4: Scalar

    def map(self, function) -> Four:
        """``function`` of each component."""
        return Four(*(function(component) for component in self))

    def plus(self, other: Four, factor: Scalar = 1.0) -> Four:
        """``self + factor * other``."""
        return Four(*(a + factor * b for a, b in zip(self, other, strict=True)))

    def dot(self, other: Four) -> Scalar:
        """Sum of products."""
        return sum(a * b for a, b in zip(self, other, strict=True))


class MixColumn(NamedTuple):
    """How one normalised torque (or the collective) moves the rotors, each by a fraction of its full thrust."""

    slope: Four
    inverse_slope: Four
    """Reciprocals of the slopes' magnitudes: constants that the compiled loop need not recompute."""
    effect: Four
    """The other way round: how much of this torque (or collective) each rotor gives at full thrust."""


ROLL_SIGNS, PITCH_SIGNS, YAW_SIGNS, LEVEL_SIGNS = (-1, 1, 1, -1), (-1, 1, -1, 1), (-1, -1, 1, 1), (1, 1, 1, 1)
"""Signs of the mixer's columns, given by PX4's order of the rotors, which the vehicle file is checked against."""


class RateGains(NamedTuple):
    """What the autopilot knows: gains, filters and mixer. Components of shape ``(1, drones)`` broadcast over worlds."""

    p: Vec3
    """Proportional gain [normalised torque per rad/s] (``MC_*RATE_P`` times ``MC_*RATE_K``)."""
    i: Vec3
    """Integral gain [normalised torque per rad]."""
    d: Vec3
    """Derivative gain [normalised torque per rad/s²]."""
    ff: Vec3
    """Feed-forward gain [normalised torque per rad/s]."""
    integral_limit: Vec3
    """Largest integrator magnitude [normalised torque] (``MC_*R_INT_LIM``)."""
    gyro_b0: Scalar
    """Numerator of the two-pole gyro low-pass (``IMU_GYRO_CUTOFF``); the second coefficient is twice it."""
    gyro_a1: Scalar
    gyro_a2: Scalar
    accel_alpha: Scalar
    """Weight of the newest sample in the angular-acceleration low-pass (``IMU_DGYRO_CUTOFF``)."""
    inverse_thrust_max: Scalar
    """Reciprocal of the collective thrust of all rotors at full command, as the vehicle file has it [1/N]."""
    thrust_curve: Scalar
    """``THR_MDL_FAC``: share of the quadratic term in thrust over motor command."""
    roll: MixColumn
    pitch: MixColumn
    yaw: MixColumn
    level: MixColumn


class RateLoopState(NamedTuple):
    """Memory of the rate loop; all zero at start-up."""

    integral: Vec3
    """Integrator [normalised torque]."""
    gyro_delay1: Vec3
    """Newest delay element of the gyro low-pass [rad/s]."""
    gyro_delay2: Vec3
    rate_b: Vec3
    """Filtered body rate of the last step [rad/s]."""
    accel_b: Vec3
    """Filtered angular acceleration [rad/s²]."""


class RateCommand(NamedTuple):
    """CTBR: what the policy commands."""

    thrust_n: Scalar
    """Collective thrust along the body's z axis [N]."""
    rate_b: Vec3
    """Body rates [rad/s], FLU."""


def thrust_fraction(command: Scalar, curve: Scalar) -> Scalar:
    """Thrust, as a fraction of full thrust, at motor command 0..1: ``f·u² + (1-f)·u`` (PX4's ``THR_MDL_FAC``)."""
    return command * (curve * command + (1.0 - curve))


def inverse_thrust_fraction(fraction: Scalar, curve: Scalar) -> Scalar:
    """Motor command 0..1 that gives the thrust ``fraction`` 0..1: the positive root, exact also at f = 0."""
    linear = 1.0 - curve
    # The tiny term keeps 0/0 away at f = 1, fraction = 0, where the root itself is 0.
    root = torch.sqrt(linear * linear + 4.0 * curve * fraction)
    return 2.0 * fraction / (linear + root + 1e-9)


def gains_of(
    vehicle: Vehicle, dt_s: float, device: torch.device | str = "cpu", dtype=torch.float32
) -> RateGains:
    """The gains of one vehicle file, for a loop stepped every ``dt_s`` [s], as 0-d tensors.

    The mixer's columns are PX4's: the inverse of the effectiveness of the four rotors, normalised as its control
    allocation does (roll and pitch by a common scale so that the larger has root-mean-square 1/√2, yaw by its
    largest entry, the collective by its mean).
    """
    px4 = vehicle.px4

    def axes(*names: str) -> list[float]:
        return [px4[name] for name in names]

    def gain(term: str) -> Vec3:
        return Vec3(
            *(px4[f"MC_{axis}RATE_{term}"] * px4[f"MC_{axis}RATE_K"] for axis in ("ROLL", "PITCH", "YAW"))
        )

    roll, pitch, yaw, level = _mixer_columns(vehicle)
    b0, a1, a2 = two_pole_lowpass(px4["IMU_GYRO_CUTOFF"], dt_s)
    cutoff = 2.0 * math.pi * px4["IMU_DGYRO_CUTOFF"]
    gains = RateGains(
        p=gain("P"),
        i=gain("I"),
        d=gain("D"),
        ff=Vec3(*axes("MC_ROLLRATE_FF", "MC_PITCHRATE_FF", "MC_YAWRATE_FF")),
        integral_limit=Vec3(*axes("MC_RR_INT_LIM", "MC_PR_INT_LIM", "MC_YR_INT_LIM")),
        gyro_b0=b0,
        gyro_a1=a1,
        gyro_a2=a2,
        accel_alpha=dt_s * cutoff / (1.0 + dt_s * cutoff) if cutoff > 0.0 else 1.0,
        inverse_thrust_max=1.0 / vehicle.max_thrust_n,
        thrust_curve=px4["THR_MDL_FAC"],
        roll=roll,
        pitch=pitch,
        yaw=yaw,
        level=level,
    )
    return map_leaves(lambda value: torch.tensor(value, device=device, dtype=dtype), gains)


def two_pole_lowpass(cutoff_hz: float, dt_s: float) -> tuple[float, float, float]:
    """Coefficients ``(b0, a1, a2)`` of the second-order Butterworth low-pass by the bilinear transform.

    ``cutoff_hz`` of 0, or at or above half the sampling rate, means no filter: ``(1, 0, 0)`` is then returned and
    :func:`lowpassed` passes its input through.
    """
    if cutoff_hz <= 0.0 or cutoff_hz * dt_s >= 0.5:
        return 1.0, 0.0, 0.0
    t = math.tan(math.pi * cutoff_hz * dt_s)
    norm = 1.0 + math.sqrt(2.0) * t + t * t
    return t * t / norm, 2.0 * (t * t - 1.0) / norm, (1.0 - math.sqrt(2.0) * t + t * t) / norm


def lowpassed(sample: Vec3, delay1: Vec3, delay2: Vec3, gains: RateGains) -> tuple[Vec3, Vec3]:
    """One step of the two-pole low-pass in direct form II: ``(filtered, new newest delay element)``."""
    newest = sample - delay1 * gains.gyro_a1 - delay2 * gains.gyro_a2
    # With no filter b0 is 1 and the zeros at Nyquist must vanish too.
    is_on = torch.where(gains.gyro_b0 < 1.0, 1.0, 0.0)
    return (newest + (delay1 * 2.0 + delay2) * is_on) * gains.gyro_b0, newest


def rate_loop(
    state: RateLoopState,
    command: RateCommand,
    gyro_b: Vec3,
    gains: RateGains,
    dt_s: float,
    airmode: bool = False,
) -> tuple[RateLoopState, Four]:
    """One step of the rate loop.

    ``gyro_b``: measured body rates [rad/s], FLU. ``airmode``: PX4's ``MC_AIRMODE`` 1, which may raise thrust to keep
    roll and pitch. Returns the new memory and each rotor's motor command 0..1.
    """
    rate_b, newest = lowpassed(gyro_b, state.gyro_delay1, state.gyro_delay2, gains)
    accel_b = state.accel_b + ((rate_b - state.rate_b) * (1.0 / dt_s) - state.accel_b) * gains.accel_alpha
    error = command.rate_b - rate_b
    torque = error.scale(gains.p) + state.integral - accel_b.scale(gains.d) + command.rate_b.scale(gains.ff)
    thrust = clip(command.thrust_n * gains.inverse_thrust_max, 0.0, 1.0)
    fractions, given = mix(thrust, torque, gains, airmode)

    # Anti-windup: no integration further into the direction that the mixer could not give.
    lacking = torque - given
    usable = Vec3(*(_unless_blocked(e, missing) for e, missing in zip(error, lacking, strict=True)))
    integral = Vec3(
        *(
            clip(total + _fade(e) * gain * e * dt_s, -limit, limit)
            for total, e, gain, limit in zip(
                state.integral, usable, gains.i, gains.integral_limit, strict=True
            )
        )
    )
    commands = fractions.map(lambda fraction: inverse_thrust_fraction(fraction, gains.thrust_curve))
    return RateLoopState(integral, newest, state.gyro_delay1, rate_b, accel_b), commands


def mix(thrust: Scalar, torque: Vec3, gains: RateGains, airmode: bool = False) -> tuple[Four, Vec3]:
    """Rotor thrust fractions 0..1 for a normalised collective and torque, and the torque they really give.

    PX4's sequential desaturation: without airmode collective thrust may only be reduced for roll and pitch, which then
    give way themselves; with airmode it may be raised too, and they are only cut off at the rotors' limits. Yaw is
    added last and reduced until it fits.
    """
    roll, pitch, yaw, level = gains.roll, gains.pitch, gains.yaw, gains.level
    wish = level.slope.map(lambda one: one * thrust).plus(roll.slope, torque.x).plus(pitch.slope, torque.y)
    rotors = _desaturated(wish, level, LEVEL_SIGNS, reduce_only=not airmode)
    if not airmode:
        rotors = _desaturated(rotors, roll, ROLL_SIGNS)
        rotors = _desaturated(rotors, pitch, PITCH_SIGNS)
    rotors = _desaturated(rotors.plus(yaw.slope, torque.z), yaw, YAW_SIGNS, upper=1.0 + YAW_HEADROOM)
    rotors = _desaturated(rotors, level, LEVEL_SIGNS, reduce_only=True)
    rotors = rotors.map(lambda fraction: clip(fraction, 0.0, 1.0))
    return rotors, Vec3(rotors.dot(roll.effect), rotors.dot(pitch.effect), rotors.dot(yaw.effect))


def _desaturated(
    rotors: Four, column: MixColumn, signs: tuple[int, ...], upper: float = 1.0, reduce_only: bool = False
) -> Four:
    """``rotors`` moved along ``column`` by the least that brings them into 0..``upper``, centred where nothing fits.

    With ``reduce_only`` the move is downwards or none: the second pass takes back no more than the first one gave.
    """
    is_outside = seldom(
        (functools.reduce(smaller, rotors) < 0.0) | (functools.reduce(larger, rotors) > upper)
    )
    first = _desaturation_gain(rotors, column.inverse_slope, signs, upper)
    if reduce_only:
        first = -torch.relu(-first)
    once = rotors.plus(column.slope, first)
    second = 0.5 * _desaturation_gain(once, column.inverse_slope, signs, upper)
    twice = once.plus(column.slope, smaller(second, -first) if reduce_only else second)
    return Four(*(torch.where(is_outside, new, old) for new, old in zip(twice, rotors, strict=True)))


def _desaturation_gain(rotors: Four, inverse_slope: Four, signs: tuple[int, ...], upper: float) -> Scalar:
    """The furthest move up that any rotor needs, less the furthest move down."""
    up, down = [], []
    for fraction, inverse, sign in zip(rotors, inverse_slope, signs, strict=True):
        lack, excess = -fraction * inverse, (fraction - upper) * inverse
        up.append(lack if sign > 0 else excess)
        down.append(excess if sign > 0 else lack)
    return torch.relu(functools.reduce(larger, up)) - torch.relu(functools.reduce(larger, down))


def _unless_blocked(error: Scalar, missing: Scalar) -> Scalar:
    """``error``, or zero where torque is missing (beyond rounding) in the direction in which it would integrate."""
    return torch.where(missing * error > 1e-6 * torch.abs(error), torch.zeros_like(error), error)


def _fade(error: Scalar) -> Scalar:
    ratio = error * (1.0 / RATE_ERROR_FADE_RADPS)
    return torch.relu(1.0 - ratio * ratio)


def _mixer_columns(vehicle: Vehicle) -> list[MixColumn]:
    """Roll, pitch, yaw and collective (the level column). The vehicle file's checks make the matrix invertible."""
    x, y, _ = zip(*vehicle.rotors.position_b_m, strict=True)
    spin = vehicle.rotors.spin
    effects = torch.tensor([y, [-v for v in x], [-s for s in spin], [1.0] * 4], dtype=torch.float64)
    slopes = torch.linalg.inv(effects)
    roll, pitch, yaw, level = slopes.unbind(1)
    tilting = float(max(roll.norm(), pitch.norm())) / math.sqrt(2.0)
    scales = (tilting, tilting, float(yaw.max()), float(level.abs().mean()))
    return [
        MixColumn(Four(*slope), Four(*(1.0 / abs(s) for s in slope)), Four(*effect))
        for slope, effect in (
            ((column / scale).tolist(), (row * scale).tolist())
            for column, row, scale in zip(slopes.unbind(1), effects, scales, strict=True)
        )
    ]
