"""``corvids eval hover`` and ``track``, and ``corvids fly`` of them: how well a policy keeps its place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corvids.cli import parse
from corvids.commands.evaluating.trials import PLANTS, make_engine, open_policy
from corvids.commands.files import check_writable
from corvids.commands.numbers import check_positive, check_seed
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile
from corvids.deploy.runtime import Flight, Tick, fly
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.envs.plants.conditions import condition_named, draw
from corvids.envs.plants.place_flight import (
    CENTRE_W_M,
    Commander,
    PlaceReferee,
    PlaceVerdict,
    figure_eight,
    places_that_jump,
)
from corvids.envs.plants.plant import Plant
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle
from corvids.whole_files import write_whole

COMMANDERS = {"hover": places_that_jump, "track": figure_eight}
"""What is commanded, by task."""


@dataclasses.dataclass(frozen=True)
class PlaceOptions:
    """Fly a policy file in many trials and score how well it keeps its place. Writes JSON."""

    policy: Path
    """The policy file."""
    plant: str = "mujoco"
    """Engine: native, mujoco or isaac."""
    condition: str = "noisy"
    """Row of the table of conditions, such as nominal or noisy (there is no ball, whatever it says of one)."""
    trials: int = 10
    """Independent trials, flown together."""
    seconds: float = 30.0
    """Duration of a trial."""
    seed: int = 0
    """Seed of all draws."""
    vehicle: str | None = None
    """Vehicle that is believed to fly, name or file; default: the one that the policy was trained for."""
    truth: str | None = None
    """Vehicle whose physics is simulated, where it is another than the one that is believed to fly."""
    json: Path | None = None
    """Where to write the figures."""


def main(argv: list[str], task: str, verb: str = "eval") -> int:
    """Entry point."""
    default = PlaceOptions(Path(f"{task}.onnx"), trials=1 if verb == "fly" else PlaceOptions.trials)
    options = parse(PlaceOptions, argv, f"{verb} {task}", default)
    file = open_policy(options.policy, task)
    if options.json:
        check_writable(options.json, ".json")
    verdict, flight = fly_places(file, task, options)
    result = score(task, options, verdict, flight)
    for name, value in result["summary"].items():
        print(f"{name:16} {'-' if value is None else f'{value:.4g}'}")
    if options.json:
        write_whole(options.json, (json.dumps(result, indent=1) + "\n").encode())
        print(f"written: {options.json}")
    return 0


def fly_places(
    file: PolicyFile, task: str, options: PlaceOptions, *, recorder: Callable[[Tick], None] | None = None
) -> tuple[PlaceVerdict, Flight]:
    """Fly all trials; what the referee says, and how the runtime fared."""
    if options.plant not in PLANTS:
        raise CorvidsError(f"unknown plant {options.plant!r}; there are: {', '.join(PLANTS)}")
    condition = condition_named(options.condition)
    check_positive(trials=options.trials, seconds=options.seconds)
    check_seed(options.seed)
    believed = vehicle_of(file, options.vehicle)
    truth = believed if options.truth is None else load_vehicle(options.truth)
    trials = draw(condition, truth, options.trials, options.seed, place_w_m=CENTRE_W_M, with_ball=False)
    # Compiling takes half a minute: it pays for all but short flights.
    engine = make_engine(
        options.plant, believed, options.trials, compile_kernels=options.seconds > 40.0, with_ball=False
    )
    command: Commander = COMMANDERS[task](options.trials, options.seed)
    referee = PlaceReferee(trials.params, options.trials, command, options.seconds)
    plant = Plant(engine, trials, seed=options.seed, referee=referee)
    # One period more than the limit, so that the referee sees the limit itself.
    flight = fly(
        Pilot(file, options.trials), plant, command, seconds=options.seconds + 0.1, recorder=recorder,
        until=lambda _: bool(referee.done.all()),
    )  # fmt: skip
    return referee.verdict, flight


def score(task: str, options: PlaceOptions, verdict: PlaceVerdict, flight: Flight) -> dict[str, Any]:
    """The documented result of an evaluation."""
    crashed = np.array([end == "crashed" for end in verdict.end])
    known = verdict.rmse_m[np.isfinite(verdict.rmse_m)]
    return {
        "task": task,
        "plant": options.plant,
        "condition": options.condition,
        "policy": options.policy.name,
        "seed": options.seed,
        "trials": [
            {
                "rmse_m": None if np.isnan(error) else round(float(error), 5),
                "seconds": round(float(s), 3),
                "end": end,
            }
            for error, s, end in zip(verdict.rmse_m, verdict.seconds, verdict.end, strict=True)
        ],
        "summary": {
            "place_rmse_m": float(np.sqrt(np.mean(known**2))) if len(known) else None,
            "place_median_m": float(np.median(known)) if len(known) else None,
            "survival": float(1.0 - crashed.mean()),
            "compute_median_us": flight.compute_median_s * 1e6,
            "by_policy": float(flight.by_policy.mean()),
        },
    }
