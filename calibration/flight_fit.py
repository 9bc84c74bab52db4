"""Output-error fit of a vehicle's dynamics to a flight: simulate from the logged motor commands, compare, adjust.

The flight is simulated in pieces. Each piece's initial state is an unknown of its own, eliminated in closed form
(variable projection with Kaufman's Jacobian), so that scipy's robust least squares sees the vehicle's unknowns and the
sensors' biases alone. Signals are weighted by the low-frequency end of their residuals' spectrum, because the errors of
an estimator are anything but white; the covariance uses the residuals' autocorrelation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import least_squares

from corvids.calibration.covariance import autocovariance, long_run_variance, sandwich
from corvids.calibration.flight_model import CHANNELS, LOCALS, compare, row_channels
from corvids.calibration.parameters import Airframe, FlightParameters
from corvids.calibration.segments import Segments

PRIOR_STD: dict[str, float] = {
    "log_accel_max": 1.0,
    "log_roll": 1.5,
    "log_pitch": 1.5,
    "log_yaw": 1.5,
    "log_tau_rise": 1.0,
    "log_tau_fall": 1.0,
    "delay_s": 0.02,
    "drag_1ps": 2.0,
    "damping_x_1ps": 5.0,
    "damping_y_1ps": 5.0,
    "damping_z_1ps": 5.0,
    "centre_x_m": 0.05,
    "centre_y_m": 0.05,
    "trim_yaw_radps2": 1.0,
    "log_reaction": 0.5,
    "log_kappa": 0.2,
}
"""How far each unknown may be from the vehicle file: wide, so that only what the log cannot tell is held by it."""
BIAS_STD = {"gyro": 0.1, "accel": 0.3}
"""Biases of the gyroscope [rad/s] and the accelerometer [m/s²]."""
BIASES = tuple(f"{sensor}_bias_{axis}" for sensor in BIAS_STD for axis in "xyz")
FIRST_NOISE = {"gyro": 0.1, "accel": 1.0, "velocity": 0.1, "attitude": 0.03}
"""Standard deviations to begin with, before the residuals tell better."""
ROBUST_AT = 4.0
"""Residuals beyond so many standard deviations lose weight."""
_REWEIGHTINGS = 3
_LOCAL_STD = np.array([1.0] * 3 + [1.0] * 3 + [0.1] * 3)
"""How far a piece's initial rate [rad/s], velocity [m/s] and attitude [rad] may be from the measured ones."""


@dataclasses.dataclass(frozen=True)
class FlightFit:
    """What a fit found. Unknowns are ordered as ``names``."""

    names: tuple[str, ...]
    """The unknowns: of the vehicle, then the sensors' biases."""
    values: np.ndarray
    """Shape (P,)."""
    covariance: np.ndarray
    """Shape (P, P)."""
    prior_std: np.ndarray
    """Shape (P,): how well each was known before."""
    start: FlightParameters
    """The vehicle file's numbers."""
    noise: dict[str, float]
    """Standard deviation of each compared signal's residuals, at the fit."""
    noise_before: dict[str, float]
    """The same with the vehicle file as it was, initial states fitted."""
    residuals: np.ndarray
    """Shape (N, R): measured from predicted, in units of the signals."""
    segments: Segments
    """The pieces of flight."""

    def value(self, name: str) -> float:
        """The estimate of an unknown."""
        return float(self.values[self.names.index(name)])

    def std(self, name: str) -> float:
        """Its standard deviation."""
        index = self.names.index(name)
        return float(np.sqrt(self.covariance[index, index]))

    def informed(self, name: str) -> bool:
        """Whether the log, rather than the prior, determines it."""
        return self.std(name) < 0.5 * float(self.prior_std[self.names.index(name)])


def fit_flight(
    airframe: Airframe, segments: Segments, progress: Callable[[str], None] = lambda text: None
) -> FlightFit:
    """Fit the vehicle's unknowns to pieces of flight (at least one). ``progress`` is told how far it is."""
    problem = _Problem(airframe, segments)
    theta = problem.prior_mean.copy()
    residual, slopes = problem.evaluate(theta)
    noise_before = problem.spread(residual)
    for round_ in range(_REWEIGHTINGS):
        progress(f"fit, pass {round_ + 1} of {_REWEIGHTINGS}")
        solution = least_squares(
            problem.residual,
            theta,
            jac=problem.jacobian,  # pyright: ignore[reportArgumentType]
            loss="soft_l1",
            f_scale=ROBUST_AT,
            x_scale=problem.prior_std,
            xtol=1e-5 if round_ == _REWEIGHTINGS - 1 else 1e-4,
            ftol=1e-7,
            max_nfev=4 if round_ == 0 else 10,
        )
        theta = solution.x
        residual, slopes = problem.evaluate(theta)
        if round_ < _REWEIGHTINGS - 1:
            problem.reweigh(residual)
    covariance = sandwich(residual, slopes, problem.rows, problem.prior_std)
    return FlightFit(
        names=problem.names,
        values=theta,
        covariance=covariance,
        prior_std=problem.prior_std,
        start=problem.start,
        noise=problem.spread(residual),
        noise_before=noise_before,
        residuals=residual * problem.sigma,
        segments=segments,
    )


