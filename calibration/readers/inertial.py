"""What must be true of any log's inertial sensors before it is used, wherever it is from."""

from __future__ import annotations

import numpy as np

from corvids.calibration.readers.record import Channel
from corvids.errors import CorvidsError

MAX_INTERVAL_S = 0.02
"""Slower gyroscopes do not see the motors' lag [s]."""
MIN_SAMPLES = 50
"""Fewer are not looked at."""


def check_sensors(log: str, gyro: Channel, accel: Channel) -> None:
    """Refuse sensors that are stuck, in the wrong unit or too slow; raises :class:`CorvidsError`."""
    for name, channel in (("gyroscope", gyro), ("accelerometer", accel)):
        _refuse_stuck(log, name, channel)
    size = float(np.median(np.linalg.norm(accel.values, axis=-1)))
    if 0.8 < size < 1.25:
        raise CorvidsError(f"{log}: specific force of {size:.2f} looks like g; it must be in m/s²")
    if not 2.0 < size < 100.0:
        raise CorvidsError(
            f"{log}: specific force of {size:.3g} m/s² (median) cannot be; it is about 9.8 in flight"
        )
    if not gyro.interval_s <= MAX_INTERVAL_S:
        raise CorvidsError(
            f"{log}: rates come at {1.0 / gyro.interval_s:.3g} Hz; a fit needs {1.0 / MAX_INTERVAL_S:.0f} Hz"
        )


def _refuse_stuck(log: str, name: str, channel: Channel) -> None:
    if len(channel.time_s) < MIN_SAMPLES:
        raise CorvidsError(
            f"{log}: only {len(channel.time_s)} samples of the {name}; a fit needs seconds of flight"
        )
    for axis, column in zip("xyz", channel.values.T, strict=True):
        if np.ptp(column) == 0.0:
            raise CorvidsError(
                f"{log}: the {name}'s {axis} axis is constant at {column[0]:g}: the sensor was stuck"
            )
