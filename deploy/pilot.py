"""From a plant's readings to a command: filters, policy, and the fallback wherever the policy cannot fly.

A pilot knows no clock and no plant: the time is handed in with the readings, as sensors stamped them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corvids.deploy.contract import BALL_FILTER, LOAD_FILTER, Contract, Tensor
from corvids.deploy.fallback import Fallback
from corvids.deploy.graph import GraphFailure
from corvids.deploy.member_fallback import MemberFallback
from corvids.deploy.policy import Policy, PolicyFile
from corvids.deploy.tracker import BallTracker, LoadTracker, Tracker
from corvids.errors import CorvidsError

Array = NDArray[np.float64]
"""Real numbers, vehicles along the first axis."""

PLACE = ("place_x_w_m", "place_y_w_m", "place_z_w_m")
"""Components of a task command that say where to be, which is where the fallback holds."""
_VEHICLE = ("pos_w", "vel_w", "quat_wb", "omega_b")


class Readings(Protocol):
    """What has arrived from the sensors of ``n`` vehicles. NaN where nothing has."""

    @property
    def stamp_s(self) -> Array:
        """When the newest vehicle state was taken, on the plant's clock [s], (n,)."""
        ...

    @property
    def pos_w(self) -> Array:
        """Vehicle position [m], world ENU, (n, 3)."""
        ...

    @property
    def vel_w(self) -> Array:
        """Vehicle velocity [m/s], world ENU, (n, 3)."""
        ...

    @property
    def quat_wb(self) -> Array:
        """Attitude, rotates body (FLU) into world, scalar first, (n, 4)."""
        ...

    @property
    def omega_b(self) -> Array:
        """Body rates [rad/s], FLU, (n, 3)."""
        ...


class BallReadings(Readings, Protocol):
    """The same where there are balls."""

    @property
    def ball_stamp_s(self) -> Array:
        """When the ball measurements that arrived since the last readings were taken [s], (n, k); k may be 0."""
        ...

    @property
    def ball_pos_w(self) -> Array:
        """Those measurements: the ball's centre [m], world ENU, (n, k, 3)."""
        ...


class TeamReadings(NamedTuple):
    """The same of members of teams: every member receives its load's pose by itself."""

    stamp_s: Array
    pos_w: Array
    vel_w: Array
    quat_wb: Array
    omega_b: Array
    load_stamp_s: Array
    """When the poses of the load that arrived since the last readings were taken [s], (n, k), oldest first; k may be 0,
    NaN where a member has fewer."""
    load_pos_w: Array
    """Those poses: the load's pose point [m], world ENU, (n, k, 3)."""
    load_quat_wb: Array
    """And its attitude, rotates the load's axes into world, (n, k, 4)."""


@dataclasses.dataclass(frozen=True)
class PilotConfig:
    """When signals are too old for the policy."""

    vehicle_age_max_s: float = 0.25
    """A vehicle state older than this is missing."""
    ball_age_max_s: float = 0.5
    """A ball last measured longer ago than this is lost, and its filter starts afresh."""
    load_age_max_s: float = 0.25
    """The same of a load."""
    future_max_s: float = 0.02
    """A stamp may lie this far in the future (clocks disagree a little); beyond, its signal is missing."""


class Decision(NamedTuple):
    """What a pilot decided at a control tick. Arrays are overwritten by the next decision, or by its rehearsal."""

    order: tuple[Array, Array]
    """Collective thrust [N] (n,) and body rates [rad/s, FLU] (n, 3); or, for an inner loop, acceleration [m/s², world]
    (n, 3) and added roll and pitch rates [rad/s, FLU] (n, 2)."""
    by_policy: NDArray[np.bool_]
    """Whether the policy flies, or the fallback, (n,)."""
    inputs: Mapping[str, NDArray[np.float32]]
    """What the policy was given, by the contract's names, (n, ·)."""

    @property
    def thrust_n(self) -> Array:
        """Collective thrust [N], (n,), of a policy without an inner loop."""
        return self.order[0]

    @property
    def rate_b_radps(self) -> Array:
        """Body rates [rad/s, FLU], (n, 3), of a policy without an inner loop."""
        return self.order[1]


