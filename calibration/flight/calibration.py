"""From flight logs to a calibrated vehicle: read, cut, fit, judge."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

import numpy as np

from corvids.calibration.flight.fit import FlightFit, fit_flight
from corvids.calibration.flight.groups import GROUPS, estimate_groups, refuse_groups
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import Segments, cut, flying_s, joined
from corvids.calibration.flight.vehicle_update import physical_estimates
from corvids.calibration.readers.csv_flight import read_csv_flight
from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.record import FlightRecord
from corvids.calibration.readers.ros_bag import is_bag, read_px4_bag
from corvids.calibration.readers.ulog import read_ulog
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.vehicle import Vehicle

WHAT: dict[str, tuple[str, ...]] = {
    "all": tuple(GROUPS),
    "thrust": ("accel_max_mps2",),
    "inertia": ("roll_accel_max_radps2", "pitch_accel_max_radps2", "yaw_accel_max_radps2"),
    "motor": ("motor_tau_s",),
    "drag": ("drag_per_mass_1ps",),
}
"""Groups that each choice asks for."""
MIN_PIECES = 5
"""Free flight [pieces of a second] below which nothing is fitted."""
FAR_OFF = 2.0
"""A figure that is off the vehicle file by more than this factor is remarked upon."""
MAX_PIECES = 240
"""Of a longer flight so many pieces are used, evenly spread."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the logs tell of a vehicle."""

    records: tuple[FlightRecord, ...]
    """The logs."""
    groups: dict[str, GroupEstimate]
    """The figures that were asked for."""
    fit: FlightFit | None
    """The fit behind them; None where there was no flight to fit."""
    estimates: Estimates
    """Value and standard deviation of each number for the vehicle file."""
    correlations: dict[tuple[str, str], float]
    """How their errors go together, and with those of the mass."""
    notes: tuple[str, ...]
    """What the user should know of how the logs were used."""


def calibrate(
    vehicle: Vehicle,
    logs: Sequence[str | os.PathLike[str]],
    what: str = "all",
    progress: Callable[[str], None] = lambda text: None,
    mapping: str | os.PathLike[str] | None = None,
) -> Calibration:
    """Fit ``vehicle`` to logs of one vehicle: ULog files, ROS 2 bags or CSV files (whose columns ``mapping`` may name).

    Raises :class:`CorvidsError` where one is none of them.
    """
    records = []
    for path in logs:
        progress(f"reading {os.fspath(path)}")
        if os.fspath(path).endswith(".csv"):
            records.append(read_csv_flight(path, mapping))
        else:
            records.append(px4_flight(read_px4_bag(path) if is_bag(path) else read_ulog(path)))
    return calibrate_records(vehicle, records, what, progress)


def calibrate_records(
    vehicle: Vehicle,
    records: Sequence[FlightRecord],
    what: str = "all",
    progress: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """As :func:`calibrate`, from records."""
    airframe, notes = Airframe(vehicle), []
    pieces = joined([cut(record) for record in records])
    if len(pieces) < MIN_PIECES:
        return Calibration(
            tuple(records), _asked(refuse_groups(_no_flight(records, pieces)), what), None, {}, {}, ()
        )
    if len(pieces) > MAX_PIECES:
        notes.append(f"{MAX_PIECES} of {len(pieces)} s of free flight are used, evenly spread")
        pieces = pieces.take(np.linspace(0, len(pieces) - 1, MAX_PIECES).round().astype(int))
    fit = fit_flight(airframe, pieces, progress)
    every = estimate_groups(fit)
    notes += _strange(vehicle, airframe, fit)
    asked = _asked(every, what)
    wanted = {
        name: one if name in asked else dataclasses.replace(one, identified=False)
        for name, one in every.items()
    }
    if what == "inertia":  # a moment of inertia follows from thrust, so thrust is needed, and written, too
        wanted["accel_max_mps2"] = every["accel_max_mps2"]
    estimates, correlations = physical_estimates(airframe, fit, wanted)
    return Calibration(tuple(records), asked, fit, estimates, correlations, tuple(notes))


def _strange(vehicle: Vehicle, airframe: Airframe, fit: FlightFit) -> list[str]:
    """What is so far off the vehicle file that the log may be of another vehicle."""
    start, found = airframe.start(), []
    for group, (unknown, _, _) in GROUPS.items():
        ratio = math.exp(fit.value(unknown) - getattr(start, unknown)) if unknown.startswith("log_") else 1.0
        if not 1.0 / FAR_OFF < ratio < FAR_OFF and fit.informed(unknown):
            found.append(f"{group} is {ratio:.2g} times what the vehicle file {vehicle.name!r} says")
    return [f"{'; '.join(found)}: is the log of this vehicle?"] if found else []


def _asked(groups: dict[str, GroupEstimate], what: str) -> dict[str, GroupEstimate]:
    return {name: one for name, one in groups.items() if name in WHAT[what]}


def _no_flight(records: Sequence[FlightRecord], pieces: Segments) -> str:
    """Why there is no free flight in the logs."""
    for channel in ("command", "quat_wb", "vel_w"):
        if all(getattr(record, channel) is None for record in records):
            topics = {
                "command": "actuator_motors or actuator_outputs",
                "quat_wb": "vehicle_attitude",
                "vel_w": "vehicle_local_position",
            }
            return f"no log has {topics[channel]}"
    if all(record.command is None or record.command.values.max() == 0.0 for record in records):
        return "the motors never turned"
    flown = sum(flying_s(record) for record in records)
    return f"{len(pieces)} s of unbroken free flight in {flown:.1f} s with motors on are less than {MIN_PIECES} s"
