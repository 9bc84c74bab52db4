"""A laboratory for the physics: worlds in float64, and the quantities that nature conserves.

Everything here is written out from textbook definitions on ``(worlds, 3)`` tensors, not from the code under test.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.ball import Ball, BallParams
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams
from corvids.envs.physics.world import AT_REST, World, WorldParams, fly
from corvids.vehicle import GRAVITY_MPS2, Vehicle, load_vehicle

Tree = TypeVar("Tree")

DT_S = 0.002
"""The simulator's default step [s]."""
G = GRAVITY_MPS2
DRAGLESS = {
    "linear_drag_nspm": (0.0, 0.0, 0.0),
    "quadratic_drag_ns2pm2": (0.0, 0.0, 0.0),
    "angular_drag_nmsprad": (0.0, 0.0, 0.0),
}
"""Changes to a vehicle's body that leave it in a vacuum."""


def column(values: Any, worlds: int = 1) -> torch.Tensor:
    """``values`` (a number, or one number per world) as a float64 tensor of shape ``(worlds, 1)``."""
    tensor = torch.as_tensor(values, dtype=torch.float64)
    return (tensor.expand(worlds) if tensor.ndim == 0 else tensor).reshape(-1, 1).clone()


def columns(tree: Tree, worlds: int = 1) -> Tree:
    """``tree`` with every number made a :func:`column`."""
    return map_leaves(lambda value: column(value, worlds), tree)


def vec(values: Any, worlds: int = 1) -> Vec3:
    """Three numbers, or a ``(worlds, 3)`` tensor, as a vector of columns."""
    tensor = torch.as_tensor(values, dtype=torch.float64).reshape(-1, 3).expand(worlds, 3)
    return Vec3(*(tensor[:, axis : axis + 1].clone() for axis in range(3)))


def rows(vector: Vec3) -> torch.Tensor:
    """A vector of columns as a ``(worlds, 3)`` tensor."""
    return torch.cat(tuple(vector), dim=1)


def draw(seed: int) -> torch.Generator:
    """Random numbers that are the same on every run."""
    return torch.Generator().manual_seed(seed)


def uniform(low: float, high: float, shape: tuple[int, ...], random: torch.Generator) -> torch.Tensor:
    """Evenly distributed numbers."""
    return low + (high - low) * torch.rand(shape, dtype=torch.float64, generator=random)


def directions(worlds: int, random: torch.Generator) -> torch.Tensor:
    """Random unit vectors, shape ``(worlds, 3)``."""
    return torch.nn.functional.normalize(torch.randn(worlds, 3, dtype=torch.float64, generator=random), dim=1)


def quat_about(axis: torch.Tensor, angle: torch.Tensor) -> Quat:
    """Rotation by ``angle`` [rad] about the unit vectors ``axis`` of shape ``(worlds, 3)``."""
    half = angle.reshape(-1, 1) / 2
    return Quat(torch.cos(half), *(torch.sin(half) * axis[:, k : k + 1] for k in range(3)))


def matrices(quat: Quat) -> torch.Tensor:
    """Rotation matrices ``(worlds, 3, 3)``, body to world, by q (0, e_k) q*, the definition of a rotation by q."""
    w, u = quat.w.reshape(-1, 1, 1), torch.cat((quat.x, quat.y, quat.z), dim=1)
    eye = torch.eye(3, dtype=torch.float64)
    hat = torch.linalg.cross(u[:, None, :].expand(-1, 3, 3), eye.expand(len(u), 3, 3)).transpose(1, 2)
    outer = u[:, :, None] * u[:, None, :]
    return (w * w - (u * u).sum(1)[:, None, None]) * eye + 2 * outer + 2 * w * hat


def air(**changes: Any) -> Vehicle:
    """The juggling vehicle, with changes to its sections: ``air(body={"mass_kg": 2.0})``."""
    vehicle = load_vehicle("air")
    sections = {name: dataclasses.replace(getattr(vehicle, name), **new) for name, new in changes.items()}
    return dataclasses.replace(vehicle, **sections)


def setup(
    vehicle: Vehicle | None = None, ball: BallConfig | None = None, dt_s: float = DT_S, worlds: int = 1
) -> tuple[World, WorldParams]:
    """Worlds at rest far above the ground, rotors and motors off, the ball 10 m above, and their parameters."""
    params = columns(world_params(vehicle or air(), ball or BallConfig(), dt_s), worlds)
    world = columns(AT_REST, worlds)
    body = world.body._replace(pos_w=vec((0.0, 0.0, 100.0), worlds))
    return world._replace(body=body, ball=world.ball._replace(pos_w=vec((0.0, 0.0, 110.0), worlds))), params


