"""A setpoint file: a reference for a vehicle's place and what is added to its commands on top, sample by sample.

One JSON object: the vehicle it was made for, the limits within which it may be flown, which manoeuvre is flown when,
and the samples, whose columns it names. Frames: world ENU, body FLU; world coordinates are those of the flying space.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corvids.deploy import typed_json
from corvids.errors import CorvidsError

FORMAT, VERSION = "corvids setpoints", 1
COLUMNS = (
    *(f"place_{axis}_w_m" for axis in "xyz"),
    *(f"vel_{axis}_w_mps" for axis in "xyz"),
    *(f"rate_{axis}_b_radps" for axis in "xyz"),
    "thrust_share_1",
)
"""Place and its velocity; body rates and thrust (as a share of the weight) that are added to those commanded."""
RATE_HZ = (20.0, 500.0)
"""Least and most samples per second."""


@dataclasses.dataclass(frozen=True)
class FlightLimits:
    """Within these the setpoints may be flown; beyond one of them the vehicle is called back."""

    low_w_m: tuple[float, float, float]
    """Lowest corner of the fence."""
    high_w_m: tuple[float, float, float]
    """Highest corner of the fence."""
    speed_mps: float
    """Largest speed."""
    tilt_rad: float
    """Largest angle between the body's z axis and the vertical."""


@dataclasses.dataclass(frozen=True)
class Span:
    """When a manoeuvre is flown."""

    name: str
    begin_s: float
    end_s: float


@dataclasses.dataclass(frozen=True)
class Setpoints:
    """A setpoint file."""

    format: str
    version: int
    vehicle: str
    """Name of the vehicle that it was made for."""
    rate_hz: float
    """Samples per second."""
    limits: FlightLimits
    manoeuvres: tuple[Span, ...]
    columns: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]

    @property
    def seconds(self) -> float:
        """How long they take [s]."""
        return len(self.samples) / self.rate_hz

    def array(self) -> NDArray[np.float64]:
        """The samples, shape (T, 10), in the order of :data:`COLUMNS`."""
        return np.array(self.samples)


def make_setpoints(
    vehicle: str,
    rate_hz: float,
    limits: FlightLimits,
    manoeuvres: tuple[Span, ...],
    samples: NDArray[np.float64],
) -> Setpoints:
    """Setpoints of ``samples`` (T, 10); refuses what :func:`read_setpoints` would refuse."""
    rows = tuple(tuple(row) for row in np.round(samples, 6).tolist())
    setpoints = Setpoints(FORMAT, VERSION, vehicle, rate_hz, limits, manoeuvres, COLUMNS, rows)
    _check(setpoints)
    return setpoints


def read_setpoints(path: str | os.PathLike[str]) -> Setpoints:
    """The setpoint file at ``path``; raises :class:`CorvidsError` in one line."""
    path = Path(path)
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
        found = parsed.get("format") if isinstance(parsed, dict) else None
        if found != FORMAT:
            raise CorvidsError(f'is no setpoint file: its "format" must be {FORMAT!r}')
        setpoints = typed_json.read(Setpoints, parsed)
        _check(setpoints)
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (CorvidsError, ValueError, RecursionError) as error:
        raise CorvidsError(f"{path}: {' '.join(str(error).split())}") from None
    return setpoints


def to_bytes(setpoints: Setpoints) -> bytes:
    """The file's content: the samples one a line, for people who look into it."""
    head = typed_json.write(dataclasses.replace(setpoints, samples=()))
    del head["samples"]
    lines = ",\n  ".join(json.dumps(row) for row in setpoints.samples)
    return f'{json.dumps(head, indent=1)[:-2]},\n "samples": [\n  {lines}\n ]\n}}\n'.encode()


def _check(setpoints: Setpoints) -> None:
    if setpoints.version != VERSION:
        raise CorvidsError(f"version = {setpoints.version} must be {VERSION}, which this program reads")
    if setpoints.columns != COLUMNS:
        raise CorvidsError(f"columns must be {', '.join(COLUMNS)}")
    if not RATE_HZ[0] <= setpoints.rate_hz <= RATE_HZ[1]:
        raise CorvidsError(
            f"rate_hz = {setpoints.rate_hz:g} must be from {RATE_HZ[0]:g} to {RATE_HZ[1]:g} Hz"
        )
    limits = setpoints.limits
    if not all(low < high for low, high in zip(limits.low_w_m, limits.high_w_m, strict=True)):
        raise CorvidsError("limits: low_w_m must be below high_w_m along every axis")
    if not (limits.speed_mps > 0.0 and 0.0 < limits.tilt_rad < np.pi / 2):
        raise CorvidsError("limits: speed_mps and tilt_rad must be positive, and tilt_rad less than 1.57")
    for row, sample in enumerate(setpoints.samples):
        if len(sample) != len(COLUMNS):
            raise CorvidsError(f"samples[{row}] has {len(sample)} numbers; the columns are {len(COLUMNS)}")
    if not setpoints.samples:
        raise CorvidsError("samples is empty")
    places = setpoints.array()[:, :3]
    outside = np.flatnonzero(((places < limits.low_w_m) | (places > limits.high_w_m)).any(axis=1))
    if len(outside):
        raise CorvidsError(
            f"samples[{outside[0]}]: the place {places[outside[0]].tolist()} is outside the fence"
        )
