"""Holds every verdict of a supervisor against what is declared, with its own memory of what went before."""

from __future__ import annotations

import math
from collections.abc import Mapping

from supervisor_lab import ENVELOPE, FENCE, THRESHOLDS

from corvids.deploy.supervision.checks import Checks, Mode, Seen, Word
from corvids.deploy.supervision.handover import Source
from corvids.deploy.supervision.reactions import RULES, STREAMING, Reaction, Rule, State, Violation
from corvids.deploy.supervision.supervisor import Request, Verdict

WAYS = {
    State.DISCONNECTED: {State.READY, State.ARMED},
    State.READY: {State.DISCONNECTED, State.ARMED},
    State.ARMED: {State.DISCONNECTED, State.READY, State.ENGAGING},
    State.ENGAGING: {State.POLICY, State.RECOVERING, State.LANDING, State.ARMED, State.FAILED},
    State.POLICY: {State.RECOVERING, State.LANDING, State.ARMED, State.FAILED},
    State.RECOVERING: {State.POLICY, State.LANDING, State.ARMED, State.FAILED},
    State.LANDING: {State.ARMED, State.FAILED},
    State.FAILED: {State.DISCONNECTED},
}
"""The only ways from state to state."""
TINY = 1e-6


class Auditor:
    """Sees what the supervisor sees, and checks what it says."""

    def __init__(self, rules: Mapping[Violation, Rule] = RULES) -> None:
        self.rules = rules
        self.state = State.DISCONNECTED
        self.visited = {self.state}
        self._checks = Checks(ENVELOPE, FENCE, THRESHOLDS)
        self._now_s = self._clock_s = 0.0
        self._since: dict[Violation, float] = {}
        self._said: set[Word] = set()
        self._source, self._thrust_n = Source.SILENT, 0.0
        self._repeated_since_s = math.inf
        self._asked_hold_or_land = False
        self._offboard_seen = False
        self._mode_before = 0
        """The autopilot's mode when the operator engaged, by its number."""
        self._land_seen = False
        """Whether the autopilot has begun the landing that it was asked for."""
        self._is_held = self._was_asked = False
        """Whether the autopilot has been in HOLD since it was flown, and whether for the supervisor."""

    def check(self, seen: Seen, verdict: Verdict) -> None:
        """Raises AssertionError where ``verdict`` breaks a rule."""
        step_s = seen.now_s - self._now_s
        self._clock_s += min(max(step_s, 0.0), THRESHOLDS.tick_gap_max_s)
        self._now_s = seen.now_s
        self._said |= seen.words
        self._check_command(seen, verdict)
        self._check_ways(seen, verdict)
        self._check_requests(seen, verdict)
        self._check_reactions(seen, verdict)
        self.state, self._source = verdict.state, verdict.source
        self.visited.add(self.state)
        if verdict.command is not None:
            self._thrust_n = verdict.command.thrust_n

    def _check_command(self, seen: Seen, verdict: Verdict) -> None:
        assert (verdict.command is not None) == (verdict.state in STREAMING)
        assert (verdict.source is Source.SILENT) == (verdict.command is None)
        if verdict.command is None:
            return
        thrust_n, rates = verdict.command
        assert ENVELOPE.contains(thrust_n, rates), verdict.command
        assert (verdict.source in (Source.POLICY, Source.LAST)) == (verdict.state is State.POLICY)
        _, x, y, _ = seen.quat_wb
        is_new = verdict.source is not self._source and self._source is not Source.SILENT
        if is_new and x * x + y * y < 0.25:
            assert abs(thrust_n - self._thrust_n) < 1e-6, "a step in thrust"
        if verdict.source is Source.LAST:
            self._repeated_since_s = min(self._repeated_since_s, self._clock_s)
            assert self._clock_s - self._repeated_since_s <= THRESHOLDS.hold_last_max_s + TINY
        else:
            self._repeated_since_s = math.inf

    def _check_ways(self, seen: Seen, verdict: Verdict) -> None:
        if verdict.state is self.state:
            return
        assert verdict.state in WAYS[self.state], (self.state, verdict.state)
        assert len(verdict.entries) == 1
        entry = verdict.entries[0]
        assert (entry.before, entry.after) == (self.state, verdict.state)
        assert entry.reason
        if self.state is State.FAILED:
            assert Word.RESET in seen.words
            assert not (seen.autopilot.armed and seen.autopilot.mode is Mode.OFFBOARD)
        if verdict.state is State.ENGAGING:
            assert Word.ENGAGE in seen.words
        if verdict.state is State.POLICY:
            assert seen.autopilot.mode is Mode.OFFBOARD
            assert seen.autopilot.armed
        if verdict.state not in STREAMING:
            self._said.discard(Word.ENGAGE)
        if verdict.state is State.ARMED:
            self._said.discard(Word.ARM)

    def _check_requests(self, seen: Seen, verdict: Verdict) -> None:
        self._land_seen |= seen.autopilot.mode is Mode.LAND
        self._land_seen &= self.state is State.LANDING
        if verdict.request is Request.ARM:
            assert Word.ARM in self._said
            assert verdict.state is State.READY
        if verdict.request is Request.OFFBOARD:
            assert Word.ENGAGE in self._said
            assert verdict.state is State.ENGAGING
        if verdict.request in (Request.HOLD, Request.LAND) and verdict.state is not State.ARMED:
            assert verdict.state in (State.RECOVERING, State.LANDING)
            assert not self._land_seen, "who takes over from there would be overruled"
            self._asked_hold_or_land = True
        self._check_held(seen, verdict)
        if verdict.state in (State.POLICY, State.ENGAGING) or verdict.state not in STREAMING:
            self._asked_hold_or_land = False

    def _check_held(self, seen: Seen, verdict: Verdict) -> None:
        """An autopilot that holds for the supervisor or its keeper, and nobody else, lands on the operator's word."""
        is_hold = seen.autopilot.mode is Mode.HOLD
        was_held = self._is_held and is_hold and (self._was_asked or seen.is_kept)
        if verdict.state is State.ARMED and verdict.request is not None:
            assert verdict.request is Request.LAND
            assert Word.LAND in self._said
            assert was_held, "whoever flies would be overruled"
        if verdict.state is self.state is State.ARMED and was_held and Word.LAND in seen.words:
            assert verdict.request is Request.LAND
        if verdict.state is State.ARMED and self.state in STREAMING:
            self._is_held = is_hold
            self._was_asked = self.state is State.RECOVERING and self._asked_hold_or_land
        self._is_held &= is_hold and verdict.state is State.ARMED

    def _check_reactions(self, seen: Seen, verdict: Verdict) -> None:
        """Every violation that has lasted as long as declared has at least its reaction."""
        found = self._checks.find(seen)
        if self.state in STREAMING:
            mode = seen.autopilot.mode
            self._offboard_seen |= mode is Mode.OFFBOARD
            is_foreign = mode in (Mode.OTHER, Mode.AUTO)  # nobody asks for these
            is_foreign &= self._offboard_seen or seen.autopilot.mode_code != self._mode_before
            if is_foreign or (self._land_seen and mode is not Mode.LAND):
                found[Violation.TAKEOVER] = ""
            if not seen.autopilot.armed:
                found[Violation.DISARMED] = ""
        else:
            self._offboard_seen, self._mode_before = False, seen.autopilot.mode_code
        self._since = {violation: self._since.get(violation, self._clock_s) for violation in found}
        for violation, since_s in self._since.items():
            rule = self.rules[violation]
            due_s = since_s + rule.after_s + (TINY if rule.after_s else 0.0)
            if self.state in rule.states and self._clock_s >= due_s:
                assert self._is_met(rule.reaction, verdict), (violation, verdict)

    def _is_met(self, reaction: Reaction, verdict: Verdict) -> bool:
        if reaction is Reaction.LOWER:
            return verdict.lowers
        if verdict.command is None or reaction in (Reaction.NONE, Reaction.CLIP):
            return True  # silence is the strongest reaction; the envelope is checked at every tick
        if reaction is Reaction.HOLD_LAST:
            return verdict.source is not Source.POLICY
        if reaction is Reaction.HOVER:
            return verdict.source is Source.HOVER
        if reaction is Reaction.PX4_HOLD:
            return verdict.source is Source.HOVER and self._asked_hold_or_land
        if reaction is Reaction.PX4_LAND:
            return verdict.state is State.LANDING and self._asked_hold_or_land
        return False
