"""Rotor speed after its command: time constants up and down, and dead time, from a log of both.

Model, exact between samples: ``dΩ/dt = (Ω(u) - Ω) / τ`` with τ by the sign of the difference and u of ``dead_s`` ago,
held; the steady speed Ω(u) is a parabola that is fitted along. The dead time counts from a command's time stamp.
"""

from __future__ import annotations

import numpy as np

from corvids.calibration.readers.csv_table import Table
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.calibration.tables.table_fit import Curve, TableFit, robust_fit
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

REQUIRED, OPTIONAL = ("time_s", "command_1", "speed_radps"), ()
LEAST_SAMPLES = 100
"""Fewer are not fitted."""
LEAST_SPAN = 0.1
"""The command must span at least so much."""
_STEPS = "step the command between 30 % and 70 % twice a second for 20 s, logged at 200 Hz or more"


def fit_motor(vehicle: Vehicle, table: Table) -> TableFit:
    """Fit a log of one motor: time [s], command 0..1, rotor speed [rad/s]."""
    time, command, speed = _series(table)
    measured = np.isfinite(speed)
    interval = float(np.median(np.diff(time[measured])))
    names = ("tau_rise_s", "tau_fall_s", "dead_time_s")
    if np.ptp(command) < LEAST_SPAN:
        reason = f"the command spans {np.ptp(command):.3f}, less than {LEAST_SPAN}; {_STEPS}"
        figures = {name: GroupEstimate(None, None, False, reason) for name in names}
        return TableFit(figures, {}, _curve(time[measured], speed[measured], speed[measured]))
    rotors = vehicle.rotors

    def speed_at(x: np.ndarray) -> np.ndarray:
        rise, fall = np.exp(np.clip(x[:2], -9.0, 2.0))
        return _respond(time, command, x[2], rise, fall, x[3:6], first)

    first = float(speed[measured][0])
    gains = np.polyfit(command[measured], speed[measured], 2)[::-1]
    start = np.array([np.log(rotors.tau_rise_s), np.log(rotors.tau_fall_s), interval, *gains])
    scale = np.array([0.5, 0.5, 0.01, *[max(float(np.ptp(speed[measured])), 1.0)] * 3])
    solution = robust_fit(lambda x: (speed_at(x) - speed)[measured], start, scale, blocks=20)
    x, covariance, left, _ = solution
    std = np.sqrt(np.diag(covariance))
    rise, fall = np.exp(x[:2])
    values = (rise, fall, x[2])
    stds = (float(rise * std[0]), float(fall * std[1]), float(std[2]))
    figures = {}
    for name, value, spread in zip(names, values, stds, strict=True):
        limit = 0.2 * value if name != "dead_time_s" else 0.005
        good = spread < limit and (name == "dead_time_s" or value > 0.5 * interval)
        reason = "" if good else f"{value:.3g} ± {spread:.2g} s is too uncertain; {_STEPS}"
        figures[name] = GroupEstimate(float(value), spread, bool(good), reason)
    estimates: Estimates = {
        f"rotors.{name}": (figures[name].value, figures[name].std)
        for name in names[:2]
        if figures[name].identified
    }
    curve = _curve(time[measured], speed[measured], left + speed[measured])
    return TableFit(figures, estimates, curve, solution.predicts("rotor speed [rad/s]"))


def _respond(
    time: np.ndarray,
    command: np.ndarray,
    dead_s: float,
    rise_s: float,
    fall_s: float,
    gains: np.ndarray,
    first: float,
) -> np.ndarray:
    """Speed at ``time`` of a rotor that follows ``command``, each sample held until the next, ``dead_s`` late."""
    when = time - dead_s
    index = np.clip(np.searchsorted(time, when, "right") - 1, 0, len(time) - 1)
    steady = gains[0] + gains[1] * command + gains[2] * command**2
    # Within a sample's interval the late command changes once at most: first the older holds, then the newer.
    step = np.diff(time, prepend=time[0] - (time[1] - time[0]))
    newer_s = np.clip(when - time[index], 0.0, step)
    older_s = step - newer_s
    parts = [
        list(
            zip(
                steady[which].tolist(),
                np.exp(-span / rise_s).tolist(),
                np.exp(-span / fall_s).tolist(),
                strict=True,
            )
        )
        for which, span in ((np.maximum(index - 1, 0), older_s), (index, newer_s))
    ]
    speed = np.empty(len(time))
    speed[0] = now = first
    for k in range(1, len(time)):
        for target, up, down in (parts[0][k], parts[1][k]):
            now = target + (now - target) * (up if target > now else down)
        speed[k] = now
    return speed


def _series(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, commands, each held until the next, and speeds, which are not numbers where none was measured."""
    time, command, speed = (table.columns[name] for name in REQUIRED)
    at = np.flatnonzero(np.isfinite(time) & np.isfinite(command))
    last = np.searchsorted(at, np.arange(len(time)), "right") - 1
    good = np.isfinite(time) & (last >= 0)
    time, command, speed = time[good], command[at[last[good]]], speed[good]
    fresh = (
        np.concatenate(([True], np.diff(np.maximum.accumulate(time)) > 0.0))
        if len(time)
        else np.zeros(0, bool)
    )
    time, command, speed = time[fresh], command[fresh], speed[fresh]
    count = int(np.isfinite(speed).sum())
    if count < LEAST_SAMPLES:
        raise CorvidsError(
            f"{table.name}: {count} speeds with a time and a command before them; {LEAST_SAMPLES} are needed"
        )
    apart = np.diff(time[np.isfinite(speed)])
    gap = float(apart.max() / np.median(apart))
    if gap > 20.0:
        raise CorvidsError(
            f"{table.name}: has a gap of {gap:.0f} samples; cut the log there and fit the longer part"
        )
    if command.max() > 1.05 or command.min() < -0.05:
        raise CorvidsError(
            f"{table.name}: command_1 runs from {command.min():.4g} to {command.max():.4g}, must be 0..1"
        )
    return time, command, speed


def _curve(time: np.ndarray, speed: np.ndarray, fitted: np.ndarray) -> Curve:
    return Curve("Rotor speed after its command", "time [s]", "speed [rad/s]", time, speed, fitted)
