"""The page that stands beside a calibration: figures, prediction before and after, residuals, correlation."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from corvids.calibration.flight.calibration import Calibration
from corvids.calibration.flight.fit import FlightFit
from corvids.calibration.flight.model import CHANNELS, row_channels
from corvids.calibration.statistics.covariance import autocovariance
from corvids.commands.calibrating.outputs import identifiability_html, residuals_html
from corvids.commands.page import (
    ACCENT,
    INK,
    SOFT,
    canvas,
    correlation_svg,
    figure_html,
    page,
    svg_of,
    table_html,
)
from corvids.whole_files import write_whole

_UNITS = {"gyro": "rad/s", "accel": "m/s²", "velocity": "m/s", "attitude": "rad"}


def write_calibration_report(path: Path, figures: dict[str, Any], result: Calibration) -> None:
    """Write the page. ``figures`` is what the JSON holds."""
    logs = ", ".join(log["name"] for log in figures["logs"])
    parts = [_groups(figures), _parameters(figures), _findings(figures)]
    if result.fit is not None:
        parts += [
            figure_html(
                _prediction(result.fit), "One piece of flight: measured, and predicted from motor commands."
            ),
            residuals_html(result.fit.noise, result.fit.left_out, _UNITS, result.fit.noise_before),
            figure_html(
                _autocorrelation(result.fit),
                "Autocorrelation of the residuals, which the error bars take into account.",
            ),
            identifiability_html(figures["fit"]["unknowns"]),
            figure_html(
                correlation_svg(result.fit.covariance, result.fit.names), "Correlation of the estimates."
            ),
        ]
    title = f"calibration of {figures['vehicle']}"
    write_whole(path, page(title, f"from {logs}", "".join(parts)))


def _groups(figures: dict[str, Any]) -> str:
    rows = [
        (name, f"{one['value']:.5g}", f"{one['std']:.2g}", "")
        if one["identified"]
        else (name, "–", "–", f"refused: {one['reason']}")
        for name, one in figures["groups"].items()
    ]
    return table_html(("figure", "value", "standard deviation", ""), rows)


def _parameters(figures: dict[str, Any]) -> str:
    if not figures["parameters"]:
        return "<p>No number of the vehicle file is changed.</p>"
    rows = [
        (where, _rounded(one["before"]), _rounded(one["value"]), _rounded(one["std"]), one["unit"])
        for where, one in figures["parameters"].items()
    ]
    return table_html(("vehicle file", "before", "now", "standard deviation", "unit"), rows)


def _rounded(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_rounded(one) for one in value)
    return "–" if value is None else f"{value:.4g}"


def _findings(figures: dict[str, Any]) -> str:
    found = [f"{log['name']}: {text}" for log in figures["logs"] for text in log["findings"]] + figures[
        "notes"
    ]
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in found)}</ul>" if found else ""


def _prediction(fit: FlightFit) -> str:
    """Measured and predicted rates and vertical specific force of the piece with the liveliest rates."""
    pieces = fit.segments
    chosen = int(np.argmax(pieces.gyro_b.std(axis=1).sum(axis=-1)))
    time_s = pieces.start_s[chosen] + pieces.dt_s * np.arange(1, pieces.gyro_b.shape[1] + 1)
    rows = row_channels(pieces)
    figure, axes = canvas(rows=4, height=1.7)
    signals = [(f"gyro {axis}", pieces.gyro_b[chosen, :, k]) for k, axis in enumerate("xyz")]
    signals.append(("accel z", pieces.accel_b[chosen, :, 2]))
    for one, (name, measured) in zip(axes, signals, strict=True):
        predicted = measured + fit.residuals[chosen, rows[CHANNELS.index(name)]]
        one.plot(time_s, measured, color=SOFT, linewidth=3.0, label="measured")
        one.plot(time_s, predicted, color=INK, linewidth=1.2, label="predicted")
        one.set(ylabel=f"{name}\n[{_UNITS[name.split()[0]]}]")
    axes[0].legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.95), ncols=2)
    axes[-1].set(xlabel="time since the start of the log [s]")
    return svg_of(figure)


def _autocorrelation(fit: FlightFit) -> str:
    figure, axes = canvas()
    rows = row_channels(fit.segments)
    for name, color in (("gyro x", ACCENT), ("accel z", INK), ("velocity x", "#e67700")):
        covariance = autocovariance(fit.residuals[:, rows[CHANNELS.index(name)]])
        step = fit.segments.gyro_b.shape[1] / (
            rows[CHANNELS.index(name)].stop - rows[CHANNELS.index(name)].start
        )
        lags = fit.segments.dt_s * step * np.arange(len(covariance))
        axes.plot(lags, covariance / covariance[0], color=color, label=name)
    axes.set(xlabel="lag [s]", ylabel="autocorrelation")
    axes.legend(frameon=False)
    return svg_of(figure)
