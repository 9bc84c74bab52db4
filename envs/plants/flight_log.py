"""What an autopilot would log of a simulated flight: inertial sensors, motor commands, and its estimate of the motion.

The columns are those of a flight log as CSV (:mod:`corvids.calibration.readers.csv_flight`), world ENU and body FLU.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.engines.engine import Array, Engine, State

COLUMNS = (
    "time_s",
    *(f"gyro_{axis}_radps" for axis in "xyz"),
    *(f"accel_{axis}_mps2" for axis in "xyz"),
    *(f"motor{rotor}_1" for rotor in (1, 2, 3, 4)),
    *(f"quat_{part}_1" for part in "wxyz"),
    *(f"vel_{axis}_mps" for axis in "xyz"),
)
"""Body rates, specific force, motor commands in PX4's order, attitude (body into world), velocity."""
NOISE_RATE_HZ = 250.0
"""Rate that the standard deviations of white noise are given for."""
NOISE = {"gyro": 0.03, "accel": 0.6, "velocity": 0.03, "attitude": 0.004}
"""Standard deviations [rad/s, m/s², m/s, rad]; the first two are white, the others wander."""
WANDER_S = 0.5
"""Time constant of the estimator's errors [s]."""


class FlightLog:
    """Keeps what ``engine`` does at every tick; give it to the plant that flies the engine, as its recorder."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows: list[Array] = []

    def watch(self, now_s: float, state: State, hits: NDArray[np.int64]) -> None:
        """Take in the end of a tick."""
        del now_s, hits
        felt_b = Quat(*state.quat_wb.T).unrotate(Vec3(*self._engine.specific_force_w.T))
        parts = (state.omega_b, np.column_stack(felt_b), self._engine.motors, state.quat_wb, state.vel_w)
        self._rows.append(np.concatenate(parts, axis=1))

    def columns(self, world: int, rng: np.random.Generator | None) -> dict[str, Array]:
        """The log of one world, by column; exact, or with noise drawn from ``rng``.

        A row holds the sensors at its time and the motor commands from then on. The start, at which no sensor has felt
        anything yet, is left out.
        """
        rows = np.stack([row[world] for row in self._rows[1:]])
        motors = rows[1:, 6:10]
        rows = rows[:-1].copy()
        rows[:, 6:10] = motors
        if rng is not None:
            _disturb(rows, self._engine.dt_s, rng)
        time_s = self._engine.dt_s * np.arange(1, len(rows) + 1)
        return dict(zip(COLUMNS, np.column_stack((time_s, rows)).T, strict=True))


def _disturb(rows: Array, dt_s: float, rng: np.random.Generator) -> None:
    """Add noise to the rows of a log, in place."""
    count, finer = len(rows), math.sqrt(1.0 / (dt_s * NOISE_RATE_HZ))
    rows[:, 0:3] += rng.normal(0.0, finer * NOISE["gyro"], (count, 3))
    rows[:, 3:6] += rng.normal(0.0, finer * NOISE["accel"], (count, 3))
    turn = _wander(count, NOISE["attitude"], dt_s, rng)
    rows[:, 10:14] = np.column_stack(Quat(*rows[:, 10:14].T).turned(Vec3(*turn.T)))
    rows[:, 14:17] += _wander(count, NOISE["velocity"], dt_s, rng)


def _wander(count: int, std: float, dt_s: float, rng: np.random.Generator) -> Array:
    """First-order noise of three components, shape (count, 3)."""
    keep = math.exp(-dt_s / WANDER_S)
    kicks = rng.normal(0.0, std * math.sqrt(1.0 - keep * keep), (count, 3))
    kicks[0] = rng.normal(0.0, std, 3)
    noise = np.empty_like(kicks)
    now = np.zeros(3)
    for index, kick in enumerate(kicks):
        now = keep * now + kick
        noise[index] = now
    return noise
