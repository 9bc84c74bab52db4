"""What a plant needs of a physics engine.

Arrays are float64 with the worlds along the first axis. Frames: world ENU, body FLU with its origin at the centre of
mass; quaternions rotate body into world, scalar part first.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, get_type_hints

import numpy as np
from numpy.typing import NDArray

from corvids.controllers.packing import map_leaves
from corvids.envs.physics.world import WorldParams
from corvids.errors import CorvidsError

Array = NDArray[np.float64]
"""Real numbers, worlds first."""

TICK_S = 0.002
"""One step of the rate loop, which is one tick of every engine [s]."""


class State(NamedTuple):
    """Truth about every world."""

    pos_w: Array
    """Vehicle's centre of mass [m], world, (worlds, 3)."""
    vel_w: Array
    """Its velocity [m/s], world, (worlds, 3)."""
    quat_wb: Array
    """Attitude, (worlds, 4)."""
    omega_b: Array
    """Angular velocity [rad/s], body, (worlds, 3)."""
    rotors: Array
    """Lagged quantity of each rotor (speed or thrust) over its maximum, PX4's order, (worlds, 4)."""
    ball_pos_w: Array
    """Ball's centre [m], world, (worlds, 3)."""
    ball_vel_w: Array
    """Its velocity [m/s], world, (worlds, 3)."""
    ball_spin_w: Array
    """Its angular velocity [rad/s], world, (worlds, 3)."""


class Contacts(NamedTuple):
    """What the ball touched during the last tick."""

    racket: NDArray[np.int64]
    """Impacts on the racket's face, (worlds,)."""
    racket_ball_pos_w: Array
    """Ball's centre at the latest impact on the face so far [m], world, (worlds, 3); zero before the first."""
    other: NDArray[np.int64]
    """Impacts on the airframe and on the racket's underside, (worlds,)."""


class Engine(Protocol):
    """Independent worlds, each with one vehicle and one ball."""

    worlds: int
    dt_s: float
    """Length of a tick [s]."""

    def reset(self, state: State, params: WorldParams) -> None:
        """Start all worlds in ``state``; leaves of ``params`` are floats or arrays (worlds,)."""
        ...

    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        """One tick under collective thrust (worlds,) and body rates (worlds, 3), through the rate loop."""
        ...

    def step_motors(self, command: Array) -> None:
        """One tick under motor commands 0..1 (worlds, 4), past the rate loop."""
        ...

    def retire(self, done: NDArray[np.bool_]) -> None:
        """Worlds (worlds,) that need not be simulated any more; what :attr:`state` says of them has no meaning."""
        ...

    @property
    def state(self) -> State:
        """Truth at the end of the last tick."""
        ...

    @property
    def specific_force_w(self) -> Array:
        """What accelerometers felt, averaged over the last tick [m/s²], world, (worlds, 3)."""
        ...

    @property
    def motors(self) -> Array:
        """Motor commands 0..1 of the last tick, PX4's order, (worlds, 4); zero before the first."""
        ...

    @property
    def contacts(self) -> Contacts:
        """What happened during the last tick."""
        ...


def _blank(kind: Any) -> Any:
    """A named tuple of this type, and of those within it, filled with zeros."""
    if not hasattr(kind, "_fields"):
        return 0.0
    return kind(*(_blank(hint) for hint in get_type_hints(kind).values()))


PARAMS: WorldParams = _blank(WorldParams)
"""Template of a world's parameters: its leaves say the order in which they are packed."""


def spread(params: WorldParams, worlds: int) -> WorldParams:
    """``params`` with every leaf as an array (worlds,); refuses what is neither a number nor of that length."""

    def fill(leaf: float | Array) -> Array:
        leaf = np.asarray(leaf, dtype=np.float64)
        if leaf.shape not in ((), (1,), (worlds,)):
            raise CorvidsError(f"world parameter of shape {leaf.shape}: must be a number or ({worlds},)")
        return np.broadcast_to(leaf, (worlds,))

    return map_leaves(fill, params)


def check_state(state: State, worlds: int) -> None:
    """Refuse a state of wrong shape, or with a number that is not finite."""
    for name, width in zip(State._fields, (3, 3, 4, 3, 4, 3, 3, 3), strict=True):
        value = getattr(state, name)
        if np.shape(value) != (worlds, width):
            raise CorvidsError(
                f"start state: {name} has shape {np.shape(value)}, must be ({worlds}, {width})"
            )
        if not np.isfinite(value).all():
            raise CorvidsError(f"start state: {name} of world {bad_world(value)} is not finite")


def bad_world(value: Array) -> int:
    """The first world of which a number is not finite."""
    return int(np.argmin(np.isfinite(value).reshape(len(value), -1).all(axis=1)))
