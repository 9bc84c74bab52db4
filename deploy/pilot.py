"""From a plant's readings to a command: ball filter, policy, and the fallback wherever the policy cannot fly.

A pilot knows no clock and no plant: the time is handed in with the readings, as sensors stamped them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corvids.deploy.ball_tracker import BallTracker
from corvids.deploy.contract import BALL_FILTER, BALL_SIGNALS
from corvids.deploy.fallback import Fallback
from corvids.deploy.graph import GraphFailure
from corvids.deploy.policy import Policy, PolicyFile
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

    @property
    def ball_stamp_s(self) -> Array:
        """When the ball measurements that arrived since the last readings were taken [s], (n, k); k may be 0."""
        ...

    @property
    def ball_pos_w(self) -> Array:
        """Those measurements: the ball's centre [m], world ENU, (n, k, 3)."""
        ...


@dataclasses.dataclass(frozen=True)
class PilotConfig:
    """When signals are too old for the policy."""

    vehicle_age_max_s: float = 0.25
    """A vehicle state older than this is missing."""
    ball_age_max_s: float = 0.5
    """A ball last measured longer ago than this is lost, and its filter starts afresh."""
    future_max_s: float = 0.02
    """A stamp may lie this far in the future (clocks disagree a little); beyond, its signal is missing."""


class Decision(NamedTuple):
    """What a pilot decided at a control tick. Arrays are overwritten by the next decision."""

    thrust_n: Array
    """Collective thrust [N], (n,)."""
    rate_b_radps: Array
    """Body rates [rad/s, FLU], (n, 3)."""
    by_policy: NDArray[np.bool_]
    """Whether the policy flies, or the fallback, (n,)."""
    inputs: Mapping[str, NDArray[np.float32]]
    """What the policy was given, by the contract's names, (n, ·)."""


class Pilot:
    """Flies ``rows`` vehicles by one policy file.

    Where a signal is missing, or the policy does not answer with finite numbers within its limits, the fallback flies
    that vehicle and the policy forgets its past, so that it starts afresh when the signals are back.
    """

    def __init__(self, file: PolicyFile, rows: int = 1, config: PilotConfig | None = None) -> None:
        contract = file.contract
        self.contract, self.rows, self.config = contract, rows, config or PilotConfig()
        self.policy = Policy(file, rows)
        with_ball = any(tensor.name in BALL_SIGNALS for tensor in contract.inputs)
        self.ball = BallTracker(contract.stages[BALL_FILTER], rows) if with_ball else None
        self.fallback = Fallback(contract.limits)
        names = list(contract.command)
        self._place = [names.index(name) for name in PLACE] if set(PLACE) <= set(names) else None
        low, high = contract.limits.thrust_n
        slack = 1e-3 * (high - low)
        self._thrust_low, self._thrust_high = low - slack, high + slack
        self._rate_max = np.array(contract.limits.rate_max_radps, np.float32) * 1.001
        self._thrust_n = np.zeros(rows)
        self._rate_b_radps = np.zeros((rows, 3))

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Start ``rows`` (mask, (n,); all if None) afresh: policy and ball filter forget their past."""
        self.policy.reset(rows)
        if self.ball:
            self.ball.reset(rows)

    def decide(self, readings: Readings, now_s: float, command: ArrayLike) -> Decision:
        """The commands at ``now_s`` on the plant's clock, for task commands (n, c) or one (c,) for all."""
        command = np.asarray(command, dtype=np.float64)
        if command.shape not in ((len(self.contract.command),), (self.rows, len(self.contract.command))):
            wanted = ", ".join(self.contract.command)
            raise CorvidsError(
                f"task command of shape {command.shape}: must be ({wanted}), one for all or one a row"
            )
        command = np.broadcast_to(command, (self.rows, len(self.contract.command)))
        with np.errstate(
            all="ignore"
        ):  # what is not finite is looked for, and is no reason to print a warning
            inputs, fit = self._inputs(readings, now_s, command)
            try:
                thrust_n, rate_b_radps = self.policy.step(inputs)
                fit &= (thrust_n >= self._thrust_low) & (thrust_n <= self._thrust_high)  # False for NaN
                fit &= (np.abs(rate_b_radps) <= self._rate_max).all(axis=1)
                self._thrust_n[...], self._rate_b_radps[...] = thrust_n, rate_b_radps
            except GraphFailure:
                fit[:] = False
            if not fit.all():
                self._fall_back(~fit, inputs, command)
        return Decision(self._thrust_n, self._rate_b_radps, fit, self.policy.inputs)

    def _inputs(
        self, readings: Readings, now_s: float, command: Array
    ) -> tuple[dict[str, Array], NDArray[np.bool_]]:
        """The policy's inputs, NaN where missing, and the rows (n,) in which none is."""
        config = self.config
        inputs = {name: getattr(readings, name) for name in _VEHICLE}
        age_s = now_s - readings.stamp_s
        present = (age_s >= -config.future_max_s) & (age_s <= config.vehicle_age_max_s)
        inputs["vehicle_age_s"] = np.where(present, age_s, np.nan)[:, None]
        total = sum(inputs[name].sum(axis=1) for name in _VEHICLE)
        fit = present & np.isfinite(total)  # one number that is not finite makes the sum so
        if self.ball:
            self.ball.take_in(readings.ball_stamp_s, readings.ball_pos_w)
            ball_age_s = now_s - self.ball.stamp_s
            lost = (ball_age_s > config.ball_age_max_s) | (ball_age_s < -config.future_max_s)
            if lost.any():
                self.ball.reset(lost)
                ball_age_s = now_s - self.ball.stamp_s
            inputs.update(
                ball_pos_w=self.ball.pos_w, ball_vel_w=self.ball.vel_w, ball_age_s=ball_age_s[:, None]
            )
            fit &= np.isfinite(ball_age_s)
        inputs["command"] = command
        fit &= np.isfinite(command.sum(axis=1))
        return inputs, fit

    def _fall_back(self, rows: NDArray[np.bool_], inputs: dict[str, Array], command: Array) -> None:
        """Let the fallback fly ``rows`` (mask), from whatever is known."""
        known = np.isfinite(inputs["vehicle_age_s"])
        pos_w, vel_w, quat_wb = (np.where(known, inputs[name], np.nan)[rows] for name in _VEHICLE[:3])
        place_w = np.full_like(pos_w, np.nan) if self._place is None else command[rows][:, self._place]
        self._thrust_n[rows], self._rate_b_radps[rows] = self.fallback.command(pos_w, vel_w, quat_wb, place_w)
        self.policy.reset(rows)
