"""A flight as a fit wants it: every signal with its own clean time base, in SI units, world ENU and body FLU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Channel:
    """One signal, at the times at which it was sampled."""

    topic: str
    """Where it is from."""
    unit: str
    """Unit of the values."""
    time_s: np.ndarray
    """Shape (n,): seconds since the start of the log, strictly rising."""
    values: np.ndarray
    """Shape (n, k), finite."""

    @property
    def interval_s(self) -> float:
        """Median time between two samples; infinite where there are fewer than two."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else float("inf")

    def gaps(self, factor: float = 3.5) -> np.ndarray:
        """Shape (m, 2): beginnings and ends [s] of pauses longer than ``factor`` intervals."""
        late = np.flatnonzero(np.diff(self.time_s) > factor * self.interval_s)
        return np.stack((self.time_s[late], self.time_s[late + 1]), axis=-1)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something wrong with a signal, and what was done about it."""

    signal: str
    """Name of the channel."""
    text: str
    """What was found and what was done, in a few words."""


@dataclasses.dataclass(frozen=True)
class FlightRecord:
    """One flight."""

    name: str
    """Name of the log."""
    sha256: str
    """Hash of the log."""
    gyro_b: Channel
    """Body rates [rad/s], FLU."""
    accel_b: Channel
    """Specific force [m/s²], FLU: +9.8 along z at rest."""
    command: Channel | None
    """Motor commands 0..1 (n, 4) in PX4's order, held until the next sample; 0 while disarmed."""
    quat_wb: Channel | None
    """Attitude (n, 4), scalar first: rotates body FLU into world ENU."""
    vel_w: Channel | None
    """Velocity [m/s], ENU."""
    on_ground: Channel | None
    """1 while the autopilot believes to touch the ground, else 0; held until the next sample."""
    voltage: Channel | None
    """Battery [V]."""
    resets_s: np.ndarray
    """Shape (m,): when the estimate of attitude or velocity jumped [s]."""
    parameters: Mapping[str, float]
    """PX4's parameters."""
    findings: tuple[Finding, ...]
    """What was wrong with the log."""
    simulated: bool = False
    """Whether PX4 wrote it of a vehicle that it simulated, whose rotors advance in steps."""

    @property
    def duration_s(self) -> float:
        """From the first sample of the gyroscope to the last [s]."""
        return float(self.gyro_b.time_s[-1] - self.gyro_b.time_s[0])

    def channels(self) -> dict[str, Channel]:
        """The channels that there are, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Channel)}
