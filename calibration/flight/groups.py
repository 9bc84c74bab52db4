"""The six figures that a flight log can give, each with its error bar or the reason why this log does not give it."""

from __future__ import annotations

import math

import numpy as np

from corvids.calibration.flight.fit import FlightFit
from corvids.calibration.statistics.estimates import GroupEstimate

GROUPS = {
    "accel_max_mps2": ("log_accel_max", 0.15, "steps of collective thrust"),
    "roll_accel_max_radps2": ("log_roll", 0.2, "a multi-sine of roll rate"),
    "pitch_accel_max_radps2": ("log_pitch", 0.2, "a multi-sine of pitch rate"),
    "yaw_accel_max_radps2": ("log_yaw", 0.3, "a multi-sine or steps of yaw rate"),
    "motor_tau_s": (
        "log_tau_rise",
        0.3,
        "a multi-sine of roll and pitch rate up to 5 Hz, commands logged at 100 Hz",
    ),
    "drag_per_mass_1ps": ("drag_1ps", 0.3, "sideways flight at several m/s, in both directions"),
}
"""Unknown of the fit, largest relative standard deviation that counts as identified, manoeuvre that identifies it."""


def estimate_groups(fit: FlightFit) -> dict[str, GroupEstimate]:
    """All groups from a fit."""
    return {name: _estimate(name, fit) for name in GROUPS}


def refuse_groups(reason: str) -> dict[str, GroupEstimate]:
    """All groups, refused for one reason."""
    return {name: GroupEstimate(None, None, False, f"{reason}; fly {GROUPS[name][2]}") for name in GROUPS}


def _estimate(group: str, fit: FlightFit) -> GroupEstimate:
    name, largest, manoeuvre = GROUPS[group]
    if name == "log_tau_rise" and "log_tau_fall" in fit.names:
        value, std = _mean_tau(fit)
    elif name.startswith("log_"):
        value = math.exp(fit.value(name))
        std = value * fit.std(name)
    else:
        value, std = fit.value(name), fit.std(name)
    if group == "motor_tau_s":
        std = math.hypot(std, fit.segments.lag_std_s)
    if not fit.informed(name):
        return GroupEstimate(
            None, None, False, f"the log does not tell it from the vehicle file; fly {manoeuvre}"
        )
    if not std < largest * value:
        reason = (
            f"{value:.4g} ± {std:.2g} is too uncertain (more than {100 * largest:.0f} %); fly {manoeuvre}"
        )
        return GroupEstimate(value, std, False, reason)
    return GroupEstimate(value, std, True)


def _mean_tau(fit: FlightFit) -> tuple[float, float]:
    """Mean of the two time constants [s] and its standard deviation."""
    which = [fit.names.index(name) for name in ("log_tau_rise", "log_tau_fall")]
    taus = np.exp(fit.values[which])
    slope = 0.5 * taus
    return float(taus.mean()), float(np.sqrt(slope @ fit.covariance[np.ix_(which, which)] @ slope))
