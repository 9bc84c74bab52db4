"""Plant, record, fit, compare: median errors and coverage over many vehicles, one JSON line for each kind of fit.

From the top of the repository::

    python tests/calibration/recovery.py --rows flight,cable --count 200 --keep recovery.jsonl --json recovery.json

``--keep`` writes every recording's figures down as soon as they are known; a second run goes on from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import team_lab
import torch
from ball_lab import Planted, juggle
from flight_lab import PHYSICS_DT_S, fly, planted_vehicle, truths
from marker_lab import recordings
from scipy.spatial.transform import Rotation
from table_lab import AIR, FOLLOWED_GAIN, bench, followed, motor_log, wandering
from team_lab import falcons

from corvids.calibration.ball.calibration import calibrate_ball
from corvids.calibration.flight.calibration import calibrate_records
from corvids.calibration.flight.marker_alignment import fit_markers
from corvids.calibration.readers.team_record import TeamRecord
from corvids.calibration.statistics.estimates import GroupEstimate
from corvids.calibration.tables.latency import fit_latency
from corvids.calibration.tables.motor_response import fit_motor
from corvids.calibration.tables.rate_response import fit_rate_loop
from corvids.calibration.tables.thrust_bench import fit_thrust
from corvids.calibration.team.calibration import calibrate_team
from corvids.vehicle import Vehicle, load_vehicle

NORMAL_95 = 1.959964
"""Standard deviations to each side that hold 95 % of a normal distribution."""
FLIGHT_S = 40.0
"""Length of each flight."""


class Figure(NamedTuple):
    """What one recording told of one number."""

    error: float
    """Estimate less truth."""
    std: float
    """The estimate's standard deviation; infinite where there is none."""
    scale: float
    """What the error is relative to; 1 where it is told in the figure's unit."""


class Trial(NamedTuple):
    """One recording."""

    number: int
    figures: dict[str, Figure | None]
    """None: refused."""


def figure(found: GroupEstimate, truth: float, scale: float | None = None) -> Figure | None:
    """``scale``: what the error is divided by; by default the truth."""
    if not found.identified or found.value is None or found.std is None:
        return None
    return Figure(found.value - truth, found.std, abs(truth) if scale is None else scale)


def line(trials: list[Trial]) -> dict[str, Any]:
    """Medians and coverage. Errors are relative, except where the figure's name ends in a unit after ``error``."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.figures))
    medians, coverage, refused, holds = {}, {}, {}, []
    for name in names:
        every = [trial.figures[name] for trial in trials if name in trial.figures]
        told = [one for one in every if one is not None]
        if len(told) < len(every):
            refused[name] = len(every) - len(told)
        if not told:
            continue
        medians[name] = float(f"{np.median([abs(one.error) / one.scale for one in told]):.3g}")
        held = [abs(one.error) < NORMAL_95 * one.std for one in told if math.isfinite(one.std)]
        if held:
            coverage[name] = round(float(np.mean(held)), 3)
            holds += held
    return {
        "median_error": medians,
        "coverage_95": coverage,
        "coverage_95_all": round(float(np.mean(holds)), 3),
        "refused": refused,
    }


def flights(indices: list[int], seed: int) -> Iterator[Trial]:
    """Vehicles flown by their rate loop in the native simulator; mass weighed, arms measured."""
    file = load_vehicle("air")
    for index in indices:
        rng = np.random.default_rng((seed, index))
        vehicle = planted_vehicle(file, rng)
        stamped_s, computing_s = rng.uniform(0.0, 0.008, 1), PHYSICS_DT_S * rng.integers(0, 5, 1)
        (record,) = fly([vehicle], FLIGHT_S, stamped_s, seed + index, computing_s)
        found = calibrate_records(file, [record])
        told = {name: figure(found.groups[name], truth) for name, truth in truths(vehicle).items()}
        fit = found.fit
        if fit is not None:
            late = GroupEstimate(fit.value("delay_s"), fit.std("delay_s"), fit.informed("delay_s"))
            told["latency_error_s"] = figure(late, float(stamped_s[0] + computing_s[0]), scale=1.0)
            moments, stds = found.estimates["body.inertia_kgm2"]
            for axis, value, std, truth in zip("xyz", moments, stds, vehicle.body.inertia_kgm2, strict=True):
                told[f"inertia_{axis}_kgm2"] = figure(GroupEstimate(value, std, True), truth)
        yield Trial(index, told)


def racketed(planted: Planted) -> Vehicle:
    """The vehicle ``air`` with the planted size of the racket's sweet spot."""
    racket = AIR.racket
    if racket is None:
        raise ValueError("the vehicle file air has no racket")
    return dataclasses.replace(AIR, racket=dataclasses.replace(racket, sweet_radius_m=planted.sweet_radius_m))


