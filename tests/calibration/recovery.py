"""Plant, record, fit, compare: median errors and coverage over many vehicles, one JSON line for each kind of fit.

From the top of the repository::

    python tests/calibration/recovery.py --rows flight,cable --count 200 --json recovery.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import team_lab
import torch
from ball_lab import Planted, juggle
from flight_lab import fly, planted_vehicle, truths
from table_lab import AIR, bench, motor_log, wandering
from team_lab import falcons

from corvids.calibration.ball_calibration import calibrate_ball
from corvids.calibration.estimates import GroupEstimate
from corvids.calibration.flight_calibration import calibrate_records
from corvids.calibration.groups import timing_std
from corvids.calibration.latency import fit_latency
from corvids.calibration.motor_response import fit_motor
from corvids.calibration.team_calibration import calibrate_team
from corvids.calibration.team_record import TeamRecord
from corvids.calibration.thrust_bench import fit_thrust
from corvids.vehicle import Vehicle, load_vehicle

NORMAL_95 = 1.959964
"""Standard deviations to each side that hold 95 % of a normal distribution."""
FLIGHT_S = 40.0
"""Length of each flight."""


@dataclasses.dataclass
class Tally:
    """Errors of one kind of fit over many recordings."""

    errors: dict[str, list[tuple[float, float, float]]] = dataclasses.field(default_factory=dict)
    """Estimate less truth, standard deviation, and what a relative error is relative to, by figure."""
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    """How often a figure was refused."""

    def add(self, name: str, figure: GroupEstimate, truth: float, scale: float | None = None) -> None:
        """Count one figure. ``scale``: what its error is divided by; by default the truth."""
        if not figure.identified or figure.value is None or figure.std is None:
            self.refused[name] = self.refused.get(name, 0) + 1
            return
        row = (figure.value - truth, figure.std, abs(truth) if scale is None else scale)
        self.errors.setdefault(name, []).append(row)

    def median(self, name: str) -> float:
        """Median of the absolute (relative) errors."""
        error, _, scale = np.array(self.errors[name]).T
        return float(np.median(np.abs(error) / scale))

    def coverage(self, *names: str) -> float:
        """Share of the figures, by default all, whose 95 % interval holds the truth."""
        rows = np.concatenate([np.array(self.errors[name]) for name in names or self.with_interval()])
        return float(np.mean(np.abs(rows[:, 0]) < NORMAL_95 * rows[:, 1]))

    def with_interval(self) -> list[str]:
        """The figures that have an error bar each."""
        return [name for name, rows in self.errors.items() if np.isfinite(rows[0][1])]

    def line(self, row: str, **about: Any) -> dict[str, Any]:
        """The JSON line. Errors are relative, except where the figure's name ends in a unit after ``error``."""
        return {
            "row": row,
            **about,
            "median_error": {name: float(f"{self.median(name):.3g}") for name in self.errors},
            "coverage_95": {name: round(self.coverage(name), 3) for name in self.with_interval()},
            "coverage_95_all": round(self.coverage(), 3),
            "refused": self.refused,
        }


def flights(count: int, seed: int, seconds: float = FLIGHT_S) -> Tally:
    """Vehicles flown by their rate loop in the native simulator; mass weighed, arms measured."""
    file = load_vehicle("air")
    rng = np.random.default_rng(seed)
    vehicles = [planted_vehicle(file, rng) for _ in range(count)]
    delays = rng.uniform(0.0, 0.008, count)
    tally = Tally()
    for vehicle, delay, record in zip(
        vehicles, delays, fly(vehicles, seconds, delays, seed + 1), strict=True
    ):
        found = calibrate_records(file, [record])
        for name, truth in truths(vehicle).items():
            tally.add(name, found.groups[name], truth)
        fit = found.fit
        if fit is None:
            continue
        std = float(np.hypot(fit.std("delay_s"), timing_std(fit)))
        late = GroupEstimate(fit.value("delay_s"), std, fit.informed("delay_s"))
        tally.add("latency_error_s", late, float(delay), scale=1.0)
        moments, stds = found.estimates["body.inertia_kgm2"]
        for axis, value, spread, truth in zip("xyz", moments, stds, vehicle.body.inertia_kgm2, strict=True):
            # The file's own error of the mass is no part of the trial: every vehicle was weighed exactly.
            tally.add(f"inertia_{axis}_kgm2", GroupEstimate(value, spread, True), truth)
    return tally


def racketed(planted: Planted) -> Vehicle:
    """The vehicle ``air`` with the planted size of the racket's sweet spot."""
    racket = AIR.racket
    if racket is None:
        raise ValueError("the vehicle file air has no racket")
    return dataclasses.replace(AIR, racket=dataclasses.replace(racket, sweet_radius_m=planted.sweet_radius_m))


