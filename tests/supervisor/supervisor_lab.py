"""A scene for the supervisor: an autopilot that obeys or does not, a policy, and faults that come and go."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from corvids.deploy.contract import Limits
from corvids.deploy.fallback import Fallback
from corvids.deploy.supervision.checks import Autopilot, Mode, Proposal, Seen, Thresholds, Word
from corvids.deploy.supervision.envelope import Envelope, Fence, envelope_of
from corvids.deploy.supervision.reactions import RULES, Rule, Violation
from corvids.deploy.supervision.supervisor import Procedure, Request, Supervisor, Verdict

LIMITS = Limits((0.5, 30.0), 10.0, (10.0, 10.0, 2.0), 0.8)
ENVELOPE: Envelope = envelope_of(LIMITS)
FENCE = Fence()
THRESHOLDS = Thresholds()
QUICK = Procedure(lead_s=0.05, confirm_s=0.3, ask_every_s=0.1, settle_s=0.06)
"""A procedure in a hurry, so that a short sequence meets every state."""
DT_S = 0.02
PLACE_W = (0.0, 0.0, 1.0)
GOOD = Proposal(12.0, (0.5, -0.4, 0.1))


def make_supervisor(procedure: Procedure = QUICK, rules: Mapping[Violation, Rule] = RULES) -> Supervisor:
    return Supervisor(ENVELOPE, Fallback(LIMITS), FENCE, THRESHOLDS, procedure, rules)


@dataclasses.dataclass
class Scene:
    """What a supervisor sees; fields are set by the events of a test."""

    now_s: float = 100.0
    armed: bool = False
    mode: Mode = Mode.HOLD
    submode: int = 0
    """Which of those that are one mode."""
    obeys: bool = True
    """Whether the autopilot does what it is asked for, at the next tick."""
    failsafe: bool = False
    killed: bool = False
    battery: float = 0.9
    is_heard: bool = True
    heard_s: float = math.nan
    is_stamped: bool = True
    """Whether new states arrive."""
    stamp_s: float = math.nan
    has_attitude: bool = True
    """Whether new attitudes arrive, with a state or without."""
    attitude_stamp_s: float = math.nan
    lag_s: float = 0.0
    is_frozen: bool = False
    pos_w: tuple[float, float, float] = PLACE_W
    vel_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat_wb: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    omega_b: tuple[float, float, float] = (0.0, 0.0, 0.0)
    resets: int = 0
    has_ball: bool = True
    ball_stamp_s: float = math.nan
    ball_pos_w: tuple[float, float, float] = (0.1, 0.0, 1.5)
    load_stamp_s: float | None = None
    has_load: bool = False
    """Whether new poses of a load are believed."""
    load_doubt: str = ""
    proposal: Proposal | None = GOOD
    compute_s: float = 1e-4
    words: frozenset[Word] = frozenset()
    is_kept: bool = False
    wiggle: float = 0.0

    def heal(self) -> None:
        """Undo every fault; the autopilot stays in its mode, except out of a failsafe."""
        healthy = Scene()
        kept = {
            "now_s",
            "armed",
            "mode",
            "submode",
            "heard_s",
            "stamp_s",
            "attitude_stamp_s",
            "resets",
            "ball_stamp_s",
            "wiggle",
        }
        for field in dataclasses.fields(self):
            if field.name not in kept:
                setattr(self, field.name, getattr(healthy, field.name))

    def see(self) -> Seen:
        """What is seen now; said words are used up."""
        if self.is_heard:
            self.heard_s = self.now_s
        if self.is_stamped:
            self.stamp_s = self.now_s - self.lag_s
        if self.has_attitude:
            self.attitude_stamp_s = self.now_s - self.lag_s
        if self.has_ball:
            self.ball_stamp_s = self.now_s
        if self.has_load:
            self.load_stamp_s = self.now_s
        if not self.is_frozen:
            self.wiggle = 1e-6 if self.wiggle == 0.0 else 0.0
        words, self.words = self.words, frozenset()
        x, y, z = self.pos_w
        return Seen(
            now_s=self.now_s,
            autopilot=Autopilot(
                self.heard_s,
                self.armed,
                self.mode,
                self.failsafe,
                self.killed,
                False,
                self.battery,
                mode_code=10 * [*Mode].index(self.mode) + self.submode,
            ),
            stamp_s=self.stamp_s,
            pos_w=(x + self.wiggle, y, z),
            vel_w=self.vel_w,
            quat_wb=self.quat_wb,
            omega_b=self.omega_b,
            resets=self.resets,
            attitude_stamp_s=self.attitude_stamp_s,
            ball_stamp_s=self.ball_stamp_s,
            ball_pos_w=self.ball_pos_w,
            ball_vel_w=(0.0, 0.0, -1.0),
            load_stamp_s=self.load_stamp_s,
            load_doubt=self.load_doubt,
            proposal=self.proposal,
            compute_s=self.compute_s,
            place_w=PLACE_W,
            words=words,
            is_kept=self.is_kept,
        )

    def obey(self, request: Request | None) -> None:
        """Let the autopilot do what it is asked for."""
        if not self.obeys or request is None:
            return
        if request is Request.ARM:
            self.armed = True
        else:
            self.mode = Mode(request.value)


def run(scene: Scene, supervisor: Supervisor, ticks: int = 1, dt_s: float = DT_S) -> Verdict:
    """Let ``ticks`` pass; the last verdict."""
    verdicts = []
    for _ in range(ticks):
        scene.now_s += dt_s
        verdicts.append(supervisor.tick(scene.see()))
        scene.obey(verdicts[-1].request)
    return verdicts[-1]


def say(scene: Scene, supervisor: Supervisor, *words: Word) -> Verdict:
    """One tick in which the operator says ``words``."""
    scene.words = frozenset(words)
    return run(scene, supervisor)


def to_policy(scene: Scene, supervisor: Supervisor) -> Verdict:
    """The usual way from nothing to the policy."""
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ARM)
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    return run(scene, supervisor, 20)
