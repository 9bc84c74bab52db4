"""How a motion-capture marker frame sits on the body, and how far its clock is off, from rates that both saw.

The gyroscope feels ``gyro_b(t) = turn · omega_m(t + offset) + bias``, where ``omega_m`` are the rates of the markers'
frame in its own axes, from its attitudes. The offset is found by cross-correlation of the rates' magnitudes, which no
rotation changes, and refined with the rest by least squares.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from corvids.calibration.readers.record import Channel
from corvids.calibration.statistics.covariance import left_out_rms
from corvids.calibration.statistics.estimates import GroupEstimate
from corvids.calibration.tables.table_fit import Prediction
from corvids.errors import CorvidsError

WINDOW_S = 0.06
"""Attitudes are differentiated by parabolas over so long; the gyroscope is smoothed alike."""
RATE_HZ = 200.0
"""Both are compared at this rate."""
MAX_OFFSET_S = 60.0
"""Clocks may differ by so much."""
PIECES = 20
"""Parts of the recording whose scatter says how uncertain the result is."""
LARGEST_STD_RAD = 0.01
"""Of an angle that counts as identified."""
LEAST_CORRELATION = 0.5
_MOVE = "turn the vehicle about every axis by 1 rad/s or more, to and fro, for half a minute"


@dataclasses.dataclass(frozen=True)
class MarkerAlignment:
    """What two recordings of one motion tell."""

    figures: dict[str, GroupEstimate]
    """``marker_turn_[xyz]_rad``: rotation vector from the markers' axes to the body's (FLU); ``clock_offset_s``: added
    to the gyroscope's time it gives motion capture's."""
    time_s: np.ndarray
    """Shape (n,): the gyroscope's times at which both are compared."""
    measured: np.ndarray
    """Shape (n, 3): rates [rad/s] of the gyroscope."""
    fitted: np.ndarray
    """Shape (n, 3): of the markers, turned."""
    prediction: Prediction


def fit_markers(gyro_b: Channel, pose: Channel) -> MarkerAlignment:
    """Align ``pose`` (n, 7) with the gyroscope; raises :class:`CorvidsError` where they share no motion."""
    marker_time, omega_m = _marker_rates(pose)
    width = max(5, 2 * round(0.5 * WINDOW_S / gyro_b.interval_s) + 1)
    if len(gyro_b.time_s) <= width:
        raise CorvidsError(f"{gyro_b.topic}: only {len(gyro_b.time_s)} samples of the gyroscope")
    smooth = np.asarray(savgol_filter(gyro_b.values, width, 2, axis=0))
    start_s = _coarse_offset(gyro_b.time_s, smooth, marker_time, omega_m)
    begin = max(gyro_b.time_s[0], marker_time[0] - start_s) + 0.2
    end = min(gyro_b.time_s[-1], marker_time[-1] - start_s) - 0.2
    if end - begin < 5.0:
        raise CorvidsError(
            f"{pose.topic}: shares {max(end - begin, 0.0):.1f} s with the flight; 5 s are needed"
        )
    time = np.arange(begin, end, 1.0 / RATE_HZ)
    felt = np.stack([np.interp(time, gyro_b.time_s, one) for one in smooth.T], -1)

    # Smooth between samples: at the corners of straight pieces a shift's slope would be that of one side.
    seen_at = CubicSpline(marker_time, omega_m)

    def seen(offset_s: float) -> np.ndarray:
        return seen_at(np.clip(time + offset_s, marker_time[0], marker_time[-1]))

    turn = Rotation.align_vectors(felt, seen(start_s))[0]

    def residual(x: np.ndarray) -> np.ndarray:
        return (felt - (turn * Rotation.from_rotvec(x[:3])).apply(seen(start_s + x[6])) - x[3:6]).ravel()

    scale = max(float(1.4826 * np.median(np.abs(residual(np.zeros(7))))), 1e-6)
    found = least_squares(
        residual, np.zeros(7), loss="soft_l1", f_scale=3.0 * scale, x_scale=[0.01] * 6 + [0.001]
    )
    std = _scatter(found.fun, found.jac)
    turn = turn * Rotation.from_rotvec(found.x[:3])
    figures = {}
    # A small turn on top of the whole one: its errors are those of the rotation vector where that is small itself.
    for axis, value, spread in zip("xyz", turn.as_rotvec(), std[:3], strict=True):
        good = bool(spread < LARGEST_STD_RAD)
        reason = "" if good else f"{value:.2g} ± {spread:.2g} rad is too uncertain; {_MOVE}"
        figures[f"marker_turn_{axis}_rad"] = GroupEstimate(float(value), float(spread), good, reason)
    figures["clock_offset_s"] = GroupEstimate(
        float(start_s + found.x[6]), float(std[6]), bool(std[6] < 0.005)
    )
    if not figures["clock_offset_s"].identified:
        figures["clock_offset_s"] = dataclasses.replace(figures["clock_offset_s"], reason=_MOVE)
    prediction = Prediction(
        "rate [rad/s]", float(np.sqrt(np.mean(found.fun**2))), left_out_rms(found.fun, found.jac, PIECES)
    )
    return MarkerAlignment(figures, time, felt, felt - found.fun.reshape(-1, 3), prediction)