def balls(count: int, seed: int) -> Tally:
    """Recordings of 40 bounces each on a racket that moves, of balls and rackets that differ."""
    tally = Tally()
    for index in range(count):
        rng = np.random.default_rng(seed + index)
        planted = Planted(
            drag_per_m=rng.uniform(0.02, 0.15),
            sweet=rng.uniform(0.7, 0.88),
            rim=rng.uniform(0.5, 0.7),
            tilt_rad=(rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02)),
        )
        found = calibrate_ball(racketed(planted), juggle(planted, seed + index), 1e-9)
        for name, truth in {
            "ball_drag_per_m": planted.drag_per_m,
            "ball_radius_m": planted.radius_m,
            "racket_restitution": planted.sweet,
            "racket_restitution_rim": planted.rim,
        }.items():
            tally.add(name, found.figures[name], truth)
        for axis, truth in zip("xy", planted.tilt_rad, strict=True):
            tally.add(
                f"racket_tilt_{axis}_error_rad", found.figures[f"racket_tilt_{axis}_rad"], truth, scale=1.0
            )
        if found.normal_b is not None:
            off_deg = float(np.degrees(np.arccos(np.clip(found.normal_b @ planted.normal_b, -1.0, 1.0))))
            # An angle is never negative, so it has no interval: its two tilts have.
            tally.errors.setdefault("racket_normal_error_deg", []).append((off_deg, np.inf, 1.0))
    return tally


def benches(count: int, seed: int) -> Tally:
    """Tables of one rotor's thrust over command and battery voltage."""
    tally = Tally()
    for index in range(count):
        rng = np.random.default_rng(seed + index)
        full, curve, loss = rng.uniform(4.0, 12.0), rng.uniform(0.3, 0.9), rng.uniform(0.05, 0.25)
        figures = fit_thrust(AIR, bench(seed + index, full, curve, loss)).figures
        for name, truth in {"thrust_max_n": full, "thrust_curve": curve, "thrust_loss": loss}.items():
            tally.add(name, figures[name], truth)
    return tally


def motors(count: int, seed: int) -> Tally:
    """Logs of one rotor's speed after steps of its command."""
    tally = Tally()
    for index in range(count):
        rng = np.random.default_rng(seed + index)
        rise, fall, dead = rng.uniform(0.015, 0.06), rng.uniform(0.02, 0.08), rng.uniform(0.0, 0.02)
        figures = fit_motor(AIR, motor_log(seed + index, rise, fall, dead)).figures
        tally.add("tau_rise_s", figures["tau_rise_s"], rise)
        tally.add("tau_fall_s", figures["tau_fall_s"], fall)
        tally.add("dead_time_error_s", figures["dead_time_s"], dead, scale=1.0)
    return tally


def delays(count: int, seed: int) -> Tally:
    """Two noisy records of one motion, with clocks of their own, the second late."""
    tally = Tally()
    for index in range(count):
        late_s = float(np.random.default_rng(seed + index).uniform(-0.05, 0.15))
        figure = fit_latency(AIR, wandering(seed + index, late_s)).figures["delay_s"]
        tally.add("delay_error_s", figure, late_s, scale=1.0)
    return tally


def cables(count: int, seed: int, seconds: float = FLIGHT_S) -> Tally:
    """One drone with a weighed load on an elastic cable."""
    tally = Tally()
    for truth, record in _slung(count, seed, seconds):
        file = falcons(1)
        weighed = dataclasses.replace(
            file, load=dataclasses.replace(file.load, mass_kg=truth.team.load.mass_kg)
        )
        figures = calibrate_team(weighed, record, "cable").figures
        tally.add("axial_stiffness_n", figures["axial_stiffness_n"], truth.team.cable.axial_stiffness_n)
        tally.add("damping_time_s", figures["damping_time_s"], truth.team.cable.damping_time_s)
        length_m = truth.team.members[0].rigging.cable_length_m
        tally.add("cable_length_error_m", figures["cable_length1_m"], length_m, scale=1.0)
    return tally


def loads(count: int, seed: int, seconds: float = FLIGHT_S) -> Tally:
    """One drone with a load of unknown mass, inertia and centre on an elastic cable."""
    tally = Tally()
    for truth, record in _slung(count, seed, seconds):
        figures, load = calibrate_team(falcons(1), record, "load").figures, truth.team.load
        tally.add("mass_kg", figures["mass_kg"], load.mass_kg)
        for axis, moment, place in zip("xyz", load.inertia_kgm2, load.center_of_mass_m, strict=True):
            tally.add(f"inertia_{axis}_kgm2", figures[f"inertia_{axis}_kgm2"], moment)
            name = f"center_of_mass_{axis}"
            tally.add(f"{name}_error_m", figures[f"{name}_m"], place, scale=1.0)
    return tally


def _slung(count: int, seed: int, seconds: float) -> list[tuple[team_lab.Planted, TeamRecord]]:
    truths = [team_lab.planted(falcons(1), np.random.default_rng(seed + index)) for index in range(count)]
    return list(zip(truths, team_lab.fly(truths, seconds, seed), strict=True))


ROWS: dict[str, Callable[[int, int], Tally]] = {
    "flight": flights,
    "ball": balls,
    "thrust": benches,
    "motor": motors,
    "latency": delays,
    "cable": cables,
    "load": loads,
}
"""What can be measured."""


def main() -> None:
    """Print a line a row; write them where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for row in options.rows.split(","):
        begin_s = time.process_time()
        tally = ROWS[row](options.count, options.seed)
        cpu_s = round(time.process_time() - begin_s, 1)
        lines.append(tally.line(row, recordings=options.count, seed=options.seed, cpu_s=cpu_s))
        print(json.dumps(lines[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
