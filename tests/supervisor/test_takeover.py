"""Whoever chooses another mode flies; and what of it the operator's word to land is for."""

from __future__ import annotations

import pytest
from supervisor_lab import Scene, run, say, to_policy

from corvids.deploy.supervision.checks import Mode, Word
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Request, Supervisor


def test_a_takeover_by_radio_wins_at_once(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.mode = Mode.OTHER
    verdict = run(scene, supervisor)
    assert (verdict.state, verdict.command, verdict.request) == (State.ARMED, None, None)
    scene.mode = Mode.OFFBOARD
    assert run(scene, supervisor, 20).command is None, "nothing is streamed until the operator engages"


@pytest.mark.parametrize(
    ("before", "chosen", "submode"),
    [
        (Mode.HOLD, Mode.OTHER, 0),
        (Mode.OTHER, Mode.HOLD, 0),
        (Mode.OTHER, Mode.OTHER, 1),  # from Position to Stabilized
        (Mode.AUTO, Mode.AUTO, 1),
    ],
)
def test_a_takeover_before_offboard_wins_too(scene, supervisor, before: Mode, chosen: Mode, submode: int):
    """A pilot who sees the propellers turn, and does not want that."""
    scene.armed, scene.mode, scene.obeys = True, before, False
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    assert run(scene, supervisor).state is State.ENGAGING
    scene.mode, scene.submode = chosen, submode
    verdict = run(scene, supervisor)
    assert (verdict.state, verdict.command, verdict.request) == (State.ARMED, None, None)
    assert [run(scene, supervisor).request for _ in range(20)] == [None] * 20


def stopped(scene: Scene, supervisor: Supervisor) -> None:
    """It was flown, and holds since the operator said stop."""
    to_policy(scene, supervisor)
    say(scene, supervisor, Word.STOP)
    run(scene, supervisor, 5)
    assert (supervisor.state, scene.mode) == (State.ARMED, Mode.HOLD)


def test_what_it_had_the_autopilot_hold_lands_on_the_operators_word(scene: Scene, supervisor: Supervisor):
    stopped(scene, supervisor)
    verdict = say(scene, supervisor, Word.LAND)
    assert (verdict.state, verdict.command, verdict.request) == (State.ARMED, None, Request.LAND)
    assert verdict.entries[0].reason == "the operator said land, and the autopilot holds"
    assert [run(scene, supervisor).request for _ in range(20)] == [None] * 20, "it lands"
    scene.mode = Mode.HOLD  # a pilot's
    assert say(scene, supervisor, Word.LAND).request is None
    scene.armed = False
    assert run(scene, supervisor).state is State.READY


def test_an_autopilot_that_holds_and_does_not_land_is_asked_again(scene: Scene, supervisor: Supervisor):
    stopped(scene, supervisor)
    scene.obeys = False
    assert say(scene, supervisor, Word.LAND).request is Request.LAND
    asked = [run(scene, supervisor).request for _ in range(40)]
    assert set(asked) == {None, Request.LAND}
    assert asked[20:] == [None] * 20, "until the next word"
    assert say(scene, supervisor, Word.LAND).request is Request.LAND


def test_what_a_pilot_took_does_not_land_on_the_operators_word(scene: Scene, supervisor: Supervisor):
    stopped(scene, supervisor)
    scene.mode = Mode.OTHER
    run(scene, supervisor)
    scene.mode = Mode.HOLD
    assert say(scene, supervisor, Word.LAND).request is None


@pytest.mark.parametrize("is_kept", [False, True])
def test_of_an_autopilot_in_hold_the_keeper_knows_who_wanted_that(scene, supervisor, is_kept: bool):
    to_policy(scene, supervisor)
    scene.mode = Mode.HOLD
    assert run(scene, supervisor).state is State.ARMED
    scene.is_kept = is_kept
    assert say(scene, supervisor, Word.LAND).request is (Request.LAND if is_kept else None)


@pytest.mark.parametrize("mode", [Mode.OTHER, Mode.HOLD, Mode.OFFBOARD])
def test_a_takeover_from_land_is_not_overruled(scene: Scene, supervisor: Supervisor, mode: Mode):
    to_policy(scene, supervisor)
    say(scene, supervisor, Word.LAND)
    assert [run(scene, supervisor).request for _ in range(20)] == [None] * 20, "it lands: not asked again"
    scene.mode = mode
    verdict = run(scene, supervisor)
    assert (verdict.state, verdict.command, verdict.request) == (State.ARMED, None, None)
    said = "has left its landing" if mode is Mode.OFFBOARD else "mode was changed by somebody else"
    assert said in verdict.entries[0].reason
    run(scene, supervisor, 40)
    assert (supervisor.state, scene.mode) == (State.ARMED, mode)
    say(scene, supervisor, Word.ENGAGE)
    assert run(scene, supervisor, 20).state is State.POLICY, "the operator may engage again, and land"
    assert say(scene, supervisor, Word.LAND).request is Request.LAND


def test_the_mode_after_a_landing_may_come_before_the_news_that_it_is_disarmed(scene, supervisor):
    """PX4 goes back to OFFBOARD as it disarms; by MAVLink its mode is heard first."""
    to_policy(scene, supervisor)
    say(scene, supervisor, Word.LAND)
    run(scene, supervisor, 20)
    scene.mode = Mode.OFFBOARD
    verdicts = [run(scene, supervisor) for _ in range(50)]
    assert all((v.command, v.request) == (None, None) for v in verdicts), "silence until that is known"
    scene.armed = False
    assert run(scene, supervisor).state is State.READY


def test_a_takeover_from_land_counts_where_offboard_was_never_seen(scene: Scene, supervisor: Supervisor):
    scene.armed, scene.obeys = True, False
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    run(scene, supervisor, 5)
    scene.obeys = True
    assert say(scene, supervisor, Word.LAND).request is Request.LAND
    run(scene, supervisor, 5)
    assert (supervisor.state, scene.mode) == (State.LANDING, Mode.LAND)
    scene.mode = Mode.OTHER
    assert run(scene, supervisor).state is State.ARMED
