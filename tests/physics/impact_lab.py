"""Impacts with a known outcome: worlds that are about to meet, and what rigid-body mechanics says happens then."""

from __future__ import annotations

import dataclasses
import math

import torch
from physics_lab import DT_S, G, matrices, quat_about, rows, setup, vec

from corvids.controllers.rate_loop import Four
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.physics.world import World, WorldParams
from corvids.vehicle import Vehicle

REACH_M = 0.055 + 0.04
"""Height of the ball's centre above the vehicle's at contact with the racket's face."""
DRAGLESS_BALL = BallConfig(drag_per_m=0.0, magnus=0.0)


@dataclasses.dataclass(frozen=True)
class Meeting:
    """The moment of contact on the racket's face; world axes, shape ``(worlds, 3)`` unless said otherwise."""

    attitude_w: torch.Tensor
    """Rotation vectors of the vehicle [rad]."""
    omega_w: torch.Tensor
    """Angular velocity of the vehicle [rad/s]."""
    vel_w: torch.Tensor
    """Velocity of the vehicle [m/s]."""
    ball_vel_w: torch.Tensor
    ball_spin_w: torch.Tensor
    offset_b: torch.Tensor
    """Place of contact on the face [m], shape ``(worlds, 2)``."""
    accel_w: torch.Tensor
    """Acceleration of the vehicle [m/s²], before and after."""
    when_s: torch.Tensor
    """Time of contact [s], shape ``(worlds, 1)``."""

    @property
    def rotation(self) -> torch.Tensor:
        """Attitude at contact, ``(worlds, 3, 3)``."""
        return rotation(self.attitude_w)

    @property
    def normal_w(self) -> torch.Tensor:
        """The face's normal."""
        return self.rotation[:, :, 2]

    @property
    def center_w(self) -> torch.Tensor:
        """From the vehicle's centre to the ball's."""
        height = torch.full((len(self.offset_b), 1), REACH_M, dtype=torch.float64)
        return apply(self.rotation, torch.cat((self.offset_b, height), dim=1))

    @property
    def closing_mps(self) -> torch.Tensor:
        """Speed at which the gap closes at contact, shape ``(worlds,)``."""
        face = self.vel_w + torch.linalg.cross(self.omega_w, self.center_w)
        return -((self.ball_vel_w - face) * self.normal_w).sum(1)

    def select(self, chosen: torch.Tensor) -> Meeting:
        """Only the worlds ``chosen``."""
        return Meeting(
            **{field.name: getattr(self, field.name)[chosen] for field in dataclasses.fields(self)}
        )


def rotation(vector: torch.Tensor) -> torch.Tensor:
    """Matrices that turn by rotation vectors [rad], shape ``(worlds, 3, 3)``."""
    angle = vector.norm(dim=1)
    axis = vector / angle.clamp(min=1e-12)[:, None]
    return matrices(quat_about(axis, angle))


