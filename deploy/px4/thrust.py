"""Newtons, and what PX4 calls thrust: a number from 0 to 1.

PX4's mixer hands each rotor the collective it was given, turns it into a motor command by the inverse of its own
curve (``THR_MDL_FAC`` f: fraction = f·u² + (1-f)·u), and the motor answers by its true curve (the vehicle file's
``thrust_curve``). Where both curves are the same, PX4's thrust is the fraction of the full thrust. Full thrust fades
with the battery.
"""

from __future__ import annotations

import dataclasses
import math

from corvids.vehicle import Vehicle


@dataclasses.dataclass(frozen=True)
class ThrustMap:
    """Between newtons of collective thrust and PX4's normalised thrust."""

    full_n: float
    """Collective thrust with every rotor at full command and the battery full [N]."""
    curve: float
    """The rotors' true curve, as ``THR_MDL_FAC`` counts."""
    px4_curve: float
    """``THR_MDL_FAC``."""
    loss: float
    """Share of the full thrust that is lost from a full battery to an empty one."""

    def normalised(self, thrust_n: float, battery: float = math.nan) -> float:
        """What to command, 0 to 1, for ``thrust_n`` [N]; ``battery`` is the remaining share, NaN where unknown."""
        fraction = min(max(thrust_n / self._full_n(battery), 0.0), 1.0)
        command = _inverse(fraction, self.curve)
        return command * (self.px4_curve * command + 1.0 - self.px4_curve)

    def newtons(self, normalised: float, battery: float = math.nan) -> float:
        """The thrust [N] that PX4's ``normalised`` 0 to 1 gives."""
        command = _inverse(min(max(normalised, 0.0), 1.0), self.px4_curve)
        return self._full_n(battery) * command * (self.curve * command + 1.0 - self.curve)

    def _full_n(self, battery: float) -> float:
        spent = 0.0 if math.isnan(battery) else 1.0 - min(max(battery, 0.0), 1.0)
        return self.full_n * (1.0 - self.loss * spent)


def thrust_map_of(vehicle: Vehicle) -> ThrustMap:
    """The map of a vehicle file."""
    return ThrustMap(
        vehicle.max_thrust_n,
        vehicle.rotors.thrust_curve,
        vehicle.px4.THR_MDL_FAC,
        vehicle.battery.thrust_loss_full_to_empty if vehicle.battery else 0.0,
    )


def _inverse(fraction: float, curve: float) -> float:
    """Motor command 0 to 1 for a fraction of full thrust: the root of f·u² + (1-f)·u = fraction."""
    linear = 1.0 - curve
    root = linear + math.sqrt(linear * linear + 4.0 * curve * fraction)
    return 2.0 * fraction / root if root > 0.0 else 0.0
