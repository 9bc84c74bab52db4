"""``corvids calibrate align``: how motion capture's markers sit on the vehicle, and how far its clock is off."""

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
)
from corvids.commands.page import ACCENT, SOFT, canvas, figure_html, page, svg_of, table_html
from corvids.whole_files import write_whole


@dataclasses.dataclass(frozen=True)
class AlignOptions:
    """Align motion capture with a flight log of the same flight. The racket's normal, and how motion capture's vertical
    leans, come from hits and flights of a ball: corvids calibrate ball."""

    log: Path
    """The flight log: ULog, or a ROS 2 bag with PX4's topics."""
    poses: Path
    """The markers' poses: CSV with time_s, vehicle_x_m … vehicle_z_m, vehicle_qw … vehicle_qz."""
    mapping: Path | None = None
    """TOML file that names the columns and units of the poses, where they are not those above."""
    json: Path | None = None
    """Where to write the figures; the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(AlignOptions, argv, "calibrate align")
    outputs = Outputs.checked(None, options.json, options.force)

    from corvids.calibration.flight.marker_alignment import fit_markers
    from corvids.calibration.readers.ball_record import read_pose_csv
    from corvids.calibration.readers.px4_flight import px4_flight
    from corvids.calibration.readers.ros_bag import is_bag, read_px4_bag
    from corvids.calibration.readers.ulog import read_ulog

    table, pose, findings = read_pose_csv(options.poses, options.mapping)
    record = px4_flight((read_px4_bag if is_bag(options.log) else read_ulog)(options.log))
    result = fit_markers(record.gyro_b, pose)
    figures = {
        "what": "align",
        "logs": [
            {"name": record.name, "sha256": record.sha256},
            {"name": table.name, "sha256": table.sha256},
        ],
        "findings": [f"{one.signal}: {one.text}" for one in (*record.findings, *findings)],
        "figures": figures_of(result.figures),
        "prediction": prediction_of(result.prediction),
    }
    for text in figures["findings"]:
        print(text)
    print_figures(figures["figures"])
    print_prediction(figures["prediction"])
    if outputs.page is not None:
        rows = [
            (name, f"{one['value']:.5g}", f"{one['std']:.2g}", "" if one["identified"] else one["reason"])
            for name, one in figures["figures"].items()
        ]
        figure, axes = canvas(rows=3, height=1.7)
        for index, one in enumerate(axes):
            one.plot(result.time_s, result.measured[:, index], color=SOFT, label="gyroscope")
            one.plot(
                result.time_s, result.fitted[:, index], color=ACCENT, linewidth=0.8, label="markers, turned"
            )
            one.set(ylabel=f"rate {'xyz'[index]}\n[rad/s]")
        axes[0].legend(frameon=False, loc="upper right", ncols=2)
        axes[-1].set(xlabel="time since the start of the log [s]")
        body = table_html(("figure", "value", "standard deviation", ""), rows)
        body += prediction_html(figures["prediction"])
        body += figure_html(svg_of(figure), "Body rates by the gyroscope and by the markers.")
        write_whole(outputs.page, page("alignment", f"from {record.name} and {table.name}", body))
    outputs.write_json(figures)
    outputs.say()
    return 0