class _Problem:
    """Residuals, in standard deviations, of the unknowns that scipy adjusts."""

    def __init__(self, airframe: Airframe, segments: Segments) -> None:
        self.airframe, self.segments = airframe, segments
        self.start = airframe.start()
        self.free = airframe.free()
        self.names = self.free + BIASES
        self.prior_mean = np.array([getattr(self.start, name) for name in self.free] + [0.0] * len(BIASES))
        self.prior_std = np.array(
            [PRIOR_STD[name] for name in self.free] + [BIAS_STD[name.split("_")[0]] for name in BIASES]
        )
        self.prior_std[self.free.index("log_kappa")] = airframe.torque_ratio_std or PRIOR_STD["log_kappa"]
        self.rows = row_channels(segments)
        self.sigma = np.empty(self.rows[-1].stop)
        for channel, rows in zip(CHANNELS, self.rows, strict=True):
            self.sigma[rows] = FIRST_NOISE[channel.split()[0]]
        self.local = torch.zeros(len(segments), LOCALS, dtype=torch.float64)
        self._known: tuple[bytes, np.ndarray, np.ndarray] | None = None
        self._settled = False

    def evaluate(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (N, R) and slopes (N, R, P) in standard deviations, initial states eliminated."""
        key = theta.tobytes() + self.sigma.tobytes()
        if self._known is None or self._known[0] != key:
            if not self._settled:
                self._project(theta)
                self._settled = True
            self._known = (key, *self._project(theta))
        return self._known[1], self._known[2]

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """All residuals in one row, the prior's at the end."""
        return np.concatenate((self.evaluate(theta)[0].ravel(), (theta - self.prior_mean) / self.prior_std))

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Their derivatives, shape (rows, P)."""
        return np.concatenate(
            (self.evaluate(theta)[1].reshape(-1, len(theta)), np.diag(1.0 / self.prior_std))
        )

    def reweigh(self, residual: np.ndarray) -> None:
        """Take each signal's standard deviation from its residuals' long-run variance."""
        residual = residual * self.sigma
        for rows in self.rows:
            covariance = autocovariance(residual[:, rows])
            self.sigma[rows] = np.sqrt(max(long_run_variance(covariance), covariance[0], 1e-16))

    def spread(self, residual: np.ndarray) -> dict[str, float]:
        """Root mean square of each signal's residuals, in its unit."""
        scaled = residual * self.sigma
        return {
            name: float(np.sqrt(np.mean(scaled[:, rows] ** 2)))
            for name, rows in zip(CHANNELS, self.rows, strict=True)
        }

    def _project(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.free)
        values = dict(zip(self.free, theta[:count].tolist(), strict=True))
        if "log_tau_fall" not in values:
            values["log_tau_fall"] = values["log_tau_rise"]
        unknown = self.start._replace(**values)
        found = compare(self.airframe, self.segments, unknown, self.free, self.local)
        sigma = torch.as_tensor(self.sigma)
        error = found.error.clone()
        by_bias = torch.zeros(len(sigma), len(BIASES), dtype=torch.float64)
        for index, rows in enumerate(self.rows[: len(BIASES)]):
            error[:, rows] += theta[count + index]
            by_bias[rows, index] = 1.0
        slopes = torch.cat((found.by_global, by_bias.expand(len(error), -1, -1)), -1) / sigma[:, None]
        error, by_local = error / sigma, found.by_local / sigma[:, None]
        # The wide prior on each piece's start keeps what a piece cannot see from running away.
        prior = torch.diag(1.0 / torch.as_tensor(_LOCAL_STD)).expand(len(error), -1, -1)
        whole = torch.cat((by_local, prior), 1)
        q, r = torch.linalg.qr(whole)
        q_top = q[:, : error.shape[1]]
        target = torch.cat((error, self.local / torch.as_tensor(_LOCAL_STD)), 1)
        along = torch.einsum("nrl,nr->nl", q, target)
        self.local = self.local - torch.linalg.solve_triangular(r, along[..., None], upper=True)[..., 0]
        residual = error - torch.einsum("nrl,nl->nr", q_top, along)
        along_slopes = torch.einsum("nrl,nrp->nlp", q_top, slopes)
        return residual.numpy(), (slopes - torch.einsum("nrl,nlp->nrp", q_top, along_slopes)).numpy()
