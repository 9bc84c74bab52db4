"""``corvids eval carry`` and ``corvids fly carry``: a team's policy file over many trials, or over one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from corvids.cli import parse
from corvids.commands.evaluating.carry_report import write_carry_report
from corvids.commands.evaluating.carry_trials import CarryTrialsConfig, check, fly_carry_trials
from corvids.commands.evaluating.trials import open_policy
from corvids.commands.files import check_writable, record_of
from corvids.deploy.runtime import Flight
from corvids.envs.engines.engine import Array
from corvids.envs.plants.team_referee import LOOK_S, TeamVerdict
from corvids.envs.plants.team_render import render_team_video
from corvids.errors import CorvidsError
from corvids.whole_files import write_whole

SETTLED_M, SETTLED_RAD, SETTLED_S = 0.10, math.radians(10.0), 1.0
"""A load has settled when it has begun to be so near its goal for so long (or up to the end)."""
FINAL_S = 2.0
"""Length of a trial's end over which final errors are taken."""


@dataclasses.dataclass(frozen=True)
class CarryEvalOptions(CarryTrialsConfig):
    """Fly a team's policy file in many trials and score it. Writes JSON, and a report page beside it."""

    policy: Path = Path("pretrained/carry.onnx")
    """The policy file, which every member runs alone."""
    json: Path | None = None
    """Where to write the figures; the report page has the same name with .html."""
    video: bool = False
    """Show the first trial on that page: a video (MP4) of the same name, rendered without a screen."""


@dataclasses.dataclass(frozen=True)
class CarryFlyOptions:
    """Fly a team once, each member by a runtime of its own, and say how it went."""

    policy: Path = Path("pretrained/carry.onnx")
    """The policy file, which every member runs alone."""
    team: str = "falcon3"
    """Name or path of the team file."""
    plant: str = "mujoco"
    """Engine: native, mujoco or isaac; or px4-hil: MuJoCo, each member flown by a PX4 of its own."""
    condition: str = "step"
    """Row of the table of conditions of teams."""
    seconds: float = 20.0
    """How long to fly."""
    seed: int = 0
    """Seed of all draws."""
    link: str = "udp:14540"
    """For px4-hil: where to listen for the first member's PX4; the others' are the ports that follow."""
    record: Path | None = None
    """For px4-hil: where to write members' records (MCAP), -member0 … after the name; default: flight.mcap; or none."""
    video: Path | None = None
    """Where to write a video (MP4), rendered without a screen."""
    lose_load_s: float = math.inf
    """For px4-hil: when nobody sees the load any more [s], to see what members then do."""
    take_off: bool = False
    """For px4-hil, with slack-start: members start on the ground; else in the air, on a stand."""
    land_s: float = math.inf
    """When the operator says land [s]: the team holds, lowers its load together, and lands. For mujoco and px4-hil."""


def evaluate(argv: list[str]) -> int:
    """``corvids eval carry``."""
    options = parse(CarryEvalOptions, argv, "eval carry")
    file = open_policy(options.policy, "carry")
    team = check(options, file)
    if options.json:
        check_writable(options.json, ".json")
    elif options.video:
        raise CorvidsError("--video: is shown on the page beside --json F; name that file, too")
    verdict, flight, _ = fly_carry_trials(file, options, team)
    result = score(options, options.policy, verdict, flight)
    result["policy_sha256"] = hashlib.sha256(file.onnx).hexdigest()
    for name, value in result["summary"].items():
        print(f"{name:20} {'-' if value is None else f'{value:.4g}' if isinstance(value, float) else value}")
    if options.json:
        write_whole(options.json, (json.dumps(result, indent=1) + "\n").encode())
        page, video = options.json.with_suffix(".html"), options.json.with_suffix(".mp4")
        if options.video:
            render_team_video(verdict, team, video)
        write_carry_report(page, result, verdict, video.name if options.video else None)
        print(f"written: {options.json}, {page}{f', {video}' if options.video else ''}")
    return 0


def fly(argv: list[str]) -> int:
    """``corvids fly carry``."""
    options = parse(CarryFlyOptions, argv, "fly carry")
    file = open_policy(options.policy, "carry")
    config = CarryTrialsConfig(
        options.team, options.plant, options.condition, 1, options.seconds, options.seed
    )
    if options.video:
        check_writable(options.video, ".mp4")
    for name, seconds in (("lose-load-s", options.lose_load_s), ("land-s", options.land_s)):
        if not seconds >= 0.0:
            raise CorvidsError(f"--{name} {seconds}: must be a time after the trial's start [s], 0 or later")
    is_px4, record = options.plant == "px4-hil", record_of(options.record)
    if options.record and not is_px4:
        raise CorvidsError(f"--record: is for --plant px4-hil; {options.plant} has none of it")
    if record and is_px4:
        check_writable(record, ".mcap")
    team = check(dataclasses.replace(config, plant="mujoco") if is_px4 else config, file)
    if is_px4:
        from corvids.commands.flying.px4_team_hil import Mission, fly_team_hil

        mission = Mission(options.lose_load_s, options.take_off, options.land_s)
        outcome = fly_team_hil(
            file,
            config,
            team,
            options.link,
            mission,
            record,
        )
        verdict, flight = outcome.verdict, outcome.flight
        shares = ", ".join(f"{100.0 * share:.1f}" for share in outcome.by_policy)
        print(
            f"policies flew for {shares} % of the trial, by their supervisors; {outcome.wall_s:.1f} s each second"
            f"{'; all have landed' if outcome.has_landed else ''}"
        )
    else:
        verdict, flight, _ = fly_carry_trials(file, config, team, land_s=options.land_s)
    (trial,) = score(config, options.policy, verdict, flight)["trials"]
    settled = "not settled" if trial["settling_s"] is None else f"settled after {trial['settling_s']:.1f} s"
    print(
        f"{options.plant} {options.condition}, {options.team}: {trial['seconds']:.1f} s, ended by {trial['end']}; "
        f"{settled}; RMSE {100.0 * trial['rmse_pos_m']:.1f} cm, {trial['rmse_att_deg']:.1f}°{_at_the_end(trial)}; "
        f"{_apart(trial)}policies flew "
        f"{100.0 * flight.by_policy.mean():.1f} % of {flight.ticks} ticks, {flight.compute_median_s * 1e6:.0f} µs each "
        f"(median, all members)"
    )
    if options.video:
        render_team_video(verdict, team, options.video)
        print(f"written: {options.video}")
    return 0


