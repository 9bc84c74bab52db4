"""``corvids demo``: the whole path in a few minutes, from nothing to a policy file that juggles in another engine."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import time
from pathlib import Path

from corvids.cli import parse
from corvids.commands import evaluate, fly, train
from corvids.commands.evaluating.trials import TrialsConfig, check
from corvids.commands.export import describe
from corvids.errors import CorvidsError
from corvids.training.export import export_policy
from corvids.training.presets import preset
from corvids.training.runner import CHECKPOINT


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """Train juggling quickly, export it, and fly the file in MuJoCo: video, figures and report in one folder."""

    out: Path = Path("out/demo")
    """Folder for everything that the demo makes; a run of an earlier demo in it is replaced."""
    trials: int = 10
    """Trials in MuJoCo."""
    seconds: float = 60.0
    """Time limit of each."""
    condition: str = "nominal"
    """Condition of the trials."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(DemoOptions, argv, "demo")
    if options.out.exists() and not options.out.is_dir():
        raise CorvidsError(f"{options.out}: is a file; --out names a folder")
    # What would stop the demo after minutes of training is said now.
    trials = TrialsConfig(
        plant="mujoco", condition=options.condition, trials=options.trials, seconds=options.seconds
    )
    check(trials)
    for package in ("mujoco", "imageio", "matplotlib"):
        importlib.import_module(package)
    began = time.perf_counter()
    run = options.out / "run"
    try:
        if (run / CHECKPOINT).exists():
            shutil.rmtree(run)
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorvidsError(
            f"{options.out}: cannot be written: {error.strerror}; name another --out"
        ) from None
    print("1/4 training (the first minute compiles the simulator)", flush=True)
    train.train(preset("juggle", "quick"), run)
    policy = options.out / "juggle.onnx"
    print("2/4 exporting", flush=True)
    print(describe(export_policy(run, policy)))
    print("3/4 flying in MuJoCo, an engine that the policy has never seen", flush=True)
    evaluate.main(
        ["juggle", "--policy", str(policy), "--plant", "mujoco", "--condition", options.condition, "--trials",
         str(options.trials), "--seconds", str(options.seconds), "--json", str(options.out / "juggle.json")]
    )  # fmt: skip
    print("4/4 rendering", flush=True)
    fly.fly_once("juggle", fly.FlyOptions(policy=policy, seconds=10.0, video=options.out / "juggle.mp4"))
    print(
        f"done in {(time.perf_counter() - began) / 60.0:.1f} minutes; look at {options.out / 'juggle.html'}"
    )
    return 0
