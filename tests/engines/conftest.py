"""What the tests of engines and plants share: a vehicle with a racket, and a controller of twenty lines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corvids.vehicle import Racket, Vehicle, load_vehicle

G = 9.80665


def with_racket(vehicle: Vehicle) -> Vehicle:
    """``vehicle``, with a racket just above its airframe if it has none."""
    if vehicle.racket is not None:
        return vehicle
    top = vehicle.airframe.disc_height_m + vehicle.airframe.half_thickness_m
    racket = Racket((0.0, 0.0, top + 0.02), (0.0, 0.0, 1.0), 0.05, 0.05, 0.8, 0.6, 0.3)
    return dataclasses.replace(vehicle, racket=racket)


def hover(readings, place_w, mass_kg):
    """Commands (thrust (n,), body rates (n, 3)) that hold a place: PD on position, P on attitude."""
    accel_w = 6.0 * (place_w - readings.pos_w) - 4.5 * readings.vel_w + np.array([0.0, 0.0, G])
    w, x, y, z = readings.quat_wb.T
    up_w = np.stack((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), axis=1)
    thrust_n = mass_kg * np.maximum(np.sum(accel_w * up_w, axis=1), 0.0)
    wanted_w = accel_w / np.linalg.norm(accel_w, axis=1, keepdims=True)
    turn_w = np.cross(up_w, wanted_w)  # the rotation that levels thrust, to first order, in world axes
    u = np.stack((x, y, z), axis=1)
    t = -2.0 * np.cross(u, turn_w)
    turn_b = turn_w + w[:, None] * t - np.cross(u, t)
    turn_b[:, 2] = -2.0 * z * np.sign(w)
    return thrust_n, np.clip(8.0 * turn_b, -3.0, 3.0)


@pytest.fixture
def air() -> Vehicle:
    return load_vehicle("air")
