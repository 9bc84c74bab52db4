"""``corvids eval TASK``: score a policy file over many trials."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from corvids.cli import first_word, parse
from corvids.commands.evaluating import carry, place
from corvids.commands.evaluating.report import write_report
from corvids.commands.evaluating.trials import TrialsConfig, check, fly_trials, open_policy
from corvids.commands.files import check_writable
from corvids.deploy.runtime import Flight, Tick
from corvids.envs.plants.conditions import APEX_M
from corvids.envs.plants.hits import Verdict
from corvids.envs.plants.recording import Recorder
from corvids.whole_files import write_whole

RECOVERED_HITS, RECOVERED_S = 10, 15.0
"""A trial counts as recovered if it made this many hits within this time."""


@dataclasses.dataclass(frozen=True)
class EvalOptions(TrialsConfig):
    """Fly a policy file in many trials and score it. Writes JSON, and a report page beside it."""

    policy: Path = Path("pretrained/juggle.onnx")
    """The policy file."""
    json: Path | None = None
    """Where to write the figures; the report page has the same name with .html."""


def main(argv: list[str]) -> int:
    """Entry point."""
    task, rest = first_word(argv, "eval", "task", ("juggle", *place.COMMANDERS, "carry"))
    if task == "carry":
        return carry.evaluate(rest)
    if task in place.COMMANDERS:
        return place.main(rest, task)
    options = parse(EvalOptions, rest, f"eval {task}")
    file = open_policy(options.policy, task)
    check(options)
    if options.json:
        check_writable(options.json, ".json")
    samples = _FirstTrial()
    recorder = Recorder(rate_hz=file.contract.control_hz)
    verdict, flight, _ = fly_trials(file, options, recorder=samples, plant_recorder=recorder)
    result = score(task, options, verdict, flight)
    for name, value in result["summary"].items():
        print(f"{name:16} {'-' if value is None else f'{value:.4g}' if isinstance(value, float) else value}")
    if options.json:
        write_whole(options.json, (json.dumps(result, indent=1) + "\n").encode())
        page = options.json.with_suffix(".html")
        write_report(page, result, verdict, samples.joined(recorder))
        print(f"written: {options.json}, {page}")
    return 0


def score(task: str, options: EvalOptions, verdict: Verdict, flight: Flight) -> dict[str, Any]:
    """The documented result of an evaluation."""
    hits = verdict.hits
    lost = np.array([end in ("dropped", "crashed") for end in verdict.end])
    apexes = np.concatenate([np.asarray(a, float) for a in verdict.apexes_m])
    places = np.concatenate([np.asarray(a, float) for a in verdict.place_errors_m])
    total, failures = int(hits.sum()), int(lost.sum())
    low, high = _poisson_interval(failures)
    recovered = [
        len(times) >= RECOVERED_HITS and times[RECOVERED_HITS - 1] <= RECOVERED_S
        for times in verdict.hit_times_s
    ]
    return {
        "task": task,
        "plant": options.plant,
        "contact": options.contact,
        "condition": options.condition,
        "policy": options.policy.name,
        "seed": options.seed,
        "trials": [
            {"hits": int(h), "seconds": round(float(s), 3), "end": e}
            for h, s, e in zip(hits, verdict.seconds, verdict.end, strict=True)
        ],
        "summary": {
            "hits_mean": float(hits.mean()),
            "hits_median": float(np.median(hits)),
            "hits_max": int(hits.max()),
            "survival": float(1.0 - lost.mean()),
            "recovered": float(np.mean(recovered)),
            "apex_rmse_m": _rms(apexes - APEX_M),
            "place_rmse_m": _rms(places),
            "hazard_per_hit": failures / total if total else None,
            "hazard_per_hit_95": [low / total, high / total] if total else None,
            "compute_median_us": flight.compute_median_s * 1e6,
            "by_policy": float(flight.by_policy.mean()),
        },
    }


def _rms(errors: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(errors**2))) if errors.size else None


def _poisson_interval(count: int) -> tuple[float, float]:
    """95 % interval of a Poisson mean after ``count`` events (Byar's approximation; the rule of three at zero)."""
    if count == 0:
        return 0.0, 3.0

    def byar(n: float, z: float) -> float:
        return n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * math.sqrt(n))) ** 3

    return byar(count, -1.96), byar(count + 1, 1.96)


class _FirstTrial:
    """What the first trial's runtime commanded, tick by tick."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float]] = []

    def __call__(self, tick: Tick) -> None:
        self._rows.append((tick.now_s, float(tick.decision.thrust_n[0])))

    def joined(self, recorder: Recorder) -> dict[str, np.ndarray]:
        """Commands beside the plant's recording of the same trial."""
        flown = recorder.recording
        count = min(len(self._rows), len(flown.time_s))
        quat = flown.quat_wb[:count]
        upright = 1.0 - 2.0 * (quat[:, 1] ** 2 + quat[:, 2] ** 2)
        return {
            "time_s": flown.time_s[:count],
            "ball_z_m": flown.ball_pos_w[:count, 2],
            "vehicle_z_m": flown.pos_w[:count, 2],
            "tilt_deg": np.degrees(np.arccos(np.clip(upright, -1.0, 1.0))),
            "thrust_n": np.array([thrust for _, thrust in self._rows[:count]]),
        }
