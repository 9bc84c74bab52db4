"""How well a fit knows what it found, from residuals that are correlated in time."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

NEIGHBOURS = np.array([2.0, 1.0]) / 3.0
"""Bartlett's weights of pieces that are one and two apart."""


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


def student(freedom: float | np.ndarray) -> np.ndarray:
    """How much wider than a normal distribution's the 95 % interval of an error bar from so few values is.

    A standard deviation times this holds 95 % within 1.96 of it, as everybody reads error bars.
    """
    return t.ppf(0.975, np.maximum(freedom, 1.0)) / norm.ppf(0.975)


def sandwich(residual: np.ndarray, slopes: np.ndarray, prior_std: np.ndarray) -> np.ndarray:
    """Covariance (P, P) of least squares whose residuals (N, R) go together in any way within each piece.

    ``slopes``: (N, R, P), in units of the weights; pieces in the order of time. It is from the scatter of the pieces'
    scores, and so are error bars, wide enough for how few pieces tell each unknown (:func:`student`).
    """
    count = slopes.shape[-1]
    prior = np.diag(prior_std**-2.0)
    curvatures = np.einsum("nrp,nrq->npq", slopes, slopes)
    inverse = np.linalg.inv(curvatures.sum(axis=0) + prior)
    scores = np.einsum("nrp,nr->np", slopes, residual)
    found = inverse @ (scattered(scores, curvatures, inverse) + prior) @ inverse
    # Satterthwaite's degrees of freedom; what the prior adds is no scatter, and does not err.
    parts = np.einsum("qp,npr,qr->nq", inverse, curvatures, inverse)
    noise = (parts**2).sum(axis=0)
    for apart, weight in enumerate(NEIGHBOURS, 1):
        noise = noise + 2.0 * weight**2 * (parts[apart:] * parts[:-apart]).sum(axis=0)
    whole = parts.sum(axis=0) + (inverse**2 @ np.diag(prior)).reshape(count)
    wider = student(whole**2 / np.maximum(noise, 1e-300))
    return found * np.outer(wider, wider)


def left_out(residual: np.ndarray, slopes: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Residuals (N, R) of each piece as the fit to all the others predicts it, to first order in the unknowns.

    ``slopes``: (N, R, P); ``information`` (P, P): of all pieces, and the prior's. Exact where the model is linear
    (Allen's PRESS, Technometrics 16, 1974).
    """
    scores = np.einsum("nrp,nr->np", slopes, residual)
    others = information - np.einsum("nrp,nrq->npq", slopes, slopes)
    shift = np.einsum("npq,nq->np", np.linalg.pinv(others, hermitian=True), scores)
    return residual + np.einsum("nrp,np->nr", slopes, shift)


def left_out_rms(residual: np.ndarray, slopes: np.ndarray, pieces: int) -> float:
    """Root mean square of the residuals (R,) of consecutive pieces, each predicted by the fit to the others.

    ``slopes``: (R, P).
    """
    information = slopes.T @ slopes
    parts = zip(np.array_split(residual, pieces), np.array_split(slopes, pieces), strict=True)
    found = [left_out(one[None], slope[None], information)[0] for one, slope in parts]
    return float(np.sqrt(np.mean(np.concatenate(found) ** 2)))


def scattered(scores: np.ndarray, curvatures: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Covariance (P, P) of the sum of the pieces' scores (N, P), from their own scatter.

    A fit draws each piece's residuals towards zero by that piece's share of all information, ``curvatures`` (N, P, P)
    times ``inverse`` (P, P); scores are enlarged by what it took (CR2 of Bell and McCaffrey, Survey Methodology 28,
    2002), without which few pieces and many unknowns give error bars that are too narrow. What disturbs one piece may
    last into the next (wind widens error bars; an estimator that wanders narrows them, for where it ends one piece it
    begins the next): products of pieces that are near count by Bartlett's weights, less what the fit makes of them.
    """
    root = np.linalg.cholesky(inverse)
    share, axes = np.linalg.eigh(root.T @ curvatures @ root)
    factor = 1.0 / np.sqrt(np.maximum(1.0 - share, 1e-6))
    widen = np.linalg.solve(root.T, axes * factor[:, None] @ axes.transpose(0, 2, 1) @ root.T)
    full = np.einsum("npq,nq->np", widen, scores)
    drawn = widen @ curvatures
    found = full.T @ full
    for apart, weight in enumerate(NEIGHBOURS, 1):
        between = full[apart:].T @ full[:-apart]
        between += np.einsum("npq,qr,nsr->ps", drawn[apart:], inverse, drawn[:-apart])
        found = found + weight * (between + between.T)
    return found
