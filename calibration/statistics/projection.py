"""Least squares over pieces of a recording, the initial state of each of them eliminated in closed form.

Every piece has unknowns of its own, its initial state. They are eliminated piece by piece (variable projection with
Kaufman's Jacobian), so that scipy's robust least squares sees the unknowns that all pieces share. Signals are weighted
by the low-frequency end of their residuals' spectrum, because errors of estimators are anything but white.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import least_squares

from corvids.calibration.statistics.covariance import autocovariance, left_out, long_run_variance, sandwich
from corvids.errors import CorvidsError

MOST_PASSES = 10
"""After so many a fit ends in any case."""
ROBUST_AT = 4.0
"""Residuals beyond so many standard deviations lose weight."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a fit found. Unknowns are ordered as ``names``."""

    names: tuple[str, ...]
    """Unknowns that all pieces share."""
    values: np.ndarray
    """Shape (P,)."""
    covariance: np.ndarray
    """Shape (P, P): 1.96 of its standard deviations to each side hold 95 %, however few the pieces."""
    prior_std: np.ndarray
    """Shape (P,): how well each was known before."""
    noise: dict[str, float]
    """Root mean square of each compared signal's residuals, at the fit."""
    left_out: dict[str, float]
    """The same, each piece predicted by a fit to all others: what an unseen piece of flight is predicted to."""
    residuals: np.ndarray
    """Shape (N, R): prediction minus measurement, in units of the signals."""

    def value(self, name: str) -> float:
        """The estimate of an unknown."""
        return float(self.values[self.names.index(name)])

    def std(self, name: str) -> float:
        """Its standard deviation."""
        index = self.names.index(name)
        return float(np.sqrt(self.covariance[index, index]))

    def informed(self, name: str) -> bool:
        """Whether the recording, rather than the prior, determines it."""
        return self.std(name) < 0.5 * float(self.prior_std[self.names.index(name)])


class Comparison(NamedTuple):
    """Prediction minus measurement over N pieces, and its derivatives."""

    error: torch.Tensor
    """Shape (N, R)."""
    by_global: torch.Tensor
    """Shape (N, R, P), by the unknowns that all pieces share."""
    by_local: torch.Tensor
    """Shape (N, R, L), by those of each piece."""