def _apart(trial: dict[str, Any]) -> str:
    """How close members came to each other, where there are several."""
    nearest_m = trial["min_separation_m"]
    return "" if nearest_m is None else f"members never closer than {nearest_m:.2f} m; "


def _at_the_end(trial: dict[str, Any]) -> str:
    """The final errors, where the trial came to its end."""
    if trial["final_pos_rmse_m"] is None:
        return ""
    cm, degrees = 100.0 * trial["final_pos_rmse_m"], trial["final_att_rmse_deg"]
    return f" ({cm:.1f} cm, {degrees:.1f}° in the last {FINAL_S:.0f} s)"


def score(config: CarryTrialsConfig, policy: Path, verdict: TeamVerdict, flight: Flight) -> dict[str, Any]:
    """The documented result of an evaluation."""
    pos_m, att_rad = verdict.pos_error_m, verdict.att_error_rad
    crashed = np.array([end != "time" for end in verdict.end])
    finals = verdict.time_s[:, None] > verdict.seconds - FINAL_S
    final_m, final_rad = (np.where(finals & ~crashed, part, np.nan) for part in (pos_m, att_rad))
    settling = np.array([settling_s(*columns) for columns in zip(pos_m.T, att_rad.T, strict=True)])
    settling[crashed] = np.inf
    median = float(np.median(settling))
    crashes, trials = int(crashed.sum()), len(crashed)

    def trial(index: int) -> dict[str, Any]:
        return {
            "seconds": round(float(verdict.seconds[index]), 3),
            "end": verdict.end[index],
            "settling_s": _number(settling[index]),
            "rmse_pos_m": _rms(pos_m[:, index]),
            "rmse_att_deg": _rms(np.degrees(att_rad[:, index])),
            "final_pos_rmse_m": _rms(final_m[:, index]),
            "final_att_rmse_deg": _rms(np.degrees(final_rad[:, index])),
            "min_separation_m": _number(verdict.members_m[index]),
            "min_cable_m": _number(verdict.cable_m[index]),
            "tension_max_n": _number(verdict.tension_max_n[index]),
        }

    return {
        "task": "carry",
        "team": config.team,
        "plant": config.plant,
        "condition": config.condition,
        "policy": policy.name,
        "seed": config.seed,
        "trials": [trial(index) for index in range(trials)],
        "summary": {
            "settling_s_median": _number(median),
            "settled": float(np.isfinite(settling).mean()),
            "rmse_pos_m": _rms(pos_m),
            "rmse_att_deg": _rms(np.degrees(att_rad)),
            "final_pos_rmse_m": _rms(final_m),
            "final_att_rmse_deg": _rms(np.degrees(final_rad)),
            "crash_rate": crashes / trials,
            "crash_rate_95": list(wilson(crashes, trials)),
            "min_separation_m": _number(verdict.members_m.min()),
            "min_cable_m": _number(verdict.cable_m.min()),
            "tension_max_n": _number(verdict.tension_max_n.max()),
            "compute_median_us": flight.compute_median_s * 1e6,
            "by_policy": float(flight.by_policy.mean()),
        },
    }


def settling_s(pos_m: Array, att_rad: Array) -> float:
    """When a load (looks,) has settled [s]; infinite if never. NaN is the time after a trial's end."""
    far = (pos_m >= SETTLED_M) | (att_rad >= SETTLED_RAD)
    ahead = round(SETTLED_S / LOOK_S)
    count = np.concatenate(([0], np.cumsum(far)))
    ends = np.minimum(np.arange(len(far)) + ahead, len(far))
    near = (count[ends] == count[:-1]) & np.isfinite(pos_m)
    return float(np.argmax(near) * LOOK_S) if near.any() else math.inf


def wilson(count: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    share, scale = count / trials, 1.0 + z * z / trials
    middle = share + z * z / (2.0 * trials)
    half = z * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _rms(errors: Array) -> float | None:
    known = errors[np.isfinite(errors)]
    return float(np.sqrt(np.mean(known**2))) if known.size else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
