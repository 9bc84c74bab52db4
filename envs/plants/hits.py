"""What counts as a hit, and when a trial is over.

A hit counts only when the ball's centre has risen 0.3 m above the point of impact before the racket touches it again.
So dribbling does not score, and neither does ducking: only the ball's own height matters, not its height over the
vehicle.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array, Contacts, State
from corvids.envs.physics.world import WorldParams

RISE_MIN_M = 0.3
"""How far above the point of impact the ball's centre must rise."""
DROP_M = 0.3
"""How far below the racket's centre the ball's centre is lost."""
GROUND_MARGIN_M = 0.005
"""Height over the ground at which ball and vehicle count as lying on it."""

End = Literal["dropped", "crashed", "max_hits", "time"]
"""Why a trial ended. ``crashed``: vehicle on the ground, tilted by more than 90°, or lost in numbers."""
ENDS: tuple[End, ...] = get_args(End)


class HitCounter:
    """Counts hits in each world and remembers how high the ball rose after each of them."""

    def __init__(self, worlds: int) -> None:
        self.hits = np.zeros(worlds, dtype=np.int64)
        """Counted hits so far."""
        self._impact_z = np.full(worlds, np.nan)
        self._apex_z = np.full(worlds, -np.inf)
        self._scored = np.zeros(worlds, dtype=bool)
        self._passed = np.zeros(worlds, dtype=bool)

    def update(
        self, racket_count: NDArray[np.int64], impact_z_m: Array, ball_z_m: Array
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Array]:
        """Take in one tick: impacts on the racket during it, where the last was, and the ball's height at its end.

        All (worlds,). Returns which worlds have just scored, which have just passed the apex of a counted hit, and
        the height of that apex above the point of impact.
        """
        struck = racket_count > 0
        # An impact within the tick ends the rise before it, so that rise is judged first, at its height so far.
        passed_at_impact = struck & self._scored & ~self._passed
        apex = np.where(passed_at_impact, self._apex_z - self._impact_z, np.nan)
        self._impact_z = np.where(struck, impact_z_m, self._impact_z)
        self._apex_z = np.where(struck, impact_z_m, self._apex_z)
        self._scored &= ~struck
        self._passed &= ~struck
        falling = ball_z_m < self._apex_z
        self._apex_z = np.fmax(self._apex_z, ball_z_m)
        scored = ~self._scored & (self._apex_z - self._impact_z >= RISE_MIN_M)
        self._scored |= scored
        self.hits += scored
        passed = self._scored & ~self._passed & falling
        self._passed |= passed
        apex = np.where(passed, self._apex_z - self._impact_z, apex)
        return scored, passed | passed_at_impact, apex


class Verdict(NamedTuple):
    """How trials went; arrays (worlds,) unless said otherwise."""

    hits: NDArray[np.int64]
    """Counted hits."""
    seconds: Array
    """How long each trial lasted."""
    end: list[End | None]
    """Why each trial ended; None while it runs."""
    apexes_m: list[list[float]]
    """Per trial: the ball's highest point above the point of impact, for each counted hit whose apex was seen."""
    place_errors_m: list[list[float]]
    """Per trial: distance of the vehicle from the commanded place, at each counted hit's impact."""
    hit_times_s: list[list[float]]
    """Per trial: when each counted hit's impact was."""


class Judge(Protocol):
    """What a plant needs of a referee."""

    done: NDArray[np.bool_]
    """Which trials are over, (worlds,)."""

    @property
    def hits(self) -> NDArray[np.int64]:
        """Counted hits so far, (worlds,)."""
        ...

    def judge(self, now_s: float, state: State, contacts: Contacts) -> NDArray[np.bool_]:
        """Take in the tick that ended at ``now_s``; returns which trials ended with it, (worlds,)."""
        ...


