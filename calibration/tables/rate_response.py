"""How a body rate follows its setpoint: bandwidth, damping and dead time of the closed rate loop, from a log of both.

Model, exact between samples of a setpoint that is held: ``ω̈ = ωn²·(g·ω_set(t - d) - ω) - 2ζωn·ω̇``, plus an offset. The
bandwidth is where that low-pass has lost 3 dB; the dead time is what the loop delays besides, from a setpoint's time
stamp on. Error bars are those of a loop that is such a low-pass: what a real one does besides (an integrator, a notch,
saturation) is not in them.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import expm
from scipy.signal import lfilter

from corvids.calibration.readers.csv_table import Table
from corvids.calibration.statistics.estimates import GroupEstimate
from corvids.calibration.tables.table_fit import Curve, TableFit, robust_fit
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

REQUIRED, OPTIONAL = ("time_s", "setpoint_radps", "rate_radps"), ()
LEAST_SAMPLES = 200
"""Fewer are not fitted."""
LEAST_SPAN_RADPS = 0.2
"""The setpoint must span at least so much."""
MAX_DELAY_S = 0.2
"""Longer dead times are not looked for."""
SETTLE_S = 0.3
"""What the rate did before the log began has died away by then."""
_FREQUENCIES, _DELAYS_S = (12.0, 25.0, 50.0, 100.0), (0.0025, 0.01, 0.02, 0.04, 0.07)
"""Natural frequencies [rad/s] and dead times that a fit may begin with."""
_MOVES = "fly a multi-sine of that rate up to 5 Hz and beyond for 20 s, logged at 100 Hz or more"


def fit_rate_loop(vehicle: Vehicle, table: Table) -> TableFit:
    """Fit a log of one axis: time [s], commanded and measured body rate [rad/s]."""
    del vehicle
    dt_s, setpoint, rate = _series(table)
    time_s = dt_s * np.arange(len(rate))
    names = ("bandwidth_radps", "damping", "delay_s", "gain")
    span = float(np.ptp(setpoint))
    if span < LEAST_SPAN_RADPS:
        reason = f"the setpoint spans {span:.2g} rad/s, less than {LEAST_SPAN_RADPS}; {_MOVES}"
        return TableFit(
            {name: GroupEstimate(None, None, False, reason) for name in names}, {}, _curve(time_s, rate, rate)
        )
    counted = time_s >= SETTLE_S

    def residual(x: np.ndarray) -> np.ndarray:
        return (respond(setpoint, dt_s, x) - rate)[counted]

    # The squares of the residuals have several minima in the dead time: begin in the deepest.
    starts = [np.array([math.log(f), math.log(0.7), d, 1.0, 0.0]) for f in _FREQUENCIES for d in _DELAYS_S]
    start = min(starts, key=lambda x: float(np.sum(residual(x) ** 2)))
    scale = np.array([0.5, 0.5, 0.01, 0.3, 0.1 * span])
    solution = robust_fit(residual, start, scale, blocks=20)
    x, covariance = solution.x, solution.covariance
    x[2] = abs(x[2])
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    bandwidth, slopes = _bandwidth(x[0], x[1])
    damping = math.exp(x[1])
    spread = math.sqrt(max(float(slopes @ covariance[:2, :2] @ slopes), 0.0))
    found = {
        "bandwidth_radps": (bandwidth, spread, 0.2 * bandwidth),
        "damping": (damping, damping * float(error[1]), 0.3 * damping),
        "delay_s": (float(x[2]), float(error[2]), 0.005),
        "gain": (float(x[3]), float(error[3]), 0.1),
    }
    fitted = respond(setpoint, dt_s, x)
    explained = 1.0 - float(np.var((fitted - rate)[counted]) / np.var(rate[counted]))
    figures = {}
    for name, (value, std, most) in found.items():
        reason = ""
        if explained < 0.5:
            reason = f"the setpoint explains {100.0 * max(explained, 0.0):.0f} % of the rate only; {_MOVES}"
        elif not 0.0 < x[2] < MAX_DELAY_S:
            reason = f"no dead time within {MAX_DELAY_S:g} s fits; {_MOVES}"
        elif not std < most:
            reason = f"{value:.3g} ± {std:.2g} is too uncertain; {_MOVES}"
        figures[name] = GroupEstimate(value, std, not reason, reason)
    return TableFit(figures, {}, _curve(time_s, rate, fitted), solution.predicts("rate [rad/s]"))


def respond(setpoint: np.ndarray, dt_s: float, x: np.ndarray) -> np.ndarray:
    """The rate (T,) that follows a held ``setpoint`` (T,).

    ``x``: logarithms of natural frequency [ln rad/s] and damping ratio, dead time [s], gain, offset [rad/s]. Dead times
    of either sign are the same, so that a fit which steps beyond zero finds its way back.
    """
    frequency, damping = np.exp(np.clip(x[:2], (-2.0, -4.0), (7.0, 4.0)))
    late = min(abs(float(x[2])), MAX_DELAY_S) / dt_s
    whole = math.floor(late)
    # In each step the older setpoint holds for the first part, then the newer one.
    system = np.array([[0.0, 1.0], [-(frequency**2), -2.0 * damping * frequency]])
    newer = expm(system * ((1.0 - (late - whole)) * dt_s))
    step = expm(system * dt_s)
    column = np.array([1.0, 0.0])
    by_newer, by_older = column - newer @ column, (newer - step) @ column
    trace, determinant = np.trace(step), np.linalg.det(step)
    change = setpoint - setpoint[0]
    poles = [1.0, -trace, determinant]
    response = np.zeros(len(setpoint))
    for shift, given in ((whole + 1, by_newer), (whole + 2, by_older)):
        zeros = [given[0], (step @ given)[0] - trace * given[0]]
        heard = np.concatenate((np.zeros(shift), change))[: len(setpoint)]
        response += lfilter(zeros, poles, heard)
    return x[3] * (response + setpoint[0]) + x[4]


def _bandwidth(log_frequency: float, log_damping: float) -> tuple[float, np.ndarray]:
    """Where a second-order low-pass has lost 3 dB [rad/s], and its slopes by the two logarithms."""

    def at(damping: float) -> float:
        part = 1.0 - 2.0 * damping**2
        return math.sqrt(part + math.sqrt(part * part + 1.0))

    value = math.exp(log_frequency) * at(math.exp(log_damping))
    nudged = math.exp(log_frequency) * (at(math.exp(log_damping + 1e-5)) - at(math.exp(log_damping - 1e-5)))
    return value, np.array([value, nudged / 2e-5])


def _series(table: Table) -> tuple[float, np.ndarray, np.ndarray]:
    """Interval [s], setpoint and rate on a uniform time base; the setpoint is held, the rate interpolated."""
    time, setpoint, rate = (table.columns[name] for name in REQUIRED)
    known = np.isfinite(time)
    series = []
    for name, values in (("setpoint_radps", setpoint), ("rate_radps", rate)):
        good = known & np.isfinite(values)
        at, values = time[good], values[good]
        fresh = np.ones(len(at), bool)
        fresh[1:] = np.diff(np.maximum.accumulate(at)) > 0.0
        if fresh.sum() < LEAST_SAMPLES:
            raise CorvidsError(
                f"{table.name}: {name} has {int(fresh.sum())} samples with rising time; {LEAST_SAMPLES} are needed"
            )
        series.append((at[fresh], values[fresh]))
    (at_setpoint, setpoint), (at_rate, rate) = series
    for name, at in (("setpoint_radps", at_setpoint), ("rate_radps", at_rate)):
        gap = float(np.diff(at).max() / np.median(np.diff(at)))
        if gap > 20.0:
            raise CorvidsError(
                f"{table.name}: {name} has a gap of {gap:.0f} samples; cut the log there and fit the longer part"
            )
    dt_s = float(np.median(np.diff(at_rate)))
    begin, end = max(at_setpoint[0], at_rate[0]), min(at_setpoint[-1], at_rate[-1])
    if not end - begin > LEAST_SAMPLES * dt_s:
        raise CorvidsError(f"{table.name}: setpoint and rate overlap for {max(end - begin, 0.0):.2g} s only")
    grid = begin + dt_s * np.arange(int((end - begin) / dt_s))
    held = np.clip(np.searchsorted(at_setpoint, grid + 1e-9, "right") - 1, 0, len(setpoint) - 1)
    return dt_s, setpoint[held], np.interp(grid, at_rate, rate)


def _curve(time_s: np.ndarray, rate: np.ndarray, fitted: np.ndarray) -> Curve:
    return Curve("Body rate after its setpoint", "time [s]", "rate [rad/s]", time_s, rate, fitted)
