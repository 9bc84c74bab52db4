"""What a supervisor sees at a tick, and which violations there are in it."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import NamedTuple

from corvids.deploy.supervision.envelope import Envelope, Fence, Triple, within
from corvids.deploy.supervision.reactions import Violation

_NAN3 = (math.nan, math.nan, math.nan)


class Mode(enum.Enum):
    """The autopilot's mode, as far as a supervisor cares."""

    OFFBOARD = "offboard"
    HOLD = "hold"
    LAND = "land"
    AUTO = "auto"
    """Another one in which the autopilot flies by a plan of its own, from arming on: mission, take-off, return."""
    OTHER = "other"
    __hash__ = object.__hash__


class Word(enum.Enum):
    """What an operator can say."""

    ARM = "arm"
    ENGAGE = "engage"
    STOP = "stop"
    """Let the autopilot hold its position."""
    LAND = "land"
    RESET = "reset"
    """Leave the state FAILED."""
    __hash__ = object.__hash__


class Autopilot(NamedTuple):
    """What the autopilot says of itself."""

    heard_s: float = math.nan
    """When anything of it arrived last [s]; NaN before it said whether it is armed, and in which mode."""
    armed: bool = False
    mode: Mode = Mode.OTHER
    failsafe: bool = False
    killed: bool = False
    """Kill switch, or flight termination."""
    landed: bool | None = None
    """None before it was told."""
    battery: float = math.nan
    """Remaining share, 0 to 1; NaN where unknown."""
    mode_code: int = 0
    """Its own number of its mode: of those that are one :class:`Mode`, a pilot may choose another."""


class Proposal(NamedTuple):
    """What the policy answered."""

    thrust_n: float
    rate_b_radps: Triple


class Seen(NamedTuple):
    """What a supervisor sees at one tick, of one vehicle. World ENU, body FLU, SI; stamps on the clock of ``now_s``."""

    now_s: float
    autopilot: Autopilot = Autopilot()
    stamp_s: float = math.nan
    """When the vehicle's state was taken [s]; NaN before the first."""
    pos_w: Triple = _NAN3
    """[m]."""
    vel_w: Triple = _NAN3
    """[m/s]."""
    quat_wb: tuple[float, float, float, float] = (math.nan, math.nan, math.nan, math.nan)
    """Rotates body into world, scalar first."""
    omega_b: Triple = _NAN3
    """[rad/s]."""
    resets: int = 0
    """How often the estimator was reset."""
    ball_stamp_s: float | None = None
    """When the ball was last measured [s], NaN if never; None for a task without a ball."""
    ball_pos_w: Triple = _NAN3
    """[m]."""
    ball_vel_w: Triple = _NAN3
    """[m/s]."""
    load_stamp_s: float | None = None
    """When the load was last measured where it can be [s], NaN if never; None for a task without a load."""
    proposal: Proposal | None = None
    """What the policy answered; None if it did not."""
    compute_s: float = 0.0
    """How long that took [s]."""
    place_w: Triple | None = None
    """Place [m] to hover at, where the task commands one."""
    words: frozenset[Word] = frozenset()
    """What the operator said since the last tick."""
    attitude_stamp_s: float = math.nan
    """When attitude and rates were taken [s], which may be known where place and velocity are not."""
    load_doubt: str = ""
    """Why the load was not believed to be where it was measured last, by
    :mod:`corvids.deploy.supervision.load_watch`; empty where it was."""
    is_kept: bool = False
    """Whether the autopilot holds for the keeper, as commands had stayed away, and for nobody else."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """When something is a violation."""

    link_age_max_s: float = 0.5
    """Nothing heard of the autopilot for longer: link lost."""
    state_late_s: float = 0.1
    """A vehicle state older than this is late."""
    state_lost_s: float = 0.25
    """One older than this is lost."""
    future_max_s: float = 0.02
    """A stamp further in the future than this is no stamp."""
    tick_gap_max_s: float = 0.1
    """Longest time between ticks."""
    hold_last_max_s: float = 0.06
    """How long the last command may be repeated."""
    compute_max_s: float = 0.01
    """Longest time that the policy may take."""
    speed_max_mps: float = 5.0
    """Largest speed of the vehicle."""
    tilt_max_rad: float = math.radians(75.0)
    """Largest tilt of the vehicle."""
    spin_max: float = 1.5
    """Largest body rate, as a multiple of the envelope's."""
    ball_age_max_s: float = 0.5
    """A ball last measured longer ago is lost."""
    ball_below_max_m: float = 0.3
    """A ball further below the vehicle is dropped: no policy must dive after it."""
    ball_range_max_m: float = 5.0
    """Largest distance between ball and vehicle."""
    ball_speed_max_mps: float = 15.0
    """Largest speed of the ball."""
    load_age_max_s: float = 0.2
    """A load last measured longer ago is lost."""
    load_range_max_m: float = 5.0
    """Largest distance between load and vehicle: that of a taut cable, and what estimates may be off by."""
    load_speed_max_mps: float = 10.0
    """Largest speed of the load."""
    battery_min: float = 0.2
    """Smallest remaining share of the battery."""
    saturated: float = 0.999
    """A command within this share of its limit is at the limit."""


