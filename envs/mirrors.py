"""How numbers change in a mirror: signs under reflection of the world, and the vehicle in it, at two vertical planes.

A quadrotor whose rotors, masses and racket lie symmetrically to its x-z and y-z planes flies in the mirror as it does
outside: reflected states under reflected actions go on to reflected states. A policy and a value function may then be
made to know it (``training/mirrored_mlp.py``), and need not learn the same catch four times over.

Each number has a pair of signs: what it is multiplied by where x is reflected (x → -x), and where y is.
"""

from __future__ import annotations

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
