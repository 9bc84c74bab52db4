"""Vehicles with rackets, starts, and motor commands that shake a vehicle: for tests of whatever engine."""

from __future__ import annotations

import dataclasses

import numpy as np

from corvids.envs.engines.engine import State
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
