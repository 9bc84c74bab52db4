"""How numbers change in a mirror: signs under reflection of the world, and the vehicle in it, at two vertical planes.

A quadrotor whose rotors, masses and racket lie symmetrically to its x-z and y-z planes flies in the mirror as it does
outside: reflected states under reflected actions go on to reflected states. A policy and a value function may then be
made to know it (``training/mirrored_mlp.py``), and need not learn the same catch four times over.

Each number has a pair of signs: what it is multiplied by where x is reflected (x → -x), and where y is.
"""

from __future__ import annotations

import math

from corvids.vehicle import Vehicle

Signs = tuple[int, int]
"""Signs under reflection of x, and of y."""

SAME: Signs = (1, 1)
"""A scalar, or the z component of a vector."""
VECTOR: tuple[Signs, ...] = ((-1, 1), (1, -1), SAME)
"""Components of a vector, in world or body axes."""
SPIN: tuple[Signs, ...] = ((1, -1), (-1, 1), (-1, -1))
"""Components of an axial vector: rates, torques, rotation vectors."""
QUATERNION: tuple[Signs, ...] = (SAME, *SPIN)
MATRIX: tuple[Signs, ...] = tuple((a[0] * b[0], a[1] * b[1]) for a in VECTOR for b in VECTOR)
"""Entries of a rotation matrix, row by row."""
CTBR: tuple[Signs, ...] = (SAME, *SPIN)
"""Collective thrust and body rates."""

ASIDE_MAX_M = 0.005
"""A hub or a racket may lie this far from where the mirror shows it: less than flights tell apart."""
TILT_MAX_RAD = 0.02
"""A racket's normal may lean this far; more would move the ball's landing by centimetres, always to one side."""


def asymmetry(vehicle: Vehicle) -> str | None:
    """What of a vehicle the mirrors do not show where it is, in words; None where they show all of it."""
    hubs, spins = vehicle.rotors.position_b_m, vehicle.rotors.spin
    for plane, axis in (("y-z", 0), ("x-z", 1)):
        for hub, spin in zip(hubs, spins, strict=True):
            there = [-c if i == axis else c for i, c in enumerate(hub)]
            twins = (other for other, turn in zip(hubs, spins, strict=True) if turn == -spin)
            if min((math.dist(there, twin) for twin in twins), default=math.inf) > ASIDE_MAX_M:
                return f"the rotor at {list(hub)} m has no counterpart across the {plane} plane"
    if vehicle.racket:
        aside_m = math.hypot(*vehicle.racket.position_b_m[:2])
        tilt_rad = math.acos(min(abs(vehicle.racket.normal_b[2]), 1.0))
        if aside_m > ASIDE_MAX_M or tilt_rad > TILT_MAX_RAD:
            return f"its racket is {aside_m:.3f} m off the middle and tilted by {tilt_rad:.3f} rad"
    return None
