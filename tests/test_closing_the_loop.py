"""The whole loop: a vehicle unlike its file is planned for, flown, calibrated and trained for; and flies better for it.

``pytest -q -s -m slow tests/test_closing_the_loop.py`` prints the figures.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mystery import mystery

from corvids.cli import main
from corvids.vehicle import load_vehicle, save_vehicle

WORLDS, ITERATIONS = 1024, 150
"""Size of the trainings: minutes."""


def hovered(folder: Path, name: str, vehicle: str, truth: Path) -> dict[str, float]:
    """Train hovering for ``vehicle``, and fly it in MuJoCo in the body of ``truth``."""
    run, policy, figures = folder / name, folder / f"{name}.onnx", folder / f"{name}.json"
    train = ["train", "hover", "--preset", "quick", "--run", str(run), "--config.env.vehicle", vehicle]
    size = ["--config.worlds", str(WORLDS), "--config.iterations", str(ITERATIONS)]
    assert main([*train, *size]) == 0
    assert main(["export", str(run), "--out", str(policy)]) == 0
    words = ["eval", "hover", "--policy", str(policy), "--vehicle", vehicle, "--truth", str(truth)]
    assert (
        main([*words, "--plant", "mujoco", "--condition", "noisy", "--trials", "20", "--json", str(figures)])
        == 0
    )
    return json.loads(figures.read_text())["summary"]


@pytest.mark.slow
def test_a_policy_for_the_calibrated_file_flies_the_vehicle_better(tmp_path: Path):
    truth, plan, log, new = (tmp_path / name for name in ("truth.toml", "plan.json", "log.csv", "new.toml"))
    save_vehicle(mystery(load_vehicle("air")), truth)
    assert main(["calibrate", "plan", "--vehicle", "air", "--out", str(plan)]) == 0
    fly = ["fly", "--setpoints", str(plan), "--vehicle", "air", "--truth", str(truth), "--plant", "mujoco"]
    assert main([*fly, "--record", str(log)]) == 0
    assert main(["calibrate", "fit", "--vehicle", "air", "--log", str(log), "--out", str(new)]) == 0
    of = {
        name: hovered(tmp_path, name, vehicle, truth)
        for name, vehicle in (("nominal", "air"), ("calibrated", str(new)))
    }
    for name, summary in of.items():
        print(
            f"\nhover in MuJoCo, mystery vehicle, trained on the {name} file: {100.0 * summary['place_rmse_m']:.1f} cm"
            f" from its place (RMS), {100.0 * summary['survival']:.0f} % survive"
        )
    assert of["calibrated"]["survival"] == 1.0
    assert of["calibrated"]["place_rmse_m"] < 0.8 * of["nominal"]["place_rmse_m"]