def balls(indices: list[int], seed: int) -> Iterator[Trial]:
    """Recordings of 40 bounces each on a racket that moves, of balls and rackets that differ.

    The racket is off its place in the vehicle file by what that calls the place's standard deviation.
    """
    place_std_m = AIR.provenance["racket.position_b_m"].std
    for index in indices:
        rng = np.random.default_rng(seed + index)
        planted = Planted(
            drag_per_m=rng.uniform(0.02, 0.15),
            sweet=rng.uniform(0.7, 0.88),
            rim=rng.uniform(0.5, 0.7),
            tilt_rad=(rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02)),
            moved_m=tuple(rng.normal(0.0, place_std_m, 3)),
        )
        found = calibrate_ball(racketed(planted), juggle(planted, seed + index), 1e-9)
        told = {
            name: figure(found.figures[name], truth)
            for name, truth in {
                "ball_drag_per_m": planted.drag_per_m,
                "ball_radius_m": planted.radius_m,
                "racket_restitution": planted.sweet,
                "racket_restitution_rim": planted.rim,
            }.items()
        }
        for axis, truth in zip("xy", planted.tilt_rad, strict=True):
            tilt = found.figures[f"racket_tilt_{axis}_rad"]
            told[f"racket_tilt_{axis}_error_rad"] = figure(tilt, truth, scale=1.0)
        if found.normal_b is not None:
            off_deg = float(np.degrees(np.arccos(np.clip(found.normal_b @ planted.normal_b, -1.0, 1.0))))
            # An angle is never negative, so it has no interval: its two tilts have.
            told["racket_normal_error_deg"] = Figure(off_deg, math.inf, 1.0)
        yield Trial(index, told)


def benches(indices: list[int], seed: int) -> Iterator[Trial]:
    """Tables of one rotor's thrust over command and battery voltage."""
    for index in indices:
        rng = np.random.default_rng(seed + index)
        full, curve, loss = rng.uniform(4.0, 12.0), rng.uniform(0.3, 0.9), rng.uniform(0.05, 0.25)
        found = fit_thrust(AIR, bench(seed + index, full, curve, loss)).figures
        planted = {"thrust_max_n": full, "thrust_curve": curve, "thrust_loss": loss}
        yield Trial(index, {name: figure(found[name], truth) for name, truth in planted.items()})


def motors(indices: list[int], seed: int) -> Iterator[Trial]:
    """Logs of one rotor's speed after steps of its command."""
    for index in indices:
        rng = np.random.default_rng(seed + index)
        rise, fall, dead = rng.uniform(0.015, 0.06), rng.uniform(0.02, 0.08), rng.uniform(0.0, 0.02)
        found = fit_motor(AIR, motor_log(seed + index, rise, fall, dead)).figures
        told = {name: figure(found[name], tau) for name, tau in (("tau_rise_s", rise), ("tau_fall_s", fall))}
        yield Trial(index, told | {"dead_time_error_s": figure(found["dead_time_s"], dead, scale=1.0)})


def delays(indices: list[int], seed: int) -> Iterator[Trial]:
    """Two noisy records of one motion, with clocks of their own, the second late."""
    for index in indices:
        late_s = float(np.random.default_rng(seed + index).uniform(-0.05, 0.15))
        found = fit_latency(AIR, wandering(seed + index, late_s)).figures["delay_s"]
        yield Trial(index, {"delay_error_s": figure(found, late_s, scale=1.0)})


def rate_loops(indices: list[int], seed: int) -> Iterator[Trial]:
    """Logs of 20 s of one body rate that follows a multi-sine as a second-order low-pass does, late."""
    for index in indices:
        rng = np.random.default_rng(seed + index)
        natural, damping, late_s = (
            rng.uniform(15.0, 60.0),
            rng.uniform(0.4, 1.2),
            0.0005 * rng.integers(4, 61),
        )
        found = fit_rate_loop(AIR, followed(seed + index, natural, damping, late_s)).figures
        # Where |H(iw)|^2 = 1/2: (1 - u)^2 + (2 damping)^2 u = 2, with u = (w / natural)^2
        roots = np.roots((1.0, 4.0 * damping**2 - 2.0, -1.0))
        bandwidth = natural * math.sqrt(float(roots.max()))
        told = {"bandwidth_radps": figure(found["bandwidth_radps"], bandwidth)}
        told |= {"damping": figure(found["damping"], damping), "gain": figure(found["gain"], FOLLOWED_GAIN)}
        yield Trial(index, told | {"delay_error_s": figure(found["delay_s"], late_s, scale=1.0)})


