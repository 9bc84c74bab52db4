"""Manoeuvres that a flight for calibration is composed of: each excites some of the unknowns, within limits.

Each lasts :data:`BLOCK_S`, begins and ends at rest where the flight began, and is scaled by a level in 0..1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from corvids.vehicle import GRAVITY_MPS2, Vehicle

BLOCK_S = 6.0
"""Duration of a manoeuvre."""
SLOW_HZ = (0.5, 0.8, 1.3, 2.1, 3.1, 4.7)
FAST_HZ = (2.3, 3.1, 4.1, 5.3, 6.7, 8.3)
"""Frequencies of the multi-sines: none is a multiple of another, so that the axes can be told apart."""


class Excitation(NamedTuple):
    """What a manoeuvre adds, T samples."""

    place_w_m: np.ndarray
    """Away from where the flight began, (T, 3)."""
    vel_w_mps: np.ndarray
    """Velocity of that place, (T, 3)."""
    rate_b_radps: np.ndarray
    """Added to the body rates commanded, (T, 3)."""
    thrust_share: np.ndarray
    """Added to thrust, as a share of the weight, (T,)."""


@dataclasses.dataclass(frozen=True)
class Room:
    """What there is to fly in, around the place where the flight begins."""

    reach_m: tuple[float, float, float]
    """How far one may go in each direction of each axis."""
    speed_mps: float
    tilt_rad: float


Maker = Callable[[np.ndarray, float, Room, Vehicle], Excitation]
"""From times (T,) since the beginning, level, room and vehicle."""


def rest(count: int) -> Excitation:
    """Hover for ``count`` samples."""
    return Excitation(np.zeros((count, 3)), np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count))


def _thrust_steps(time_s: np.ndarray, level: float, room: Room, vehicle: Vehicle) -> Excitation:
    share = 0.4 * min(1.0, vehicle.thrust_to_weight - 1.0) * level
    steps = np.sign(np.sin(2.0 * math.pi * 0.9 * time_s)) + 0.5 * np.sign(
        np.sin(2.0 * math.pi * 2.3 * time_s)
    )
    return rest(len(time_s))._replace(thrust_share=share * steps * _envelope(time_s))


def _rates(axes: str, peak_radps: float, hertz: tuple[float, ...]) -> Maker:
    """Multi-sines of the rates about ``axes``, each peaking near ``peak_radps`` or half of what the vehicle may."""

    def make(time_s: np.ndarray, level: float, room: Room, vehicle: Vehicle) -> Excitation:
        rate = np.zeros((len(time_s), 3))
        for axis in ("xyz".index(name) for name in axes):
            # The phases of each axis are shifted by another golden section, so that no two axes move together.
            phases = 2.0 * math.pi * (0.618034 * (1.0 + axis) * np.arange(len(hertz)) ** 2)
            waves = np.sin(2.0 * math.pi * np.array(hertz) * time_s[:, None] + phases).sum(axis=-1)
            size = level * min(peak_radps, 0.5 * vehicle.limits.rate_max_radps[axis])
            rate[:, axis] = size * waves / (0.5 * len(hertz)) * _envelope(time_s)
        return rest(len(time_s))._replace(rate_b_radps=rate)

    return make


def _dash(axis: int) -> Maker:
    """To and fro along a world axis, as fast as room, speed and tilt allow."""

    def make(time_s: np.ndarray, level: float, room: Room, vehicle: Vehicle) -> Excitation:
        reach = 0.7 * room.reach_m[axis]
        accel = 0.6 * GRAVITY_MPS2 * math.tan(room.tilt_rad) * level
        turn_radps = min(0.8 * room.speed_mps * level / reach, math.sqrt(accel / reach))
        half_turns = max(1, math.floor(turn_radps * BLOCK_S / math.pi))  # whole ones: it ends where it began
        turn_radps = half_turns * math.pi / BLOCK_S
        place = reach * np.sin(turn_radps * time_s) * _envelope(time_s, ease_s=1.5)
        moved = rest(len(time_s))
        moved.place_w_m[:, axis], moved.vel_w_mps[:, axis] = place, np.gradient(place, time_s)
        return moved

    return make


def _envelope(time_s: np.ndarray, ease_s: float = 0.5) -> np.ndarray:
    """Swells from 0 to 1 within ``ease_s`` and fades again, as half a cosine."""
    edge = np.minimum(time_s, BLOCK_S - time_s) / ease_s
    return 0.5 - 0.5 * np.cos(math.pi * np.clip(edge, 0.0, 1.0))


MANOEUVRES: dict[str, Maker] = {
    "thrust steps": _thrust_steps,
    "roll rate multi-sine": _rates("x", 4.0, SLOW_HZ),
    "pitch rate multi-sine": _rates("y", 4.0, SLOW_HZ),
    "yaw rate multi-sine": _rates("z", 4.0, SLOW_HZ),
    "fast roll and pitch": _rates("xy", 5.0, FAST_HZ),
    "all rates at once": _rates("xyz", 3.0, SLOW_HZ),
    "dash along x": _dash(0),
    "dash along y": _dash(1),
}
"""Every manoeuvre by name."""
