"""Where a ball flies, by an integrator that has nothing to do with the simulator's."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp

GRAVITY_MPS2 = 9.80665


def integrated(drag: float, up: float, height: float, aside: float):
    """Time, place, downward speed when a ball comes down: eighth-order Runge-Kutta."""

    def rates(_: float, y: np.ndarray) -> list[float]:
        pull = drag * math.hypot(y[2], y[3])
        return [y[2], y[3], -pull * y[2], -pull * y[3] - GRAVITY_MPS2]

    def down(_: float, y: np.ndarray) -> float:
        return y[1]

    down.terminal, down.direction = True, -1  # type: ignore[attr-defined]
    flight = solve_ivp(
        rates, (0, 5), [0, height + 1e-9, aside, up], "DOP853", events=down, rtol=1e-10, atol=1e-12
    )
    return flight.t_events[0][-1], flight.y_events[0][-1][0], -flight.y_events[0][-1][3]
