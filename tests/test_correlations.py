"""Correlations in a vehicle file: read back as written, refused in one line where they cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from corvids.vehicle import VehicleError, load_vehicle, save_vehicle

PAIR = ("body.inertia_kgm2.z", "rotors.torque_coeff_nms2prad2")


def test_a_file_keeps_its_correlations(tmp_path: Path):
    vehicle = dataclasses.replace(
        load_vehicle("air"), correlations={PAIR: 0.96, (PAIR[0], "body.mass_kg"): 0.2}
    )
    save_vehicle(vehicle, tmp_path / "new.toml")
    assert load_vehicle(tmp_path / "new.toml").correlations == vehicle.correlations


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('"body.mass_kg, body.inertia_kgm2.q" = 0.5', "did you mean body.inertia_kgm2"),
        ('"body.mass_kg, body.inertia_kgm2.z" = 1.5', "must be a number from -1 to 1"),
        ('"body.mass_kg, body.inertia_kgm2.z" = "high"', "must be a number from -1 to 1"),
        ('"body.mass_kg" = 0.5', "must name two numbers"),
        ('"body.mass_kg, rotors.thrust_curve" = 0.5', "is no number with a standard deviation"),
    ],
)
def test_what_is_no_correlation_is_refused_in_one_line(tmp_path: Path, line: str, says: str):
    path = tmp_path / "bad.toml"
    save_vehicle(load_vehicle("air"), path)
    path.write_text(f"{path.read_text()}\n[correlations]\n{line}\n")
    with pytest.raises(VehicleError, match="correlations") as refusal:
        load_vehicle(path)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
