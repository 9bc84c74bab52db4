"""Logs that PX4 wrote. Those of its own simulated vehicle have a known truth, which a fit never reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from corvids.cli import main
from corvids.vehicle import load_vehicle

pytestmark = [pytest.mark.realdata, pytest.mark.slow]
LOGS = Path(os.environ.get("CORVIDS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""As in the conftest above, which skips these tests, visibly, where there is no such folder."""

TRUTH = {
    # mass 1 kg, 4 · 5 N; 2 · 5 N · 0.2 m / 0.025; 2 · 0.1 N m / 0.03; lag; drag 1 N s/m per kg
    "nominal": (20.0, 80.0, 80.0, 0.2 / 0.030, 0.050, 1.0),
    # mass 1.3 kg, 4 · 6 N; 2 · 6 N · 0.2 m / 0.031 and / 0.036; 2 · 0.1 N m / 0.045; lag; 0.4 / 1.3
    "variant": (24.0 / 1.3, 2.4 / 0.031, 2.4 / 0.036, 0.2 / 0.045, 0.035, 0.4 / 1.3),
}
TOLERANCE = {
    "accel_max_mps2": 0.02,
    "roll_accel_max_radps2": 0.06,
    "pitch_accel_max_radps2": 0.06,
    "yaw_accel_max_radps2": 0.10,
    "motor_tau_s": 0.10,
    "drag_per_mass_1ps": 0.20,
}


def fit(tmp_path: Path, log: str) -> dict:
    out, figures = tmp_path / f"{log}.toml", tmp_path / f"{log}.json"
    path = LOGS / "ulog" / f"{log}.ulg"
    files = ["--out", str(out), "--json", str(figures)]
    assert main(["calibrate", "fit", "--log", str(path), "--vehicle", "px4_sih", *files]) == 0
    return json.loads(figures.read_text())


def test_px4s_simulated_vehicles_are_recovered(tmp_path: Path):
    inside = 0
    for which, truths in TRUTH.items():
        groups = fit(tmp_path, f"px4-1.17-sih-{which}")["groups"]
        for (name, tolerance), truth in zip(TOLERANCE.items(), truths, strict=True):
            group = groups[name]
            assert group["identified"], (which, name, group)
            assert group["value"] == pytest.approx(truth, rel=tolerance), (which, name)
            assert abs(group["value"] - truth) < 3.0 * group["std"], (which, name, group)
            inside += abs(group["value"] - truth) < 1.96 * group["std"]
        new = load_vehicle(tmp_path / f"px4-1.17-sih-{which}.toml")
        assert "sha256" in new.provenance["rotors.tau_rise_s"].source
        assert new.provenance["body.inertia_kgm2"].std is not None
    assert inside >= 10


@pytest.mark.parametrize("log", ["px4-real-flight-2017", "px4-1.12-sitl-short"])
def test_logs_of_motors_that_never_turned_are_read_whole_and_refused_by_name(tmp_path: Path, log: str):
    found = fit(tmp_path, log)
    assert found["logs"][0]["duration_s"] > 10.0
    assert all(
        not group["identified"] and "never turned" in group["reason"] for group in found["groups"].values()
    )
    assert not (tmp_path / f"{log}.toml").exists()
