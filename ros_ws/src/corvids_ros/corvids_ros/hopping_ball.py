"""A ball that hops over a vehicle by itself, for trying a node out where nobody throws one. No ROS.

It flies without drag, straight over the vehicle, and leaves the racket as a juggled ball would, whatever the vehicle
does: it shows that everything is connected, not that anybody juggles. For that: ``corvids fly juggle --plant px4``.
"""

from __future__ import annotations

import math

from corvids.deploy.supervision.envelope import Triple

GRAVITY_MPS2 = 9.80665


class HoppingBall:
    """Hops to ``apex_m`` above the racket, which is ``racket_m`` above the vehicle."""

    def __init__(self, apex_m: float = 0.5, racket_m: float = 0.1) -> None:
        self._apex_m, self._racket_m = apex_m, racket_m
        self._height_m, self._up_mps = apex_m, 0.0
        """Above the racket."""

    def advance(self, seconds: float, vehicle_w: Triple) -> Triple:
        """Where it is ``seconds`` later, over a vehicle at that place [m, world ENU]."""
        self._height_m += (self._up_mps - 0.5 * GRAVITY_MPS2 * seconds) * seconds
        self._up_mps -= GRAVITY_MPS2 * seconds
        if self._height_m < 0.0:
            self._height_m, self._up_mps = 0.0, math.sqrt(2.0 * GRAVITY_MPS2 * self._apex_m)
        x, y, z = vehicle_w
        return x, y, z + self._racket_m + self._height_m
