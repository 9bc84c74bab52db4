"""``corvids calibrate ball``: a ball's trajectory into drag and radius, the racket's restitution and its normal."""

from __future__ import annotations

import dataclasses
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro

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
from corvids.vehicle import load_vehicle
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.calibration.ball.calibration import BallCalibration


@dataclasses.dataclass(frozen=True)
class BallOptions:
    """Fit ball and racket to a recorded trajectory: CSV (time_s, ball_x_m, …, vehicle_x_m, …, vehicle_qw, …) or bag."""

    vehicle: str
    """The vehicle file that has the racket: its name, or a path."""
    log: Path
    """The recording."""
    ball_topic: str = "/ball/pose"
    """Topic of the ball's positions, where the recording is a ROS 2 bag."""
    vehicle_topic: str | None = None
    """Topic of the vehicle's poses in the bag; without one the racket is taken as at rest and level."""
    mapping: Path | None = None
    """TOML file that names the recording's columns and units, where they are not those above."""
    ball_mass_kg: float = 0.0472
    """Mass of the ball, weighed."""
    what: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """What to write into the vehicle file: restitution, align, or (by default) both."""
    out: Path | None = None
    """Where to write the new vehicle file; the report page has the same name with .html."""
    json: Path | None = None
    """Where to write the figures; without --out the report page has this name with .html."""
    force: bool = False
    """Replace files that are there."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(BallOptions, argv, "calibrate ball")
    for what in options.what:
        if what not in ("restitution", "align"):
            raise CorvidsError(f"--what {what}: must be restitution or align")
    if not 0.0 < options.ball_mass_kg < 10.0:
        raise CorvidsError(f"--ball-mass-kg {options.ball_mass_kg:g}: must be above 0 and below 10 kg")
    outputs = Outputs.checked(options.out, options.json, options.force)
    vehicle = load_vehicle(options.vehicle)

    from corvids.calibration.ball.calibration import calibrate_ball, racket_estimates
    from corvids.calibration.readers.ball_record import read_ball_csv
    from corvids.calibration.readers.ros_bag import is_bag, read_ball_bag
    from corvids.calibration.statistics.estimates import updated_vehicle

    if is_bag(options.log):
        record = read_ball_bag(options.log, options.ball_topic, options.vehicle_topic)
    else:
        record = read_ball_csv(options.log, options.mapping)
    result = calibrate_ball(vehicle, record, options.ball_mass_kg)
    figures = summary(vehicle.name, result)
    counts = (
        f"{figures['flights']} flights, {figures['hits']} hits on the racket, {result.hits.others} others"
    )
    print(f"{record.name}: {counts}")
    for finding in figures["findings"]:
        print(f"  {finding}")
    print_figures(figures["figures"])
    print_prediction(figures["prediction"])
    for name, flag in (("ball_drag_per_m", "drag-per-m"), ("ball_radius_m", "radius-m")):
        if result.figures[name].identified:
            print(f"train with: --config.env.ball.{flag} {result.figures[name].value:.4g}")
    if outputs.page is not None:
        write_whole(outputs.page, _page(figures, result))
    outputs.write_json(figures)
    estimates = racket_estimates(vehicle, result, options.what or ("restitution", "align"))
    if estimates:
        source = source_text("ball", [(record.name, record.sha256)])
        outputs.write_vehicle(lambda: updated_vehicle(vehicle, estimates, {}, source))
    else:
        outputs.refuse_vehicle()
    outputs.say()
    return 0


def summary(vehicle: str, result: BallCalibration) -> dict[str, Any]:
    """The JSON of a ball's calibration."""
    from corvids.calibration.tables.table_fit import Prediction

    return {
        "vehicle": vehicle,
        "log": {"name": result.record.name, "sha256": result.record.sha256},
        "findings": [f"{one.signal}: {one.text}" for one in result.record.findings],
        "flights": len(result.flights.time_s),
        "hits": len(result.hits),
        "other_bounces": result.hits.others,
        "position_noise_m": result.flights.noise_m,
        "figures": figures_of(result.figures),
        "prediction": prediction_of(
            Prediction("position in flight [m]", result.flights.rms_m, result.flights.rms_left_out_m)
        ),
        "restitution_over_radius": [dataclasses.asdict(ring) for ring in result.rings],
        "racket_normal_b": None if result.normal_b is None else result.normal_b.tolist(),
    }


def _page(figures: dict[str, Any], result: BallCalibration) -> bytes:
    rows = [
        (name, f"{one['value']:.4g}", f"{one['std']:.2g}", "")
        if one["identified"]
        else (name, "–", "–", f"refused: {one['reason']}")
        for name, one in figures["figures"].items()
    ]
    parts = [
        table_html(("figure", "value", "standard deviation", ""), rows),
        prediction_html(figures["prediction"]),
    ]
    if figures["findings"]:
        parts.append(f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in figures['findings'])}</ul>")
    if result.rings:
        parts.append(figure_html(_map(result), "Restitution of each hit, and its mean in rings of 1 cm."))
    parts.append(figure_html(_residuals(result), "Measured positions about the fitted flights."))
    return page(f"ball and racket of {figures['vehicle']}", f"from {result.record.name}", "".join(parts))


def _map(result: BallCalibration) -> str:
    figure, axes = canvas()
    aside = np.linalg.norm(result.hits.centre_b_m[:, :2], axis=-1)
    axes.plot(100.0 * aside, result.restitutions, ".", color=ACCENT)
    middle = [50.0 * (ring.inner_m + ring.outer_m) for ring in result.rings]
    axes.errorbar(
        middle, [ring.mean for ring in result.rings], [ring.std for ring in result.rings], color=INK, fmt="o-"
    )
    axes.set(xlabel="distance from the middle of the racket [cm]", ylabel="restitution")
    return svg_of(figure)


def _residuals(result: BallCalibration) -> str:
    figure, axes = canvas()
    for times, residual in zip(result.flights.time_s, result.flights.residual_m, strict=True):
        axes.plot(times, 1e3 * residual[:, 2], color=ACCENT, linewidth=0.8)
    axes.set(xlabel="time [s]", ylabel="height, measured − fitted [mm]")
    return svg_of(figure)
