"""Flight of one quadrotor: rigid body, rotors, aerodynamics, ground.

Pure functions of tensors of shape ``(worlds, drones)``; frames: world ENU, body FLU with its origin at the centre of
mass. The scheme is a second-order one (midpoint rule for rotation and translation, exact lag for the rotors), so that
halving the step divides the error by four.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.rate_loop import Four, thrust_fraction
from corvids.controllers.spatial import Quat, Scalar, Vec3, larger, where
from corvids.vehicle import GRAVITY_MPS2


class RigidBody(NamedTuple):
    """State of one rigid body."""

    pos_w: Vec3
    """Position [m], world."""
    vel_w: Vec3
    """Velocity [m/s], world."""
    quat_wb: Quat
    """Attitude: rotates body into world."""
    omega_b: Vec3
    """Angular velocity [rad/s], body."""


class VehicleParams(NamedTuple):
    """What one vehicle really is. Drawn per world by randomization."""

    mass_kg: Scalar
    inertia_kgm2: Vec3
    linear_drag_nspm: Vec3
    """Force per airspeed [N s/m] along each body axis."""
    quadratic_drag_ns2pm2: Vec3
    angular_drag_nmsprad: Vec3
    rotor_x_b_m: Four
    rotor_y_b_m: Four
    spin: Four
    """+1 where a rotor turns counter-clockwise seen from above."""
    thrust_max_n: Four
    """Thrust of each rotor at full command [N]."""
    torque_per_thrust_m: Scalar
    rotor_speed_max_radps: Scalar
    rotor_inertia_kgm2: Scalar
    rise_fraction: Scalar
    """Part of the distance to its target that a rotor covers in one step while it speeds up: ``1-exp(-dt/τ)``."""
    fall_fraction: Scalar
    command_curve: Scalar
    """Share of the quadratic term in steady thrust over motor command."""
    lag_curve: Scalar
    """1 if rotor speed lags (thrust is its square), 0 if thrust itself does."""
    idle: Scalar
    """Smallest value of the lagged quantity while armed, as a fraction of its maximum."""
    ground_clearance_m: Scalar
    """Height of the centre of mass when landed."""

    def inverse_inertia(self) -> Vec3:
        """Reciprocals of the principal moments [1/(kg m²)]."""
        return Vec3(1.0 / self.inertia_kgm2.x, 1.0 / self.inertia_kgm2.y, 1.0 / self.inertia_kgm2.z)


class RotorForces(NamedTuple):
    """What the rotors exert on the body during one step."""

    thrust_n: Scalar
    """Along body z."""
    torque_b: Vec3
    """Moments of thrust, drag torque and the reaction to rotor acceleration [N m]."""
    spin_momentum: Scalar
    """Angular momentum of the rotors along body z [N m s], for the gyroscopic torque."""


def step_rotors(rotors: Four, command: Four, params: VehicleParams, dt_s: float) -> tuple[Four, RotorForces]:
    """Advance the rotors by one step towards motor ``command`` 0..1 and return what they exert meanwhile.

    ``rotors`` is the lagged quantity of each rotor as a fraction of its maximum: speed, or thrust where
    ``lag_curve`` is 0. Forces are the means of the step's two ends (trapezoidal rule).
    """
    target = command.map(lambda u: _lagged_from_thrust(thrust_fraction(u, params.command_curve), params))
    new = Four(*(_lag(old, to, params) for old, to in zip(rotors, target, strict=True)))
    force = Four(
        *(
            0.5 * full * (thrust_fraction(old, params.lag_curve) + thrust_fraction(now, params.lag_curve))
            for full, old, now in zip(params.thrust_max_n, rotors, new, strict=True)
        )
    )
    spin_speed = sum(s * 0.5 * (old + now) for s, old, now in zip(params.spin, rotors, new, strict=True))
    spin_change = sum(s * (now - old) for s, old, now in zip(params.spin, rotors, new, strict=True))
    momentum = params.rotor_inertia_kgm2 * params.rotor_speed_max_radps
    torque = Vec3(
        force.dot(params.rotor_y_b_m),
        -force.dot(params.rotor_x_b_m),
        -params.torque_per_thrust_m * force.dot(params.spin) - momentum * spin_change / dt_s,
    )
    return new, RotorForces(sum(force), torque, momentum * spin_speed)


def step_body(
    body: RigidBody, last_force_w: Vec3, rotors: RotorForces, wind_w: Vec3, params: VehicleParams, dt_s: float
) -> tuple[RigidBody, Vec3]:
    """Advance the body by one step; returns it and the mean specific force [m/s², world] (what an accelerometer feels).

    Flight as in :func:`fly_free`, and a ground that carries.
    """
    free, force = fly_free(body, last_force_w, rotors, wind_w, params, dt_s)
    return on_ground(body, free, force, params)


def fly_free(
    body: RigidBody,
    last_force_w: Vec3,
    rotors: RotorForces,
    wind_w: Vec3,
    params: VehicleParams,
    dt_s: float,
    pull_w: Vec3 | None = None,
) -> tuple[RigidBody, Vec3]:
    """As :func:`step_body`, above no ground. ``pull_w`` is a force from outside [N], its torque part of ``rotors``'."""
    means = mean_loads(body, last_force_w, rotors, wind_w, params, dt_s, pull_w)
    half, force = 0.5 * dt_s, means.specific_force_w
    omega = body.omega_b + means.angular_accel_b * dt_s
    quat = means.quat_wb.turned(means.omega_b * half)
    accel = _with_gravity(force)
    pos = body.pos_w + body.vel_w * dt_s + accel * (half * dt_s)
    vel = body.vel_w + accel * dt_s
    return RigidBody(pos, vel, quat, omega), force


