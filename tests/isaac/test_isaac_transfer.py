"""A policy trained in either engine flies in the other, and in MuJoCo, where neither was trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.isaac, pytest.mark.slow]
PLANTS = ("native", "mujoco", "isaac")


def corvids(cwd: Path, *words: str) -> None:
    """The command, in a process of its own: a process has one Isaac Lab simulation."""
    cache = Path(os.environ.get("WARP_CACHE_PATH", cwd / "warp")).resolve()
    done = subprocess.run(
        [sys.executable, "-m", "corvids", *words], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "WARP_CACHE_PATH": str(cache)}, timeout=1200.0, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("sim", ["native", "isaac"])
def test_what_one_engine_taught_flies_in_all(sim: str, tmp_path: Path):
    """Hovering after 150 batches, 64 noisy trials: all stay aloft, and engines differ by less than a tenth."""
    corvids(tmp_path, "train", "hover", "--sim", sim, "--run", "run", "--config.iterations", "150")
    corvids(tmp_path, "export", "run")
    errors_m = []
    for plant in PLANTS:
        corvids(
            tmp_path, "eval", "hover", "--policy", "policy.onnx", "--plant", plant, "--condition", "noisy",
            "--trials", "64", "--seconds", "15", "--json", f"{plant}.json",
        )  # fmt: skip
        summary = json.loads((tmp_path / f"{plant}.json").read_text())["summary"]
        assert summary["survival"] == 1.0, plant
        assert summary["by_policy"] == 1.0, plant
        errors_m.append(summary["place_rmse_m"])
    assert max(errors_m) < 0.35
    assert max(errors_m) < 1.1 * min(errors_m)
