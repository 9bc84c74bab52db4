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

    ``slopes``: (N, R, P); ``rows``: the rows of each signal; all in units of the weights. Two estimates of the
    scores' covariance are made, from each signal's pooled autocovariance and from the scatter of the pieces' scores
    (which also sees what signals share); each unknown gets the larger variance.
    """
    count = slopes.shape[-1]
    prior = np.diag(prior_std**-2.0)
    curvature = np.einsum("nrp,nrq->pq", slopes, slopes)
    inverse = np.linalg.inv(curvature + prior)
    pooled = np.zeros((count, count))
    for span in rows:
        band = tapered(autocovariance(residual[:, span]))
        length = residual[:, span].shape[1]
        matrix = toeplitz(np.concatenate((band, np.zeros(length - len(band)))))
        pooled += np.einsum("ntp,ntq->pq", slopes[:, span], np.matmul(matrix, slopes[:, span]))
    first = inverse @ (pooled + prior) @ inverse
    scores = np.einsum("nrp,nr->np", slopes, residual)
    pieces = len(residual)
    if pieces <= count:
        return first
    scattered = scores.T @ scores * (pieces / (pieces - 1.0))
    second = inverse @ (scattered + prior) @ inverse
    wider = np.sqrt(np.maximum(1.0, np.diag(second) / np.diag(first)))
    return first * np.outer(wider, wider)
