"""A team's PX4s as the runtime meets them: one plant behind as many links, with a supervisor a member.

The plant is one for an inner loop (:class:`corvids.deploy.inner_loop.ImuPlant`): accelerometer and attitude are what
each PX4 reports. Members engage together, once all are armed; what a supervisor says of a command is the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.fallback import GRAVITY_MPS2, Fallback
from corvids.deploy.pilot import Array, TeamReadings
from corvids.deploy.px4.flight import Link, ask
from corvids.deploy.px4.frames import yaw_ned_rad
from corvids.deploy.px4.keeping import Level
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.supervision.checks import Mode, Proposal, Seen, Thresholds, Word
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.load_watch import LoadWatch
from corvids.deploy.supervision.reactions import RULES, STREAMING, TAUT_RULES, State
from corvids.deploy.supervision.supervisor import Request, Supervisor, Verdict

SAY_S = 1.0
"""Time between two words of the operator's to one member [s]."""
TELL_S, TELL_MAX_S = 0.2, 3.0
"""How often PX4 is told how heavy it is, until it knows; how long a member waits for that before it lands [s]."""
LOAD_SPARE_M = 0.3
"""How much further off than its cable reaches a member's load may seem, for what estimates and files are off by."""
SPIN_MAX = 2.0
"""A cable turns the body that it pulls at, as fast as 1.7 times its commands' limit where a team is let go level on
slanting cables under a load 50 % heavier than told: no fault, and over in 0.1 s."""
LoadPoses = Callable[[], tuple[Array, Array]]
"""The load's poses that have arrived at each member since the last call: stamps [s] (n, k), place [m] and attitude
(n, k, 7); NaN where a member has fewer than k."""


class TeamLink(Link, Protocol):
    """The way to a member's PX4, which also has to know how heavy it is: it holds and lands by itself."""

    def set_hover_thrust(self, thrust: float) -> bool:
        """Tell PX4 the normalised thrust at which it hovers; whether it has said that it knows."""
        ...


def member_thresholds(reach_m: float) -> Thresholds:
    """For the supervisor of a member whose load's pose point its cable keeps within ``reach_m`` [m]."""
    return Thresholds(spin_max=SPIN_MAX, load_range_max_m=reach_m + LOAD_SPARE_M)


class Member(NamedTuple):
    """One member: its link, and who watches it."""

    link: TeamLink
    supervisor: Supervisor
    fallback: Fallback
    """The supervisor's."""
    thrust_map: ThrustMap
    weight_n: float
    """Of the vehicle alone."""
    share_n: float
    """Its share of the load's weight."""


