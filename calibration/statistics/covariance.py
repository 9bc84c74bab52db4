"""How well a fit knows what it found, from residuals that are correlated in time."""

from __future__ import annotations

import numpy as np
from scipy.linalg import toeplitz


def autocovariance(residual: np.ndarray) -> np.ndarray:
    """Autocovariance at lags 0..T/2 of residuals (N, T), pooled over the pieces; mean taken as zero."""
    length = residual.shape[1]
    lags = length // 2 + 1
    spectrum = np.abs(np.fft.rfft(residual, 2 * length, axis=-1)) ** 2
    products = np.fft.irfft(spectrum, axis=-1)[:, :lags].mean(axis=0)
    return products / (length - np.arange(lags))


def tapered(covariance: np.ndarray) -> np.ndarray:
    """Bartlett's taper, which makes the matrix of an estimated autocovariance positive semidefinite."""
    return covariance * (1.0 - np.arange(len(covariance)) / len(covariance))


def long_run_variance(covariance: np.ndarray) -> float:
    """Spectral density at frequency zero: the variance of a mean, times the number of samples."""
    smooth = tapered(covariance)
    return float(smooth[0] + 2.0 * smooth[1:].sum())


def sandwich(
    residual: np.ndarray, slopes: np.ndarray, rows: list[slice], prior_std: np.ndarray
) -> np.ndarray:
    """Covariance (P, P) of least squares whose residuals (N, R) are correlated in time within each piece.

    ``slopes``: (N, R, P); ``rows``: the rows of each signal; all in units of the weights; pieces in the order of time.
    Two estimates of the scores' covariance are made, from each signal's pooled autocovariance and from the scatter of
    the pieces' scores (which also sees what signals share); each unknown gets the larger variance.
    """
    count = slopes.shape[-1]
    prior = np.diag(prior_std**-2.0)
    curvatures = np.einsum("nrp,nrq->npq", slopes, slopes)
    inverse = np.linalg.inv(curvatures.sum(axis=0) + prior)
    pooled = np.zeros((count, count))
    for span in rows:
        band = tapered(autocovariance(residual[:, span]))
        length = residual[:, span].shape[1]
        matrix = toeplitz(np.concatenate((band, np.zeros(length - len(band)))))
        pooled += np.einsum("ntp,ntq->pq", slopes[:, span], np.matmul(matrix, slopes[:, span]))
    first = inverse @ (pooled + prior) @ inverse
    scores = np.einsum("nrp,nr->np", slopes, residual)
    second = inverse @ (scattered(scores, curvatures, inverse) + prior) @ inverse
    wider = np.sqrt(np.maximum(1.0, np.diag(second) / np.diag(first)))
    return first * np.outer(wider, wider)


def scattered(scores: np.ndarray, curvatures: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Covariance (P, P) of the sum of the pieces' scores (N, P), from their own scatter.

    A fit draws each piece's residuals towards zero by that piece's share of all information, ``curvatures`` (N, P, P)
    times ``inverse`` (P, P); scores are enlarged by what it took (CR2 of Bell and McCaffrey, Survey Methodology 28,
    2002), without which few pieces and many unknowns give error bars that are too narrow. What disturbs one piece may
    last into the next (wind): neighbours' products count by half, Bartlett's weight.
    """
    root = np.linalg.cholesky(inverse)
    share, axes = np.linalg.eigh(root.T @ curvatures @ root)
    factor = 1.0 / np.sqrt(np.maximum(1.0 - share, 1e-6))
    along = np.einsum("nqk,nq->nk", axes, scores @ root)
    full = np.linalg.solve(root.T, np.einsum("npk,nk->pn", axes, factor * along)).T
    between = 0.5 * full[1:].T @ full[:-1]
    return full.T @ full + between + between.T
