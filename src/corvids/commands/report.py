"""The page that stands beside an evaluation's JSON: one HTML file with its plots inside."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from corvids.commands.files import write_atomically
from corvids.envs.conditions import APEX_M

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}
h1{margin-bottom:0} .sub{color:#5b6b7a;margin-top:.2rem} table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid #dde4ea}
td.n{text-align:right;font-variant-numeric:tabular-nums} figure{margin:1.5rem 0} figcaption{color:#5b6b7a}
svg{max-width:100%;height:auto}
"""
_INK, _ACCENT, _SOFT = "#1b2733", "#0b7285", "#a5d8dd"


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
    body = "".join(f"<figure>{svg}<figcaption>{caption}</figcaption></figure>" for svg, caption in figures)
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p class=sub>{len(trials)} trials, seed {result['seed']}, policy "
        f"{html.escape(Path(result['policy']).name)}</p><table>{rows}</table>{body}</html>\n"
    )
    write_atomically(path, page.encode())


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


def _survival(trials: list[dict[str, Any]]) -> tuple[str, str]:
    """Share of trials still going after each number of hits, over all trials (those that a limit ended included)."""
    hits = np.sort([trial["hits"] for trial in trials])
    share = 1.0 - np.arange(len(hits)) / len(hits)
    figure, axes = _canvas()
    axes.step(np.concatenate(([0], hits)), np.concatenate(([1.0], share)), where="pre", color=_ACCENT)
    axes.set(xlabel="counted hits", ylabel="share of trials", ylim=(0, 1.05))
    axes.set_xlim(left=0)
    return _svg(figure), "Share of the trials that reached this many hits (trials end at their limit, too)."


def _apexes(verdict: Any) -> tuple[str, str]:
    errors = 100.0 * (np.concatenate([np.asarray(a) for a in verdict.apexes_m] or [np.zeros(0)]) - APEX_M)
    places = 100.0 * np.concatenate([np.asarray(a) for a in verdict.place_errors_m] or [np.zeros(0)])
    figure, (left, right) = _canvas(columns=2)
    left.hist(errors, bins=60, color=_SOFT, edgecolor=_ACCENT, linewidth=0.5)
    left.axvline(0.0, color=_INK, linewidth=0.8)
    left.set(xlabel="apex minus command [cm]", ylabel="hits")
    right.hist(places, bins=60, color=_SOFT, edgecolor=_ACCENT, linewidth=0.5)
    right.set(xlabel="vehicle's distance from its place at impact [cm]")
    return _svg(figure), "Apex error and place error of every counted hit."


def _timeline(flight: dict[str, np.ndarray]) -> tuple[str, str]:
    shown = flight["time_s"] <= 12.0
    time_s = flight["time_s"][shown]
    figure, axes = _canvas(rows=2)
    axes[0].plot(time_s, flight["ball_z_m"][shown], color=_ACCENT, label="ball")
    axes[0].plot(time_s, flight["vehicle_z_m"][shown], color=_INK, label="vehicle")
    axes[0].set(ylabel="height [m]")
    axes[0].legend(frameon=False, loc="upper right", ncols=2)
    axes[1].plot(time_s, flight["thrust_n"][shown], color=_ACCENT, label="collective thrust [N]")
    axes[1].plot(time_s, flight["tilt_deg"][shown], color=_INK, label="tilt [°]")
    axes[1].set(xlabel="time [s]")
    axes[1].legend(frameon=False, loc="upper right", ncols=2)
    return _svg(figure), "The first seconds of the first trial."


def _canvas(rows: int = 1, columns: int = 1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=rows > 1)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
    return figure, axes


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