def immovable(params: WorldParams) -> WorldParams:
    """The same with a vehicle that no ball can move."""
    worlds = len(params.vehicle.mass_kg)
    heavy = params.vehicle._replace(mass_kg=column(1e9, worlds), inertia_kgm2=vec((1e9, 1e9, 1e9), worlds))
    return params._replace(vehicle=heavy)


def run(
    world: World, params: WorldParams, seconds: float, dt_s: float = DT_S, with_ball: bool = True
) -> World:
    """``world`` after ``seconds`` under constant motor commands."""
    for _ in range(round(seconds / dt_s)):
        world = fly(world, params, dt_s, with_ball)
    return world


def tumbling(world: World, random: torch.Generator) -> World:
    """Vehicles that tumble under unequal rotors that speed up, each with a ball that falls on it."""
    worlds = len(world.body.pos_w.x)

    def normal(scale: float) -> Vec3:
        return vec(torch.randn(worlds, 3, generator=random, dtype=torch.float64) * scale, worlds)

    tilt = quat_about(directions(worlds, random), uniform(0.0, 0.5, (worlds,), random))
    body = world.body._replace(vel_w=normal(1.0), quat_wb=tilt, omega_b=normal(1.0))
    above = body.pos_w + tilt.rotate(vec((0.0, 0.0, 0.25), worlds))
    ball = Ball(above + normal(0.02), body.vel_w + vec((0.0, 0.0, -4.0), worlds), normal(20.0))
    command = Four(*(uniform(0.3, 0.7, (worlds, 1), random) for _ in range(4)))
    return world._replace(body=body, ball=ball, command=command, rotors=command.map(lambda u: 0.5 * u))


def ball_energy_j(ball: Ball, params: BallParams) -> torch.Tensor:
    """½mv² + ½Iω² of the ball, shape ``(worlds,)``."""
    inertia = params.inertia_factor * params.mass_kg * params.radius_m**2
    speed2, spin2 = (rows(v).square().sum(1, keepdim=True) for v in (ball.vel_w, ball.spin_w))
    return (0.5 * params.mass_kg * speed2 + 0.5 * inertia * spin2)[:, 0]


def body_energy_j(body: RigidBody, params: VehicleParams) -> torch.Tensor:
    """½MV² + ½ω·Iω of the vehicle, rotors' spin apart, shape ``(worlds,)``."""
    spin2 = (rows(params.inertia_kgm2) * rows(body.omega_b).square()).sum(1)
    return 0.5 * params.mass_kg[:, 0] * rows(body.vel_w).square().sum(1) + 0.5 * spin2


def momentum_w(body: RigidBody, ball: Ball, params: WorldParams) -> torch.Tensor:
    """MV + mv [N s], shape ``(worlds, 3)``."""
    return params.vehicle.mass_kg * rows(body.vel_w) + params.ball.mass_kg * rows(ball.vel_w)


def body_spin_w(
    body: RigidBody, params: VehicleParams, rotors_nms: float | torch.Tensor = 0.0
) -> torch.Tensor:
    """R(Iω + h ẑ) [N m s]: the vehicle's angular momentum about its centre of mass, world axes."""
    spin_b = rows(params.inertia_kgm2) * rows(body.omega_b)
    spin_b = spin_b + torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) * rotors_nms
    return (matrices(body.quat_wb) @ spin_b[:, :, None])[:, :, 0]


def angular_momentum_w(body: RigidBody, ball: Ball, params: WorldParams) -> torch.Tensor:
    """r×mv + Iω of ball and vehicle about the world's origin [N m s], shape ``(worlds, 3)``."""
    inertia = params.ball.inertia_factor * params.ball.mass_kg * params.ball.radius_m**2
    orbit_ball = torch.linalg.cross(rows(ball.pos_w), params.ball.mass_kg * rows(ball.vel_w))
    orbit_body = torch.linalg.cross(rows(body.pos_w), params.vehicle.mass_kg * rows(body.vel_w))
    return orbit_ball + inertia * rows(ball.spin_w) + orbit_body + body_spin_w(body, params.vehicle)


def rotor_momentum_nms(rotors: Four, params: VehicleParams) -> torch.Tensor:
    """Angular momentum of the spinning rotors along body z [N m s], shape ``(worlds, 1)``."""
    speeds = (s * fraction for s, fraction in zip(params.spin, rotors, strict=True))
    return params.rotor_inertia_kgm2 * params.rotor_speed_max_radps * sum(speeds)


def order(errors: list[float]) -> float:
    """Order of a scheme from its errors at steps h, h/2, h/4, …: the slope between the last two."""
    return math.log2(errors[-2] / errors[-1])
