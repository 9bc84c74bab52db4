"""How late one signal is after another: cross-correlation, refined below the sampling interval.

Both signals are resampled onto one fine time base and differentiated, so that constant and slow parts do not count. The
peak of their correlation is refined by a parabola through it and its neighbours, and then by least squares; the error
bar is by how pieces of the recording pull at the delay.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import CubicSpline

from corvids.calibration.readers.csv_table import Table
from corvids.calibration.statistics.covariance import student
from corvids.calibration.statistics.estimates import GroupEstimate
from corvids.calibration.tables.table_fit import Curve, Prediction, TableFit
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

REQUIRED, OPTIONAL = ("time_s", "first_1", "second_1"), ("second_time_s",)
MAX_DELAY_S = 0.5
"""Delays are looked for within plus and minus this."""
PIECES = 10
"""Parts that the recording is cut into for the error bar."""
LEAST_CORRELATION = 0.5
"""Below this the two signals have too little in common."""


def fit_latency(vehicle: Vehicle, table: Table) -> TableFit:
    """Delay of ``second_1`` after ``first_1``. ``second_time_s``: its own clock's time stamps, else ``time_s``."""
    del vehicle
    (time_a, first), (time_b, second) = _signals(table)
    dt_s = 0.5 * float(min(np.median(np.diff(time_a)), np.median(np.diff(time_b))))
    begin, end = max(time_a[0], time_b[0]), min(time_a[-1], time_b[-1])
    if end - begin < 4.0 * MAX_DELAY_S + PIECES * 0.2:
        raise CorvidsError(
            f"{table.name}: the signals overlap for {max(end - begin, 0.0):.2g} s;"
            f" {4.0 * MAX_DELAY_S + PIECES * 0.2:g} s are needed"
        )
    grid = np.arange(begin, end, dt_s)
    a, b = (np.diff(_smooth(CubicSpline(t, x)(grid))) for t, x in ((time_a, first), (time_b, second)))
    lags = np.arange(-round(MAX_DELAY_S / dt_s), round(MAX_DELAY_S / dt_s) + 1)
    whole = _correlation(a, b, lags)
    peak = int(np.argmax(np.abs(whole)))
    curve = Curve("Correlation over delay", "delay [s]", "correlation", lags * dt_s, whole, whole)
    moves = "move it in several directions with changing speed for half a minute"
    if abs(whole[peak]) < LEAST_CORRELATION or peak in (0, len(lags) - 1):
        reason = f"the signals correlate by {abs(whole[peak]):.2f} at most; {moves}"
        return TableFit({"delay_s": GroupEstimate(None, None, False, reason)}, {}, curve)
    value = dt_s * _refined(lags, whole, peak)
    near = lags[max(0, peak - 40) : peak + 41]
    near = near[np.abs(near) < len(a) // (2 * PIECES)]
    parts = []
    for piece_a, piece_b in zip(np.array_split(a, PIECES), np.array_split(b, PIECES), strict=True):
        piece = _correlation(piece_a, piece_b, near)
        top = int(np.argmax(np.abs(piece))) if len(near) else 0
        if 0 < top < len(piece) - 1 and abs(piece[top]) > LEAST_CORRELATION:
            parts.append(dt_s * _refined(near, piece, top))
    if len(parts) < PIECES // 2:
        reason = f"only {len(parts)} of {PIECES} pieces of the recording show a delay; {moves}"
        return TableFit({"delay_s": GroupEstimate(value, None, False, reason)}, {}, curve)
    value, std = (dt_s * one for one in _settled(a, b, value / dt_s))
    good = std < 0.005
    reason = "" if good else f"{value:.3g} ± {std:.2g} s is too uncertain; {moves}"
    off = np.array(parts) - np.mean(parts)
    rms = float(np.sqrt(np.mean(off**2)))
    # Of each piece from the mean of the others.
    prediction = Prediction("delay of a piece [s]", rms, rms * len(parts) / (len(parts) - 1))
    return TableFit({"delay_s": GroupEstimate(float(value), std, good, reason)}, {}, curve, prediction)


def _signals(table: Table) -> list[tuple[np.ndarray, np.ndarray]]:
    own = table.columns.get("second_time_s", table.columns["time_s"])
    found = []
    for name, time in (("first_1", table.columns["time_s"]), ("second_1", own)):
        values = table.columns[name]
        good = np.isfinite(time) & np.isfinite(values)
        time, values = time[good], values[good]
        fresh = (
            np.concatenate(([True], np.diff(np.maximum.accumulate(time)) > 0.0))
            if len(time)
            else np.zeros(0, bool)
        )
        if fresh.sum() < 50:
            raise CorvidsError(
                f"{table.name}: {name} has {int(fresh.sum())} samples with rising time; 50 are needed"
            )
        if np.ptp(values[fresh]) == 0.0:
            raise CorvidsError(f"{table.name}: {name} is constant at {values[0]:g}: no delay can show")
        found.append((time[fresh], values[fresh]))
    return found


def _smooth(values: np.ndarray) -> np.ndarray:
    """A binomial filter over five samples: symmetric, so that it delays nothing. Two at either end are lost.

    Were zeros put beyond the ends, both signals would jump there, and the jumps would correlate without a delay.
    """
    return np.convolve(values, np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0, mode="valid")


def _correlation(a: np.ndarray, b: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Normalised correlation of a(t) with b(t + lag)."""
    length = len(a) + len(b)
    product = np.fft.irfft(
        np.conj(np.fft.rfft(a - a.mean(), length)) * np.fft.rfft(b - b.mean(), length), length
    )
    scale = np.sqrt(((a - a.mean()) ** 2).sum() * ((b - b.mean()) ** 2).sum())
    return product[lags % length] / max(float(scale), 1e-300)


def _settled(a: np.ndarray, b: np.ndarray, lag: float) -> tuple[float, float]:
    """The delay of b after a by least squares from ``lag`` on, and its standard deviation [samples].

    The latter is by how pieces of the recording pull at the delay. The delays of single pieces scatter by more, for
    each piece has ends of its own.
    """
    index, smooth = np.arange(len(a)), CubicSpline(np.arange(len(a)), a)
    inner = slice(math.ceil(abs(lag)) + 4, len(a) - math.ceil(abs(lag)) - 4)
    slope_b = np.gradient(b)[inner]
    bend, pull = 1.0, np.zeros(0)
    for step in range(4):
        late = smooth(index[inner] - lag)
        gain = float(late @ b[inner] / (late @ late))
        slope = gain * smooth(index[inner] - lag, 1)
        # Noise of both signals is in the square of one's slope, but not in the product of both.
        bend, pull = max(float(slope @ slope_b), 1e-300), slope * (b[inner] - gain * late)
        if step < 3:
            lag -= float(np.clip(pull.sum() / bend, -1.0, 1.0))
    pulls = np.array([part.sum() for part in np.array_split(pull, PIECES)])
    wider = float(student(PIECES - 1.0)) * math.sqrt(PIECES / (PIECES - 1.0))
    return lag, wider * float(np.sqrt((pulls**2).sum())) / bend


def _refined(lags: np.ndarray, values: np.ndarray, peak: int) -> float:
    """The lag at the top of the parabola through the peak and its neighbours."""
    left, top, right = np.abs(values[peak - 1 : peak + 2])
    bend = left - 2.0 * top + right
    return float(lags[peak] + (0.5 * (left - right) / bend if bend < 0.0 else 0.0))