def apply(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Matrices times vectors, world by world."""
    return (matrix @ vector[:, :, None])[:, :, 0]


def unit(vector: torch.Tensor) -> torch.Tensor:
    """Directions; zero where there is none."""
    return vector / vector.norm(dim=1, keepdim=True).clamp(min=1e-12)


def begin(meeting: Meeting, vehicle: Vehicle, dt_s: float = DT_S) -> tuple[World, WorldParams]:
    """Worlds at time 0 that come to ``meeting``. The thrust is that of ``accel_w``, along the body's z axis.

    A vehicle that turns must have equal moments of inertia and no thrust, so that its rates are constant.
    """
    worlds = len(meeting.vel_w)
    world, params = setup(vehicle, DRAGLESS_BALL, dt_s, worlds)
    back_s, gravity = meeting.when_s, torch.tensor([0.0, 0.0, -G], dtype=torch.float64)
    middle = torch.tensor([0.0, 0.0, 100.0], dtype=torch.float64)
    turned_back = rotation(-meeting.omega_w * back_s) @ meeting.rotation
    body = world.body._replace(
        pos_w=vec(middle - meeting.vel_w * back_s + meeting.accel_w * back_s**2 / 2, worlds),
        vel_w=vec(meeting.vel_w - meeting.accel_w * back_s, worlds),
        quat_wb=quaternion(turned_back),
        omega_b=vec(apply(turned_back.transpose(1, 2), meeting.omega_w), worlds),
    )
    ball = world.ball._replace(
        pos_w=vec(middle + meeting.center_w - meeting.ball_vel_w * back_s + gravity * back_s**2 / 2, worlds),
        vel_w=vec(meeting.ball_vel_w - gravity * back_s, worlds),
        spin_w=vec(meeting.ball_spin_w, worlds),
    )
    lift = (meeting.accel_w - gravity).norm(dim=1, keepdim=True) * vehicle.body.mass_kg
    lagged = Four(*[torch.sqrt(lift / vehicle.max_thrust_n)] * 4)
    return world._replace(body=body, ball=ball, rotors=lagged, command=lagged), params


def quaternion(matrix: torch.Tensor):
    """Quaternions of matrices that turn by less than half a turn: (1 + trace)/2 = 2·w²."""
    from corvids.controllers.spatial import Quat

    w = torch.sqrt(1.0 + matrix.diagonal(dim1=1, dim2=2).sum(1)) / 2.0
    x = (matrix[:, 2, 1] - matrix[:, 1, 2]) / (4.0 * w)
    y = (matrix[:, 0, 2] - matrix[:, 2, 0]) / (4.0 * w)
    z = (matrix[:, 1, 0] - matrix[:, 0, 1]) / (4.0 * w)
    return Quat(*(component[:, None] for component in (w, x, y, z)))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Just after contact; world axes, shape ``(worlds, 3)``."""

    ball_vel_w: torch.Tensor
    ball_spin_w: torch.Tensor
    vel_w: torch.Tensor
    omega_w: torch.Tensor


def outcome(
    meeting: Meeting, vehicle: Vehicle, ball: BallConfig, restitution: float, friction: float
) -> Outcome:
    """Newton's law of restitution with the effective mass of both bodies, then Coulomb's friction.

    K is the matrix of velocity per impulse of the two points in contact:
    K = (1/m + 1/M)·1 − [r]ₓ·I⁻¹·[r]ₓ − [ρ]ₓ·[ρ]ₓ/(k·m·ρ²), with r and ρ the arms in vehicle and ball.
    """
    normal, turn = meeting.normal_w, meeting.rotation
    arm = meeting.center_w - normal * ball.radius_m
    mass, body_mass = ball.mass_kg, vehicle.body.mass_kg
    inertia = torch.tensor(vehicle.body.inertia_kgm2, dtype=torch.float64)
    inverse = turn @ torch.diag(1.0 / inertia) @ turn.transpose(1, 2)
    cross_arm, cross_ball = hat(arm), hat(-normal * ball.radius_m)
    spin_inertia = ball.inertia_factor * mass * ball.radius_m**2
    mobility = (
        (1.0 / mass + 1.0 / body_mass) * torch.eye(3, dtype=torch.float64)
        - cross_arm @ inverse @ cross_arm
        - cross_ball @ cross_ball / spin_inertia
    )
    meets = (
        meeting.ball_vel_w
        + torch.linalg.cross(meeting.ball_spin_w, -normal * ball.radius_m)
        - meeting.vel_w
        - torch.linalg.cross(meeting.omega_w, arm)
    )
    along_normal = (apply(mobility, normal) * normal).sum(1)
    push = normal * ((1.0 + restitution) * -(meets * normal).sum(1) / along_normal)[:, None]
    slip = meets + apply(mobility, push)
    slip = slip - normal * (slip * normal).sum(1, keepdim=True)
    way = unit(slip)
    stop = slip.norm(dim=1) / (apply(mobility, way) * way).sum(1)
    impulse = push - way * torch.minimum(stop, friction * push.norm(dim=1))[:, None]
    return Outcome(
        meeting.ball_vel_w + impulse / mass,
        meeting.ball_spin_w + torch.linalg.cross(-normal * ball.radius_m, impulse) / spin_inertia,
        meeting.vel_w - impulse / body_mass,
        meeting.omega_w - apply(inverse, torch.linalg.cross(arm, impulse)),
    )


def hat(vector: torch.Tensor) -> torch.Tensor:
    """Matrices [v]ₓ of the vector product with ``v``."""
    x, y, z = vector.unbind(1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).reshape(-1, 3, 3)


def tilts(max_rad: float, worlds: int, random: torch.Generator) -> torch.Tensor:
    """Rotation vectors about horizontal axes by up to ``max_rad``."""
    azimuth = 2.0 * math.pi * torch.rand(worlds, generator=random, dtype=torch.float64)
    angle = max_rad * torch.rand(worlds, generator=random, dtype=torch.float64)
    return torch.stack((azimuth.cos() * angle, azimuth.sin() * angle, torch.zeros_like(angle)), dim=1)


def on_disc(radius_m: float, worlds: int, random: torch.Generator) -> torch.Tensor:
    """Points evenly spread over a disc, shape ``(worlds, 2)``."""
    azimuth = 2.0 * math.pi * torch.rand(worlds, generator=random, dtype=torch.float64)
    radius = radius_m * torch.rand(worlds, generator=random, dtype=torch.float64).sqrt()
    return torch.stack((azimuth.cos() * radius, azimuth.sin() * radius), dim=1)


def ball_rows(world: World) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Position, velocity and spin of the ball, each ``(worlds, 3)``."""
    return rows(world.ball.pos_w), rows(world.ball.vel_w), rows(world.ball.spin_w)
