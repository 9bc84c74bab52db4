"""What a team's plant needs of a physics engine: :mod:`corvids.envs.engines.engine` for teams.

Arrays are float64. A row is a member of a world: row ``w·drones + d`` is member ``d`` of world ``w``. Frames: world
ENU, body FLU with its origin at the centre of mass; quaternions rotate body into world, scalar part first.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from corvids.controllers.spatial import Vec3
from corvids.envs.engines.engine import Array
from corvids.envs.physics.team_world import TeamParams

Mask = NDArray[np.bool_]


class Bodies(NamedTuple):
    """Rigid bodies, one a row."""

    pos_w: Array
    """Centre of mass [m], world, (n, 3)."""
    vel_w: Array
    """Its velocity [m/s], world, (n, 3)."""
    quat_wb: Array
    """Attitude, (n, 4)."""
    omega_b: Array
    """Angular velocity [rad/s], body, (n, 3)."""


class TeamState(NamedTuple):
    """Truth about every world."""

    drones: Bodies
    """Members, (rows, ·)."""
    load: Bodies
    """Loads, (worlds, ·)."""
    specific_force_w: Array
    """What members' accelerometers felt, mean of the last tick [m/s²], world, (rows, 3)."""
    tension_n: Array
    """Of members' cables, mean of the last tick [N], (rows,)."""


class TeamEngine(Protocol):
    """Independent worlds, each with one team and its load."""

    worlds: int
    drones: int
    dt_s: float
    """Length of a tick [s]."""

    def reset(self, state: TeamState, params: TeamParams, thrust_n: Array) -> None:
        """Start all worlds in ``state``, rotors giving ``thrust_n`` (rows,) [N].

        Leaves of ``params`` are tensors (worlds, drones), the load's (worlds, 1), made for a step of a tick.
        """
        ...

    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        """One tick under collective thrust (rows,) and body rates (rows, 3), through the rate loop."""
        ...

    def lose(self, rows: Mask, cut: Mask) -> None:
        """All thrust of the members ``rows`` (rows,) is gone from now on; the cables of those in ``cut`` too."""
        ...

    @property
    def state(self) -> TeamState:
        """Truth at the end of the last tick."""
        ...


def columns(vector: Vec3) -> Array:
    """Components (worlds, drones) as (rows, 3)."""
    return np.stack([np.asarray(part, np.float64).reshape(-1) for part in vector], axis=1)
