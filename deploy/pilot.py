"""From a plant's readings to a command: filters, policy, and the fallback wherever the policy cannot fly.

A pilot knows no clock and no plant: the time is handed in with the readings, as sensors stamped them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corvids.deploy.contract import BALL_FILTER, LOAD_FILTER, Tensor
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
    """What a pilot decided at a control tick. Arrays are overwritten by the next decision."""

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
        self._facts = _checked_facts(contract.inputs, rows, facts)
        self.fallback = Fallback(contract.limits)
        self.member_fallback = MemberFallback(rows, contract.limits.accel_max_mps2)
        self.held: NDArray[np.bool_] = np.zeros(rows, dtype=bool)
        """Rows that the fallback flies, whatever the policy says."""
        names = list(contract.command)
        self._place = [names.index(name) for name in PLACE] if set(PLACE) <= set(names) else None
        limits = contract.limits
        low, high = limits.thrust_n
        slack = 1e-3 * (high - low)
        self._order = (np.zeros(rows), np.zeros((rows, 3)))
        self._limits = (low - slack, high + slack), np.array(limits.rate_max_radps, np.float32) * 1.001
        if contract.is_accbr:
            self._order = (np.zeros((rows, 3)), np.zeros((rows, 2)))
            most = limits.accel_max_mps2 * 1.001
            self._limits = (-most, most), np.full(2, limits.turn_max_radps * 1.001, np.float32)

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start ``rows`` (mask, (n,); all if None) afresh: policy and filters forget their past."""
        self.policy.reset(rows)
        self.member_fallback.reset(rows)
        for tracker in (self.ball, self.load):
            if tracker:
                tracker.reset(rows)

    def decide(self, readings: Readings, now_s: float, command: ArrayLike) -> Decision:
        """The commands at ``now_s`` on the plant's clock, for task commands (n, c) or one (c,) for all."""
        command = np.asarray(command, dtype=np.float64)
        if command.shape not in ((len(self.contract.command),), (self.rows, len(self.contract.command))):
            wanted = ", ".join(self.contract.command)
            raise CorvidsError(
                f"task command of shape {command.shape}: must be ({wanted}), one for all or one a row"
            )
        command = np.full((self.rows, command.shape[-1]), command)
        with np.errstate(
            all="ignore"
        ):  # what is not finite is looked for, and is no reason to print a warning
            inputs, fit = self._inputs(readings, now_s, command)
            try:
                first, second = self.policy.advance(inputs)
                (low, high), most = self._limits
                is_first_fit = (first >= low) & (first <= high)  # False for NaN
                fit &= is_first_fit if first.ndim == 1 else is_first_fit.all(axis=1)
                fit &= (np.abs(second) <= most).all(axis=1)
                self._order[0][...], self._order[1][...] = first, second
            except GraphFailure:
                fit[:] = False
            fit &= ~self.held
            if self.contract.is_accbr:
                self.member_fallback.reset(fit)
            if not fit.all():
                self._fall_back(~fit, inputs, command)
        return Decision(self._order, fit, self.policy.inputs)

    def _inputs(
        self, readings: Readings, now_s: float, command: Array
    ) -> tuple[dict[str, Array], NDArray[np.bool_]]:
        """The policy's inputs, NaN where missing, and the rows (n,) in which none is."""
        config = self.config
        inputs = {name: getattr(readings, name) for name in _VEHICLE}
        age_s = now_s - readings.stamp_s
        present = (age_s >= -config.future_max_s) & (age_s <= config.vehicle_age_max_s)
        inputs["vehicle_age_s"] = np.where(present, age_s, np.nan)[:, None]
        total = np.concatenate([*(inputs[name] for name in _VEHICLE), command], axis=1).sum(axis=1)
        fit = present & np.isfinite(total)  # one number that is not finite makes the sum so
        if self.ball:
            seen = cast(BallReadings, readings)
            self.ball.take_in(seen.ball_stamp_s, seen.ball_pos_w)
            ball_age_s = self._age_s(self.ball, now_s, config.ball_age_max_s)
            inputs.update(**self.ball.estimate, ball_age_s=ball_age_s[:, None])
            fit &= np.isfinite(ball_age_s)
        if self.load:
            felt = cast(TeamReadings, readings)
            self.load.take_in(felt.load_stamp_s, felt.load_pos_w, felt.load_quat_wb)
            load_age_s = self._age_s(self.load, now_s, config.load_age_max_s)
            inputs.update(**self.load.estimate, load_age_s=load_age_s[:, None])
            fit &= np.isfinite(load_age_s)
        if self._facts is not None:
            inputs["facts"] = self._facts
        inputs["command"] = command
        return inputs, fit

    def _age_s(self, tracker: Tracker, now_s: float, longest_s: float) -> Array:
        """Age of what is tracked (n,), which is forgotten, and its age NaN, where it is lost."""
        age_s = now_s - tracker.stamp_s
        lost = (age_s > longest_s) | (age_s < -self.config.future_max_s)
        if lost.any():
            tracker.reset(lost)
            age_s = now_s - tracker.stamp_s
        return age_s

    def _fall_back(self, rows: NDArray[np.bool_], inputs: dict[str, Array], command: Array) -> None:
        """Let the fallback fly ``rows`` (mask), from whatever is known."""
        known = np.isfinite(inputs["vehicle_age_s"])
        pos_w, vel_w, quat_wb = (np.where(known, inputs[name], np.nan)[rows] for name in _VEHICLE[:3])
        self.policy.reset(rows)
        first, second = self._order
        if self.contract.is_accbr:
            first[rows], second[rows] = self.member_fallback.command(rows, pos_w, vel_w), 0.0
            return
        place_w = np.full_like(pos_w, np.nan) if self._place is None else command[rows][:, self._place]
        first[rows], second[rows] = self.fallback.command(pos_w, vel_w, quat_wb, place_w)


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
