"""The page that stands beside an evaluation of carrying: one HTML file with its plots inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from corvids.commands.page import ACCENT, INK, SOFT, canvas, figure_html, page, svg_of, table_html
from corvids.envs.plants.team_referee import TeamVerdict
from corvids.whole_files import write_whole


def write_carry_report(path: Path, result: dict[str, Any], verdict: TeamVerdict) -> None:
    """Write the page; ``result`` is what the JSON holds."""
    rows = [(name, _figure(value)) for name, value in result["summary"].items()]
    ends: dict[str, int] = {}
    for trial in result["trials"]:
        ends[trial["end"]] = ends.get(trial["end"], 0) + 1
    figures = [_errors(verdict), _flight(verdict), _tensions(verdict)]
    body = table_html(("figure", "value"), rows)
    body += table_html(("end", "trials"), [(end, str(count)) for end, count in sorted(ends.items())])
    body += "".join(figure_html(svg, caption) for svg, caption in figures)
    title = f"{result['task']} · {result['team']} · {result['condition']} · {result['plant']}"
    subtitle = f"{len(result['trials'])} trials, seed {result['seed']}, policy {result['policy']}"
    write_whole(path, page(title, subtitle, body))


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return "–".join(_figure(part) for part in value)
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _errors(verdict: TeamVerdict) -> tuple[str, str]:
    """Median and middle 80 % of both errors over the trials still going."""
    figure, axes = canvas(rows=2)
    parts = ((100.0 * verdict.pos_error_m, "cm"), (np.degrees(verdict.att_error_rad), "°"))
    going = np.isfinite(verdict.pos_error_m).any(axis=1)
    for axis, (errors, unit) in zip(axes, parts, strict=True):
        low, middle, high = np.nanquantile(errors[going], (0.1, 0.5, 0.9), axis=1)
        axis.fill_between(verdict.time_s[going], low, high, color=SOFT)
        axis.plot(verdict.time_s[going], middle, color=ACCENT)
        axis.set(ylabel=f"load's error [{unit}]", ylim=(0.0, None))
    axes[1].set(xlabel="time [s]")
    return svg_of(
        figure
    ), "Distance and angle of the load from its goal: median, and the middle 80 % of trials."


def _flight(verdict: TeamVerdict) -> tuple[str, str]:
    figure, axes = canvas(columns=2)
    for axis, (x, y) in zip(axes, ((0, 1), (0, 2)), strict=True):
        for member in verdict.members_pos_w.transpose(1, 0, 2):
            axis.plot(member[:, x], member[:, y], color=SOFT, linewidth=1.0)
        axis.plot(verdict.load_pos_w[:, x], verdict.load_pos_w[:, y], color=ACCENT, label="load")
        axis.plot(
            verdict.goal_pos_w[:, x], verdict.goal_pos_w[:, y], color=INK, linewidth=0.8, marker=".", label="goal"
        )  # fmt: skip
        axis.set(xlabel="x [m]", ylabel=f"{'xyz'[y]} [m]", aspect="equal")
    axes[0].legend(frameon=False)
    return svg_of(figure), "The first trial from above and from the side: load, its goal, members."


def _tensions(verdict: TeamVerdict) -> tuple[str, str]:
    figure, axes = canvas()
    axes.plot(verdict.time_s, verdict.tension_n, linewidth=0.9)
    axes.set(xlabel="time [s]", ylabel="tension [N]")
    return svg_of(figure), "Tension of every cable in the first trial."
