"""A vehicle with PX4 as the runtime meets it: a plant behind a link, whichever that is, under a supervisor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from corvids.deploy.pilot import PLACE, Array, Decision, Pilot
from corvids.deploy.px4.frames import yaw_ned_rad
from corvids.deploy.px4.in_step import InStep
from corvids.deploy.px4.keeping import Level
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.supervision.checks import Autopilot, Mode, Proposal, Seen, Word
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.reactions import STREAMING, State
from corvids.deploy.supervision.supervisor import Request, Supervisor, Verdict

SPARE_S = 0.0015
"""How long before a state or a tick is expected its rehearsal is over [s]: the earliest state must not find it under
way, nor the threads that bring it; but what is in caches fades within some milliseconds."""
REHEARSAL_MIN_S = 0.0005
"""How long a rehearsal is thought to take at least [s]."""
FADES = 0.98
"""How much of a longer one is still believed at the next tick."""


class Link(Protocol):
    """The way to one PX4: what it says, in our frames and on our clock, and how it is commanded."""

    @property
    def now_s(self) -> float:
        """Time [s]; never goes back."""
        ...

    @property
    def state(self) -> VehicleState:
        """The newest state."""
        ...

    @property
    def autopilot(self) -> Autopilot:
        """What PX4 says of itself."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether PX4 holds for the keeper, which asked for that since :meth:`engage`, and for nobody else."""
        ...

    def wait(self, until_s: float) -> Iterator[None]:
        """Take in what arrives until ``until_s`` [s]; hands over after each piece of it."""
        ...

    def engage(self) -> None:
        """The operator said engage: set-points follow, and count again."""
        ...

    def release(self) -> None:
        """Nobody streams any more."""
        ...

    def request(self, request: Request) -> None:
        """Ask PX4 for something."""
        ...

    def stream(self, thrust: float, rate_b_radps: Triple, level: Level) -> None:
        """A set-point: PX4's normalised thrust, body rates [rad/s, FLU], and what to fly should no other follow."""
        ...


class LoadSource(Protocol):
    """Where the load's pose comes from."""

    @property
    def stamp_s(self) -> float:
        """When it was measured last [s], NaN before the first."""
        ...


class BallSource(Protocol):
    """Where measured ball positions come from."""

    def measure(self, now_s: float, state: VehicleState) -> list[tuple[float, Triple]]:
        """Stamps [s] and positions [m, world ENU] that have arrived since the last call."""
        ...


class Readings(NamedTuple):
    """What has arrived, for one vehicle. Shapes and frames as :class:`corvids.deploy.pilot.Readings` has them."""

    stamp_s: Array
    pos_w: Array
    vel_w: Array
    quat_wb: Array
    omega_b: Array
    ball_stamp_s: Array = np.empty((1, 0))
    """None: where the ball was seen has gone into the pilot's filter as it arrived."""
    ball_pos_w: Array = np.empty((1, 0, 3))


def ask(link: Link, request: Request | None) -> None:
    """Ask PX4 for something, if for anything; to hold before it arms where it would not stay on the ground.

    PX4 keeps the mode of the last flight. In LAND and OFFBOARD it does not arm. In a mission or a take-off it does, and
    flies it: there it must have been heard to hold before it is asked to arm, and that request is repeated.
    """
    mode = link.autopilot.mode
    if request is Request.ARM and mode in (Mode.LAND, Mode.OFFBOARD, Mode.AUTO):
        link.request(Request.HOLD)
    if request is not None and not (request is Request.ARM and mode is Mode.AUTO):
        link.request(request)


