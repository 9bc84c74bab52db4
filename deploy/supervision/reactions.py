"""What can go wrong in flight, what is done about it, and how soon: one declared table.

A reaction is in force at the first tick at which its violation has lasted ``after_s``, hence within ``after_s`` and
one tick; a tick that comes later than :attr:`Thresholds.tick_gap_max_s` is a violation itself.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple


class State(enum.Enum):
    """Where a flight stands. Commands are streamed in the states of :data:`STREAMING` alone.

    PX4 takes the vehicle back into OFFBOARD by itself as soon as a stream that it lost resumes, so a state in which
    somebody else flies must be silent.
    """

    DISCONNECTED = "disconnected"
    """The autopilot is not heard."""
    READY = "ready"
    """It is heard and disarmed."""
    ARMED = "armed"
    """Armed; a pilot or the autopilot itself flies, or nobody does."""
    ENGAGING = "engaging"
    """The hover controller streams, then takes over, climbs to its place and settles."""
    POLICY = "policy"
    """The policy flies."""
    RECOVERING = "recovering"
    """The hover controller flies, perhaps until the autopilot holds."""
    LANDING = "landing"
    """The autopilot is asked to land, the hover controller flies until it does."""
    FAILED = "failed"
    """Silent, so that the autopilot's own failsafe acts; only an operator's reset leads out."""
    __hash__ = (
        object.__hash__
    )  # enum's own is Python and hashes the name; this is looked up many times a tick


STREAMING = frozenset({State.ENGAGING, State.POLICY, State.RECOVERING, State.LANDING})
_ALL = STREAMING
_BEFORE_LANDING = STREAMING - {State.LANDING}
_POLICY = frozenset({State.POLICY})


class Reaction(enum.IntEnum):
    """What is done about a violation, from the gentlest to the last resort; the strongest one due wins."""

    NONE = 0
    CLIP = 1
    """The command is cut to the envelope."""
    LOWER = 2
    """The team holds, lowers its load together, and lands once its cables are slack; until then the pilot's command
    stands. See :mod:`corvids.deploy.team_descent`."""
    HOLD_LAST = 3
    """The last command is repeated, for :attr:`Thresholds.hold_last_max_s` at most; then HOVER."""
    HOVER = 4
    """The hover controller flies."""
    PX4_HOLD = 5
    """The autopilot is asked to hold its position; the hover controller flies until it does."""
    PX4_LAND = 6
    """The autopilot is asked to land; the hover controller flies until it does."""
    YIELD = 7
    """Somebody else flies: silence, until the operator engages again."""
    SILENCE = 8
    """Silence until the operator resets: the autopilot's own failsafe flies."""


class Violation(enum.Enum):
    """What can go wrong."""

    COMMAND_OUTSIDE = "the policy's command lies outside the envelope"
    COMMAND_SATURATED = "the policy's command stays at a limit"
    COMMAND_NOT_FINITE = "the policy's command is not a number"
    POLICY_SILENT = "the policy did not answer"
    POLICY_SLOW = "the policy answers too slowly"
    STATE_LATE = "the vehicle's state is late"
    STATE_LOST = "the vehicle's state is missing"
    STATE_NOT_FINITE = "the vehicle's state is not a number"
    STATE_FROZEN = "the vehicle's state does not move although its stamps do"
    ESTIMATOR_RESET = "the estimator was reset"
    TICK_GAP = "time jumped, or the process was paused"
    FENCE_INNER = "braking would end outside the fence"
    FENCE_OUTER = "the vehicle is outside the fence"
    TOO_FAST = "the vehicle is too fast"
    TILTED = "the vehicle is tilted too far"
    SPINNING = "the vehicle turns too fast"
    BALL_LOST = "the ball is lost"
    BALL_IMPLAUSIBLE = "the ball is where it cannot be"
    LOAD_LOST = "the load is lost"
    LOAD_IMPLAUSIBLE = "the load is seen where it cannot be"
    BATTERY_LOW = "the battery is low"
    OPERATOR_STOP = "the operator said stop"
    OPERATOR_LAND = "the operator said land"
    TAKEOVER = "the autopilot's mode was changed by somebody else"
    DISARMED = "the motors are off"
    FAILSAFE = "the autopilot is in failsafe"
    KILLED = "the kill switch is on"
    LINK_LOST = "the autopilot is not heard"
    __hash__ = object.__hash__


class Rule(NamedTuple):
    """What is done about a violation."""

    reaction: Reaction
    after_s: float = 0.0
    """How long it must last before the reaction is in force [s]."""
    resumes: bool = False
    """Whether the policy flies again by itself once the violation is over; otherwise the operator must engage."""
    states: frozenset[State] = _ALL
    """States in which it is a violation."""


