"""Flies setpoint files: the fallback's cascade follows the place, the excitation is added, the limits are watched.

Whoever leaves the limits is called back: the excitation ends, the vehicle returns to where it began, and stays there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.contract import Limits
from corvids.deploy.fallback import Fallback, FallbackGains
from corvids.deploy.pilot import Array, Readings
from corvids.deploy.setpoints import Setpoints
from corvids.errors import CorvidsError

TRIM_PER_MS = 0.3
"""How fast the share of the weight that thrust lacks is learned, per height error and time [1/(m s)]."""
TRIM_MAX = 0.6
"""Largest share of the weight that is added or taken off so."""


class SetpointFollower:
    """Flies ``n`` vehicles of one kind, each by setpoints of its own; all take as long, at one rate."""

    def __init__(self, setpoints: Sequence[Setpoints], limits: Limits) -> None:
        first = setpoints[0]
        for one in setpoints:
            if (one.rate_hz, len(one.samples), one.limits) != (
                first.rate_hz,
                len(first.samples),
                first.limits,
            ):
                raise CorvidsError("setpoints that are flown together must agree in rate, length and limits")
        self.rate_hz, self.steps = first.rate_hz, len(first.samples)
        samples = np.stack([one.array() for one in setpoints], axis=1)
        self._place, self._vel, self._rate, self._share = np.split(samples, (3, 6, 9), axis=2)
        self._accel = np.gradient(self._vel, axis=0) * self.rate_hz if self.steps > 1 else 0.0 * self._vel
        self._limits, self._fence = limits, first.limits
        gains = FallbackGains(speed_max_mps=first.limits.speed_mps, tilt_max_rad=first.limits.tilt_rad)
        self._law, self._lag = Fallback(limits, gains), 1.0 / gains.velocity_per_s
        rows = len(setpoints)
        self._trim = np.zeros(rows)
        self.stopped = np.full(rows, -1)
        """The step at which each vehicle was called back, (n,); -1 where it was not."""
        self.reasons: list[str | None] = [None] * rows
        """Why."""

    def step(self, readings: Readings, index: int) -> tuple[Array, Array]:
        """Collective thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) at sample ``index``."""
        pos_w, vel_w, quat_wb = readings.pos_w, readings.vel_w, readings.quat_wb
        self._watch(pos_w, vel_w, quat_wb, index)
        going = (self.stopped < 0)[:, None]
        place = np.where(going, self._place[index], self._place[0])
        # The cascade brakes relative to the reference, and tilts ahead of its acceleration.
        reference = np.where(going, self._vel[index] + self._lag * self._accel[index], 0.0)
        thrust_n, rate = self._law.command(pos_w, vel_w - reference, quat_wb, place)
        error = np.nan_to_num(place[:, 2] - pos_w[:, 2])
        self._trim = np.clip(self._trim + TRIM_PER_MS / self.rate_hz * error, -TRIM_MAX, TRIM_MAX)
        thrust_n = thrust_n * (1.0 + self._trim)
        thrust_n += np.where(going, self._share[index], 0.0)[:, 0] * self._limits.hover_thrust_n
        rate = rate + np.where(going, self._rate[index], 0.0)
        most = np.array(self._limits.rate_max_radps)
        return np.clip(thrust_n, *self._limits.thrust_n), np.clip(rate, -most, most)

    def _watch(self, pos_w: Array, vel_w: Array, quat_wb: Array, index: int) -> None:
        fence = self._fence
        speed = np.linalg.norm(vel_w, axis=1)
        tilt = tilt_rad(quat_wb)
        causes: tuple[tuple[NDArray[np.bool_], str, Array | None], ...] = (
            (~(np.isfinite(pos_w).all(axis=1) & np.isfinite(speed + tilt)), "its state is unknown", None),
            (((pos_w < fence.low_w_m) | (pos_w > fence.high_w_m)).any(axis=1), "it left the fence", None),
            (speed > fence.speed_mps, f"it was faster than {fence.speed_mps:g} m/s", speed),
            (
                tilt > fence.tilt_rad,
                f"it tilted more than {np.degrees(fence.tilt_rad):.0f}°",
                np.degrees(tilt),
            ),
        )
        for holds, text, value in causes:
            for row in np.flatnonzero(holds & (self.stopped < 0)):
                self.stopped[row] = index
                self.reasons[row] = text if value is None else f"{text}: {value[row]:.3g}"


def tilt_rad(quat_wb: Array) -> Array:
    """Angle between body z and the vertical, (n,)."""
    w, x, y, z = quat_wb.T
    return np.arctan2(2.0 * np.hypot(x * z + w * y, y * z - w * x), 1.0 - 2.0 * (x * x + y * y))
