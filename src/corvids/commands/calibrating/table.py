"""``corvids calibrate thrust``, ``motor``, ``rate-loop`` and ``latency``: fits of a table of measurements (CSV)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

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
from corvids.vehicle import load_vehicle
from corvids.whole_files import write_whole


@dataclasses.dataclass(frozen=True)
class TableOptions:
    """Fit a table: thrust (command_1, thrust_n, voltage_v), motor (time_s, command_1, speed_radps), rate-loop
    (time_s, setpoint_radps, rate_radps) or latency (time_s, first_1, second_1, perhaps second_time_s)."""

    vehicle: str
    """The vehicle file to begin with: its name, or a path."""
    table: Path
    """The measurements: CSV, the first line naming the columns."""
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

    from corvids.calibration.readers.csv_table import read_table
    from corvids.calibration.statistics.estimates import updated_vehicle
    from corvids.calibration.tables import latency, motor_response, rate_response, thrust_bench

    module, fit = {
        "thrust": (thrust_bench, thrust_bench.fit_thrust),
        "motor": (motor_response, motor_response.fit_motor),
        "rate-loop": (rate_response, rate_response.fit_rate_loop),
        "latency": (latency, latency.fit_latency),
    }[action]
    table = read_table(options.table, module.REQUIRED, module.OPTIONAL, options.mapping)
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
