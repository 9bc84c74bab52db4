"""Plots of a flight's page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corvids.commands.flying.replay import Compared
from corvids.commands.page import ACCENT, INK, SOFT, canvas, svg_of
from corvids.deploy.flight_log import FlightLog

POINTS_MAX = 4000
"""A curve has no more points than a screen can show."""
SHOWN = 6


def heights(log: FlightLog) -> tuple[str, str]:
    """Heights of vehicle and ball, commanded thrust and tilt; shaded where the policy flies."""
    every = max(1, len(log.now_s) // POINTS_MAX)
    time_s = (log.now_s - log.now_s[0])[::every]
    _, x, y, _ = np.nan_to_num(log.seen["quat_wb"].T)
    tilt_deg = np.degrees(np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)))[::every]
    figure, axes = canvas(rows=2)
    axes[0].plot(time_s, log.seen["ball_pos_w"][::every, 2], color=ACCENT, label="ball")
    axes[0].plot(time_s, log.seen["pos_w"][::every, 2], color=INK, label="vehicle")
    axes[0].set(ylabel="height [m]")
    axes[1].plot(time_s, log.thrust_n[::every], color=ACCENT, label="commanded thrust [N]")
    axes[1].plot(time_s, tilt_deg, color=INK, label="tilt [°]")
    axes[1].set(xlabel="time [s]")
    flies = np.array([state == "POLICY" for state in log.state])[::every]
    for one in axes:
        low, high = one.get_ylim()
        one.fill_between(time_s, low, high, where=flies, color=SOFT, alpha=0.35, linewidth=0.0)
        one.legend(frameon=False, loc="upper right", ncols=2)
    return svg_of(figure), "The flight; shaded: by the policy."


def latencies(measured_ms: dict[str, NDArray[np.float64]]) -> tuple[str, str]:
    """A histogram for each; the last bin holds everything beyond the 99.5th percentile."""
    shown = {name: values for name, values in measured_ms.items() if len(values)}
    figure, axes = canvas(rows=(len(shown) + 1) // 2, columns=2, height=2.0, sharex=False)
    for one, (name, values) in zip(np.atleast_1d(axes).flat, shown.items(), strict=False):
        top = max(float(np.percentile(values, 99.5)), 1e-3)
        one.hist(np.minimum(values, top), bins=50, color=SOFT, edgecolor=ACCENT, linewidth=0.5)
        one.set(xlabel=f"{name} [ms]", ylabel="ticks", yscale="log")
    return svg_of(figure), "Histograms of all ticks, on a logarithmic scale."


def inputs_figure(compared: list[Compared]) -> tuple[str, str]:
    """Distributions of the inputs that differ most."""
    figure, axes = canvas(rows=(min(len(compared), SHOWN) + 1) // 2, columns=2, height=2.0, sharex=False)
    for one, pair in zip(np.atleast_1d(axes).flat, compared, strict=False):
        both = np.concatenate((pair.flight, pair.simulation))
        low, high = np.percentile(both, (0.5, 99.5))
        bins = np.linspace(low, max(high, low + 1e-6), 40)
        one.hist(np.clip(pair.simulation, low, high), bins, density=True, color=SOFT, label="simulation")
        flight = np.clip(pair.flight, low, high)
        one.hist(flight, bins, density=True, histtype="step", color=INK, label="flight")
        one.set(xlabel=pair.name, yticks=[])
    figure.axes[0].legend(frameon=False)
    return svg_of(figure), "The inputs that differ most: flight (line) and simulation (area)."
