"""Whatever happens, in whatever order: commands stay in the envelope, reactions are in time, safe states stay safe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
from auditor import Auditor
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from supervisor_lab import DT_S, GOOD, Scene, make_supervisor, run, say, to_policy

from corvids.deploy.supervision.checks import Mode, Proposal, Seen, Word
from corvids.deploy.supervision.reactions import RULES, TAUT_RULES, Rule, State, Violation
from corvids.deploy.supervision.supervisor import Verdict

NAN = math.nan
EVENTS = {
    **{f"say {word.value}": (lambda s, w=word: setattr(s, "words", frozenset({w}))) for word in Word},
    **{f"mode {mode.value}": (lambda s, m=mode: setattr(s, "mode", m)) for mode in Mode},
    "another of the mode": lambda s: setattr(s, "submode", 1 - s.submode),
    "keeper holds no more": lambda s: setattr(s, "is_kept", False),
    "keeper holds": lambda s: (setattr(s, "is_kept", True), setattr(s, "mode", Mode.HOLD)),
    "calm": lambda s: None,
    "heal": Scene.heal,
    "obey": lambda s: setattr(s, "obeys", True),
    "disobey": lambda s: setattr(s, "obeys", False),
    "arm": lambda s: setattr(s, "armed", True),
    "disarm": lambda s: setattr(s, "armed", False),
    "failsafe": lambda s: setattr(s, "failsafe", True),
    "kill": lambda s: setattr(s, "killed", True),
    "battery": lambda s: setattr(s, "battery", 0.1),
    "link lost": lambda s: setattr(s, "is_heard", False),
    "link back": lambda s: setattr(s, "is_heard", True),
    "state stops": lambda s: setattr(s, "is_stamped", False),
    "state back": lambda s: setattr(s, "is_stamped", True),
    "state late": lambda s: setattr(s, "lag_s", 0.15),
    "state in future": lambda s: setattr(s, "lag_s", -0.5),
    "state frozen": lambda s: setattr(s, "is_frozen", True),
    "pos nan": lambda s: setattr(s, "pos_w", (NAN, 0.0, 1.0)),
    "quat nan": lambda s: setattr(s, "quat_wb", (NAN, NAN, NAN, NAN)),
    "quat zero": lambda s: setattr(s, "quat_wb", (0.0, 0.0, 0.0, 0.0)),
    "vel inf": lambda s: setattr(s, "vel_w", (math.inf, -math.inf, 1e200)),
    "outside": lambda s: setattr(s, "pos_w", (9.0, 0.0, 1.0)),
    "far outside": lambda s: setattr(s, "pos_w", (-1e30, 0.0, 1e300)),
    "towards the fence": lambda s: (
        setattr(s, "pos_w", (2.0, 0.0, 1.0)),
        setattr(s, "vel_w", (2.5, 0.0, 0.0)),
    ),
    "fast": lambda s: setattr(s, "vel_w", (0.0, 0.0, 8.0)),
    "tilted": lambda s: setattr(s, "quat_wb", (0.6, 0.8, 0.0, 0.0)),
    "spinning": lambda s: setattr(s, "omega_b", (0.0, 40.0, 0.0)),
    "estimator reset": lambda s: setattr(s, "resets", s.resets + 1),
    "ball lost": lambda s: setattr(s, "has_ball", False),
    "ball far": lambda s: setattr(s, "ball_pos_w", (50.0, 0.0, 1.0)),
    "ball nan": lambda s: setattr(s, "ball_pos_w", (NAN, 0.0, 1.0)),
    "load seen": lambda s: (setattr(s, "has_load", True), setattr(s, "load_doubt", "")),
    "load lost": lambda s: (setattr(s, "has_load", False), setattr(s, "load_stamp_s", s.now_s - 1.0)),
    "load stops": lambda s: setattr(s, "has_load", False),
    "load doubted": lambda s: (setattr(s, "has_load", True), setattr(s, "load_doubt", "9 m off")),
    "load far": lambda s: (setattr(s, "has_load", False), setattr(s, "load_doubt", "9 m off")),
    "policy silent": lambda s: setattr(s, "proposal", None),
    "policy nan": lambda s: setattr(s, "proposal", Proposal(NAN, (0.0, NAN, 0.0))),
    "policy inf": lambda s: setattr(s, "proposal", Proposal(math.inf, (0.0, -math.inf, 0.0))),
    "policy outside": lambda s: setattr(s, "proposal", Proposal(1e9, (-1e9, 30.0, 5.0))),
    "policy changes": lambda s: setattr(s, "proposal", Proposal(2.0, (3.0, 3.0, -1.0))),
    "policy good": lambda s: setattr(s, "proposal", GOOD),
    "policy slow": lambda s: setattr(s, "compute_s", 0.03),
    "pause": lambda s: setattr(s, "now_s", s.now_s + 0.2),
    "time back": lambda s: setattr(s, "now_s", s.now_s - 5.0),
    "time ahead": lambda s: setattr(s, "now_s", s.now_s + 1000.0),
}
SEQUENCES = st.lists(
    st.tuples(st.sampled_from(sorted(EVENTS)), st.sampled_from((1, 2, 5, 20))), min_size=1, max_size=8
)
STARTS = st.sampled_from(("nothing", "armed", "engaging", "policy"))
BOTH_RULES = st.sampled_from((RULES, TAUT_RULES))
"""Of a vehicle that bears nothing, and of a member on a taut cable."""
THOUSANDS = settings(
    max_examples=500,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
HUNDRED_THOUSAND = settings(THOUSANDS, max_examples=100_000, derandomize=False)


def audit(start: str, sequence: list[tuple[str, int]], rules: Mapping[Violation, Rule] = RULES) -> set[State]:
    """Play ``sequence`` with an auditor watching; the states that were visited."""
    supervisor, auditor = make_supervisor(rules=rules), Auditor(rules)

    def tick(seen: Seen) -> Verdict:
        verdict = supervisor.tick(seen)
        auditor.check(seen, verdict)
        return verdict

    play(start, sequence, tick)
    return auditor.visited


def play(start: str, sequence: list[tuple[str, int]], tick: Callable[[Seen], Verdict]) -> None:
    """Let ``tick`` see what happens from ``start`` on, and the autopilot obey."""
    scene = Scene()
    prologue = {"nothing": (), "armed": (("say arm", 3),)}.get(start, (("calm", 1), ("say arm", 3)))
    if start in ("engaging", "policy"):
        prologue = (*prologue, ("say engage", 2 if start == "engaging" else 15))
    for event, ticks in (*prologue, *sequence):
        EVENTS[event](scene)
        for _ in range(ticks):
            scene.now_s += DT_S
            scene.obey(tick(scene.see()).request)


@THOUSANDS
@given(STARTS, SEQUENCES, BOTH_RULES)
@example("policy", [("state late", 1), ("say land", 1)], TAUT_RULES)
def test_every_sequence_stays_safe(
    start: str, sequence: list[tuple[str, int]], rules: Mapping[Violation, Rule]
):
    assert audit(start, sequence, rules)


@pytest.mark.slow
@HUNDRED_THOUSAND
@given(STARTS, SEQUENCES, BOTH_RULES)
def test_a_hundred_thousand_sequences_stay_safe(
    start: str, sequence: list[tuple[str, int]], rules: Mapping[Violation, Rule]
):
    assert audit(start, sequence, rules)


@settings(THOUSANDS, max_examples=300)
@given(STARTS, SEQUENCES, BOTH_RULES)
def test_a_rehearsal_changes_nothing(
    start: str, sequence: list[tuple[str, int]], rules: Mapping[Violation, Rule]
):
    """Of two supervisors that see the same, one rehearses before every tick what it saw first, and last."""
    one, other = make_supervisor(rules=rules), make_supervisor(rules=rules)
    seen_before: list[Seen] = []

    def tick(seen: Seen) -> Verdict:
        for before in (*seen_before[:1], *seen_before[-1:]):
            other.rehearse(before)
        seen_before.append(seen)
        verdict = one.tick(seen)
        # Written out, since what is not a number is not equal to itself.
        assert repr(other.tick(seen)) == repr(verdict)
        return verdict

    play(start, sequence, tick)


@settings(THOUSANDS, max_examples=300)
@given(SEQUENCES)
def test_there_is_a_way_back_from_everywhere(sequence: list[tuple[str, int]]):
    scene, supervisor = Scene(), make_supervisor()
    to_policy(scene, supervisor)
    for event, ticks in sequence:
        EVENTS[event](scene)
        run(scene, supervisor, ticks)
    scene.heal()
    scene.mode, scene.armed = Mode.HOLD, False  # it lands, or somebody lands it
    run(scene, supervisor, 60)
    say(scene, supervisor, Word.RESET)
    run(scene, supervisor, 2)
    if supervisor.state is State.READY:
        say(scene, supervisor, Word.ARM)
        run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    run(scene, supervisor, 30)
    assert supervisor.state is State.POLICY


def test_the_sequences_reach_every_state():
    visited = set()
    for start, events in (
        ("policy", ["say land"]),
        ("policy", ["ball lost"]),
        ("policy", ["link lost"]),
        ("nothing", ["calm"]),
    ):
        visited |= audit(start, [(event, 20) for event in events] + [("calm", 20)])
    assert visited == set(State)
