"""Output-error fit of a vehicle's dynamics to a flight: simulate from the logged motor commands, compare, adjust.

The flight is simulated in pieces whose initial states are eliminated (see
:mod:`corvids.calibration.statistics.projection`), so that least squares sees the vehicle's unknowns and the sensors'
biases alone. The covariance is from how differently the pieces pull at the unknowns, so that residuals may be
correlated in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from corvids.calibration.flight.model import CHANNELS, Comparison, compare, row_channels
from corvids.calibration.flight.parameters import Airframe, FlightParameters
from corvids.calibration.flight.segments import Segments
from corvids.calibration.statistics.projection import Fit, Projection, solve

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
LOCAL_STD = np.array([1.0] * 3 + [1.0] * 3 + [0.1] * 3)
"""How far a piece's initial rate [rad/s], velocity [m/s] and attitude [rad] may be from the measured ones."""


@dataclasses.dataclass(frozen=True)
class FlightFit(Fit):
    """What a fit of flights found: unknowns of the vehicle, then the sensors' biases."""

    start: FlightParameters
    """The vehicle file's numbers."""
    noise_before: dict[str, float]
    """The residuals' standard deviations with the vehicle file as it was, initial states fitted."""
    segments: Segments
    """The pieces of flight."""


def fit_flight(
    airframe: Airframe, segments: Segments, progress: Callable[[str], None] = lambda text: None
) -> FlightFit:
    """Fit the vehicle's unknowns to pieces of flight (at least one). ``progress`` is told how far it is."""
    problem = _problem(airframe, segments)
    noise_before = problem.spread(problem.evaluate(problem.prior_mean)[0], CHANNELS)
    theta = solve(problem, progress)
    return FlightFit(
        **problem.found(theta, CHANNELS),
        start=airframe.start(),
        noise_before=noise_before,
        segments=segments,
    )


def _problem(airframe: Airframe, segments: Segments) -> Projection:
    """Residuals of the vehicle's unknowns and the biases."""
    start, free = airframe.start(), airframe.free()
    prior_std = np.array(
        [PRIOR_STD[name] for name in free] + [BIAS_STD[name.split("_")[0]] for name in BIASES]
    )
    prior_std[free.index("log_kappa")] = airframe.torque_ratio_std or PRIOR_STD["log_kappa"]
    rows = row_channels(segments)
    sigma = np.empty(rows[-1].stop)
    by_bias = torch.zeros(len(sigma), len(BIASES), dtype=torch.float64)
    for index, (channel, span) in enumerate(zip(CHANNELS, rows, strict=True)):
        sigma[span] = FIRST_NOISE[channel.split()[0]]
        if index < len(BIASES):
            by_bias[span, index] = 1.0

    def biased(theta: np.ndarray, local: torch.Tensor) -> Comparison:
        values = dict(zip(free, theta[: len(free)].tolist(), strict=True))
        if "log_tau_fall" not in values:
            values["log_tau_fall"] = values["log_tau_rise"]
        found = compare(airframe, segments, start._replace(**values), free, local)
        error = found.error + by_bias @ torch.as_tensor(theta[len(free) :])
        by_global = torch.cat((found.by_global, by_bias.expand(len(error), -1, -1)), -1)
        return Comparison(error, by_global, found.by_local)

    mean = np.array([getattr(start, name) for name in free] + [0.0] * len(BIASES))
    return Projection(free + BIASES, mean, prior_std, rows, sigma, LOCAL_STD, len(segments), biased)