RULES: Mapping[Violation, Rule] = {
    Violation.COMMAND_OUTSIDE: Rule(Reaction.CLIP, states=_POLICY),
    Violation.COMMAND_SATURATED: Rule(Reaction.HOVER, after_s=0.5, states=_POLICY),
    Violation.COMMAND_NOT_FINITE: Rule(Reaction.HOVER, states=_POLICY),
    Violation.POLICY_SILENT: Rule(Reaction.HOLD_LAST, resumes=True, states=_POLICY),
    Violation.POLICY_SLOW: Rule(Reaction.HOVER, after_s=0.1, states=_POLICY),
    Violation.STATE_LATE: Rule(Reaction.HOLD_LAST, resumes=True, states=_POLICY),
    Violation.STATE_LOST: Rule(Reaction.PX4_HOLD, states=_BEFORE_LANDING),
    Violation.STATE_NOT_FINITE: Rule(Reaction.HOVER, resumes=True, states=_BEFORE_LANDING),
    Violation.STATE_FROZEN: Rule(Reaction.PX4_HOLD, after_s=0.1, states=_BEFORE_LANDING),
    Violation.ESTIMATOR_RESET: Rule(Reaction.HOVER, resumes=True, states=_POLICY),
    Violation.TICK_GAP: Rule(Reaction.HOVER, resumes=True, states=_POLICY),
    Violation.FENCE_INNER: Rule(Reaction.HOVER, states=_POLICY),
    Violation.FENCE_OUTER: Rule(Reaction.PX4_LAND),
    Violation.TOO_FAST: Rule(Reaction.HOVER, states=_POLICY),
    Violation.TILTED: Rule(Reaction.HOVER, states=_POLICY),
    Violation.SPINNING: Rule(Reaction.HOVER, after_s=0.04, states=_POLICY),
    Violation.BALL_LOST: Rule(Reaction.HOVER, resumes=True, states=_POLICY),
    Violation.BALL_IMPLAUSIBLE: Rule(Reaction.HOVER, resumes=True, states=_POLICY),
    Violation.LOAD_LOST: Rule(Reaction.PX4_HOLD, states=_BEFORE_LANDING),
    Violation.LOAD_IMPLAUSIBLE: Rule(Reaction.PX4_HOLD, after_s=0.1, states=_BEFORE_LANDING),
    Violation.BATTERY_LOW: Rule(Reaction.PX4_LAND, after_s=1.0, states=_BEFORE_LANDING),
    Violation.OPERATOR_STOP: Rule(Reaction.PX4_HOLD, states=_BEFORE_LANDING),
    Violation.OPERATOR_LAND: Rule(Reaction.PX4_LAND, states=_BEFORE_LANDING),
    Violation.TAKEOVER: Rule(Reaction.YIELD),
    Violation.DISARMED: Rule(Reaction.YIELD),
    Violation.FAILSAFE: Rule(Reaction.SILENCE),
    Violation.KILLED: Rule(Reaction.SILENCE),
    Violation.LINK_LOST: Rule(Reaction.SILENCE, after_s=0.1),
}
"""Every violation's reaction."""

UNSEEN = frozenset({Violation.LOAD_LOST, Violation.LOAD_IMPLAUSIBLE})
"""A policy of carrying does not take over while one of these lasts, whatever else is done about it."""
TAUT_RULES: Mapping[Violation, Rule] = {
    **RULES,
    Violation.LOAD_LOST: Rule(Reaction.CLIP),
    Violation.LOAD_IMPLAUSIBLE: Rule(Reaction.CLIP),
    Violation.BATTERY_LOW: Rule(Reaction.LOWER, after_s=1.0, states=_BEFORE_LANDING),
    Violation.OPERATOR_STOP: Rule(Reaction.LOWER, states=_BEFORE_LANDING),
    Violation.OPERATOR_LAND: Rule(Reaction.LOWER, states=_BEFORE_LANDING),
    Violation.FENCE_OUTER: Rule(Reaction.HOVER, states=_BEFORE_LANDING),
}
"""Those of a member that bears a load: it must neither leave that to the others, nor hover as if it bore nothing.

Where the load is lost its pilot holds it where it is and its inner loop bears the cable: that command is let through. A
load that is seen where it cannot be is not seen: the policy flies on by what it saw before, until that is too old.
Neither is a reason to end a flight, and either is one not to let a policy begin (:data:`UNSEEN`). Outside the fence it
hovers at the nearest place inside, its share borne, and the team lowers. A member whose own state is missing or frozen
can only be held by its PX4, which alone still knows where it is, and which was told what hovering takes with its share:
see :class:`corvids.deploy.px4.team.Px4Team` for how it comes down.
"""
