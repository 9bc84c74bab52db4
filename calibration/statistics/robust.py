"""Means and fits of values of which a few are wrong, with error bars that hold when their sizes differ.

Error bars are sandwiches: every observation's own residual counts, enlarged by its leverage (HC2 of MacKinnon and
White, J. Econometrics 29, 1985), so that neither equal nor correctly weighted errors are assumed. They are as wide as
so few observations need (:func:`~corvids.calibration.statistics.covariance.student`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from corvids.calibration.statistics.covariance import student

FAR = 4.0
"""Values beyond so many robust standard deviations do not count for a mean."""


def robust_mean(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean of ``values`` (n,) with ``weights`` (n,), and its standard deviation; those far off left out.

    Weights are inverse variances, up to a common factor.
    """
    off = np.sqrt(weights) * np.abs(values - np.median(values))
    kept = off <= FAR * max(1.4826 * float(np.median(off)), 1e-12)
    values, share = values[kept], weights[kept] / weights[kept].sum()
    mean = float(share @ values)
    if len(values) < 2:
        return mean, float("inf")
    leverage = np.minimum(share, 0.99)
    seen = float(((share * (values - mean)) ** 2 / (1.0 - leverage)).sum())
    return mean, float(np.sqrt(seen) * student(1.0 / (share**2).sum() - 1.0))


def fit_observations(
    residual: Callable[[np.ndarray], np.ndarray], start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unknowns (P,) of least squares with soft outliers, and their covariance (P, P).

    ``residual`` gives (n, k) in standard deviations: n independent observations of k values each.
    """
    theta, scatter = start, 1.0
    for _ in range(2):  # the second time with the scatter that is left once the fit is in
        scatter = max(1.4826 * float(np.median(np.abs(residual(theta)))), 1e-9)
        found = least_squares(
            lambda x: residual(x).ravel(), theta, jac="3-point", loss="soft_l1", f_scale=2.0 * scatter
        )
        theta = found.x
    left = residual(theta)
    slopes = np.stack([_slope(residual, theta, index) for index in range(len(theta))], -1)
    # An observation pulls by its weighted residual (Huber's psi); how stiff it is, is the slope of that.
    soft = 1.0 + (left / (2.0 * scatter)) ** 2
    weighted, stiff = slopes / np.sqrt(soft)[..., None], slopes / (soft * np.sqrt(soft))[..., None]
    inverse = np.linalg.pinv(np.einsum("nkp,nkq->pq", slopes, stiff))
    leverage = np.einsum("nkp,pq,nlq->nkl", slopes, inverse, stiff)
    enlarged = np.linalg.solve(np.eye(left.shape[1]) - leverage, left[..., None])[..., 0]
    plain, larger = (np.einsum("nkp,nk->np", weighted, one) for one in (left, enlarged))
    half = inverse @ (plain.T @ larger) @ inverse
    parts = np.einsum("qp,nkp,nkr,qr->nq", inverse, slopes, stiff, inverse)
    wider = student(parts.sum(axis=0) ** 2 / (parts**2).sum(axis=0) - len(theta))
    return theta, 0.5 * (half + half.T) * np.outer(wider, wider)


def _slope(residual: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, index: int) -> np.ndarray:
    """Shape (n, k): derivative by one unknown."""
    nudge = np.zeros(len(theta))
    nudge[index] = 1e-5
    return (residual(theta + nudge) - residual(theta - nudge)) / 2e-5
