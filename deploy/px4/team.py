"""A team's PX4s as the runtime meets them: one plant behind as many links, with a supervisor a member.

The plant is one for an inner loop (:class:`corvids.deploy.inner_loop.ImuPlant`): accelerometer and attitude are what
each PX4 reports. Members engage together, once all are armed; what a supervisor says of a command is the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from corvids.deploy.pilot import Array
from corvids.deploy.px4.flight import Link
from corvids.deploy.px4.frames import yaw_ned_rad
from corvids.deploy.px4.keeping import Level
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.supervision.checks import Proposal, Seen, Word
from corvids.deploy.supervision.reactions import RULES, STREAMING, Reaction, Rule, State, Violation
from corvids.deploy.supervision.supervisor import Supervisor, Verdict

TEAM_RULES: Mapping[Violation, Rule] = {**RULES, Violation.LOAD_LOST: Rule(Reaction.CLIP)}
"""A member whose load is lost must neither hover as if it bore nothing nor leave the load to the others.

Its pilot holds it where it is, and its inner loop bears the cable: that is the command that the supervisor lets
through.
"""
SAY_S = 1.0
"""Time between two words of the operator's to one member [s]."""
LoadPoses = Callable[[], tuple[Array, Array]]
"""The load's poses that have arrived at each member since the last call: stamps [s] (n, k), place [m] and attitude
(n, k, 7); NaN where a member has fewer than k."""


class TeamReadings(NamedTuple):
    """What has arrived. Shapes and frames as :class:`corvids.deploy.pilot.TeamReadings` has them."""

    stamp_s: Array
    pos_w: Array
    vel_w: Array
    quat_wb: Array
    omega_b: Array
    load_stamp_s: Array
    load_pos_w: Array
    load_quat_wb: Array


class Member(NamedTuple):
    """One member: its link, and who watches it."""

    link: Link
    supervisor: Supervisor
    thrust_map: ThrustMap
    hover_thrust_n: float
    """What it needs to hover, with its share of the load [N]."""


class Px4Team:
    """The members, and an operator who arms each and engages all at once."""

    def __init__(
        self, members: Sequence[Member], load_poses: LoadPoses, watcher: Callable[[int, Seen, Verdict], None]
    ) -> None:
        """``watcher`` is shown every member's verdicts."""
        self.members, self._load_poses, self._watcher = members, load_poses, watcher
        self._load_stamp_s = np.full(len(members), np.nan)
        self._said_s = np.zeros(len(members))
        self._has_engaged = [False] * len(members)
        self._now_s = members[0].link.now_s

    @property
    def now_s(self) -> float:
        """Time [s]: the links', in steps as fine as they are asked for."""
        return self._now_s

    @property
    def states(self) -> list[State]:
        """Of the members' supervisors."""
        return [member.supervisor.state for member in self.members]

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
        if stamps.shape[1]:
            self._load_stamp_s = np.fmax(self._load_stamp_s, np.fmax.reduce(stamps, axis=1))
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
        for index, member in enumerate(self.members):
            x, y, z = rate_b_radps[index].tolist()
            self._command(index, member, Proposal(float(thrust_n[index]), (x, y, z)))

    def _hear(self, until_s: float) -> None:
        for member in self.members:
            for _ in member.link.wait(until_s):
                pass
        self._now_s = max(self._now_s, until_s)

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
            load_stamp_s=float(self._load_stamp_s[index]),
            proposal=proposal,
            words=self._words(index),
        )
        before = supervisor.state
        verdict = supervisor.tick(seen)
        if verdict.state is State.ENGAGING and before is not State.ENGAGING:
            link.engage()
        elif before in STREAMING and verdict.state not in STREAMING:
            link.release()
        if verdict.request is not None:
            link.request(verdict.request)
        if verdict.command is not None:
            battery, yaw = link.autopilot.battery, yaw_ned_rad(state.quat_wb)
            level = Level(
                yaw if math.isfinite(yaw) else 0.0,
                member.thrust_map.normalised(member.hover_thrust_n, battery),
            )
            thrust = member.thrust_map.normalised(verdict.command.thrust_n, battery)
            link.stream(thrust, verdict.command.rate_b_radps, level)
        self._watcher(index, seen, verdict)

    def _words(self, index: int) -> frozenset[Word]:
        """What the operator says to a member now."""
        state = self.states[index]
        if self._now_s - self._said_s[index] < SAY_S:
            return frozenset()
        if state is State.READY and not self._has_engaged[index]:
            word = Word.ARM
        elif state is State.ARMED and not self._has_engaged[index] and self._are_all_armed():
            word = Word.ENGAGE
            self._has_engaged[index] = True
        else:
            return frozenset()
        self._said_s[index] = self._now_s
        return frozenset({word})

    def _are_all_armed(self) -> bool:
        return all(state is State.ARMED or state in STREAMING for state in self.states)
