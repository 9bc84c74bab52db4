"""What the tests of engines share: vehicles with rackets, starts, and a controller of twenty lines."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_lab import start, with_racket

from corvids.envs.engines.engine import Engine
from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.engines.native import NativeEngine
from corvids.vehicle import Vehicle, load_vehicle


def make(kind: str, vehicle: Vehicle, worlds: int, **options) -> Engine:
    """An engine for tests: uncompiled, in double precision."""
    if kind == "native":
        return NativeEngine(vehicle, worlds, dtype=torch.float64, compile_kernels=False)
    return MujocoEngine(vehicle, worlds, compile_kernels=False, **options)


def hover(readings, place_w, mass_kg):
    """Commands (thrust (n,), body rates (n, 3)) that hold a place: PD on position, P on attitude."""
    accel_w = 6.0 * (place_w - readings.pos_w) - 4.5 * readings.vel_w + np.array([0.0, 0.0, 9.80665])
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
def lab() -> SimpleNamespace:
    """The helpers above, for tests in files."""
    return SimpleNamespace(
        with_racket=with_racket, make=make, start=start, hover=hover, air=load_vehicle("air")
    )