class MeanLoads(NamedTuple):
    """What moves a body during one step, by the midpoint rule; and how it turns at the middle of the step."""

    specific_force_w: Vec3
    """Rotors, drag and pull over mass [m/s²], world; without gravity."""
    angular_accel_b: Vec3
    """[rad/s²], body."""
    omega_b: Vec3
    """Angular velocity in the middle [rad/s], body."""
    quat_wb: Quat
    """Attitude in the middle."""


def mean_loads(
    body: RigidBody,
    last_force_w: Vec3,
    rotors: RotorForces,
    wind_w: Vec3,
    params: VehicleParams,
    dt_s: float,
    pull_w: Vec3 | None = None,
) -> MeanLoads:
    """Forces and torques on a flying body; arguments as :func:`fly_free` has them.

    Euler's equations with the gyroscopic torque of the rotors; thrust and drag at the middle attitude and velocity.
    ``last_force_w``, the specific force of the step before, predicts that velocity.
    """
    half = 0.5 * dt_s
    omega_half = body.omega_b + _angular_accel(body.omega_b, rotors, params) * half
    angular_accel = _angular_accel(omega_half, rotors, params)
    middle = body.quat_wb.turned(omega_half * half)

    axes = middle.matrix()
    vel_half = body.vel_w + _with_gravity(last_force_w) * half
    drag_b = _drag_n(axes.unrotate(vel_half - wind_w), params)
    force_b = Vec3(drag_b.x, drag_b.y, drag_b.z + rotors.thrust_n)
    force = axes.rotate(force_b * (1.0 / params.mass_kg))
    if pull_w is not None:
        force = force + pull_w * (1.0 / params.mass_kg)
    return MeanLoads(force, angular_accel, omega_half, middle)


def gyroscopic_torque(omega_b: Vec3, spin_momentum: Scalar) -> Vec3:
    """``-ω × (h ẑ)``: what turning the spinning rotors' angular momentum ``h`` [N m s] costs the body [N m]."""
    return Vec3(-omega_b.y * spin_momentum, omega_b.x * spin_momentum, 0.0 * spin_momentum)


def _angular_accel(omega: Vec3, rotors: RotorForces, params: VehicleParams) -> Vec3:
    inertial = omega.cross(omega.scale(params.inertia_kgm2))
    damping = omega.scale(params.angular_drag_nmsprad)
    torque = rotors.torque_b - inertial - damping + gyroscopic_torque(omega, rotors.spin_momentum)
    return torque.scale(params.inverse_inertia())


def _drag_n(air_b: Vec3, params: VehicleParams) -> Vec3:
    """Linear and quadratic drag [N] along the body's axes at airspeed ``air_b`` [m/s]."""
    return Vec3(
        *(
            -v * (linear + quadratic * torch.abs(v))
            for linear, quadratic, v in zip(
                params.linear_drag_nspm, params.quadratic_drag_ns2pm2, air_b, strict=True
            )
        )
    )


def _with_gravity(specific_force: Vec3) -> Vec3:
    return Vec3(specific_force.x, specific_force.y, specific_force.z - GRAVITY_MPS2)


def on_ground(
    before: RigidBody, after: RigidBody, force_w: Vec3, params: VehicleParams
) -> tuple[RigidBody, Vec3]:
    """Landing gear that neither bounces, slides nor tips: below its clearance a vehicle that moves down stops.

    ``force_w`` is the specific force [m/s²]; while the ground carries the vehicle, that is gravity's opposite.
    """
    landed = (after.pos_w.z <= params.ground_clearance_m) & (after.vel_w.z <= 0.0)
    rest = Vec3(before.pos_w.x, before.pos_w.y, params.ground_clearance_m)
    moving = torch.where(landed, 0.0, 1.0)
    quat_wb = Quat(
        *(torch.where(landed, old, new) for old, new in zip(before.quat_wb, after.quat_wb, strict=True))
    )
    body = RigidBody(where(landed, rest, after.pos_w), after.vel_w * moving, quat_wb, after.omega_b * moving)
    return body, where(landed, Vec3(0.0, 0.0, GRAVITY_MPS2), force_w)


def _lagged_from_thrust(fraction: Scalar, params: VehicleParams) -> Scalar:
    """The lagged quantity that gives a thrust: its root where speed lags, the thrust itself where thrust lags."""
    target = fraction + (torch.sqrt(fraction) - fraction) * params.lag_curve
    return larger(target, params.idle)


def _lag(old: Scalar, target: Scalar, params: VehicleParams) -> Scalar:
    return old + (target - old) * torch.where(target > old, params.rise_fraction, params.fall_fraction)
