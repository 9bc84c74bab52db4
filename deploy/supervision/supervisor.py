"""Watches one vehicle's flight and always knows a safe thing to do: a state machine without clock, links or torch.

At each tick it is handed what is seen and what the policy proposes, and answers with the command to stream, if any,
and with what the autopilot is to be asked for. The table of violations and reactions is in
:mod:`corvids.deploy.supervision.reactions`. Arming and OFFBOARD are asked for on the operator's word alone.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import NamedTuple

from corvids.deploy.fallback import Fallback
from corvids.deploy.supervision.checks import Checks, Mode, Seen, Thresholds, Word
from corvids.deploy.supervision.envelope import Envelope, Fence
from corvids.deploy.supervision.handover import Command, Handover, Source
from corvids.deploy.supervision.reactions import RULES, STREAMING, UNSEEN, Reaction, Rule, State, Violation


class Request(enum.Enum):
    """What the autopilot can be asked for."""

    ARM = "arm"
    OFFBOARD = "offboard"
    HOLD = "hold"
    LAND = "land"
    __hash__ = object.__hash__


_MODES = {Request.HOLD: Mode.HOLD, Request.LAND: Mode.LAND}
"""What the autopilot's mode is once it has done as it was asked."""


class Entry(NamedTuple):
    """One decision, for the log."""

    now_s: float
    before: State
    after: State
    reaction: Reaction
    request: Request | None
    reason: str


class Verdict(NamedTuple):
    """What a supervisor decided at a tick."""

    state: State
    source: Source
    command: Command | None
    """None exactly where the source is SILENT."""
    request: Request | None
    """To be sent to the autopilot now."""
    reaction: Reaction
    """Strongest reaction in force."""
    entries: tuple[Entry, ...]
    """What is new, and why."""
    lowers: bool = False
    """Whether the team must lower its load; a stronger reaction of this member's alone does not change that."""


@dataclasses.dataclass(frozen=True)
class Procedure:
    """How the vehicle is handed over."""

    lead_s: float = 1.0
    """How long commands are streamed before OFFBOARD is asked for."""
    confirm_s: float = 3.0
    """How long the autopilot may take to do what it is asked for; its heartbeat comes once a second."""
    ask_every_s: float = 0.5
    """Time between repetitions of a request."""
    take_off_m: float = 1.0
    """Least height [m] at which to hover before the policy flies, where the task commands no place."""
    settle_radius_m: float = 0.3
    """Distance from the place to hover at within which the vehicle has settled."""
    settle_speed_mps: float = 0.3
    """Speed below which the vehicle has settled."""
    settle_s: float = 0.5
    """How long it must stay settled, and how long violations must be over, before the policy flies."""


