"""What a fit of a table of measurements returns, and least squares with an honest covariance for such fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from corvids.calibration.statistics.covariance import left_out_rms
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate

ROBUST_AT = 3.0
"""Residuals beyond so many standard deviations lose weight."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Measured points and the fitted line through them, for the report."""

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    measured: np.ndarray
    fitted: np.ndarray


class Prediction(NamedTuple):
    """How well a fit predicts what it was fitted to, and what it was not."""

    what: str
    """What is predicted, with its unit."""
    rms: float
    """Root mean square of the error, at the fit."""
    rms_left_out: float
    """The same, each part of the recording predicted by a fit to the others."""


@dataclasses.dataclass(frozen=True)
class TableFit:
    """What a table told."""

    figures: dict[str, GroupEstimate]
    """Figures with error bars, or why they are refused."""
    estimates: Estimates
    """What of them goes into the vehicle file."""
    curve: Curve
    """The fit beside the measurements."""
    prediction: Prediction | None = None
    """None where nothing was fitted."""


class Found(NamedTuple):
    """A robust fit of P unknowns to R measurements."""

    x: np.ndarray
    """Estimates (P,)."""
    covariance: np.ndarray
    """Shape (P, P)."""
    left: np.ndarray
    """Residuals (R,)."""
    rms_left_out: float
    """Their root mean square, each block predicted by a fit to the others."""

    def predicts(self, what: str) -> Prediction:
        """How well, in words for a report."""
        return Prediction(what, float(np.sqrt(np.mean(self.left**2))), self.rms_left_out)


def robust_fit(
    residual: Callable[[np.ndarray], np.ndarray], start: np.ndarray, scale: np.ndarray, blocks: int
) -> Found:
    """Solve a least-squares problem.

    ``scale``: size of each unknown. Neighbouring residuals may be correlated: the covariance is the larger, unknown by
    unknown, of the one for independent residuals and of the one from the scatter of ``blocks`` consecutive blocks.
    """
    x, noise = start, 1.0
    for _ in range(3):
        x = least_squares(residual, x, x_scale=scale, loss="soft_l1", f_scale=ROBUST_AT * noise).x
        left = residual(x)
        noise = max(1.4826 * float(np.median(np.abs(left - np.median(left)))), 1e-12)
    left, slopes = residual(x), _slopes(residual, x, scale)
    soft = 1.0 + (left / (ROBUST_AT * noise)) ** 2
    weights = 1.0 / np.sqrt(soft)  # of a residual's pull; its stiffness is the slope of that
    inverse = np.linalg.pinv(slopes.T @ (slopes / (soft * np.sqrt(soft))[:, None]))
    freedom = max(len(left) - len(x), 1)
    pulls = slopes.T @ slopes * float(((weights * left) ** 2).sum() / freedom)
    white = inverse @ pulls @ inverse
    scores = np.stack(
        [part.sum(axis=0) for part in np.array_split(slopes * (weights * left)[:, None], blocks)]
    )
    blocked = inverse @ (scores.T @ scores) @ inverse * (blocks / max(blocks - len(x), 1))
    wider = np.sqrt(np.maximum(1.0, np.diag(blocked) / np.maximum(np.diag(white), 1e-300)))
    return Found(x, white * np.outer(wider, wider), left, left_out_rms(left, slopes, blocks))


def _slopes(residual: Callable[[np.ndarray], np.ndarray], x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Central differences, shape (R, P)."""
    columns = []
    for index, size in enumerate(scale):
        step = np.zeros(len(x))
        step[index] = 1e-4 * size
        columns.append((residual(x + step) - residual(x - step)) / (2e-4 * size))
    return np.stack(columns, axis=-1)
