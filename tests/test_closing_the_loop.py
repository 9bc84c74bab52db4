"""The whole loop: a vehicle unlike its file is planned for, flown, calibrated and trained for.

Trainings that begin anew end as differently as the two files are unlike. So one policy learns to hover on the nominal
file, and is then trained on by either file, with the same seeds: those pairs differ by the file alone.

``pytest -q -s -m slow tests/test_closing_the_loop.py`` prints the figures. ``CORVIDS_LOOP`` may name a folder that
keeps everything: what an interrupted run has made there is not made again.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mystery import mystery

from corvids.cli import main
from corvids.vehicle import load_vehicle, save_vehicle

WORLDS, COMMON, MORE = 1024, 300, 50
"""Size of a batch, batches by the nominal file, and batches more by either."""
SEEDS = (1, 2, 3)
"""Of the second part of the training; each for either file."""
BETTER = 0.8
"""At most this part of the nominal file's error is left by the calibrated one, in every pair."""


def made(path: Path, *words: str) -> Path:
    """What a command makes, made by it unless it is there."""
    if not path.exists():
        assert main([*words, str(path)]) == 0
    return path


def trained(run: Path, vehicle: str, seed: int, batches: int) -> Path:
    """A run that has learned to hover for ``vehicle``, up to so many batches in all."""
    done = run.with_suffix(".done")
    if not done.exists():
        train = [
            "train",
            "hover",
            "--run",
            str(run),
            "--config.env.vehicle",
            vehicle,
            "--config.seed",
            str(seed),
        ]
        size = [
            "--config.worlds",
            str(WORLDS),
            "--config.iterations",
            str(batches),
            "--randomize",
            "calibrated",
        ]
        assert main([*train, *size, *(["--resume"] if (run / "checkpoint.pt").exists() else [])]) == 0
        done.touch()
    return run


def trained_on(common: Path, name: str, vehicle: str, seed: int) -> Path:
    """A copy of the run ``common`` that has gone on with ``vehicle``."""
    run = common.with_name(f"{name}_{seed}")
    if not run.exists():
        shutil.copytree(common, run)
    return trained(run, vehicle, seed, COMMON + MORE)


def flown(run: Path, truth: Path) -> tuple[np.ndarray, float]:
    """Errors [m] of ``noisy`` trials in MuJoCo in the body of ``truth``, (trials,), and the share that stays aloft."""
    policy = made(run.with_suffix(".onnx"), "export", str(run), "--out")
    words = ["--policy", str(policy), "--truth", str(truth), "--plant", "mujoco", "--condition", "noisy"]
    figures = made(
        run.with_suffix(".json"), "eval", "hover", *words, "--trials", "10", "--seconds", "20", "--json"
    )
    told = json.loads(figures.read_text())
    return np.array([trial["rmse_m"] for trial in told["trials"]], float), told["summary"]["survival"]


@pytest.mark.slow
def test_policies_for_the_calibrated_file_fly_the_vehicle_better(tmp_path: Path):
    folder = Path(os.environ.get("CORVIDS_LOOP", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    truth = folder / "truth.toml"
    save_vehicle(mystery(load_vehicle("air")), truth)
    plan = made(folder / "plan.json", "calibrate", "plan", "--vehicle", "air", "--out")
    fly = ["fly", "--setpoints", str(plan), "--vehicle", "air", "--truth", str(truth), "--plant", "mujoco"]
    log = made(folder / "log.csv", *fly, "--record")
    new = made(folder / "new.toml", "calibrate", "fit", "--vehicle", "air", "--log", str(log), "--out")
    common = trained(folder / "common", "air", 0, COMMON)
    means: dict[str, list[float]] = {"nominal": [], "calibrated": []}
    for seed in SEEDS:
        errors_m = {}
        for name, vehicle in (("nominal", "air"), ("calibrated", str(new))):
            errors_m[name], survival = flown(trained_on(common, name, vehicle, seed), truth)
            means[name].append(float(np.sqrt(np.mean(errors_m[name] ** 2))))
            print(
                f"\nseed {seed}, hover in MuJoCo, mystery vehicle, trained on by the {name} file:"
                f" {100.0 * means[name][-1]:.2f} cm from its place (RMS), {100.0 * survival:.0f} % survive"
            )
            assert survival == 1.0
        better = int(np.sum(errors_m["calibrated"] < errors_m["nominal"]))
        print(f"the calibrated file's policy is nearer in {better} of {len(errors_m['nominal'])} trials")
        assert means["calibrated"][-1] < BETTER * means["nominal"][-1]
    for name, values in means.items():
        print(
            f"{name}: {100.0 * np.mean(values):.2f} ± {100.0 * np.std(values, ddof=1):.2f} cm"
            f" (mean and standard deviation over {len(values)} seeds)"
        )