class Projection:
    """Residuals, in standard deviations, of the shared unknowns (P); ``compare`` gives them in the signals' units.

    ``rows``: the rows of each signal; ``sigma`` (R,): standard deviations to begin with; ``local_std`` (L,): how far a
    piece's own unknowns may be from 0; ``settling``: how often these are improved before a residual counts, from where
    the last accepted point predicts them. That point is the last one whose Jacobian was asked for: a trial that is
    refused leaves nothing behind.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        prior_mean: np.ndarray,
        prior_std: np.ndarray,
        rows: list[slice],
        sigma: np.ndarray,
        local_std: np.ndarray,
        pieces: int,
        compare: Callable[[np.ndarray, torch.Tensor], Comparison],
        settling: int = 0,
    ) -> None:
        self.names, self.prior_mean, self.prior_std = names, prior_mean, prior_std
        self.rows, self.sigma = rows, sigma
        self._local_std = torch.as_tensor(local_std)
        self.local = torch.zeros(pieces, len(local_std), dtype=torch.float64)
        """Unknowns of each piece (N, L), at the last evaluation."""
        self._compare, self._settling = compare, settling
        self._accepted: tuple[torch.Tensor, torch.Tensor] | None = None
        """Shared unknowns (P,) and the others (N, L) at the accepted point."""
        self._local_slopes = torch.zeros(pieces, len(local_std), len(names), dtype=torch.float64)
        self._slopes_there = self._local_slopes
        self._known: tuple[bytes, np.ndarray, np.ndarray] | None = None

    def evaluate(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (N, R) and slopes (N, R, P) in standard deviations, initial states eliminated."""
        key = theta.tobytes() + self.sigma.tobytes()
        if self._known is None or self._known[0] != key:
            if self._accepted is not None:
                step = torch.as_tensor(theta) - self._accepted[0]
                self.local = self._accepted[1] + self._slopes_there @ step
            for _ in range(self._settling if self._accepted is not None else self._settling + 1):
                self._project(theta)
            self._known = (key, *self._project(theta))
        return self._known[1], self._known[2]

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """All residuals in one row, the prior's at the end."""
        return np.concatenate((self.evaluate(theta)[0].ravel(), (theta - self.prior_mean) / self.prior_std))

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Their derivatives, shape (rows, P). Asking for them accepts the point."""
        slopes = self.evaluate(theta)[1]
        self._accepted, self._slopes_there = (torch.tensor(theta), self.local), self._local_slopes
        return np.concatenate((slopes.reshape(-1, len(theta)), np.diag(1.0 / self.prior_std)))

    def reweigh(self, residual: np.ndarray) -> None:
        """Take each signal's standard deviation from its residuals' long-run variance."""
        residual = residual * self.sigma
        for rows in self.rows:
            covariance = autocovariance(residual[:, rows])
            self.sigma[rows] = np.sqrt(max(long_run_variance(covariance), covariance[0], 1e-16))

    def spread(self, residual: np.ndarray, channels: tuple[str, ...]) -> dict[str, float]:
        """Root mean square of each signal's residuals, in its unit, by the signals' names."""
        scaled = residual * self.sigma
        return {
            name: float(np.sqrt(np.mean(scaled[:, rows] ** 2)))
            for name, rows in zip(channels, self.rows, strict=True)
        }

    def found(self, theta: np.ndarray, channels: tuple[str, ...]) -> dict[str, Any]:
        """The fields of a :class:`Fit` whose unknowns are ``theta`` (P,)."""
        residual, slopes = self.evaluate(theta)
        information = np.einsum("nrp,nrq->pq", slopes, slopes) + np.diag(self.prior_std**-2.0)
        return {
            "names": self.names,
            "values": theta,
            "covariance": sandwich(residual, slopes, self.prior_std),
            "prior_std": self.prior_std,
            "noise": self.spread(residual, channels),
            "left_out": self.spread(left_out(residual, slopes, information), channels),
            "residuals": residual * self.sigma,
        }

    def _project(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = self._compare(theta, self.local)
        sigma = torch.as_tensor(self.sigma)
        error, slopes = found.error / sigma, found.by_global / sigma[:, None]
        # The wide prior on each piece's start keeps what a piece cannot see from running away.
        prior = torch.diag(1.0 / self._local_std).expand(len(error), -1, -1)
        q, r = torch.linalg.qr(torch.cat((found.by_local / sigma[:, None], prior), 1))
        q_top = q[:, : error.shape[1]]
        target = torch.cat((error, self.local / self._local_std), 1)
        along = torch.einsum("nrl,nr->nl", q, target)
        self.local = self.local - torch.linalg.solve_triangular(r, along[..., None], upper=True)[..., 0]
        residual = error - torch.einsum("nrl,nl->nr", q_top, along)
        along_slopes = torch.einsum("nrl,nrp->nlp", q_top, slopes)
        self._local_slopes = -torch.linalg.solve_triangular(r, along_slopes, upper=True)
        return residual.numpy(), (slopes - torch.einsum("nrl,nlp->nrp", q_top, along_slopes)).numpy()


def solve(
    problem: Projection,
    progress: Callable[[str], None],
    start: np.ndarray | None = None,
    passes: int = 3,
    first_evaluations: int = 4,
) -> np.ndarray:
    """The shared unknowns (P,) that explain the pieces best, from ``start``, or the prior's means, on.

    Each pass but the last ends with new weights. ``first_evaluations`` bounds the first, whose weights are guesses.
    There are more passes than ``passes``, at most ``MOST_PASSES``, where the last of these has not come to rest. Raises
    :class:`CorvidsError` where the start explains the recording so badly that its simulation runs away.
    """
    theta = problem.prior_mean.copy() if start is None else start
    if not np.isfinite(problem.evaluate(theta)[0]).all():
        raise CorvidsError(
            "simulated with the file's numbers, the recorded motor commands lead to no flight at all (it runs away):"
            " is the recording of this vehicle, or of one like it?"
        )
    for index in range(max(passes, MOST_PASSES)):
        progress(f"fit, pass {index + 1} of {max(passes, index + 1)}")
        is_last = index >= passes - 1
        found = least_squares(
            problem.residual,
            theta,
            jac=problem.jacobian,  # pyright: ignore[reportArgumentType]
            loss="soft_l1",
            f_scale=ROBUST_AT,
            x_scale=problem.prior_std,
            xtol=1e-5 if is_last else 1e-4,
            ftol=1e-7,
            max_nfev=first_evaluations if index == 0 else 10,
        )
        theta = found.x
        if is_last and found.status > 0:
            break
        problem.reweigh(problem.evaluate(theta)[0])
    return theta