class Checks:
    """Finds violations; remembers only what it needs to see change."""

    def __init__(self, envelope: Envelope, fence: Fence, thresholds: Thresholds) -> None:
        self.envelope, self.fence, self.thresholds = envelope, fence, thresholds
        self.is_current = False
        """Whether the vehicle's state, of what was seen last, is there, finite and not lost."""
        self.is_attitude_current = False
        """The same of its attitude alone."""
        self._last: Seen | None = None
        self._numbers: tuple[float, ...] = ()
        """Of the vehicle's state."""
        self._moved_stamp_s = self._good_stamp_s = math.nan

    def find(self, seen: Seen) -> dict[Violation, str]:
        """The violations at this tick, each with what was seen; modes are the supervisor's to judge."""
        found: dict[Violation, str] = {}
        self._in_time(seen, found)
        self._in_autopilot(seen, found)
        if self.is_current:
            self._in_flight(seen, found)
        self._in_objects(seen, found)
        self._in_command(seen, found)
        self._last = seen
        return found

    def _in_time(self, seen: Seen, found: dict[Violation, str]) -> None:
        limits, last = self.thresholds, self._last
        if last is not None:
            step_s = seen.now_s - last.now_s
            if not 0.0 <= step_s <= limits.tick_gap_max_s:
                found[Violation.TICK_GAP] = f"{step_s:.3f} s since the last tick"
            if seen.resets != last.resets:
                found[Violation.ESTIMATOR_RESET] = f"reset counter {last.resets} -> {seen.resets}"
        numbers = (*seen.pos_w, *seen.vel_w, *seen.quat_wb, *seen.omega_b)
        is_finite = math.isfinite(sum(numbers))
        age_s = seen.now_s - seen.stamp_s
        self.is_current = is_finite and -limits.future_max_s <= age_s <= limits.state_lost_s
        attitude_age_s = seen.now_s - seen.attitude_stamp_s
        self.is_attitude_current = self.is_current or (
            math.isfinite(sum(seen.quat_wb)) and -limits.future_max_s <= attitude_age_s <= limits.state_lost_s
        )
        if not is_finite:
            found[Violation.STATE_NOT_FINITE] = str(numbers)
        elif seen.stamp_s <= seen.now_s + limits.future_max_s:
            self._good_stamp_s = seen.stamp_s
        age_s = seen.now_s - self._good_stamp_s
        if not -limits.future_max_s <= age_s <= limits.state_lost_s:
            found[Violation.STATE_LOST] = f"{age_s:.3f} s old"
        elif age_s > limits.state_late_s:
            found[Violation.STATE_LATE] = f"{age_s:.3f} s old"
        if numbers != self._numbers:
            self._moved_stamp_s = seen.stamp_s
        elif seen.stamp_s > self._moved_stamp_s:
            found[Violation.STATE_FROZEN] = (
                f"the same for {seen.stamp_s - self._moved_stamp_s:.3f} s of stamps"
            )
        self._numbers = numbers

    def _in_autopilot(self, seen: Seen, found: dict[Violation, str]) -> None:
        autopilot, limits = seen.autopilot, self.thresholds
        silent_s = seen.now_s - autopilot.heard_s
        if not silent_s <= limits.link_age_max_s:
            found[Violation.LINK_LOST] = f"for {silent_s:.3f} s"
        if autopilot.killed:
            found[Violation.KILLED] = "as the autopilot reports"
        if autopilot.failsafe:
            found[Violation.FAILSAFE] = "as the autopilot reports"
        if autopilot.battery < limits.battery_min:
            found[Violation.BATTERY_LOW] = f"{100.0 * autopilot.battery:.0f} % left"
        if Word.STOP in seen.words:
            found[Violation.OPERATOR_STOP] = "word"
        if Word.LAND in seen.words:
            found[Violation.OPERATOR_LAND] = "word"

    def _in_flight(self, seen: Seen, found: dict[Violation, str]) -> None:
        limits, fence = self.thresholds, self.fence
        if not fence.contains(seen.pos_w):
            found[Violation.FENCE_OUTER] = f"at {_said(seen.pos_w)} m"
        elif not fence.can_stop(seen.pos_w, seen.vel_w):
            found[Violation.FENCE_INNER] = f"at {_said(seen.pos_w)} m with {_said(seen.vel_w)} m/s"
        speed = math.hypot(*seen.vel_w)
        if speed > limits.speed_max_mps:
            found[Violation.TOO_FAST] = f"{speed:.2f} m/s"
        tilt = tilt_rad(seen.quat_wb)
        if tilt > limits.tilt_max_rad:
            found[Violation.TILTED] = f"{math.degrees(tilt):.0f}°"
        if not within(seen.omega_b, self.envelope.rate_max_radps, limits.spin_max):
            found[Violation.SPINNING] = f"{_said(seen.omega_b)} rad/s"

    def _in_objects(self, seen: Seen, found: dict[Violation, str]) -> None:
        limits = self.thresholds
        if seen.ball_stamp_s is not None:
            age_s = seen.now_s - seen.ball_stamp_s
            if not -limits.future_max_s <= age_s <= limits.ball_age_max_s:
                found[Violation.BALL_LOST] = f"for {age_s:.3f} s"
            elif seen.pos_w[2] - seen.ball_pos_w[2] > limits.ball_below_max_m:
                found[Violation.BALL_LOST] = f"{seen.pos_w[2] - seen.ball_pos_w[2]:.2f} m below the vehicle"
            elif not (
                math.dist(seen.ball_pos_w, seen.pos_w) <= limits.ball_range_max_m
                and math.hypot(*seen.ball_vel_w) <= limits.ball_speed_max_mps
            ):
                found[Violation.BALL_IMPLAUSIBLE] = (
                    f"at {_said(seen.ball_pos_w)} m with {_said(seen.ball_vel_w)} m/s"
                )
        if seen.load_stamp_s is not None:
            age_s = seen.now_s - seen.load_stamp_s
            if not -limits.future_max_s <= age_s <= limits.load_age_max_s:
                found[Violation.LOAD_LOST] = f"for {age_s:.3f} s"
            if seen.load_doubt:
                found[Violation.LOAD_IMPLAUSIBLE] = seen.load_doubt

    def _in_command(self, seen: Seen, found: dict[Violation, str]) -> None:
        limits, envelope = self.thresholds, self.envelope
        if seen.compute_s > limits.compute_max_s:
            found[Violation.POLICY_SLOW] = f"{1e3 * seen.compute_s:.1f} ms"
        if seen.proposal is None:
            found[Violation.POLICY_SILENT] = "no answer"
            return
        thrust_n, rate_b_radps = seen.proposal
        if not math.isfinite(thrust_n + sum(rate_b_radps)):
            found[Violation.COMMAND_NOT_FINITE] = str((thrust_n, rate_b_radps))
            return
        if not envelope.contains(thrust_n, rate_b_radps, slack=1e-6):
            found[Violation.COMMAND_OUTSIDE] = f"{thrust_n:.3f} N, {_said(rate_b_radps)} rad/s"
        low, high = envelope.thrust_n
        if not (low < thrust_n < low + limits.saturated * (high - low)) or not within(
            rate_b_radps, envelope.rate_max_radps, limits.saturated
        ):
            found[Violation.COMMAND_SATURATED] = f"{thrust_n:.3f} N, {_said(rate_b_radps)} rad/s"


def tilt_rad(quat_wb: tuple[float, float, float, float]) -> float:
    """Angle between the body's z axis and the vertical [rad]."""
    w, x, y, z = quat_wb
    norm2 = w * w + x * x + y * y + z * z
    up = 1.0 - 2.0 * (x * x + y * y) / norm2 if norm2 > 0.0 else -1.0
    return math.acos(min(max(up, -1.0), 1.0))


def _said(vector: Triple) -> str:
    return "({:.2f}, {:.2f}, {:.2f})".format(*vector)
