"""Thrust of one rotor on a bench: the curve over the motor command, and what a sinking battery takes from it.

Model: ``T(u, V) = T_max · (f·u² + (1-f)·u) · (1 - loss · (V_full - V) / (V_full - V_empty))``, the vehicle file's own.
"""

from __future__ import annotations

import numpy as np

from corvids.calibration.readers.csv_table import Table
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.calibration.tables.table_fit import Curve, TableFit, robust_fit
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

REQUIRED, OPTIONAL = ("command_1", "thrust_n"), ("voltage_v",)
LEAST_POINTS = 8
"""Fewer points are not fitted."""
LEAST_RANGE = 0.3
"""The commands must span at least so much for the curve's shape to show."""
LEAST_VOLTAGES = 0.3
"""The voltages must span at least this part of full to empty for the battery's part to show."""
CURVE_ERROR = 0.1
"""How far off a vehicle file's curve may be where it is taken as it is."""


def fit_thrust(vehicle: Vehicle, table: Table) -> TableFit:
    """Fit a bench table: motor command 0..1, thrust of one rotor [N], perhaps battery voltage [V]."""
    command, thrust, voltage = _points(table)
    spent = np.zeros(len(command))
    battery = vehicle.battery
    has_voltage = False
    if voltage is not None and battery is not None:
        spent = (battery.voltage_full_v - voltage) / (battery.voltage_full_v - battery.voltage_empty_v)
        has_voltage = float(np.ptp(spent)) >= LEAST_VOLTAGES
    known_loss = 0.0 if battery is None else battery.thrust_loss_full_to_empty

    has_curve = float(np.ptp(command)) >= LEAST_RANGE
    known_curve = vehicle.rotors.thrust_curve

    def thrust_at(x: np.ndarray, known_curve: float = known_curve) -> np.ndarray:
        full = x[0]
        curve = x[1] if has_curve else known_curve
        loss = x[-1] if has_voltage else known_loss
        return full * (curve * command**2 + (1.0 - curve) * command) * (1.0 - loss * spent)

    # A hover alone cannot tell a steeper curve from a battery that loses more: the curve is the file's then.
    unknowns = [1.0, *([0.5] if has_curve else []), *([known_loss] if has_voltage else [])]
    start = np.array([float(np.median(thrust / command)), *unknowns[1:]])
    scale = np.array([start[0], *([1.0] if has_curve else []), *([0.2] if has_voltage else [])])
    blocks = min(20, len(command))
    solution = robust_fit(lambda x: thrust_at(x) - thrust, start, scale, blocks)
    x, covariance, left, _ = solution
    std = np.sqrt(np.diag(covariance))
    if not has_curve and has_voltage:
        off = min(1.0, known_curve + CURVE_ERROR) if known_curve < 0.5 else known_curve - CURVE_ERROR
        other = robust_fit(lambda x: thrust_at(x, off) - thrust, start, scale, blocks).x
        std[-1] = float(np.hypot(std[-1], x[-1] - other[-1]))
    figures = {"thrust_max_n": _figure(x[0], std[0], 0.05 * x[0], "measure more points up to full command")}
    steepest = "step the command from 10 % to 100 %"
    if not has_curve:
        reason = f"the commands span {np.ptp(command):.2f}, less than {LEAST_RANGE}; {steepest}"
        figures = {
            name: GroupEstimate(None, None, False, reason) for name in ("thrust_max_n", "thrust_curve")
        }
    elif not -2.0 * std[1] <= x[1] <= 1.0 + 2.0 * std[1]:
        reason = f"{x[1]:.3g} ± {std[1]:.2g} is outside 0..1: thrust over command is no curve of this family"
        figures["thrust_curve"] = GroupEstimate(float(x[1]), float(std[1]), False, reason)
    else:
        figures["thrust_curve"] = _figure(float(np.clip(x[1], 0.0, 1.0)), std[1], 0.15, steepest)
    if has_voltage:
        figures["thrust_loss"] = _figure(
            x[-1], std[-1], 0.05, "run the same steps on a full and an empty battery"
        )
    else:
        figures["thrust_loss"] = GroupEstimate(
            None, None, False, "the voltages hardly differ; run the same steps on a full and an empty battery"
        )
    estimates = _estimates(vehicle, figures)
    order = np.argsort(command)
    curve = Curve(
        "Thrust of one rotor",
        "motor command",
        "thrust [N]",
        command[order],
        thrust[order],
        (left + thrust)[order],
    )
    return TableFit(figures, estimates, curve, solution.predicts("thrust [N]"))


def _points(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Command, thrust and voltage of the rows that hold them; rotors at rest say nothing."""
    command, thrust = table.columns["command_1"], table.columns["thrust_n"]
    voltage = table.columns.get("voltage_v")
    good = np.isfinite(command) & np.isfinite(thrust) & (command > 0.02)
    if voltage is not None:
        good &= np.isfinite(voltage)
    if good.sum() < LEAST_POINTS:
        raise CorvidsError(
            f"{table.name}: {int(good.sum())} rows have a command above 2 % and a thrust; {LEAST_POINTS} are needed"
        )
    if command[good].max() > 1.05:
        raise CorvidsError(
            f'{table.name}: command_1 reaches {command[good].max():.4g}, must be 0..1; map it with unit = "%" if it is'
            " percent"
        )
    if np.median(thrust[good]) <= 0.0:
        raise CorvidsError(f"{table.name}: thrust_n is negative; turn its sign")
    return command[good], thrust[good], None if voltage is None else voltage[good]


def _figure(value: float, std: float, largest_std: float, remedy: str) -> GroupEstimate:
    if not std < largest_std:
        return GroupEstimate(
            float(value), float(std), False, f"{value:.3g} ± {std:.2g} is too uncertain; {remedy}"
        )
    return GroupEstimate(float(value), float(std), True)


def _estimates(vehicle: Vehicle, figures: dict[str, GroupEstimate]) -> Estimates:
    estimates: Estimates = {}
    full = figures["thrust_max_n"]
    if full.identified and full.value and full.std:
        per_speed2 = 1.0 / vehicle.rotors.speed_max_radps**2
        coefficient = full.value * per_speed2
        estimates["rotors.thrust_coeff_ns2prad2"] = (coefficient, full.std * per_speed2)
        kappa = vehicle.rotors.torque_coeff_nms2prad2 / vehicle.rotors.thrust_coeff_ns2prad2
        origin = vehicle.provenance.get("rotors.torque_coeff_nms2prad2")
        known = None if origin is None else origin.std
        relative = full.std / full.value
        if known is not None:
            relative = float(np.hypot(relative, known / vehicle.rotors.torque_coeff_nms2prad2))
        # The bench has no torque: its ratio to thrust stays as it was.
        estimates["rotors.torque_coeff_nms2prad2"] = (kappa * coefficient, kappa * coefficient * relative)
    if figures["thrust_curve"].identified:
        one = figures["thrust_curve"]
        estimates["rotors.thrust_curve"] = (one.value, one.std)
    if figures["thrust_loss"].identified and vehicle.battery is not None:
        one = figures["thrust_loss"]
        estimates["battery.thrust_loss_full_to_empty"] = (one.value, one.std)
    return estimates
