"""The node's flight, put together as it is for a vehicle, but not begun."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from ros_lab import POLICY

from corvids.vehicle import load_vehicle, save_vehicle
from corvids_ros.settings import SETTINGS, Settings

pytestmark = pytest.mark.ros


def test_a_heavier_vehicle_is_held_by_its_own_weight(tmp_path: Path):
    from corvids_ros.flying import FlyingVehicle  # needs rclpy

    air = load_vehicle("air")
    heavy = dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=1.2 * air.body.mass_kg))
    save_vehicle(heavy, tmp_path / "heavy.toml")
    values = {setting.name: setting.default for setting in SETTINGS}
    values |= {"policy": str(POLICY), "vehicle": str(tmp_path / "heavy.toml")}
    nothing = cast(Any, None)  # neither link nor ball is asked for anything before it begins
    flying = FlyingVehicle(Settings(values), nothing, nothing, None, lambda entry: None)
    place, level = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]])
    thrust_n, _ = flying.supervisor._handover._fallback.command(place, place, level, place)
    assert thrust_n[0] == pytest.approx(heavy.weight_n)