class Px4Flight:
    """The plant, and the guard that gives the supervisor the last word on every command."""

    def __init__(
        self,
        link: Link,
        supervisor: Supervisor,
        pilot: Pilot,
        thrust_map: ThrustMap,
        *,
        hover_thrust_n: float,
        ball: BallSource | None = None,
        load: LoadSource | None = None,
        in_step: bool = False,
        rehearses: bool = False,
        words: Callable[[State], frozenset[Word]] = lambda state: frozenset(),
        watcher: Callable[[Seen, Verdict], None] | None = None,
    ) -> None:
        """``words``: what the operator says, asked once a tick; ``watcher`` is shown every verdict.

        ``in_step``: ticks come as states do, see :mod:`corvids.deploy.px4.in_step`; otherwise when they are due.
        ``rehearses``: shortly before a tick, pilot and supervisor go through it to no effect, so that it takes less
        time when its state is there; worth it where time is real, and done where there is any: up to some 300 Hz.
        """
        self.link, self.supervisor = link, supervisor
        self._pilot, self._thrust_map = pilot, thrust_map
        self._hover_thrust_n = hover_thrust_n
        self._ball, self._load, self._words, self._watcher = ball, load, words, watcher
        self._untold: tuple[Seen, Verdict] | None = None
        self._step = InStep(1.0 / pilot.contract.control_hz) if in_step else None
        self._rehearses = rehearses
        self._rehearsal_s = REHEARSAL_MIN_S
        self._decided: tuple[ArrayLike, Decision, float] | None = None
        """What the supervisor was asked about last."""
        names = list(pilot.contract.command)
        self._place = [names.index(name) for name in PLACE] if set(PLACE) <= set(names) else None

    @property
    def now_s(self) -> float:
        """The link's clock [s]."""
        return self.link.now_s

    def receive(self, until_s: float) -> Readings:
        """Take in what arrives until ``until_s`` [s]."""
        for _ in self._arrivals(until_s):
            self._see_ball()
        self._see_ball()
        state = self.link.state
        # One array, of which the others are views: each that is made takes time between state and set-point.
        row = np.array([(*state.pos_w, *state.vel_w, *state.quat_wb, *state.omega_b, state.stamp_s)])
        return Readings(row[:, 13], row[:, :3], row[:, 3:6], row[:, 6:10], row[:, 10:13])

    def _see_ball(self) -> None:
        """Let the pilot's filter have what is measured of the ball: now there is time, and not when a tick is due."""
        if self._ball is None or self._pilot.ball is None:
            return
        for stamp_s, pos_w in self._ball.measure(self.now_s, self.link.state):
            self._pilot.ball.take_in(np.array([[stamp_s]]), np.array([[pos_w]]))

    def _arrivals(self, until_s: float) -> Iterator[None]:
        """What arrives until the tick that lies at ``until_s``."""
        step = self._step
        due_s = expected_s = until_s
        if step:
            due_s = step.due_s(until_s)
            expected_s = step.expected_s(due_s)
            yield from self._news(self.now_s, math.inf)  # what is there already, for whichever tick
        if self._rehearses:
            rehearsal_s = expected_s - SPARE_S - self._rehearsal_s
            took_s = 0.0
            if self.now_s < rehearsal_s:
                yield from self._news(rehearsal_s, due_s)
                # Whoever slept too long has no time for it any more.
                if self.now_s < rehearsal_s + 0.5 * SPARE_S and not self._is_time(due_s):
                    took_s = self._rehearse()
            # As the longest of late, which would be in the way of a state; one that was interrupted says little.
            took_s = min(took_s, 2.0 * self._rehearsal_s)
            self._rehearsal_s = max(took_s, FADES * self._rehearsal_s, REHEARSAL_MIN_S)
        yield from self._news(due_s, due_s)
        if step:
            step.answer(due_s)

    def _news(self, until_s: float, due_s: float) -> Iterator[None]:
        """What arrives until ``until_s`` [s], or until it is time for the tick that is due at ``due_s``."""
        if self._is_time(due_s):
            return
        for _ in self.link.wait(until_s):
            if self._step:
                self._step.note(self.link.state.stamp_s, self.now_s)
            yield
            if self._is_time(due_s):
                return

    def _is_time(self, due_s: float) -> bool:
        return self._step is not None and self._step.is_time(due_s)

    def _rehearse(self) -> float:
        """Decide, to no effect: see :meth:`Pilot.rehearse`. Returns how long that took [s]."""
        began_s = self.now_s
        self._pilot.rehearse()
        if self._decided:
            seen = self._seen(began_s, *self._decided)
            if command := self.supervisor.rehearse(seen).command:
                self._setpoint(*command)
        return self.now_s - began_s

    def guard(
        self, now_s: float, command: ArrayLike, decision: Decision, compute_s: float
    ) -> tuple[Array, Array] | None:
        """What the supervisor makes of a decision; see :data:`corvids.deploy.runtime.Guard`."""
        self._decided = command, decision, compute_s
        seen = self._seen(now_s, *self._decided, self._words(self.supervisor.state))
        before = self.supervisor.state
        verdict = self.supervisor.tick(seen)
        if verdict.state is State.ENGAGING and before is not State.ENGAGING:
            self.link.engage()
        elif before in STREAMING and verdict.state not in STREAMING:
            self.link.release()
        ask(self.link, verdict.request)
        self._untold = seen, verdict
        if verdict.command is None:
            self._tell()
            return None
        return np.array([verdict.command.thrust_n]), np.array([verdict.command.rate_b_radps])

    def send(self, thrust_n: Array, rate_b_radps: Array) -> None:
        """Stream a command [N] (1,), [rad/s, FLU] (1, 3)."""
        self.link.stream(*self._setpoint(float(thrust_n[0]), _triple(rate_b_radps)))
        self._tell()

    def _setpoint(self, thrust_n: float, rate_b_radps: Triple) -> tuple[float, Triple, Level]:
        """What to stream for a command; see :meth:`Link.stream`."""
        battery = self.link.autopilot.battery
        yaw = yaw_ned_rad(self.link.state.quat_wb)
        hover = self._thrust_map.normalised(self._hover_thrust_n, battery)
        level = Level(yaw if math.isfinite(yaw) else 0.0, hover)
        return self._thrust_map.normalised(thrust_n, battery), rate_b_radps, level

    def _tell(self) -> None:
        """Show the watcher the verdict, after the command is out: watching may take longer than deciding."""
        if self._watcher and self._untold:
            self._watcher(*self._untold)
        self._untold = None

    def _seen(
        self,
        now_s: float,
        command: ArrayLike,
        decision: Decision,
        compute_s: float,
        words: frozenset[Word] = frozenset(),
    ) -> Seen:
        state, tracker = self.link.state, self._pilot.ball
        place_w = None
        if self._place is not None:
            row = np.asarray(command, dtype=np.float64).reshape(-1).tolist()
            x, y, z = self._place
            place_w = (row[x], row[y], row[z])
        nowhere = (math.nan, math.nan, math.nan)
        return Seen(
            now_s,
            self.link.autopilot,
            state.stamp_s,
            state.pos_w,
            state.vel_w,
            state.quat_wb,
            state.omega_b,
            state.resets,
            float(tracker.stamp_s[0]) if tracker else None,
            _triple(tracker.pos_w) if tracker else nowhere,
            _triple(tracker.vel_w) if tracker else nowhere,
            self._load.stamp_s if self._load else None,
            Proposal(float(decision.thrust_n[0]), _triple(decision.rate_b_radps))
            if decision.by_policy[0]
            else None,
            compute_s,
            place_w,
            words,
            state.attitude_stamp_s,
            is_kept=self.link.is_kept,
        )


def _triple(rows: np.ndarray) -> Triple:
    x, y, z = rows[0].tolist()
    return x, y, z
