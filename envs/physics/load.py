"""The load: a rigid box (or a point mass) under gravity, drag, the pull of its cables, and the ground.

Tensors of shape ``(worlds, 1)``. World ENU; the body frame has its origin at the centre of mass, cables' lumped mass
included, and its axes along the box's sides.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Rotation, Scalar, Vec3, smaller
from corvids.envs.physics.cables import Inertia, Wrench
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.vehicle import GRAVITY_MPS2

CONTACT_RATE = 0.5
"""Natural frequency of a corner on the ground, times the step: stiff enough to sink by less than 3 mm, and stable."""
CONTACT_DAMPING = 0.5
"""Damping ratio of a corner on the ground."""
BEARING_CORNERS = 4
"""How many corners usually share the ground's force."""


class LoadParams(NamedTuple):
    """What the load really is."""

    mass_kg: Scalar
    inertia_kgm2: Vec3
    """Moments about the body axes, which count as principal ones."""
    quadratic_drag_ns2pm2: Vec3
    """Drag force per squared air speed along each body axis (½ρC_dA)."""
    angular_drag_nmsprad: Scalar
    center_b_m: Vec3
    """Middle of the box, from the centre of mass."""
    half_size_m: Vec3
    friction: Scalar
    """Coulomb friction coefficient on the ground."""
    pose_point_b_m: Vec3
    """The point whose position counts as the load's, from the centre of mass."""
    wind_w: Vec3
    """Wind velocity [m/s], world."""

    def inertia(self) -> Inertia:
        """What cables feel of it."""
        moments = self.inertia_kgm2
        return Inertia(1.0 / self.mass_kg, Vec3(1.0 / moments.x, 1.0 / moments.y, 1.0 / moments.z))


class Load(NamedTuple):
    """State of the load."""

    body: RigidBody
    pull: Wrench
    """Of all cables together, in the last step."""
    specific_force_w: Vec3
    """Mean of the last step [m/s²], world; predicts the next step's middle velocity."""


def fly_load(load: Load, params: LoadParams, dt_s: float) -> Load:
    """One step under the pull of the step before; the solved tensions then put the true pull in its place."""
    body, half = load.body, 0.5 * dt_s
    inertia = params.inertia()
    vel_half = body.vel_w + _with_gravity(load.specific_force_w) * half
    omega_near = body.omega_b + _angular_accel(body.omega_b, load.pull.torque_b, params, inertia) * half
    middle = body.quat_wb.turned(body.omega_b * half)
    axes = middle.matrix()
    ground = _ground(body.pos_w + vel_half * half, vel_half, axes, omega_near, params, inertia, dt_s)

    torque_b = load.pull.torque_b + ground.torque_b
    omega_half = body.omega_b + _angular_accel(body.omega_b, torque_b, params, inertia) * half
    omega = body.omega_b + _angular_accel(omega_half, torque_b, params, inertia) * dt_s
    quat = body.quat_wb.turned(omega_half * half).turned(omega_half * half)

    air_b = axes.unrotate(vel_half - params.wind_w)
    drag_b = Vec3(*(-v * c * torch.abs(v) for v, c in zip(air_b, params.quadratic_drag_ns2pm2, strict=True)))
    force = (axes.rotate(drag_b) + load.pull.force_w + ground.force_w) * inertia.inverse_mass_pkg
    accel = _with_gravity(force)
    pos = body.pos_w + body.vel_w * dt_s + accel * (half * dt_s)
    return Load(RigidBody(pos, body.vel_w + accel * dt_s, quat, omega), load.pull, force)


def _angular_accel(omega_b: Vec3, torque_b: Vec3, params: LoadParams, inertia: Inertia) -> Vec3:
    inertial = omega_b.cross(omega_b.scale(params.inertia_kgm2))
    torque = torque_b - inertial - omega_b * params.angular_drag_nmsprad
    return torque.scale(inertia.inverse_inertia_pkgm2)


def _ground(
    pos_w: Vec3, vel_w: Vec3, axes: Rotation, omega_b: Vec3, params: LoadParams, inertia: Inertia, dt_s: float
) -> Wrench:
    """What the ground does to the eight corners: a spring and damper that only push, and friction.

    Stiffness is the corner's own effective mass times a fixed squared frequency, so that every load is as stable.
    """
    rate = CONTACT_RATE / dt_s
    up_b = Vec3(axes.x.z, axes.y.z, axes.z.z)
    omega_w = axes.rotate(omega_b)
    force_w = torque_w = Vec3(0.0, 0.0, 0.0)
    for signs in itertools.product((-1.0, 1.0), repeat=3):
        corner_b = params.center_b_m + Vec3(
            *(size * sign for size, sign in zip(params.half_size_m, signs, strict=True))
        )
        arm_b = corner_b.cross(up_b)
        inverse = inertia.inverse_mass_pkg + arm_b.dot(arm_b.scale(inertia.inverse_inertia_pkgm2))
        mass_kg = (1.0 / BEARING_CORNERS) / inverse
        lever_w = axes.rotate(corner_b)
        vel = vel_w + omega_w.cross(lever_w)
        depth = -(pos_w.z + lever_w.z)
        push = torch.relu(mass_kg * rate * (rate * depth - 2.0 * CONTACT_DAMPING * vel.z))
        push = torch.where(depth > 0.0, push, 0.0)
        slide = torch.sqrt(vel.x * vel.x + vel.y * vel.y + 1e-12)
        grip = smaller(mass_kg * rate, params.friction * push / slide) * torch.where(push > 0.0, 1.0, 0.0)
        force = Vec3(-vel.x * grip, -vel.y * grip, push)
        force_w, torque_w = force_w + force, torque_w + lever_w.cross(force)
    return Wrench(force_w, axes.unrotate(torque_w))


def _with_gravity(specific_force: Vec3) -> Vec3:
    return Vec3(specific_force.x, specific_force.y, specific_force.z - GRAVITY_MPS2)
