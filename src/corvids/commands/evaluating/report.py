"""The page that stands beside an evaluation's JSON: one HTML file with its plots inside."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from corvids.commands.page import ACCENT, INK, SOFT, canvas, figure_html, page, svg_of
from corvids.envs.plants.conditions import APEX_M
from corvids.whole_files import write_whole


def write_report(
    path: Path, result: dict[str, Any], verdict: Any, flight: dict[str, np.ndarray] | None
) -> None:
    """Write the page of an evaluation.

    ``result`` is what the JSON holds, ``verdict`` the referee's; ``flight`` is the first trial, sampled at the control
    rate: ``time_s`` (t,), ``ball_z_m`` (t,), ``vehicle_z_m`` (t,), ``tilt_deg`` (t,), ``thrust_n`` (t,).
    """
    title = f"{result['task']} · {result['condition']} · {result['plant']}"
    trials = result["trials"]
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td class=n>{_figure(value)}</td></tr>"
        for name, value in result["summary"].items()
    )
    figures = [_survival(trials), _apexes(verdict)]
    if flight is not None and len(flight["time_s"]) > 1:
        figures.append(_timeline(flight))
    table = f"<table>{rows}</table>"
    body = table + "".join(figure_html(svg, caption) for svg, caption in figures)
    subtitle = f"{len(trials)} trials, seed {result['seed']}, policy {Path(result['policy']).name}"
    write_whole(path, page(title, subtitle, body))


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def _survival(trials: list[dict[str, Any]]) -> tuple[str, str]:
    """Share of trials still going after each number of hits, over all trials (those that a limit ended included)."""
    hits = np.sort([trial["hits"] for trial in trials])
    share = 1.0 - np.arange(len(hits)) / len(hits)
    figure, axes = canvas()
    axes.step(np.concatenate(([0], hits)), np.concatenate(([1.0], share)), where="pre", color=ACCENT)
    axes.set(xlabel="counted hits", ylabel="share of trials", ylim=(0, 1.05))
    axes.set_xlim(left=0)
    return svg_of(figure), "Share of the trials that reached this many hits (trials end at their limit, too)."


def _apexes(verdict: Any) -> tuple[str, str]:
    errors = 100.0 * (np.concatenate([np.asarray(a) for a in verdict.apexes_m] or [np.zeros(0)]) - APEX_M)
    places = 100.0 * np.concatenate([np.asarray(a) for a in verdict.place_errors_m] or [np.zeros(0)])
    figure, (left, right) = canvas(columns=2)
    left.hist(errors, bins=60, color=SOFT, edgecolor=ACCENT, linewidth=0.5)
    left.axvline(0.0, color=INK, linewidth=0.8)
    left.set(xlabel="apex minus command [cm]", ylabel="hits")
    right.hist(places, bins=60, color=SOFT, edgecolor=ACCENT, linewidth=0.5)
    right.set(xlabel="vehicle's distance from its place at impact [cm]")
    return svg_of(figure), "Apex error and place error of every counted hit."


def _timeline(flight: dict[str, np.ndarray]) -> tuple[str, str]:
    shown = flight["time_s"] <= 12.0
    time_s = flight["time_s"][shown]
    figure, axes = canvas(rows=2)
    axes[0].plot(time_s, flight["ball_z_m"][shown], color=ACCENT, label="ball")
    axes[0].plot(time_s, flight["vehicle_z_m"][shown], color=INK, label="vehicle")
    axes[0].set(ylabel="height [m]")
    axes[0].legend(frameon=False, loc="upper right", ncols=2)
    axes[1].plot(time_s, flight["thrust_n"][shown], color=ACCENT, label="collective thrust [N]")
    axes[1].plot(time_s, flight["tilt_deg"][shown], color=INK, label="tilt [°]")
    axes[1].set(xlabel="time [s]")
    axes[1].legend(frameon=False, loc="upper right", ncols=2)
    return svg_of(figure), "The first seconds of the first trial."
