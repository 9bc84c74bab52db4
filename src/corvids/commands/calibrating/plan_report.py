"""The page that stands beside a plan: what is flown when, set-points within their limits, and what the flight tells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corvids.commands.page import ACCENT, INK, SOFT, canvas, figure_html, page, svg_of, table_html
from corvids.deploy.setpoints import COLUMNS, Setpoints
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.commands.calibrating.plan_making import Plan

_AXES = ("#c92a2a", "#2b8a3e", ACCENT)
"""Colours of x, y and z."""


def write_plan_report(path: Path, plan: Plan) -> None:
    """Write the page of a plan."""
    setpoints, limits = plan.setpoints, plan.setpoints.limits
    parts = [
        _expected(plan),
        _manoeuvres(plan),
        figure_html(
            _drawn(setpoints),
            "Set-points: where the vehicle is asked to be, how fast that place moves, and what is added to the commands"
            " on top. Dashed: fence and largest speed.",
        ),
        figure_html(_paths(setpoints), "The places asked for, from above and from the side; dashed: fence."),
    ]
    about = (
        f"{setpoints.seconds:.0f} s at {setpoints.rate_hz:g} Hz, called back beyond {limits.speed_mps:g} m/s,"
        f" {math.degrees(limits.tilt_rad):.0f}° of tilt, or the fence"
    )
    write_whole(path, page(f"calibration flight of {setpoints.vehicle}", about, "".join(parts)))


def _expected(plan: Plan) -> str:
    rows = []
    for name, one in plan.design.expected.items():
        size = abs(one.value) or 1.0
        paid = f"{one.paid_by} ({100.0 * one.std_without / size:.2g} % without)" if one.paid_by else "–"
        told = "" if one.is_met else "not reached"
        rows.append(
            (
                name,
                f"{one.value:.5g}",
                f"{100.0 * one.std / size:.2g} %",
                f"{100.0 * one.target / size:.2g} %",
                paid,
                told,
            )
        )
    head = ("figure", "vehicle file", "expected ± (Cramér-Rao)", "target ±", "paid by", "")
    return table_html(head, rows)


def _manoeuvres(plan: Plan) -> str:
    rows = [
        (one.name, f"{one.begin_s:.1f} s", f"{one.end_s:.1f} s", f"{100.0 * plan.levels[one.name]:.0f} %")
        for one in plan.setpoints.manoeuvres
    ]
    table = table_html(("manoeuvre", "from", "until", "of full size"), rows)
    if plan.left_out:
        table += f"<p>Left out, as not even its smallest size stays within the limits: {', '.join(plan.left_out)}.</p>"
    return table


def _columns(setpoints: Setpoints, start: str) -> np.ndarray:
    """The columns whose names begin so, (T, k)."""
    return setpoints.array()[:, [index for index, name in enumerate(COLUMNS) if name.startswith(start)]]


def _drawn(setpoints: Setpoints) -> str:
    time_s = np.arange(len(setpoints.samples)) / setpoints.rate_hz
    figure, axes = canvas(rows=4, height=1.9)
    rows = (
        ("place", "place [m]"),
        ("vel", "velocity\n[m/s]"),
        ("rate", "rate added\n[rad/s]"),
        ("thrust", "thrust added\n[of weight]"),
    )
    for one, (start, label) in zip(axes, rows, strict=True):
        values = _columns(setpoints, start)
        for index, column in enumerate(values.T):
            color, name = (_AXES[index], "xyz"[index]) if values.shape[1] == 3 else (INK, None)
            one.plot(time_s, column, color=color, linewidth=1.0, label=name)
        for span in setpoints.manoeuvres:
            one.axvspan(span.begin_s, span.end_s, color=SOFT, alpha=0.25, linewidth=0.0)
        one.set(ylabel=label)
    limits = setpoints.limits
    for low, high, color in zip(limits.low_w_m, limits.high_w_m, _AXES, strict=True):
        for side in (low, high):
            axes[0].axhline(side, color=color, linewidth=0.8, linestyle="--", alpha=0.7)
    for side in (-1.0, 1.0):
        axes[1].axhline(side * limits.speed_mps, color=INK, linewidth=0.8, linestyle="--")
    for span in setpoints.manoeuvres:
        middle = 0.5 * (span.begin_s + span.end_s)
        axes[0].annotate(
            span.name.replace(" ", "\n", 1),
            (middle, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7,
        )
    axes[0].legend(frameon=False, loc="lower left", fontsize=8)
    axes[-1].set(xlabel="time [s]")
    return svg_of(figure)


def _paths(setpoints: Setpoints) -> str:
    place, limits = _columns(setpoints, "place"), setpoints.limits
    figure, axes = canvas(columns=2, height=3.6)
    for one, (across, up) in zip(axes, ((0, 1), (0, 2)), strict=True):
        one.plot(place[:, across], place[:, up], color=ACCENT, linewidth=1.0)
        one.plot(*place[0, [across, up]], "o", color=INK, markersize=4)
        low, high = np.array(limits.low_w_m)[[across, up]], np.array(limits.high_w_m)[[across, up]]
        fence = np.array([low, (high[0], low[1]), high, (low[0], high[1]), low])
        one.plot(*fence.T, color=INK, linewidth=0.8, linestyle="--")
        one.set(xlabel=f"{'xyz'[across]} [m]", ylabel=f"{'xyz'[up]} [m]", aspect="equal")
    return svg_of(figure)
