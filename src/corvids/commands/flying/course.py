"""What is commanded of a PX4 in a flight: a place, with an apex where there is a ball, or a curve about it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from corvids.deploy.pilot import Array
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Verdict

SETTLE_S = 2.0
"""How long after a policy has begun its distance from its place does not count [s]."""


class Course:
    """The task command of a flight, and how far off the vehicle was while its policy flew.

    A place is commanded as it is; `track` is shown the curve that it is judged by, about the place, from when its
    policy flies.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        place_w_m: Triple,
        apex_m: float,
        truth: Callable[[], Triple] | None = None,
    ) -> None:
        """``names``: components of the policy's task command; ``truth``: where the vehicle is now, if that is known."""
        self._place = np.array(place_w_m)
        self._curve: Callable[[float], Array] | None = None
        self._rest = np.full(len(names) - 3, apex_m if "apex_m" in names else 0.0)
        if "vel_x_w_mps" in names:
            from corvids.envs.plants.place_flight import figure_eight

            self._curve = figure_eight(1, 0, place_w_m)
        self._began_s = math.inf
        self._truth = truth
        self._off, self._truly_off = _RootMean(), _RootMean()

    def command(self, now_s: float) -> Array:
        """The task command (c,) at ``now_s`` [s]."""
        if self._curve is not None and now_s >= self._began_s:
            return self._curve(now_s - self._began_s)[0]
        return np.concatenate((self._place, self._rest))

    def watch(self, seen: Seen, verdict: Verdict) -> None:
        """Start when the policy does; note its distance from the place, but for the first two seconds."""
        if verdict.state is not State.POLICY:
            self._began_s = math.inf
            return
        self._began_s = min(self._began_s, seen.now_s)
        if seen.now_s - self._began_s >= SETTLE_S:
            place = self.command(seen.now_s)[:3].tolist()
            self._off.add(math.dist(seen.pos_w, place))
            if self._truth:
                self._truly_off.add(math.dist(self._truth(), place))

    @property
    def rmse_m(self) -> float:
        """Root mean square of those distances [m], as PX4 sees them; NaN where there are none."""
        return self._off.value

    @property
    def true_rmse_m(self) -> float:
        """Likewise in truth; NaN where that is not known."""
        return self._truly_off.value


class _RootMean:
    """Root of a mean of squares, for flights of any length."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, number: float) -> None:
        self._sum, self._count = self._sum + number * number, self._count + 1

    @property
    def value(self) -> float:
        return math.sqrt(self._sum / self._count) if self._count else math.nan
