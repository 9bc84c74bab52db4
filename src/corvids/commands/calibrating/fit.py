"""``corvids calibrate fit``: from flight logs to a vehicle file with error bars, JSON and a report page."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from corvids.cli import parse
from corvids.commands.calibrating.outputs import Outputs, figures_of, print_figures, source_text, unknowns_of
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle

if TYPE_CHECKING:
    from corvids.calibration.flight.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """Fit a vehicle file to flight logs: PX4's (ULog, or its topics in a ROS 2 bag), or CSV."""

    vehicle: str
    """The vehicle file to begin with: its name, or a path."""
    log: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A flight log; give it once for each log of the same vehicle."""
    what: Literal["all", "thrust", "inertia", "motor", "drag"] = "all"
    """What to fit."""
    mapping: Path | None = None
    """TOML file that names the columns and units of CSV logs, where they are not those of `corvids fly --setpoints`."""
    out: Path | None = None
    """Where to write the new vehicle file; the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(FitOptions, argv, "calibrate fit")
    if not options.log:
        raise CorvidsError("calibrate fit: which log? Give one with --log FLIGHT.ulg")
    outputs = Outputs.checked(options.out, options.json, options.force)
    vehicle = load_vehicle(options.vehicle)

    from corvids.calibration.flight.calibration import calibrate
    from corvids.commands.calibrating.report import write_calibration_report

    result = calibrate(
        vehicle,
        options.log,
        options.what,
        lambda text: print(f"{text} …", file=sys.stderr, flush=True),
        options.mapping,
    )
    figures = summary(options, vehicle, result)
    _print(figures)
    if outputs.page is not None:
        write_calibration_report(outputs.page, figures, result)
    outputs.write_json(figures)
    if result.estimates:
        from corvids.calibration.statistics.estimates import updated_vehicle

        source = source_text("fit", [(record.name, record.sha256) for record in result.records])
        outputs.write_vehicle(lambda: updated_vehicle(vehicle, result.estimates, result.correlations, source))
    else:
        outputs.refuse_vehicle()
    outputs.say()
    return 0


def summary(options: FitOptions, vehicle: Vehicle, result: Calibration) -> dict[str, Any]:
    """The documented JSON of a calibration."""
    fit = result.fit
    return {
        "vehicle": vehicle.name,
        "what": options.what,
        "logs": [
            {
                "name": record.name,
                "sha256": record.sha256,
                "duration_s": round(record.duration_s, 3),
                "findings": [f"{one.signal}: {one.text}" for one in record.findings],
            }
            for record in result.records
        ],
        "groups": figures_of(result.groups),
        "parameters": {
            where: {
                "value": value,
                "std": std,
                "unit": vehicle.provenance[where].unit,
                "before": _value(vehicle, where),
            }
            for where, (value, std) in result.estimates.items()
        },
        "correlations": {", ".join(pair): value for pair, value in result.correlations.items()},
        "notes": list(result.notes),
        "fit": None
        if fit is None
        else {
            "flight_s": round(len(fit.segments) * fit.segments.gyro_b.shape[1] * fit.segments.dt_s, 3),
            "unknowns": unknowns_of(fit),
            "rms_before": fit.noise_before,
            "rms_after": fit.noise,
            "rms_left_out": fit.left_out,
        },
    }


def _value(vehicle: Vehicle, where: str) -> Any:
    """A number of the vehicle file, such as ``body.mass_kg``."""
    section, _, field = where.partition(".")
    return getattr(getattr(vehicle, section), field)


def _print(figures: dict[str, Any]) -> None:
    for log in figures["logs"]:
        print(f"{log['name']}: {log['duration_s']:.1f} s")
        for finding in log["findings"]:
            print(f"  {finding}")
    for note in figures["notes"]:
        print(note)
    print_figures(figures["groups"])