class Supervisor:
    """Supervises one vehicle."""

    def __init__(
        self,
        envelope: Envelope,
        fallback: Fallback,
        fence: Fence | None = None,
        thresholds: Thresholds | None = None,
        procedure: Procedure | None = None,
        rules: Mapping[Violation, Rule] = RULES,
    ) -> None:
        self.rules = rules
        self.fence = fence or Fence()
        self.thresholds, self.procedure = thresholds or Thresholds(), procedure or Procedure()
        self.state = State.DISCONNECTED
        self._checks = Checks(envelope, self.fence, self.thresholds)
        self._clock_s = 0.0
        """Sum of the plausible steps of time: what intervals are measured on."""
        self._now_s = math.nan
        self._since: dict[Violation, float] = {}
        """When each violation of now began."""
        self._entered_s = 0.0
        self._asked: Request | None = None
        self._asked_s = self._repeated_s = 0.0
        self._reached = False
        """Whether the mode that was asked for has been seen since: whoever changes it after that is not overruled."""
        self._steady_since_s = math.inf
        self._resumes = False
        """Whether the policy may fly again without a word of the operator's."""
        self._confirmed = False
        """Whether OFFBOARD was seen since the operator engaged."""
        self._mode_before = 0
        """In which mode the autopilot was then, by its own number."""
        self._holds = self._was_asked_to_hold = False
        """Whether the autopilot has been in HOLD ever since it was flown, and whether this asked for it."""
        self._handover = Handover(envelope, fallback, self.fence)
        self._repeating_since_s = 0.0
        self.against_engaging = "it is not armed"
        """What would have the operator's word refused to engage, as of the last tick; empty where nothing would."""
        self._told: tuple[Reaction, Request | None] = (Reaction.NONE, None)

    def tick(self, seen: Seen) -> Verdict:
        """Decide. To be called at the control rate, whatever has arrived."""
        self._advance(seen.now_s)
        before = self.state
        found = self._checks.find(seen)
        self._judge_mode(seen, found)
        due = self._due(found)
        self.against_engaging = (
            self._obstacles(found, State.ENGAGING) if self.state is State.ARMED else "it is not armed"
        )
        reaction = self._strongest(due)
        reason = self._react(reaction, due, found) or self._proceed(seen, found)
        if self.state is State.ARMED:
            self._holds = seen.autopilot.mode is Mode.HOLD and (self._holds or before in STREAMING)
        request = self._request()
        source, command = self._handover.command(
            self.state,
            seen,
            self._clock_s,
            is_current=self._checks.is_current,
            is_attitude_current=self._checks.is_attitude_current,
            is_repeating=reaction is Reaction.HOLD_LAST,
            is_reset=Violation.ESTIMATOR_RESET in found,
        )
        entries = ()
        if reason or (reaction, self._asked) != self._told:
            self._told = (reaction, self._asked)
            said = reason or "; ".join(f"{v.value}: {found[v]}" for v in due) or "over"
            entries = (Entry(seen.now_s, before, self.state, reaction, self._asked, said),)
        lowers = any(self.rules[violation].reaction is Reaction.LOWER for violation in due)
        return Verdict(self.state, source, command, request, reaction, entries, lowers)

    def rehearse(self, seen: Seen) -> Verdict:
        """What :meth:`tick` would decide, to no effect: then what that needs is in the processor's caches."""
        twin = copy.copy(self)
        twin._checks, twin._handover = copy.copy(self._checks), copy.copy(self._handover)
        return twin.tick(seen)

    def lower(self, by_m: float) -> None:
        """Move the place of the hover controller down: a member of a team goes down with the others."""
        x, y, z = self._handover.place_w
        self._handover.hold((x, y, z - by_m))

    def _advance(self, now_s: float) -> None:
        step_s = now_s - self._now_s
        if step_s > 0.0:  # False for NaN too
            self._clock_s += min(step_s, self.thresholds.tick_gap_max_s)
        self._now_s = now_s

    def _judge_mode(self, seen: Seen, found: dict[Violation, str]) -> None:
        """Find out whether the autopilot left OFFBOARD for a mode that it was not asked for, or disarmed."""
        mode, asked = seen.autopilot.mode, self._asked
        self._confirmed = self.state in STREAMING and (self._confirmed or mode is Mode.OFFBOARD)
        if self.state not in STREAMING:
            return
        is_asked_for = asked is not None and _MODES.get(asked) is mode
        self._reached |= is_asked_for
        is_left = self._confirmed or seen.autopilot.mode_code != self._mode_before
        if is_left and not is_asked_for and mode is not Mode.OFFBOARD:
            found[Violation.TAKEOVER] = f"mode {mode.value}"
        if not seen.autopilot.armed:
            found[Violation.DISARMED] = "as the autopilot reports"

    def _due(self, found: Mapping[Violation, str]) -> list[Violation]:
        """Violations of this state that have lasted long enough, after bookkeeping."""
        self._since = {violation: self._since.get(violation, self._clock_s) for violation in found}
        return [violation for violation in found if self._is_due(violation, self.state)]

    def _is_due(self, violation: Violation, state: State) -> bool:
        rule = self.rules[violation]
        return state in rule.states and self._clock_s - self._since[violation] >= rule.after_s

    def _strongest(self, due: list[Violation]) -> Reaction:
        """The reaction to all of them together."""
        if not due:
            return Reaction.NONE
        reaction = max(self.rules[violation].reaction for violation in due)
        if reaction is Reaction.HOLD_LAST and self._has_repeated_enough():
            return Reaction.HOVER
        if reaction in (Reaction.PX4_HOLD, Reaction.PX4_LAND) and not (self._confirmed or self._asked):
            return Reaction.YIELD  # whoever flew before the operator engaged still does
        return reaction

    def _react(self, reaction: Reaction, due: list[Violation], found: Mapping[Violation, str]) -> str:
        """Change state as a reaction demands; returns why, or nothing where it demands no change."""
        if reaction is Reaction.SILENCE:
            self._enter(State.FAILED)
        elif reaction is Reaction.YIELD:
            self._enter(State.ARMED)
        elif reaction is Reaction.PX4_LAND and self.state is not State.LANDING:
            self._enter(State.LANDING)
            self._ask(Request.LAND)
        elif reaction is Reaction.PX4_HOLD and self._asked is not Request.HOLD:
            self._enter(State.RECOVERING)
            self._ask(Request.HOLD)
        elif reaction is Reaction.HOVER and self.state is State.POLICY:
            self._enter(State.RECOVERING)
            self._resumes = all(self.rules[violation].resumes for violation in due)
        else:
            return ""
        return "; ".join(f"{violation.value}: {found[violation]}" for violation in due)

    def _has_repeated_enough(self) -> bool:
        if self._handover.source is not Source.LAST:
            self._repeating_since_s = self._clock_s
            return False
        return self._clock_s - self._repeating_since_s > self.thresholds.hold_last_max_s

    def _proceed(self, seen: Seen, found: Mapping[Violation, str]) -> str:
        """Go on with what the state is for; returns why the state changed, or nothing."""
        autopilot, words = seen.autopilot, seen.words
        is_heard = Violation.LINK_LOST not in found
        if self.state is State.DISCONNECTED and is_heard:
            self._enter(State.ARMED if autopilot.armed else State.READY)
            return "the autopilot is heard"
        if self.state in (State.READY, State.ARMED) and not is_heard:
            self._enter(State.DISCONNECTED)
            return f"the autopilot is not heard {found[Violation.LINK_LOST]}"
        if self.state is State.READY:
            return self._proceed_ready(autopilot.armed, words, found)
        if self.state is State.ARMED:
            return self._proceed_armed(seen, found)
        if self.state is State.ENGAGING:
            return self._proceed_engaging(seen, found)
        if self.state is State.RECOVERING:
            return self._proceed_recovering(seen, found)
        if self.state is State.LANDING and autopilot.mode is not Mode.LAND:
            return self._proceed_landing()
        if self.state is State.FAILED and Word.RESET in words and self._may_reset(seen):
            self._enter(State.DISCONNECTED)
            return "the operator said reset"
        return ""

    def _proceed_ready(self, is_armed: bool, words: frozenset[Word], found: Mapping[Violation, str]) -> str:
        if is_armed:
            self._enter(State.ARMED)
            return "the autopilot is armed"
        if Word.ARM in words:
            against = self._obstacles(found, State.ENGAGING)
            if against:
                return f"not armed: {against}"
            self._ask(Request.ARM)
            return "the operator said arm"
        if self._asked is Request.ARM and self._is_overdue():
            self._asked = None
            return "the autopilot does not arm"
        return ""

    def _proceed_armed(self, seen: Seen, found: Mapping[Violation, str]) -> str:
        if not seen.autopilot.armed:
            self._enter(State.READY)
            return "the autopilot is disarmed"
        holds_for_us = (
            self._holds and seen.autopilot.mode is Mode.HOLD and (self._was_asked_to_hold or seen.is_kept)
        )
        if Word.LAND in seen.words and holds_for_us:
            self._ask(Request.LAND)
            return "the operator said land, and the autopilot holds"
        if self._asked is Request.LAND and (not holds_for_us or self._is_overdue()):
            self._asked = None
        if Word.ENGAGE not in seen.words:
            return ""
        against = self._obstacles(found, State.ENGAGING)
        if against:
            return f"not engaged: {against}"
        self._enter(State.ENGAGING)
        self._mode_before = seen.autopilot.mode_code
        x, y, z = seen.pos_w
        self._handover.hold(seen.place_w or (x, y, max(z, self.procedure.take_off_m)))
        return "the operator said engage"

    def _proceed_engaging(self, seen: Seen, found: Mapping[Violation, str]) -> str:
        if not self._confirmed:
            if self._asked is None and self._clock_s - self._entered_s >= self.procedure.lead_s:
                self._ask(Request.OFFBOARD)
                return "the stream has led long enough"
            if self._asked is Request.OFFBOARD and self._is_overdue():
                self._enter(State.ARMED)
                return "the autopilot does not go off-board"
            return ""
        self._asked = None
        settled = (
            math.dist(seen.pos_w, self._handover.place_w) <= self.procedure.settle_radius_m
            and math.dist(seen.vel_w, (0.0, 0.0, 0.0)) <= self.procedure.settle_speed_mps
        )
        if self._is_steady(settled and not self._obstacles(found, State.POLICY)):
            self._enter(State.POLICY)
            return "settled, and nothing against the policy"
        return ""

    def _proceed_recovering(self, seen: Seen, found: Mapping[Violation, str]) -> str:
        if self._asked is Request.HOLD:
            if seen.autopilot.mode is Mode.HOLD:
                self._enter(State.ARMED)
                self._was_asked_to_hold = True
                return "the autopilot holds"
            if self._is_overdue():
                self._enter(State.LANDING)
                self._ask(Request.LAND)
                return "the autopilot does not hold: it is asked to land"
            return ""
        self._resumes |= Word.ENGAGE in seen.words
        if self._is_steady(self._resumes and not self._obstacles(found, State.POLICY)):
            self._enter(State.POLICY)
            return "nothing against the policy any more"
        return ""

    def _proceed_landing(self) -> str:
        """In another mode than LAND."""
        if self._reached:
            # PX4 goes back to OFFBOARD as it disarms, which may be heard later: in silence, either is right.
            self._enter(State.ARMED)
            return "the autopilot has left its landing: it has disarmed, or somebody else flies"
        if self._is_overdue():
            self._enter(State.FAILED)
            return "the autopilot does not land: silence, for its own failsafe"
        return ""

    def _may_reset(self, seen: Seen) -> bool:
        """Out of FAILED only where nobody could be surprised: the stream plays no part any more."""
        autopilot = seen.autopilot
        over = not (autopilot.killed or autopilot.failsafe)
        return over and not (autopilot.armed and autopilot.mode is Mode.OFFBOARD)

    def _obstacles(self, found: Mapping[Violation, str], state: State) -> str:
        """What would demand a reaction in ``state``; a command that is clipped does not matter."""
        return "; ".join(
            f"{violation.value}: {said}"
            for violation, said in found.items()
            if (self._is_due(violation, state) and self.rules[violation].reaction > Reaction.CLIP)
            or (state is State.POLICY and violation in UNSEEN)
        )

    def _is_steady(self, is_so: bool) -> bool:
        """Whether ``is_so`` has been true for long enough."""
        self._steady_since_s = min(self._steady_since_s, self._clock_s) if is_so else math.inf
        return self._clock_s - self._steady_since_s >= self.procedure.settle_s

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state, self._entered_s = state, self._clock_s
        self._asked, self._reached, self._resumes = None, False, False
        self._holds = self._was_asked_to_hold = False
        self._steady_since_s = math.inf

    def _ask(self, request: Request) -> None:
        self._asked, self._asked_s, self._repeated_s = request, self._clock_s, -math.inf

    def _is_overdue(self) -> bool:
        return self._clock_s - self._asked_s > self.procedure.confirm_s

    def _request(self) -> Request | None:
        """The request in force whenever it is to be sent (again): until its mode is seen."""
        if (
            self._asked is None
            or self._reached
            or self._clock_s - self._repeated_s < self.procedure.ask_every_s
        ):
            return None
        self._repeated_s = self._clock_s
        return self._asked