class Pilot:
    """Flies ``rows`` vehicles by one policy file.

    Where a signal is missing, or the policy does not answer with finite numbers within its limits, the fallback flies
    that vehicle and the policy forgets its past, so that it starts afresh when the signals are back.
    """

    def __init__(
        self,
        file: PolicyFile,
        rows: int = 1,
        config: PilotConfig | None = None,
        facts: ArrayLike | None = None,
    ) -> None:
        """``facts`` (rows, f): what each member of a team is told of it, where the policy asks for that."""
        contract = file.contract
        self.contract, self.rows, self.config = contract, rows, config or PilotConfig()
        self.policy = Policy(file, rows)
        stages = contract.stages
        self.ball = BallTracker(stages[BALL_FILTER], rows) if BALL_FILTER in stages else None
        self.load = LoadTracker(stages[LOAD_FILTER], rows) if LOAD_FILTER in stages else None
        self.fallback = Fallback(contract.limits)
        self.member_fallback = MemberFallback(rows, contract.limits.accel_max_mps2)
        self.held: NDArray[np.bool_] = np.zeros(rows, dtype=bool)
        """Rows that the fallback flies, whatever the policy says."""
        names = list(contract.command)
        self._place = [names.index(name) for name in PLACE] if set(PLACE) <= set(names) else None
        self._trackers: list[Tracker] = [tracker for tracker in (self.ball, self.load) if tracker]
        longest_s = {"vehicle_age_s": self.config.vehicle_age_max_s}
        if self.ball:
            longest_s["ball_age_s"] = self.config.ball_age_max_s
        if self.load:
            longest_s["load_age_s"] = self.config.load_age_max_s
        low, high = _order_range(contract)
        # All of a row that is judged stands side by side: calls of numpy are what a decision takes time for.
        self._low = np.array([-self.config.future_max_s] * len(longest_s) + [-sys.float_info.max, *low])
        self._high = np.array([*longest_s.values(), sys.float_info.max, *high])
        self._judged = np.full((rows, len(self._low)), np.nan)
        """Ages of the vehicle's state and of what is tracked, a sum of that state and the task command, the order."""
        self._ages_s = self._judged[:, : len(longest_s)]
        self._total = self._judged[:, len(longest_s)]
        orders = self._judged[:, len(longest_s) + 1 :]
        self._order = (orders[:, :3], orders[:, 3:]) if contract.is_accbr else (orders[:, 0], orders[:, 1:])
        self._command = np.zeros((rows, len(contract.command)))
        self._known: dict[str, NDArray[Any]] = {"command": self._command}
        """The policy's inputs by name, all but what the vehicle's sensors said: arrays that are overwritten."""
        for tracker in self._trackers:
            self._known.update(tracker.estimate)
        for column, name in enumerate(longest_s):
            self._known[name] = self._ages_s[:, column : column + 1]
        if (told := _checked_facts(contract.inputs, rows, facts)) is not None:
            self._known["facts"] = told
        self._last: tuple[Readings, float] | None = None
        """What was decided on last, where the policy flew all rows."""

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start ``rows`` (mask, (n,); all if None) afresh: policy and filters forget their past."""
        self._last = None
        self.policy.reset(rows)
        self.member_fallback.reset(rows)
        for tracker in self._trackers:
            tracker.reset(rows)

    def decide(self, readings: Readings, now_s: float, command: ArrayLike) -> Decision:
        """The commands at ``now_s`` on the plant's clock, for task commands (n, c) or one (c,) for all."""
        command = np.asarray(command, dtype=np.float64)
        if command.shape not in ((len(self.contract.command),), (self.rows, len(self.contract.command))):
            wanted = ", ".join(self.contract.command)
            raise CorvidsError(
                f"task command of shape {command.shape}: must be ({wanted}), one for all or one a row"
            )
        self._command[...] = command
        with _quietly():
            self._take_in(readings)
            inputs = self._inputs(readings, now_s)
            is_good = self._judge(inputs)
            fit = np.logical_and.reduce(is_good, axis=1)
            np.greater(fit, self.held, out=fit)  # fit and not held
            if self.contract.is_accbr:
                self.member_fallback.reset(fit)
            if not fit.all():
                self._forget(is_good[:, : self._ages_s.shape[1]])
                self.policy.show(inputs)  # with what is missing, for the record
                self._fall_back(~fit, inputs)
        self._last = (readings, now_s) if fit.all() else None
        return Decision(self._order, fit, self.policy.inputs)

    def rehearse(self) -> None:
        """Go through a decision as at the last tick, to no effect but that the last one's arrays are overwritten.

        What a decision needs is then in the processor's caches for some milliseconds: where a processor sleeps or does
        something else between ticks, the next one takes less time. Nothing is done where the fallback flew.
        """
        if self._last is None:
            return
        states = {name: array.copy() for name, array in self.policy.states.items()}
        try:
            with _quietly():
                self._judge(self._inputs(*self._last))
        finally:
            for name, array in states.items():
                self.policy.states[name][...] = array

    def _take_in(self, readings: Readings) -> None:
        """Let filters have what was measured."""
        if self.ball:
            seen = cast(BallReadings, readings)
            self.ball.take_in(seen.ball_stamp_s, seen.ball_pos_w)
        if self.load:
            felt = cast(TeamReadings, readings)
            self.load.take_in(felt.load_stamp_s, felt.load_pos_w, felt.load_quat_wb)

    def _inputs(self, readings: Readings, now_s: float) -> dict[str, NDArray[Any]]:
        """The policy's inputs; ages and sum of what is judged are written where they belong."""
        said = {name: getattr(readings, name) for name in _VEHICLE}
        rows = np.concatenate([*said.values(), self._command], axis=1)
        np.add.reduce(rows, axis=1, out=self._total)  # one number that is not finite makes the sum so
        np.subtract(now_s, readings.stamp_s, out=self._ages_s[:, 0])
        for column, tracker in enumerate(self._trackers, start=1):
            np.subtract(now_s, tracker.stamp_s, out=self._ages_s[:, column])
        return said | self._known

    def _judge(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Let the policy answer; whether each of what is judged is as it must be, (n, ·)."""
        try:
            self._order[0][...], self._order[1][...] = self.policy.advance(inputs)
        except GraphFailure:
            self._order[0][...] = np.nan
        return (self._judged >= self._low) & (self._judged <= self._high)  # False for NaN

    def _forget(self, is_fresh: NDArray[np.bool_]) -> None:
        """Age NaN is what is not fresh (n, s); and what is tracked begins anew where it is lost."""
        is_lost = ~is_fresh & np.isfinite(self._ages_s)  # what was never measured is not lost
        for column, tracker in enumerate(self._trackers, start=1):
            if is_lost[:, column].any():
                tracker.reset(is_lost[:, column])
        self._ages_s[~is_fresh] = np.nan

    def _fall_back(self, rows: NDArray[np.bool_], inputs: dict[str, NDArray[Any]]) -> None:
        """Let the fallback fly ``rows`` (mask), from whatever is known."""
        known = np.isfinite(inputs["vehicle_age_s"])
        pos_w, vel_w, quat_wb = (np.where(known, inputs[name], np.nan)[rows] for name in _VEHICLE[:3])
        self.policy.reset(rows)
        first, second = self._order
        if self.contract.is_accbr:
            first[rows], second[rows] = self.member_fallback.command(rows, pos_w, vel_w), 0.0
            return
        place_w = np.full_like(pos_w, np.nan) if self._place is None else self._command[rows][:, self._place]
        first[rows], second[rows] = self.fallback.command(pos_w, vel_w, quat_wb, place_w)


def _quietly() -> np.errstate:
    """What is not finite is looked for, and is no reason to print a warning."""
    return np.errstate(all="ignore")


def _order_range(contract: Contract) -> tuple[list[float], list[float]]:
    """Least and largest numbers of an order, with the slack that rounding needs."""
    limits = contract.limits
    if contract.is_accbr:
        most = [1.001 * limit for limit in [limits.accel_max_mps2] * 3 + [limits.turn_max_radps] * 2]
        return [-limit for limit in most], most
    low, high = limits.thrust_n
    slack, rates = 1e-3 * (high - low), [1.001 * rate for rate in limits.rate_max_radps]
    return [low - slack, *(-rate for rate in rates)], [high + slack, *rates]


def _checked_facts(inputs: Sequence[Tensor], rows: int, facts: ArrayLike | None) -> Array | None:
    """The facts (rows, f) that a policy asks for, or None where it does not."""
    wanted = next((tensor for tensor in inputs if tensor.name == "facts"), None)
    if wanted is None:
        return None
    shape = (rows, *wanted.shape)
    given = None if facts is None else np.asarray(facts, np.float64)
    if given is None or given.shape != shape or not np.isfinite(given).all():
        found = "none" if given is None else f"shape {given.shape}"
        raise CorvidsError(
            f"facts of the team: {found} given; this policy needs finite numbers of shape {shape}"
        )
    return given
