"""Collisions of a spinning ball with every part of a tumbling vehicle, each within a single step."""

from __future__ import annotations

import dataclasses
import functools
import math

import torch
from physics_lab import (
    DRAGLESS,
    air,
    ball_energy_j,
    body_energy_j,
    column,
    columns,
    directions,
    draw,
    matrices,
    quat_about,
    rows,
    uniform,
    vec,
)

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Vec3
from corvids.envs.physics.ball import Ball, Impact, collide, step_flight
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody, RotorForces, step_body
from corvids.envs.physics.world import AT_REST, WorldParams

WORLDS = 12_000
BALL = BallConfig(drag_per_m=0.0, magnus=0.0)
INSTANT_S = 1e-6
"""A step so short that nothing but the impact happens in it."""
RACKET = {"edge_m": 0.05, "plane_m": 0.055, "reach_m": 0.04}
AIRFRAME = {"edge_m": 0.18, "plane_m": 0.0, "reach_m": 0.07}
"""The vehicle's discs: radius and height of the flat part, and the distance at which the ball's centre touches it."""


@dataclasses.dataclass(frozen=True)
class Collision:
    """One step with an impact in it."""

    start: tuple[RigidBody, Ball]
    apart: tuple[RigidBody, Ball]
    """The end of the step as if both passed through each other."""
    met: tuple[RigidBody, Ball]
    impact: Impact
    params: WorldParams
    normal_w: torch.Tensor
    """From the vehicle to the ball where they touch, ``(worlds, 3)``."""
    on_face: torch.Tensor
    """Whether the ball meets a face, not an edge, ``(worlds,)``."""
    dt_s: float

    @property
    def impulse_ns(self) -> torch.Tensor:
        """What the ball received, ``(worlds, 3)``."""
        return 0.0472 * (rows(self.met[1].vel_w) - rows(self.apart[1].vel_w))

    @property
    def energy_gained_j(self) -> torch.Tensor:
        """Change of energy by the impact, ``(worlds,)``."""
        met, apart = (
            body_energy_j(body, self.params.vehicle) + ball_energy_j(ball, self.params.ball)
            for body, ball in (self.met, self.apart)
        )
        return met - apart

    def with_friction(self, friction: float) -> Collision:
        """The same meetings under another coefficient of friction."""
        discs = (self.params.racket, self.params.airframe)
        racket, airframe = (
            disc._replace(friction=torch.full_like(disc.friction, friction)) for disc in discs
        )
        params = self.params._replace(racket=racket, airframe=airframe)
        return collided(*self.start, params, self.dt_s, self.normal_w, self.on_face)


def collided(
    body: RigidBody,
    ball: Ball,
    params: WorldParams,
    dt_s: float,
    normal_w: torch.Tensor,
    on_face: torch.Tensor,
) -> Collision:
    """One step of both, without and with what happens between them."""
    worlds = len(body.pos_w.x)
    zero, none = vec((0.0, 0.0, 0.0), worlds), columns(AT_REST.impact, worlds)
    still = RotorForces(column(0.0), vec((0.0, 0.0, 0.0)), column(0.0))
    later, _ = step_body(body, zero, still, zero, params.vehicle, dt_s)
    flown = step_flight(ball, zero, params.ball, dt_s)
    met_body, met_ball, impact = collide(
        (body, ball), (later, flown), params.racket, params.airframe, params.vehicle, params.ball, none, dt_s
    )
    return Collision(
        (body, ball), (later, flown), (met_body, met_ball), impact, params, normal_w, on_face, dt_s
    )


def touching(random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places of the ball's centre, body axes, where it touches racket or airframe; normals; whether on a face."""
    azimuth = uniform(0.0, 2 * math.pi, (WORLDS, 1), random)
    radial = torch.cat((azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)), dim=1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    racket, face, above = (torch.rand(WORLDS, 1, generator=random) < 0.5 for _ in range(3))
    edge, plane, reach = (
        torch.where(racket, column(RACKET[name]), column(AIRFRAME[name]))
        for name in ("edge_m", "plane_m", "reach_m")
    )
    lean = uniform(-math.pi / 2, math.pi / 2, (WORLDS, 1), random)
    normal = torch.where(face, torch.where(above, up, -up), lean.cos() * radial + lean.sin() * up)
    foot = radial * torch.where(face, edge * uniform(0.0, 1.0, (WORLDS, 1), random), edge) + plane * up
    return foot + reach * normal, normal, face[:, 0]


def outside(place: torch.Tensor, edge_m: float, plane_m: float, reach_m: float) -> torch.Tensor:
    """Whether the ball's centre is no nearer to a disc than ``reach_m``, by hand: Pythagoras beyond the edge."""
    beyond = (place[:, :2].norm(dim=1) - edge_m).clamp(min=0.0)
    return torch.hypot(beyond, place[:, 2] - plane_m) > reach_m * (1.0 - 1e-9)


@functools.cache
def collisions(dt_s: float, restitution: float | None = None) -> Collision:
    """Balls that meet faces, edges and undersides from all sides, grazing and head on."""
    random = draw(11)
    place, normal_b, face = touching(random)
    attitude = quat_about(directions(WORLDS, random), uniform(0.0, 3.0, (WORLDS,), random))
    turn = matrices(attitude)

    def to_world(vector: torch.Tensor) -> torch.Tensor:
        return (turn @ vector[:, :, None])[:, :, 0]

    vel = directions(WORLDS, random) * uniform(0.0, 3.0, (WORLDS, 1), random)
    omega_b = directions(WORLDS, random) * uniform(0.0, 6.0, (WORLDS, 1), random)
    ball_vel = directions(WORLDS, random) * uniform(0.0, 8.0, (WORLDS, 1), random)
    spin = directions(WORLDS, random) * uniform(0.0, 100.0, (WORLDS, 1), random)
    normal, point_vel = to_world(normal_b), vel + to_world(torch.linalg.cross(omega_b, place))
    closing = -((ball_vel - point_vel) * normal).sum(1, keepdim=True)
    ball_vel = ball_vel - 2.0 * torch.relu(-closing) * normal
    # Contact comes at a random moment within the step.
    ahead_s = uniform(0.1, 0.9, (WORLDS, 1), random) * dt_s
    middle = torch.tensor([0.0, 0.0, 100.0], dtype=torch.float64)
    start = middle + to_world(place) - (ball_vel - point_vel) * ahead_s
    # A graze along a round edge, at less than 9°, may come to nothing within the step; its impulse is small.
    graze = 0.15 * (ball_vel - point_vel).norm(dim=1)
    fit = (closing.abs()[:, 0] > graze.clamp(min=0.2)) & outside(place, **RACKET) & outside(place, **AIRFRAME)
    chosen = torch.nonzero(fit)[:, 0]

    def some(tensor: torch.Tensor) -> Vec3:
        return vec(tensor[chosen], len(chosen))

    attitude = map_leaves(lambda component: component[chosen], attitude)
    body = RigidBody(vec(middle, len(chosen)), some(vel), attitude, some(omega_b))
    elastic = {} if restitution is None else {"restitution": restitution}
    rim = {} if restitution is None else {"restitution_rim": restitution}
    vehicle = air(body=DRAGLESS, rotors={"inertia_kgm2": 0.0}, racket=elastic | rim, airframe=elastic)
    params = columns(world_params(vehicle, BALL, dt_s), len(chosen))
    return collided(
        body, Ball(some(start), some(ball_vel), some(spin)), params, dt_s, normal[chosen], face[chosen]
    )
