"""``corvids calibrate plan``: which manoeuvres to fly so that a vehicle's numbers can be told, within safe limits."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro

from corvids.cli import parse
from corvids.commands.files import check_writable
from corvids.deploy.setpoints import FlightLimits, to_bytes
from corvids.errors import CorvidsError
from corvids.quantities import nearest
from corvids.vehicle import load_vehicle
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.commands.calibrating.plan_making import Plan


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """Choose manoeuvres for a calibration flight, try them in simulation, and write them as a setpoint file."""

    vehicle: str
    """The vehicle file to begin with: its name, or a path."""
    want: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A figure to be told; give it once for each. Default: all that `corvids calibrate fit` reports."""
    low: tuple[float, float, float] = (-2.0, -2.0, 0.5)
    """Lowest corner of the fence [m], world."""
    high: tuple[float, float, float] = (2.0, 2.0, 3.5)
    """Highest corner of the fence [m], world."""
    speed: float = 3.0
    """Largest speed [m/s]."""
    tilt_deg: float = 40.0
    """Largest tilt [°]."""
    seconds: float = 60.0
    """Longest flight [s]."""
    out: Path | None = None
    """Where to write the setpoints (JSON); the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str]) -> int:
    """Entry point; the exit code is 1 where a figure's target is out of reach within the limits."""
    options = parse(PlanOptions, argv, "calibrate plan")
    limits = _limits(options)

    from corvids.calibration.planning.design import TARGETS
    from corvids.commands.calibrating.plan_making import make_plan
    from corvids.commands.calibrating.plan_report import write_plan_report

    wanted = options.want or tuple(TARGETS)
    for name in wanted:
        if name not in TARGETS:
            raise CorvidsError(f"--want {name}: is no figure of a flight{nearest(name, list(TARGETS))}")
    leading = options.out or options.json
    shown = None if leading is None else leading.with_suffix(".html")
    for path, suffix in ((options.out, ".json"), (options.json, ".json"), (shown, ".html")):
        if path is not None:
            check_writable(path, suffix)
            if path.exists() and not options.force:
                raise CorvidsError(f"{path}: is there already; give --force to replace it, or another name")
    vehicle = load_vehicle(options.vehicle)
    plan = make_plan(
        vehicle, limits, wanted, options.seconds, lambda text: print(f"{text} …", file=sys.stderr, flush=True)
    )
    _print(plan)
    if shown is not None:
        write_plan_report(shown, plan)
        print(f"written: {shown}")
    for path, content in (
        (options.json, (json.dumps(figures(plan), indent=1) + "\n").encode()),
        (options.out, to_bytes(plan.setpoints)),
    ):
        if path is not None:
            write_whole(path, content)
            print(f"written: {path}")
    return 0 if all(one.is_met for one in plan.design.expected.values()) else 1


def figures(plan: Plan) -> dict[str, Any]:
    """The documented JSON of a plan."""
    return {
        "vehicle": plan.setpoints.vehicle,
        "seconds": plan.setpoints.seconds,
        "limits": dataclasses.asdict(plan.setpoints.limits),
        "manoeuvres": [
            {"name": span.name, "begin_s": span.begin_s, "end_s": span.end_s, "level": plan.levels[span.name]}
            for span in plan.setpoints.manoeuvres
        ],
        "left_out": list(plan.left_out),
        "expected": {name: dataclasses.asdict(one) for name, one in plan.design.expected.items()},
    }


def _print(plan: Plan) -> None:
    for span in plan.setpoints.manoeuvres:
        level = plan.levels[span.name]
        print(f"{span.begin_s:5.1f} to {span.end_s:5.1f} s  {span.name}, {100.0 * level:.0f} % of full size")
    for name in plan.left_out:
        print(f"left out: {name}, which does not stay within the limits even at its smallest")
    print(f"{'figure':22} {'value':>10}   expected (Cramér-Rao), target, paid by")
    for name, one in plan.design.expected.items():
        size = abs(one.value) or 1.0
        paid = f"{one.paid_by} (± {100.0 * one.std_without / size:.2g} % without)" if one.paid_by else "–"
        std, target = 100.0 * one.std / size, 100.0 * one.target / size
        short = "" if one.is_met else "   NOT reached"
        print(f"{name:22} {one.value:10.5g} ± {std:.2g} %, {target:.2g} %, {paid}{short}")


def _limits(options: PlanOptions) -> FlightLimits:
    numbers = np.array((*options.low, *options.high, options.speed, options.tilt_deg, options.seconds))
    if not np.isfinite(numbers).all():
        raise CorvidsError("calibrate plan: limits must be finite numbers")
    for axis, low, high in zip("xyz", options.low, options.high, strict=True):
        if high - low < 1.0:
            raise CorvidsError(f"--low {low:g} and --high {high:g} along {axis}: leave a metre at least")
    if options.low[2] < 0.2:
        raise CorvidsError(f"--low {options.low[2]:g} along z: stay 0.2 m above the ground at least")
    if not 0.3 <= options.speed <= 30.0:
        raise CorvidsError(f"--speed {options.speed:g}: must be from 0.3 to 30 m/s")
    if not 5.0 <= options.tilt_deg <= 80.0:
        raise CorvidsError(f"--tilt-deg {options.tilt_deg:g}: must be from 5 to 80 degrees")
    if not 15.0 <= options.seconds <= 1200.0:
        raise CorvidsError(f"--seconds {options.seconds:g}: must be from 15 to 1200 s")
    return FlightLimits(options.low, options.high, options.speed, float(np.radians(options.tilt_deg)))