class Px4Team:
    """The members, and an operator who arms each, engages all at once, and has them land once they bear nothing.

    All engage at one tick, when nothing is against it for any of them. While members bear their load, what ends the
    flight of one makes the whole team lower it: see :data:`corvids.deploy.supervision.reactions.TAUT_RULES`. Whoever
    flies the team asks :attr:`must_lower`. A member that its PX4 had to hold is asked to land when the others begin to
    sink: hovering on, it would end up with the whole load. PX4 sinks faster than they do: its cable goes slack first.
    """

    def __init__(
        self, members: Sequence[Member], load_poses: LoadPoses, watcher: Callable[[int, Seen, Verdict], None]
    ) -> None:
        """``watcher`` is shown every member's verdicts."""
        self.members, self._load_poses, self._watcher = members, load_poses, watcher
        self.places_w: Sequence[Triple | None] = [None] * len(members)
        """Where members hover before their policies fly [m]; None: above where they are."""
        self.must_lower = ""
        """Why the team must lower its load, if it must."""
        self._bears = self._is_over = False
        self._is_told = [True] * len(members)
        self._loads = [LoadWatch(member.supervisor.thresholds) for member in members]
        self._said_s = np.zeros(len(members))
        self._told_s = self._over_s = -math.inf
        self._has_flown = [False] * len(members)
        self._is_held = [False] * len(members)
        """Whether a member's PX4 holds it since its supervisor asked for that, and nobody has changed its mode."""
        self._engages = False
        """Whether members that have not flown yet are told to engage at this tick."""
        self._engage_said_s = -math.inf
        self._sinks = False
        self._now_s = members[0].link.now_s

    def bear(self, bears: bool) -> None:
        """From now on members bear their shares of the load, or do not: for supervisors, keepers and PX4s."""
        self._bears, self._is_told = bears, [False] * len(self.members)
        for member in self.members:
            member.supervisor.rules = TAUT_RULES if bears else RULES
            member.fallback.load_kg = member.share_n / GRAVITY_MPS2 if bears else 0.0

    def lower(self, by_m: float) -> None:
        """Move the places down at which members would hover; those that PX4s hold begin to land."""
        self._sinks |= by_m > 0.0
        for member in self.members:
            member.supervisor.lower(by_m)

    def land(self) -> None:
        """Nothing is borne any more: each lands, as soon as its PX4 knows that."""
        self.bear(False)
        self._is_over, self._over_s = True, self._now_s

    @property
    def now_s(self) -> float:
        """Time [s]: the links', in steps as fine as they are asked for."""
        return self._now_s

    @property
    def states(self) -> list[State]:
        """Of the members' supervisors."""
        return [member.supervisor.state for member in self.members]

    @property
    def are_flown(self) -> NDArray[np.bool_]:
        """Which members we fly: the others' cables are nothing that we could wait for, (members,)."""
        return np.array([state in STREAMING for state in self.states])

    @property
    def against_engaging(self) -> str:
        """Why members that have not flown yet do not engage; empty where nothing is against it."""
        if self._is_over or self.must_lower:
            return self.must_lower or "the flight is over"
        found = []
        for index, (member, has_flown) in enumerate(zip(self.members, self._has_flown, strict=True)):
            against = member.supervisor.against_engaging
            if has_flown:
                against = "" if member.supervisor.state in STREAMING else "it has flown, and does no more"
            if against:
                found.append(f"member {index}: {against}")
        return "; ".join(found)

    def imu(self, until_s: float) -> tuple[Array, Array]:
        """Let time pass until ``until_s``: specific force [m/s², FLU] (n, 3) and attitude (n, 4) as reported last."""
        self._hear(until_s)
        states = [member.link.state for member in self.members]
        force = [state.specific_force_b_mps2 for state in states]
        return np.array(force), np.array([state.quat_wb for state in states])

    def receive(self, until_s: float) -> TeamReadings:
        """Let time pass until ``until_s`` and hand over what has arrived since the last call."""
        self._hear(until_s)
        states = [member.link.state for member in self.members]
        stamps, poses = self._load_poses()
        stamps = self._believed(stamps, poses)
        return TeamReadings(
            np.array([state.stamp_s for state in states]),
            np.array([state.pos_w for state in states]),
            np.array([state.vel_w for state in states]),
            np.array([state.quat_wb for state in states]),
            np.array([state.omega_b for state in states]),
            stamps,
            poses[..., :3],
            poses[..., 3:],
        )

    def send(self, thrust_n: Array, rate_b_radps: Array, /) -> None:
        """Propose thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) to the supervisors; stream what they allow."""
        is_due = self._now_s - self._engage_said_s >= SAY_S and not all(self._has_flown)
        self._engages = is_due and not self.against_engaging
        if self._engages:
            self._engage_said_s = self._now_s
        for index, member in enumerate(self.members):
            x, y, z = rate_b_radps[index].tolist()
            self._command(index, member, Proposal(float(thrust_n[index]), (x, y, z)))

    def _believed(self, stamps: Array, poses: Array) -> Array:
        """The stamps (n, k) of the load's ``poses`` (n, k, 7), NaN where a member does not believe one."""
        believed = np.full_like(stamps, np.nan)
        for index, (member, load) in enumerate(zip(self.members, self._loads, strict=True)):
            vehicle_w = member.link.state.pos_w
            for k in np.argsort(stamps[index]):
                stamp_s = float(stamps[index, k])
                if load.believes(self._now_s, stamp_s, poses[index, k].tolist(), vehicle_w):
                    believed[index, k] = stamp_s
        return believed

    def _hear(self, until_s: float) -> None:
        for member in self.members:
            for _ in member.link.wait(until_s):
                pass
        self._now_s = max(self._now_s, until_s)
        if self._now_s - self._told_s >= TELL_S and not all(self._is_told):
            self._told_s = self._now_s
            self._is_told = [
                told or member.link.set_hover_thrust(self._hover_thrust(member))
                for told, member in zip(self._is_told, self.members, strict=True)
            ]

    def _hover_thrust(self, member: Member) -> float:
        """Normalised thrust at which a member hovers."""
        newtons = member.weight_n + (member.share_n if self._bears else 0.0)
        return member.thrust_map.normalised(newtons, member.link.autopilot.battery)

    def _command(self, index: int, member: Member, proposal: Proposal) -> None:
        link, supervisor, state = member.link, member.supervisor, member.link.state
        seen = Seen(
            self._now_s,
            link.autopilot,
            state.stamp_s,
            state.pos_w,
            state.vel_w,
            state.quat_wb,
            state.omega_b,
            state.resets,
            attitude_stamp_s=state.attitude_stamp_s,
            load_stamp_s=self._loads[index].stamp_s,
            load_doubt=self._loads[index].doubt,
            proposal=proposal,
            place_w=self.places_w[index],
            words=self._words(index),
            is_kept=link.is_kept,
        )
        before = supervisor.state
        verdict = supervisor.tick(seen)
        if verdict.state is State.ENGAGING and before is not State.ENGAGING:
            link.engage()
        elif before in STREAMING and verdict.state not in STREAMING:
            link.release()
        self._has_flown[index] |= verdict.state in STREAMING
        ask(link, verdict.request)
        self._land_if_held(index, member, verdict)
        if self._bears and not self.must_lower:
            has_left = before is State.POLICY and verdict.state is not State.POLICY
            if has_left or verdict.lowers:
                said = "; ".join(entry.reason for entry in verdict.entries) or verdict.state.value
                self.must_lower = f"member {index}: {said}"
        if verdict.command is not None:
            battery, yaw = link.autopilot.battery, yaw_ned_rad(state.quat_wb)
            level = Level(yaw if math.isfinite(yaw) else 0.0, self._hover_thrust(member))
            thrust = member.thrust_map.normalised(verdict.command.thrust_n, battery)
            link.stream(thrust, verdict.command.rate_b_radps, level)
        self._watcher(index, seen, verdict)

    def _words(self, index: int) -> frozenset[Word]:
        """What the operator says to a member now."""
        state = self.states[index]
        if self._engages and not self._has_flown[index]:
            return frozenset({Word.ENGAGE})
        if self._now_s - self._said_s[index] < SAY_S:
            return frozenset()
        if self._is_over and state in STREAMING:
            if not self._is_told[index] and self._now_s - self._over_s < TELL_MAX_S:
                return frozenset()
            word = Word.LAND
        elif state is State.READY and not self._has_flown[index]:
            word = Word.ARM
        else:
            return frozenset()
        self._said_s[index] = self._now_s
        return frozenset({word})

    def _land_if_held(self, index: int, member: Member, verdict: Verdict) -> None:
        """Ask the PX4 of a member that it holds, and nobody else has taken, to land once the team goes down."""
        mode = member.link.autopilot.mode
        if verdict.request is Request.HOLD:
            self._is_held[index] = True
        elif verdict.state not in STREAMING and mode is not Mode.HOLD:
            self._is_held[index] = False
        is_alone = self._is_held[index] and verdict.state is State.ARMED
        if is_alone and (self._sinks or self._is_over) and self._now_s - self._said_s[index] >= SAY_S:
            self._said_s[index] = self._now_s
            member.link.request(Request.LAND)
