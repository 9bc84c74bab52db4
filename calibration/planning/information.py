"""How much a flight will tell: Fisher information of its unknowns, from the same simulator and derivatives as the fit.

Measurements err as an autopilot's do: inertial sensors independently from sample to sample, attitude and velocity with
errors of first order (Gauss-Markov), which are whitened. Each piece's initial state is an unknown of its own, which the
Schur complement eliminates. The inverse of the information is the Cramér-Rao bound: no unbiased fit does better.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from corvids.calibration.flight.fit import BIAS_STD, BIASES, LOCAL_STD, PRIOR_STD
from corvids.calibration.flight.model import CHANNELS, LOCALS, SLOW_S, compare, row_channels
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import Segments
from corvids.envs.plants.flight_log import NOISE, NOISE_RATE_HZ, WANDER_S


def names_of(airframe: Airframe) -> tuple[str, ...]:
    """The unknowns, in the order of the information's rows."""
    return airframe.free() + BIASES


def prior_information(airframe: Airframe) -> np.ndarray:
    """What is known before any flight, shape (P, P): the wide priors that the fit has, too."""
    std = {**PRIOR_STD, "log_kappa": airframe.torque_ratio_std or PRIOR_STD["log_kappa"]}
    values = [std[name] for name in airframe.free()] + [BIAS_STD[name.split("_")[0]] for name in BIASES]
    return np.diag(np.array(values) ** -2.0)


def flight_information(airframe: Airframe, segments: Segments) -> np.ndarray:
    """Information of each piece of an exact flight of the vehicle file's vehicle, shape (N, P, P)."""
    free = airframe.free()
    local = torch.zeros(len(segments), LOCALS, dtype=torch.float64)
    found = compare(airframe, segments, airframe.start(), free, local)
    by_global, by_local = found.by_global.numpy(), found.by_local.numpy()
    count = len(free)
    information = np.zeros((len(segments), count + len(BIASES), count + len(BIASES)))
    cross = np.zeros((len(segments), LOCALS, count + len(BIASES)))
    within = np.zeros((len(segments), LOCALS, LOCALS)) + np.diag(LOCAL_STD**-2.0)
    for index, (channel, rows) in enumerate(zip(CHANNELS, row_channels(segments), strict=True)):
        slopes = np.zeros((len(segments), rows.stop - rows.start, count + len(BIASES)))
        slopes[..., :count] = by_global[:, rows]
        if index < len(BIASES):
            slopes[..., count + index] = 1.0
        slopes, starts = (
            _whitened(one, channel.split()[0], segments.dt_s) for one in (slopes, by_local[:, rows])
        )
        information += np.einsum("ntp,ntq->npq", slopes, slopes)
        cross += np.einsum("ntl,ntp->nlp", starts, slopes)
        within += np.einsum("ntk,ntl->nkl", starts, starts)
    return information - np.einsum("nlp,nlq->npq", cross, np.linalg.solve(within, cross))


def _whitened(slopes: np.ndarray, signal: str, dt_s: float) -> np.ndarray:
    """Slopes (N, T, k) of a signal in units of independent errors of size one."""
    if signal in ("gyro", "accel"):
        return slopes / (NOISE[signal] * math.sqrt(1.0 / (dt_s * NOISE_RATE_HZ)))
    interval_s = dt_s * max(1, round(SLOW_S / dt_s))
    keep = math.exp(-interval_s / WANDER_S)
    fresh = (slopes[:, 1:] - keep * slopes[:, :-1]) / math.sqrt(1.0 - keep * keep)
    return np.concatenate((slopes[:, :1], fresh), axis=1) / NOISE[signal]
