"""Vehicles with rackets, starts, and motor commands that shake a vehicle: for tests of whatever engine."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from corvids.controllers.spatial import Vec3
from corvids.envs.engines.engine import TICK_S, Engine, State
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.vehicle import Racket, Vehicle, load_vehicle


def with_racket(name: str) -> Vehicle:
    """A vehicle by name, with a racket just above its airframe if it has none."""
    vehicle = load_vehicle(name)
    if vehicle.racket is not None:
        return vehicle
    top = vehicle.airframe.disc_height_m + vehicle.airframe.half_thickness_m
    racket = Racket((0.0, 0.0, top + 0.02), (0.0, 0.0, 1.0), 0.05, 0.05, 0.8, 0.6, 0.3)
    return dataclasses.replace(vehicle, racket=racket)


def start(vehicle: Vehicle, worlds: int, **changes) -> State:
    """Vehicles hovering 10 m up with idle air around them, balls 5 m above; ``changes`` broadcast over worlds."""
    lagged = 1.0 / vehicle.thrust_to_weight
    lagged = np.sqrt(lagged) if vehicle.rotors.thrust_lag == "speed" else lagged
    still = (0.0, 0.0, 0.0)
    fields = {
        "pos_w": (0.0, 0.0, 10.0),
        "vel_w": still,
        "quat_wb": (1.0, 0.0, 0.0, 0.0),
        "omega_b": still,
        "rotors": (lagged,) * 4,
        "ball_pos_w": (0.0, 0.0, 15.0),
        "ball_vel_w": still,
        "ball_spin_w": still,
        **changes,
    }
    return State(
        **{
            k: np.broadcast_to(v, (worlds, len(fields[k]) if np.ndim(v) == 1 else np.shape(v)[1]))
            for k, v in fields.items()
        }
    )


def doublets(vehicle: Vehicle, ticks: int, seed: int, worlds: int) -> np.ndarray:
    """Motor commands (ticks, worlds, 4): random torques of alternating sign under a jumping collective."""
    rng = np.random.default_rng(seed)
    x, y = (np.sign([position[axis] for position in vehicle.rotors.position_b_m]) for axis in (0, 1))
    effects = np.array((y, -x, -np.array(vehicle.rotors.spin, dtype=np.float64)))
    hold, pieces = 25, []
    for _ in range(-(-ticks // (2 * hold))):
        torque = rng.uniform(-0.5, 0.5, (worlds, 3)) @ effects
        for push in (torque, -torque):
            command = vehicle.hover_command * (rng.uniform(0.6, 1.5, (worlds, 1)) + push)
            pieces.append(np.broadcast_to(command, (hold, worlds, 4)))
    return np.clip(np.concatenate(pieces)[:ticks], 0.0, 1.0)


class Apart(NamedTuple):
    """How far two engines were apart at last, at most over the worlds, and how wild the flight was."""

    pos_m: float
    angle_deg: float
    ball_pos_m: float
    specific_force_mps2: float
    fastest_radps: float
    """Fastest turning of the first engine's vehicles."""
    speed_mps: float
    """Fastest of them at last."""


def fly_wildly(vehicle: Vehicle, engines: tuple[Engine, Engine], height_m: float, ball_m: float) -> Apart:
    """Two seconds of the same motor commands, with wind and spin, balls far above: from where, for both, they start."""
    worlds, rng = engines[0].worlds, np.random.default_rng(1)
    begin = start(
        vehicle,
        worlds,
        pos_w=(0.0, 0.0, height_m),
        vel_w=2.0 * rng.normal(size=(worlds, 3)),
        omega_b=rng.normal(size=(worlds, 3)),
        ball_pos_w=(0.3, 0.0, ball_m),
        ball_vel_w=3.0 * rng.normal(size=(worlds, 3)),
        ball_spin_w=30.0 * rng.normal(size=(worlds, 3)),
    )
    params = world_params(vehicle, BallConfig(), TICK_S)._replace(wind_w=Vec3(1.0, -2.0, 0.5))
    fastest = 0.0
    for engine in engines:
        engine.reset(begin, params)
    for command in doublets(vehicle, 1000, seed=2, worlds=worlds):
        for engine in engines:
            engine.step_motors(command)
        fastest = max(fastest, float(np.abs(engines[0].state.omega_b).max()))
    ours, theirs = (engine.state for engine in engines)
    cosine = np.abs(np.sum(ours.quat_wb * theirs.quat_wb, axis=1))
    return Apart(
        pos_m=_longest(ours.pos_w - theirs.pos_w),
        angle_deg=float(np.degrees(2.0 * np.arccos(np.minimum(cosine, 1.0))).max()),
        ball_pos_m=_longest(ours.ball_pos_w - theirs.ball_pos_w),
        specific_force_mps2=float(np.abs(engines[0].specific_force_w - engines[1].specific_force_w).max()),
        fastest_radps=fastest,
        speed_mps=_longest(ours.vel_w),
    )


def _longest(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=1).max())
