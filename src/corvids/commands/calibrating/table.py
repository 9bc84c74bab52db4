"""``corvids calibrate thrust``, ``motor``, ``rate-loop`` and ``latency``: fits of a table, or of a flight log."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from corvids.cli import parse
from corvids.commands.calibrating.outputs import (
    Outputs,
    figures_of,
    prediction_html,
    prediction_of,
    print_figures,
    print_prediction,
    source_text,
)
from corvids.commands.page import ACCENT, INK, canvas, figure_html, page, svg_of, table_html
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.calibration.readers.csv_table import Table


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """Fit a table: thrust (command_1, thrust_n, voltage_v), motor (time_s, command_1, speed_radps), rate-loop
    (time_s, setpoint_radps, rate_radps) or latency (time_s, first_1, second_1, perhaps second_time_s); or what a flight
    log has of it: hover over the battery's voltage, ESCs' speeds, body rates, what the estimator says and when."""

    vehicle: str
    """The vehicle file to begin with: its name, or a path."""
    table: Path | None = None
    """The measurements: CSV, the first line naming the columns."""
    log: Path | None = None
    """In its place a flight log: ULog, or a ROS 2 bag with PX4's topics."""
    axis: Literal["roll", "pitch", "yaw"] = "roll"
    """For rate-loop and latency with --log: the axis; of velocities east, north or up."""
    motor: int = 1
    """For motor with --log: which one, in PX4's order."""
    signals: Literal["attitude", "velocity", "rate"] = "attitude"
    """For latency with --log, what may be late: the estimator's attitude or velocity, after the inertial sensors; or
    the rate, after its set-point."""
    mapping: Path | None = None
    """TOML file that names the table's columns and units, where they are not those above."""
    out: Path | None = None
    """Where to write the new vehicle file; the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str], action: str) -> int:
    """Entry point."""
    options = parse(TableOptions, argv, f"calibrate {action}")
    outputs = Outputs.checked(options.out, options.json, options.force)
    vehicle = load_vehicle(options.vehicle)
    if (options.table is None) == (options.log is None):
        raise CorvidsError("name either a --table of measurements or a flight --log")

    from corvids.calibration.readers.csv_table import read_table
    from corvids.calibration.statistics.estimates import updated_vehicle
    from corvids.calibration.tables import latency, motor_response, rate_response, thrust_bench

    module, fit = {
        "thrust": (thrust_bench, thrust_bench.fit_thrust),
        "motor": (motor_response, motor_response.fit_motor),
        "rate-loop": (rate_response, rate_response.fit_rate_loop),
        "latency": (latency, latency.fit_latency),
    }[action]
    if options.table is not None:
        table = read_table(options.table, module.REQUIRED, module.OPTIONAL, options.mapping)
    else:
        table = _of_log(options, action, vehicle)
    result = fit(vehicle, table)
    figures = {
        "vehicle": vehicle.name,
        "what": action,
        "log": {"name": table.name, "sha256": table.sha256},
        "figures": figures_of(result.figures),
        "prediction": prediction_of(result.prediction),
    }
    print_figures(figures["figures"])
    print_prediction(figures["prediction"])
    if outputs.page is not None:
        rows = [
            (name, f"{one['value']:.5g}", f"{one['std']:.2g}", "")
            if one["identified"]
            else (name, "–", "–", f"refused: {one['reason']}")
            for name, one in figures["figures"].items()
        ]
        figure, axes = canvas()
        curve = result.curve
        axes.plot(curve.x, curve.measured, ".", color=ACCENT, markersize=3, label="measured")
        axes.plot(curve.x, curve.fitted, color=INK, label="fitted")
        axes.set(xlabel=curve.x_label, ylabel=curve.y_label)
        axes.legend(frameon=False)
        body = table_html(("figure", "value", "standard deviation", ""), rows)
        body += prediction_html(figures["prediction"]) + figure_html(svg_of(figure), curve.title)
        write_whole(outputs.page, page(f"{action} of {vehicle.name}", f"from {table.name}", body))
    outputs.write_json(figures)
    if result.estimates:
        source = source_text(action, [(table.name, table.sha256)])
        outputs.write_vehicle(lambda: updated_vehicle(vehicle, result.estimates, {}, source))
    else:
        outputs.refuse_vehicle()
    outputs.say()
    return 0


def _of_log(options: TableOptions, action: str, vehicle: Vehicle) -> Table:
    """What the flight log says of what ``action`` fits."""
    from corvids.calibration.readers import log_tables
    from corvids.calibration.readers.ros_bag import is_bag, read_px4_bag
    from corvids.calibration.readers.ulog import read_ulog

    if options.log is None or options.mapping is not None:
        raise CorvidsError("--mapping: names the columns of a --table; a flight log has none")
    raw = (read_px4_bag if is_bag(options.log) else read_ulog)(options.log)
    if action == "thrust":
        return log_tables.thrust_table(raw, vehicle.body.mass_kg)
    if action == "motor":
        return log_tables.motor_table(raw, options.motor)
    if action == "rate-loop":
        return log_tables.rate_table(raw, options.axis)
    return log_tables.latency_table(raw, options.signals, options.axis)