def alignments(indices: list[int], seed: int) -> Iterator[Trial]:
    """Markers turned anyhow on a vehicle that is shaken for 30 s; a ball's flights seen by a room that leans.

    The racket's normal is in the row of balls.
    """
    for index in indices:
        rng = np.random.default_rng((seed, index))
        turn, offset_s = Rotation.from_rotvec(rng.uniform(-0.2, 0.2, 3)), float(rng.uniform(-20.0, 20.0))
        found = fit_markers(*recordings(seed + index, 30.0, turn, offset_s)).figures
        told = {"clock_offset_error_s": figure(found["clock_offset_s"], offset_s, scale=1.0)}
        for axis, truth in zip("xyz", turn.as_rotvec(), strict=True):
            told[f"marker_turn_{axis}_error_rad"] = figure(found[f"marker_turn_{axis}_rad"], truth, scale=1.0)
        lean = np.append(rng.uniform(-0.03, 0.03, 2), 0.0)
        record = juggle(Planted(), seed + index, hits=20)
        seen_w = Rotation.from_rotvec(lean).apply(record.ball_w.values)
        tilted = dataclasses.replace(record.ball_w, values=seen_w)
        figures = calibrate_ball(AIR, dataclasses.replace(record, ball_w=tilted, pose=None), 1e-9).figures
        for axis, truth in zip("xy", lean, strict=False):
            told[f"frame_lean_{axis}_error_rad"] = figure(figures[f"frame_lean_{axis}_rad"], truth, scale=1.0)
        yield Trial(index, told)


def cables(indices: list[int], seed: int) -> Iterator[Trial]:
    """One drone with a weighed load on an elastic cable."""
    for index, truth, record in _slung(indices, seed):
        file = falcons(1)
        weighed = dataclasses.replace(
            file, load=dataclasses.replace(file.load, mass_kg=truth.team.load.mass_kg)
        )
        found, cable = calibrate_team(weighed, record, "cable").figures, truth.team.cable
        told = {
            "axial_stiffness_n": figure(found["axial_stiffness_n"], cable.axial_stiffness_n),
            "damping_time_s": figure(found["damping_time_s"], cable.damping_time_s),
        }
        length_m = truth.team.members[0].rigging.cable_length_m
        told["cable_length_error_m"] = figure(found["cable_length1_m"], length_m, scale=1.0)
        yield Trial(index, told)


def loads(indices: list[int], seed: int) -> Iterator[Trial]:
    """One drone with a load of unknown mass, inertia and centre on an elastic cable."""
    for index, truth, record in _slung(indices, seed):
        found, load = calibrate_team(falcons(1), record, "load").figures, truth.team.load
        told = {"mass_kg": figure(found["mass_kg"], load.mass_kg)}
        for axis, moment, place in zip("xyz", load.inertia_kgm2, load.center_of_mass_m, strict=True):
            told[f"inertia_{axis}_kgm2"] = figure(found[f"inertia_{axis}_kgm2"], moment)
            name = f"center_of_mass_{axis}"
            told[f"{name}_error_m"] = figure(found[f"{name}_m"], place, scale=1.0)
        yield Trial(index, told)


def _slung(indices: list[int], seed: int) -> Iterator[tuple[int, team_lab.Planted, TeamRecord]]:
    for index in indices:
        truth = team_lab.planted(falcons(1), np.random.default_rng(seed + index))
        yield index, truth, team_lab.fly([truth], FLIGHT_S, seed + index)[0]


ROWS: dict[str, Callable[[list[int], int], Iterator[Trial]]] = {
    "flight": flights,
    "ball": balls,
    "thrust": benches,
    "motor": motors,
    "latency": delays,
    "rate-loop": rate_loops,
    "align": alignments,
    "cable": cables,
    "load": loads,
}
"""What can be measured."""


def trials(
    row: str, count: int, seed: int, kept: dict[int, Trial], keep: Callable[[Trial, float], None]
) -> list[Trial]:
    """Recordings 0 to ``count - 1``: those of ``kept``, and the others, told to ``keep`` with their CPU time [s]."""
    found = {index: trial for index, trial in kept.items() if index < count}
    begin_s = time.process_time()
    for trial in ROWS[row]([index for index in range(count) if index not in found], seed):
        found[trial.number] = trial
        keep(trial, time.process_time() - begin_s)
        begin_s = time.process_time()
    return [found[index] for index in range(count)]


def main() -> None:
    """Print a line a row; write them where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for row in options.rows.split(","):
        kept: dict[int, Trial] = {}
        spent_s: dict[int, float] = {}
        if options.keep and options.keep.exists():
            for text in options.keep.read_text().splitlines():
                one = json.loads(text)
                if one["row"] == row and one["seed"] == options.seed:
                    told = {name: None if f is None else Figure(*f) for name, f in one["figures"].items()}
                    kept[one["index"]] = Trial(one["index"], told)
                    spent_s[one["index"]] = one["cpu_s"]

        def keep(trial: Trial, cpu_s: float, row: str = row, spent_s: dict[int, float] = spent_s) -> None:
            spent_s[trial.number] = cpu_s
            if options.keep:
                about = {"row": row, "seed": options.seed, "index": trial.number, "cpu_s": round(cpu_s, 2)}
                with options.keep.open("a") as file:
                    file.write(json.dumps(about | {"figures": trial.figures}) + "\n")

        found = trials(row, options.count, options.seed, kept, keep)
        cpu_s = round(sum(spent_s[trial.number] for trial in found), 1)
        about = {"row": row, "recordings": options.count, "seed": options.seed, "cpu_s": cpu_s}
        lines.append(about | line(found))
        print(json.dumps(lines[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
