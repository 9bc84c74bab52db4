"""What a flight looked like, for plots and videos."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array, State


class Recording(NamedTuple):
    """One world's flight, sampled evenly; time along the first axis."""

    time_s: Array
    pos_w: Array
    """Vehicle [m], (samples, 3)."""
    quat_wb: Array
    """Attitude, (samples, 4)."""
    ball_pos_w: Array
    """Ball's centre [m], (samples, 3)."""
    hits: NDArray[np.int64]
    """Counted hits so far, (samples,)."""


class Watcher(Protocol):
    """What a plant tells of every tick."""

    def watch(self, now_s: float, state: State, hits: NDArray[np.int64]) -> None:
        """Take in the end of a tick; before the first, the start."""
        ...


class Recorder:
    """Keeps what world ``world`` does, ``rate_hz`` times a second."""

    def __init__(self, world: int = 0, rate_hz: float = 60.0) -> None:
        self._world, self._period_s = world, 1.0 / rate_hz
        self._samples: list[tuple[float, Array, Array, Array, int]] = []

    def watch(self, now_s: float, state: State, hits: NDArray[np.int64]) -> None:
        """Take in the end of a tick."""
        if now_s + 1e-9 >= len(self._samples) * self._period_s:
            i = self._world
            self._samples.append((now_s, state.pos_w[i], state.quat_wb[i], state.ball_pos_w[i], int(hits[i])))

    @property
    def recording(self) -> Recording:
        """Everything so far."""
        return Recording(*(np.array(column) for column in zip(*self._samples, strict=True)))
