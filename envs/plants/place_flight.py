"""How keeping a place is commanded and judged: places that jump, or a curve that is followed; distance, and crashes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array, Contacts, State
from corvids.envs.physics.world import WorldParams
from corvids.envs.plants.hits import End, has_crashed

CENTRE_W_M = (0.0, 0.0, 3.0)
"""Where flights begin, and what commands are around."""
HOLD_S, SETTLE_S = 5.0, 2.0
"""How long a place stands, and how long after a new one the distance does not count: it is on its way."""
STEP_M = (0.5, 0.5, 0.3)
"""Places are drawn within this of the centre, along each axis."""
CURVE_M, CURVE_RADPS = (1.0, 0.5, 0.2), (0.8, 1.6, 0.8)
"""Amplitudes and frequencies of the curve: a figure-eight that rises and sinks."""

Commander = Callable[[float], Array]
"""The task command (trials, c) at a time [s]; its first three components are the place [m, world]."""


def places_that_jump(trials: int, seed: int) -> Commander:
    """A new place every :data:`HOLD_S`, drawn by trial; the first is the centre."""

    def command(now_s: float) -> Array:
        turn = math.floor(now_s / HOLD_S + 1e-9)
        if turn not in drawn:
            aside = [
                np.random.default_rng((seed, trial, turn)).uniform(-1.0, 1.0, 3) for trial in range(trials)
            ]
            drawn[turn] = np.array(CENTRE_W_M) + np.array(STEP_M) * aside
        return drawn[turn]

    drawn = {0: np.tile(CENTRE_W_M, (trials, 1))}
    return command


def figure_eight(trials: int, seed: int, centre_w_m: tuple[float, float, float] = CENTRE_W_M) -> Commander:
    """Place and velocity on the curve, which all trials enter at its centre."""
    del seed
    size, frequency = np.array(CURVE_M), np.array(CURVE_RADPS)

    def command(now_s: float) -> Array:
        place = np.array(centre_w_m) + size * np.sin(frequency * now_s)
        return np.tile(np.concatenate((place, size * frequency * np.cos(frequency * now_s))), (trials, 1))

    return command


class PlaceVerdict(NamedTuple):
    """How the trials went."""

    rmse_m: Array
    """Distance from the commanded place, root mean square over the ticks that count, (trials,); NaN where none does."""
    seconds: Array
    """When each ended, (trials,)."""
    end: list[End | None]
    """Why: ``crashed`` or ``time``."""


class PlaceReferee:
    """Judges trials tick by tick, with the parts that a plant asks a referee for."""

    def __init__(self, params: WorldParams, trials: int, command: Commander, seconds: float) -> None:
        self.done = np.zeros(trials, dtype=bool)
        """Which trials are over, (trials,)."""
        self.hits = np.zeros(trials, dtype=np.int64)
        """Nobody hits anything."""
        self._params, self._command, self._limit_s = params, command, seconds
        self._end: list[End | None] = [None] * trials
        self._seconds, self._squares, self._counted = np.zeros(trials), np.zeros(trials), np.zeros(trials)

    def judge(self, now_s: float, state: State, contacts: Contacts) -> NDArray[np.bool_]:
        """Take in the tick that ended at ``now_s``; returns which trials ended with it, (trials,)."""
        del contacts
        live = ~self.done
        self._seconds[live] = now_s
        crashed = live & has_crashed(state, self._params.vehicle.ground_clearance_m)
        if now_s % HOLD_S >= SETTLE_S:
            off = state.pos_w - self._command(now_s)[:, :3]
            counts = live & ~crashed
            self._squares[counts] += np.sum(off[counts] ** 2, axis=1)
            self._counted[counts] += 1.0
        ended = crashed | (live & (now_s >= self._limit_s))
        for trial in np.flatnonzero(ended):
            self._end[trial] = "crashed" if crashed[trial] else "time"
        self.done |= ended
        return ended

    @property
    def verdict(self) -> PlaceVerdict:
        """How the trials have gone so far."""
        with np.errstate(invalid="ignore"):
            return PlaceVerdict(np.sqrt(self._squares / self._counted), self._seconds.copy(), list(self._end))