class Referee:
    """Watches every tick of many trials, counts, and says which are over.

    ``place_w_m`` (worlds, 3) or (3,): the commanded place; may be set anew in flight.
    """

    def __init__(
        self,
        params: WorldParams,
        worlds: int,
        *,
        place_w_m: Array,
        max_hits: int,
        seconds: float,
    ) -> None:
        self.place_w_m = np.broadcast_to(np.asarray(place_w_m, dtype=np.float64), (worlds, 3))
        self.done = np.zeros(worlds, dtype=bool)
        """Which trials are over, (worlds,)."""
        self._params, self._max_hits, self._limit_s = params, max_hits, seconds
        self._counter = HitCounter(worlds)
        self._end = np.full(worlds, -1)
        self._seconds = np.zeros(worlds)
        self._impact_error_m = np.zeros(worlds)
        self._impact_s = np.zeros(worlds)
        self._apexes: list[list[float]] = [[] for _ in range(worlds)]
        self._errors: list[list[float]] = [[] for _ in range(worlds)]
        self._times: list[list[float]] = [[] for _ in range(worlds)]

    def judge(self, now_s: float, state: State, contacts: Contacts) -> NDArray[np.bool_]:
        """Take in the tick that ended at ``now_s``; returns which trials ended with it, (worlds,)."""
        live = ~self.done
        struck = live & (contacts.racket > 0)
        if struck.any():
            error = np.linalg.norm(state.pos_w - self.place_w_m, axis=1)
            self._impact_error_m = np.where(struck, error, self._impact_error_m)
            self._impact_s = np.where(struck, now_s, self._impact_s)
        scored, passed, apex = self._counter.update(
            np.where(live, contacts.racket, 0),
            contacts.racket_ball_pos_w[:, 2],
            np.where(live, state.ball_pos_w[:, 2], -np.inf),
        )
        for world in np.flatnonzero(scored):
            self._errors[world].append(float(self._impact_error_m[world]))
            self._times[world].append(float(self._impact_s[world]))
        for world in np.flatnonzero(passed & live):
            self._apexes[world].append(float(apex[world]))
        self._seconds[live] = now_s
        reasons = (
            self._dropped(state),
            self._crashed(state),
            self.hits >= self._max_hits,
            now_s >= self._limit_s,
        )
        ended = np.zeros_like(self.done)
        for reason, holds in enumerate(reasons):
            new = live & ~ended & holds
            self._end[new] = reason
            ended |= new
        self.done |= ended
        return ended

    @property
    def hits(self) -> NDArray[np.int64]:
        """Counted hits so far, (worlds,)."""
        return self._counter.hits

    @property
    def verdict(self) -> Verdict:
        """How the trials have gone so far."""
        end: list[End | None] = [ENDS[reason] if reason >= 0 else None for reason in self._end]
        return Verdict(self.hits.copy(), self._seconds.copy(), end, self._apexes, self._errors, self._times)

    def _dropped(self, state: State) -> NDArray[np.bool_]:
        ball_z, w, x, y, z = state.ball_pos_w[:, 2], *state.quat_wb.T
        center = self._params.racket.center_b
        racket_z = state.pos_w[:, 2] + (
            2.0 * (x * z - w * y) * center.x + 2.0 * (y * z + w * x) * center.y + _up(state) * center.z
        )
        on_ground = ball_z < self._params.ball.radius_m + GROUND_MARGIN_M
        return (ball_z < racket_z - DROP_M) | on_ground

    def _crashed(self, state: State) -> NDArray[np.bool_]:
        return has_crashed(state, self._params.vehicle.ground_clearance_m)


def has_crashed(state: State, ground_clearance_m: float | Array) -> NDArray[np.bool_]:
    """Which vehicles are on the ground, tilted by more than 90°, or lost in numbers, (worlds,)."""
    is_flying = (state.pos_w[:, 2] > ground_clearance_m + GROUND_MARGIN_M) & (_up(state) >= 0.0)
    return ~(is_flying & np.isfinite(state.omega_b).all(axis=1) & np.isfinite(state.ball_pos_w).all(axis=1))


def _up(state: State) -> Array:
    """Vertical component of each vehicle's body z axis: the cosine of its tilt, (worlds,)."""
    return 1.0 - 2.0 * (state.quat_wb[:, 1] ** 2 + state.quat_wb[:, 2] ** 2)
