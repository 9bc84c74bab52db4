"""The one loop that flies every plant: native simulator, MuJoCo, PX4 in the loop, the vehicle."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corvids.deploy.pilot import Array, Decision, Pilot, Readings

RECENT = 10_000
"""So many ticks' times are kept: a flight may be long."""


class Plant(Protocol):
    """What is flown: ``n`` vehicles behind one clock."""

    @property
    def now_s(self) -> float:
        """Time on the plant's clock [s], which stamps are given in."""
        ...

    def receive(self, until_s: float) -> Readings:
        """Let time pass until ``until_s`` (wait, or simulate) and hand over what has arrived by then."""
        ...

    def send(self, first: Array, second: Array, /) -> None:
        """Command collective thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) from now on; or, through an inner loop,
        acceleration [m/s², world] (n, 3) and added roll and pitch rates [rad/s, FLU] (n, 2)."""
        ...


Commander = Callable[[float], ArrayLike]
"""The task command, (c,) or (n, c), in force at a time on the plant's clock [s]."""


class Tick(NamedTuple):
    """One control tick. Arrays in ``decision`` are overwritten by the next, or its rehearsal: copy what is kept."""

    now_s: float
    """When it was, on the plant's clock."""
    late_s: float
    """How much later than it should have been."""
    readings: Readings
    command: ArrayLike
    """The task command in force."""
    decision: Decision
    compute_s: float
    """Wall time from readings to command."""

    def missed(self, period_s: float) -> int:
        """Ticks, ``period_s`` [s] apart, that are left out since this one was so late."""
        return max(0, int(self.late_s / period_s))


Guard = Callable[[float, ArrayLike, Decision, float], "tuple[Array, Array] | None"]
"""Has the last word on a command: from time [s], task command, decision and the time [s] that it took, both on the
plant's clock, to the thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) to be sent, or None where nothing must be."""


class Flight(NamedTuple):
    """What a flight was like."""

    ticks: int
    skipped: int
    """Control ticks that were left out because the loop was late by more than a period."""
    by_policy: NDArray[np.float64]
    """Share of the ticks in which the policy flew, not the fallback, (n,)."""
    compute_median_s: float
    """Of the last :data:`RECENT` ticks at most."""
    compute_max_s: float


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """Garbage is looked for among what came since: to go through all modules takes several milliseconds."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_settled()
def fly(
    pilot: Pilot,
    plant: Plant,
    commander: Commander,
    *,
    seconds: float,
    recorder: Callable[[Tick], None] | None = None,
    until: Callable[[Tick], bool] | None = None,
    guard: Guard | None = None,
) -> Flight:
    """Fly for ``seconds`` on the plant's clock, infinity for as long as it takes, or until ``until`` says so.

    Ticks lie on a fixed grid from the start on, so that lateness does not add up; one that is missed by more than a
    period is skipped, not made up for.
    """
    period_s = 1.0 / pilot.contract.control_hz
    start_s = plant.now_s
    index = skipped = ticks = 0
    by_policy = np.zeros(pilot.rows)
    compute_s: deque[float] = deque(maxlen=RECENT)
    compute_max_s = 0.0
    last = seconds if seconds == math.inf else round(seconds / period_s)
    while index < last:
        due_s = start_s + index * period_s
        readings = plant.receive(due_s)
        now_s = plant.now_s
        command = commander(now_s)
        began = time.perf_counter()
        decision = pilot.decide(readings, now_s, command)
        compute_s.append(time.perf_counter() - began)
        compute_max_s = max(compute_max_s, compute_s[-1])
        sent: tuple[Array, Array] | None = decision.order
        if guard:
            # Simulated time stands still meanwhile: a busy machine makes such a flight slower, not worse.
            sent = guard(now_s, command, decision, plant.now_s - now_s)
        if sent:
            plant.send(*sent)
        tick = Tick(now_s, now_s - due_s, readings, command, decision, compute_s[-1])
        ticks += 1
        by_policy += decision.by_policy
        if recorder:
            recorder(tick)
        if until and until(tick):
            break
        missed = tick.missed(period_s)
        skipped += missed
        index += 1 + missed
    if not ticks:
        return Flight(0, 0, by_policy, 0.0, 0.0)
    return Flight(ticks, skipped, by_policy / ticks, float(np.median(compute_s)), compute_max_s)
