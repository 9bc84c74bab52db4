"""``corvids calibrate fit``: from flight logs to a vehicle file with error bars, JSON and a report page."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from corvids.cli import first_word, parse
from corvids.commands.files import check_writable, write_atomically
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, VehicleError, load_vehicle, save_vehicle

if TYPE_CHECKING:
    from corvids.calibration.flight_calibration import Calibration


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """Fit a vehicle file to PX4 flight logs (ULog)."""

    vehicle: str
    """The vehicle file to begin with: its name, or a path."""
    log: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A flight log; give it once for each log of the same vehicle."""
    what: Literal["all", "thrust", "inertia", "motor", "drag"] = "all"
    """What to fit."""
    out: Path | None = None
    """Where to write the new vehicle file; the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str]) -> int:
    """Entry point."""
    action, rest = first_word(argv, "calibrate", "action", ("fit",))
    if action != "fit":
        raise CorvidsError(f"calibrate: unknown action {action!r}; there is: fit")
    options = parse(FitOptions, rest, "calibrate fit")
    page = _check(options)
    vehicle = load_vehicle(options.vehicle)

    from corvids.calibration.flight_calibration import calibrate
    from corvids.commands.calibration_report import write_calibration_report

    result = calibrate(
        vehicle, options.log, options.what, lambda text: print(f"{text} …", file=sys.stderr, flush=True)
    )
    figures = summary(options, vehicle, result)
    _print(figures)
    written = []
    if page is not None:
        write_calibration_report(page, figures, result)
        written.append(page)
    if options.json is not None:
        write_atomically(options.json, (json.dumps(figures, indent=1) + "\n").encode())
        written.append(options.json)
    # The vehicle file last: it is what another program waits for.
    if options.out is not None and result.estimates:
        try:
            save_vehicle(_updated(vehicle, result), options.out)
        except VehicleError as error:
            raise CorvidsError(
                f"{options.out}: not written, the fit contradicts the vehicle file: {error}"
            ) from None
        written.append(options.out)
    elif options.out is not None:
        print(f"not written: {options.out}, for the logs support no number of it")
    if written:
        print(f"written: {', '.join(map(str, written))}")
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
        "groups": {
            name: {
                "value": one.value,
                "std": one.std,
                "identified": one.identified,
                **({} if one.identified else {"reason": one.reason}),
            }
            for name, one in result.groups.items()
        },
        "parameters": {
            where: {"value": value, "std": std, "unit": vehicle.provenance[where].unit}
            for where, (value, std) in result.estimates.items()
        },
        "correlations": {", ".join(pair): value for pair, value in result.correlations.items()},
        "notes": list(result.notes),
        "fit": None
        if fit is None
        else {
            "flight_s": round(len(fit.segments) * fit.segments.gyro_b.shape[1] * fit.segments.dt_s, 3),
            "unknowns": {
                name: {"value": float(value), "std": fit.std(name), "informed": fit.informed(name)}
                for name, value in zip(fit.names, fit.values, strict=True)
            },
            "rms_before": fit.noise_before,
            "rms_after": fit.noise,
        },
    }


def _check(options: FitOptions) -> Path | None:
    """Refuse, before any work is done, what could not be written in the end; the path of the report page."""
    if not options.log:
        raise CorvidsError("calibrate fit: which log? Give one with --log FLIGHT.ulg")
    for path, suffix in ((options.out, ".toml"), (options.json, ".json")):
        if path is not None:
            check_writable(path, suffix)
    leading = options.out or options.json
    page = None if leading is None else leading.with_suffix(".html")
    for path in (options.out, options.json, page):
        if path is not None and path.exists() and not options.force:
            raise CorvidsError(f"{path}: is there already; give --force to replace it, or another name")
    return page


def _updated(vehicle: Vehicle, result: Calibration) -> Vehicle:
    from corvids.calibration.vehicle_update import updated_vehicle

    logs = ", ".join(f"{record.name} (sha256 {record.sha256[:12]})" for record in result.records)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    source = f"corvids calibrate fit from {logs}, {today}"
    return updated_vehicle(vehicle, result.estimates, result.correlations, source)


def _print(figures: dict[str, Any]) -> None:
    for log in figures["logs"]:
        print(f"{log['name']}: {log['duration_s']:.1f} s")
        for finding in log["findings"]:
            print(f"  {finding}")
    for note in figures["notes"]:
        print(note)
    for name, one in figures["groups"].items():
        if one["identified"]:
            print(f"{name:22} {one['value']:10.5g} ± {one['std']:.2g}")
        else:
            print(f"{name:22}    refused: {one['reason']}")
