"""``corvids calibrate cable`` and ``load``: a team's recorded flight into its cables, or its load."""

from __future__ import annotations

import dataclasses
import html
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro

from corvids.cli import parse
from corvids.commands.calibrating.outputs import (
    Outputs,
    figures_of,
    identifiability_html,
    print_figures,
    residuals_html,
    source_text,
    unknowns_of,
)
from corvids.commands.page import ACCENT, canvas, correlation_svg, figure_html, page, svg_of, table_html
from corvids.team import load_team, save_team, vehicle_references
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.calibration.readers.team_record import TeamRecord
    from corvids.calibration.team.calibration import TeamCalibration
    from corvids.calibration.team.fit import TeamFit


@dataclasses.dataclass(frozen=True)
class TeamOptions:
    """Fit a team's cables (length, damping, stiffness) or load (mass, inertia, centre of mass) to a recorded flight: a
    ROS 2 bag, or a CSV with time_s, load_x_m … load_qz, drone1_x_m … drone1_qz, drone1_motor1_1 … drone1_motor4_1,
    drone2_… Motor commands may come from each drone's own flight log instead."""

    team: str
    """The team file to begin with: its name, or a path."""
    log: Path
    """The recording."""
    flight: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A drone's own flight log (ULog), for motor commands that the recording does not have; one a drone, in order."""
    load_topic: str = "/load/pose"
    """Topic of the load's poses, where the recording is a ROS 2 bag."""
    drone_topic: str = "/drone{}/pose"
    """Topics of the drones' poses in the bag; {} stands for a drone's number, from 1."""
    motor_topic: str = "/px4_{}/fmu/out/actuator_motors"
    """Topics of the drones' motor commands in the bag."""
    mapping: Path | None = None
    """TOML file that names the recording's columns and units, where they are not those above."""
    out: Path | None = None
    """Where to write the new team file; the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str], action: str) -> int:
    """Entry point."""
    options = parse(TeamOptions, argv, f"calibrate {action}")
    outputs = Outputs.checked(options.out, options.json, options.force)
    team = load_team(options.team)

    from corvids.calibration.statistics.estimates import updated_team
    from corvids.calibration.team.calibration import calibrate_team

    record = _read(options, len(team.members))
    result = calibrate_team(
        team, record, action, lambda text: print(f"{text} …", file=sys.stderr, flush=True)
    )
    figures = summary(team.name, action, result)
    for text in (*figures["log"]["findings"], *figures["notes"]):
        print(text)
    print_figures(figures["figures"])
    if outputs.page is not None:
        write_whole(outputs.page, _page(figures, result))
    outputs.write_json(figures)
    if result.estimates:
        source = source_text(action, [(record.name, record.sha256)])
        vehicles = vehicle_references(options.team)
        outputs.write_team(
            lambda path: save_team(updated_team(team, result.estimates, source), vehicles, path)
        )
    else:
        outputs.refuse_vehicle()
    outputs.say()
    return 0


def _read(options: TeamOptions, drones: int) -> TeamRecord:
    """The recording."""
    from corvids.calibration.readers.px4_flight import px4_flight
    from corvids.calibration.readers.ros_bag import is_bag, read_team_bag
    from corvids.calibration.readers.team_record import read_team_csv
    from corvids.calibration.readers.ulog import read_ulog

    flights = [px4_flight(read_ulog(path)) for path in options.flight]
    if is_bag(options.log):
        topics = options.load_topic, options.drone_topic, options.motor_topic
        return read_team_bag(options.log, drones, *topics, flights)
    return read_team_csv(options.log, drones, options.mapping, flights)


def summary(team: str, action: str, result: TeamCalibration) -> dict[str, Any]:
    """The JSON of a team's calibration."""
    fit, record = result.fit, result.record
    return {
        "team": team,
        "what": action,
        "log": {
            "name": record.name,
            "sha256": record.sha256,
            "findings": [f"{one.signal}: {one.text}" for one in record.findings],
        },
        "notes": list(result.notes),
        "figures": figures_of(result.figures),
        "fit": None
        if fit is None
        else {
            "pieces": len(fit.pieces),
            "unknowns": unknowns_of(fit),
            "rms": fit.noise,
            "rms_left_out": fit.left_out,
        },
    }


def _page(figures: dict[str, Any], result: TeamCalibration) -> bytes:
    rows = [
        (name, f"{one['value']:.5g}", f"{one['std']:.2g}", "")
        if one["identified"]
        else (name, "–", "–", f"refused: {one['reason']}")
        for name, one in figures["figures"].items()
    ]
    parts = [table_html(("figure", "value", "standard deviation", ""), rows)]
    said = [*figures["log"]["findings"], *figures["notes"]]
    if said:
        parts.append(f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in said)}</ul>")
    fit = result.fit
    if fit is not None:
        parts += [
            figure_html(_residuals(fit), "Height of the load, predicted − measured, piece by piece."),
            residuals_html(fit.noise, fit.left_out, {"place": "m", "attitude": "rad"}, {}),
            identifiability_html(figures["fit"]["unknowns"]),
            figure_html(correlation_svg(fit.covariance, fit.names), "Correlation of the estimates."),
        ]
    title = f"{figures['what']} of the team {figures['team']}"
    return page(title, f"from {result.record.name}", "".join(parts))


def _residuals(fit: TeamFit) -> str:
    from corvids.calibration.team.model import channels_of, row_slices

    channels = channels_of(len(fit.unknowns.team.members))
    rows = row_slices(fit.pieces)[channels.index("load place z")]
    figure, axes = canvas()
    length = fit.pieces.load_pose.shape[1]
    for start_s, residual in zip(fit.pieces.start_s, fit.residuals[:, rows], strict=True):
        time_s = start_s + fit.pieces.dt_s * fit.pieces.every * np.arange(length)
        axes.plot(time_s, 1e3 * residual, color=ACCENT, linewidth=0.8)
    axes.set(xlabel="time [s]", ylabel="height of the load [mm]")
    return svg_of(figure)