def _marker_rates(pose: Channel) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) and rates (n, 3) [rad/s], markers' axes, on the pose's median interval; gaps are bridged."""
    if len(pose.time_s) < 100:
        raise CorvidsError(f"{pose.topic}: only {len(pose.time_s)} poses; a fit needs seconds of flight")
    step = pose.interval_s
    time = np.arange(pose.time_s[0], pose.time_s[-1], step)
    quat = pose.values[:, 3:].copy()
    turns = np.sum(quat[1:] * quat[:-1], axis=-1) < 0.0
    quat *= np.where(np.cumsum(np.concatenate(([False], turns))) % 2, -1.0, 1.0)[:, None]
    even = np.stack([np.interp(time, pose.time_s, one) for one in quat.T], -1)
    width = max(5, 2 * round(0.5 * WINDOW_S / step) + 1)
    now, slope = (np.asarray(savgol_filter(even, width, 2, deriv=d, delta=step, axis=0)) for d in (0, 1))
    w, v, dw, dv = now[:, :1], now[:, 1:], slope[:, :1], slope[:, 1:]
    # omega_b = 2 · vector part of (conjugate(q) · dq/dt), of a quaternion of unit length
    return time, 2.0 * (w * dv - dw * v - np.cross(v, dv)) / np.sum(now * now, axis=-1, keepdims=True)


def _coarse_offset(time: np.ndarray, felt: np.ndarray, marker_time: np.ndarray, omega_m: np.ndarray) -> float:
    """The clocks' difference by the correlation of the rates' magnitudes, to a sample of ``RATE_HZ``."""
    step = 1.0 / RATE_HZ
    grids = [np.arange(one[0], one[-1], step) for one in (time, marker_time)]
    sizes = [
        np.interp(grid, one, np.linalg.norm(values, axis=-1))
        for grid, one, values in zip(grids, (time, marker_time), (felt, omega_m), strict=True)
    ]
    a, b = (one - one.mean() for one in sizes)
    length = len(a) + len(b)
    product = np.fft.irfft(np.conj(np.fft.rfft(a, length)) * np.fft.rfft(b, length), length)
    # Lag k pairs a(t) with b(t + k·step), counted from each grid's first time.
    lags = np.arange(-len(a) + 1, len(b))
    shift = lags * step + grids[1][0] - grids[0][0]
    allowed = np.abs(shift) < MAX_OFFSET_S
    if not allowed.any():
        raise CorvidsError(f"the clocks differ by more than {MAX_OFFSET_S:g} s")
    values = np.where(allowed, product[lags % length], -np.inf)
    best = int(np.argmax(values))
    scale = math.sqrt(float((a * a).sum() * (b * b).sum()))
    if not values[best] > LEAST_CORRELATION * scale * min(len(a), len(b)) / max(len(a), len(b)):
        raise CorvidsError(
            f"motion capture and gyroscope turn differently (correlation {values[best] / max(scale, 1e-12):.2f}):"
            f" are both of one flight? {_MOVE}"
        )
    return float(shift[best])


def _scatter(left: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Standard deviations (P,) from how the scores of consecutive parts of the recording scatter."""
    inverse = np.linalg.pinv(slopes.T @ slopes)
    scores = np.stack([part.sum(axis=0) for part in np.array_split(slopes * left[:, None], PIECES)])
    freedom = max(PIECES - slopes.shape[1], 1)
    return np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse) * PIECES / freedom)
