"""The supervisor's way through a flight, transition by transition."""

from __future__ import annotations

import math

import pytest
from supervisor_lab import DT_S, ENVELOPE, GOOD, PLACE_W, QUICK, Scene, make_supervisor, run, say, to_policy

from corvids.deploy.supervision.checks import Mode, Proposal, Word
from corvids.deploy.supervision.handover import Source
from corvids.deploy.supervision.reactions import RULES, Reaction, State, Violation
from corvids.deploy.supervision.supervisor import Request, Supervisor


def test_the_usual_flight(scene: Scene, supervisor: Supervisor):
    scene.is_heard = False
    assert run(scene, supervisor).state is State.DISCONNECTED
    scene.is_heard = True
    assert run(scene, supervisor).state is State.READY
    assert say(scene, supervisor, Word.ARM).request is Request.ARM
    assert run(scene, supervisor).state is State.ARMED
    verdict = say(scene, supervisor, Word.ENGAGE)
    assert (verdict.state, verdict.source, verdict.request) == (State.ENGAGING, Source.HOVER, None)
    requests = [run(scene, supervisor).request for _ in range(4)]
    assert requests.count(Request.OFFBOARD) == 1, "asked once the stream has led for 50 ms"
    verdict = run(scene, supervisor, 6)
    assert (verdict.state, verdict.source) == (State.POLICY, Source.POLICY)
    verdict = run(scene, supervisor, 10)
    assert verdict.command == GOOD, "after the blend, the policy's own command"
    assert say(scene, supervisor, Word.LAND).request is Request.LAND
    verdict = run(scene, supervisor, 5)
    assert (verdict.state, verdict.source) == (State.LANDING, Source.HOVER)
    scene.armed = False
    run(scene, supervisor)
    assert run(scene, supervisor).state is State.READY


def test_every_violation_has_a_rule():
    assert set(RULES) == set(Violation)
    assert all(rule.reaction > Reaction.NONE and rule.states for rule in RULES.values())


def test_a_companion_that_starts_in_flight_finds_the_vehicle_armed(scene: Scene, supervisor: Supervisor):
    scene.armed = True
    assert run(scene, supervisor).state is State.ARMED


def test_losing_the_link_on_the_ground_is_no_failure(scene: Scene, supervisor: Supervisor):
    run(scene, supervisor, 2)
    scene.is_heard = False
    assert run(scene, supervisor, 30).state is State.DISCONNECTED


def test_arming_is_refused_with_its_reason(scene: Scene, supervisor: Supervisor):
    run(scene, supervisor)
    scene.pos_w = (9.0, 0.0, 1.0)
    verdict = say(scene, supervisor, Word.ARM)
    assert verdict.request is None
    assert "not armed: the vehicle is outside the fence" in verdict.entries[0].reason


def test_an_autopilot_that_does_not_arm_is_asked_for_a_while(scene: Scene, supervisor: Supervisor):
    scene.obeys = False
    run(scene, supervisor)
    say(scene, supervisor, Word.ARM)
    requests = [run(scene, supervisor).request for _ in range(40)]
    assert 2 <= requests.count(Request.ARM) <= 4, "every 0.1 s for 0.3 s"
    assert requests[-10:] == [None] * 10


def test_engaging_is_refused_with_its_reason(scene: Scene, supervisor: Supervisor):
    scene.armed = True
    run(scene, supervisor, 2)
    scene.is_stamped = False
    run(scene, supervisor, 20)
    verdict = say(scene, supervisor, Word.ENGAGE)
    assert verdict.state is State.ARMED
    assert "not engaged: the vehicle's state is missing" in verdict.entries[0].reason


def test_an_autopilot_that_does_not_go_offboard_is_left_alone(scene: Scene, supervisor: Supervisor):
    scene.armed, scene.obeys = True, False
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    verdict = run(scene, supervisor, 30)
    assert (verdict.state, verdict.command) == (State.ARMED, None)


def test_before_offboard_a_stop_only_ends_the_stream(scene: Scene, supervisor: Supervisor):
    scene.armed, scene.mode = True, Mode.OTHER
    run(scene, supervisor, 2)
    say(scene, supervisor, Word.ENGAGE)
    verdict = say(scene, supervisor, Word.STOP)
    assert (verdict.state, verdict.request) == (State.ARMED, None), (
        "the pilot, who still flies, is not disturbed"
    )


def test_a_lost_ball_is_waited_for(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.has_ball = False
    verdict = run(scene, supervisor, 30)
    assert (verdict.state, verdict.source) == (State.RECOVERING, Source.HOVER)
    scene.has_ball = True
    assert run(scene, supervisor, 8).state is State.POLICY


def test_after_a_grave_violation_only_the_operator_resumes(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.quat_wb = (0.6, 0.8, 0.0, 0.0)
    run(scene, supervisor)
    scene.quat_wb = (1.0, 0.0, 0.0, 0.0)
    assert run(scene, supervisor, 50).state is State.RECOVERING
    say(scene, supervisor, Word.ENGAGE)
    assert run(scene, supervisor, 8).state is State.POLICY


def test_a_silent_policy_is_repeated_and_then_replaced(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    command = run(scene, supervisor).command
    scene.proposal = None
    verdicts = [run(scene, supervisor) for _ in range(6)]
    assert [v.source for v in verdicts[:3]] == [Source.LAST] * 3, "60 ms at 50 Hz"
    assert [v.source for v in verdicts[4:]] == [Source.HOVER] * 2
    assert all(v.command == command for v in verdicts[:3])
    assert next(v for v in verdicts if v.source is Source.HOVER).reaction is Reaction.HOVER


def test_stop_makes_the_autopilot_hold(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    assert say(scene, supervisor, Word.STOP).request is Request.HOLD
    verdict = run(scene, supervisor)
    assert (verdict.state, verdict.command) == (State.ARMED, None)
    assert verdict.entries[0].reason == "the autopilot holds"


def test_an_autopilot_that_does_not_hold_is_asked_to_land_and_then_left_to_its_failsafe(scene, supervisor):
    to_policy(scene, supervisor)
    scene.obeys = False
    say(scene, supervisor, Word.STOP)
    verdict = run(scene, supervisor, 5)
    assert (verdict.state, verdict.source) == (State.RECOVERING, Source.HOVER)
    assert run(scene, supervisor, 16).state is State.LANDING
    verdict = run(scene, supervisor, 20)
    assert (verdict.state, verdict.command) == (State.FAILED, None)


@pytest.mark.parametrize("fault", ["killed", "failsafe"])
def test_kill_switch_and_failsafe_silence_everything(scene: Scene, supervisor: Supervisor, fault: str):
    to_policy(scene, supervisor)
    setattr(scene, fault, True)
    assert run(scene, supervisor).command is None
    assert say(scene, supervisor, Word.RESET).state is State.FAILED, "not while it lasts"
    setattr(scene, fault, False)
    assert say(scene, supervisor, Word.RESET).state is State.FAILED, (
        "not while a stream would take over at once"
    )
    scene.mode = Mode.HOLD
    assert say(scene, supervisor, Word.RESET).state is State.DISCONNECTED


def test_a_lost_link_falls_silent_and_stays_so(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.is_heard = False
    assert run(scene, supervisor, 40).state is State.FAILED
    scene.is_heard = True
    assert run(scene, supervisor, 40).command is None


def test_time_that_goes_back_or_is_none_makes_it_hover(scene: Scene, supervisor: Supervisor):
    for step_s in (-0.05, math.nan):
        scene, supervisor = Scene(), make_supervisor()
        to_policy(scene, supervisor)
        now_s = scene.now_s
        scene.now_s += step_s
        verdict = run(scene, supervisor)
        assert verdict.state in (State.RECOVERING, State.FAILED)
        assert verdict.source is not Source.POLICY
        scene.now_s = now_s + DT_S
        assert run(scene, supervisor).source is not Source.POLICY


def test_without_attitude_it_asks_for_its_weight_and_no_rates(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    run(scene, supervisor, 10)
    scene.quat_wb = (math.nan, math.nan, math.nan, math.nan)
    verdict = run(scene, supervisor, 3)
    assert verdict.source is Source.HOVER
    assert verdict.command is not None
    assert verdict.command.thrust_n == pytest.approx(ENVELOPE.hover_thrust_n)
    assert verdict.command.rate_b_radps == (0.0, 0.0, 0.0)


def test_it_levels_by_the_attitude_where_no_more_is_known(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.quat_wb = (math.cos(0.25), math.sin(0.25), 0.0, 0.0)  # rolled by 0.5 rad
    scene.is_stamped, scene.obeys = False, False
    verdict = run(scene, supervisor, 20)
    assert verdict.state is State.RECOVERING
    assert verdict.command is not None
    roll, pitch, yaw = verdict.command.rate_b_radps
    assert roll < -1.0, "back to level"
    assert (pitch, yaw) == pytest.approx((0.0, 0.0))
    scene.has_attitude = False
    verdict = run(scene, supervisor, 15)
    assert verdict.command is not None
    assert verdict.command.rate_b_radps == (0.0, 0.0, 0.0), "an old attitude says nothing"


def test_thrust_passes_smoothly_to_the_hover_controller(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.proposal = Proposal(25.0, (0.0, 0.0, 0.0))
    run(scene, supervisor, 10)
    scene.has_ball, scene.ball_stamp_s = False, -1.0
    thrusts = [
        verdict.command.thrust_n for verdict in (run(scene, supervisor) for _ in range(10)) if verdict.command
    ]
    steps = [a - b for a, b in zip([25.0, *thrusts], thrusts, strict=False)]
    assert max(map(abs, steps)) <= 15.0 * DT_S / 0.15 + 1e-6, "15 N are taken out over 0.15 s"
    assert thrusts[-1] == pytest.approx(10.0, abs=0.1)


def test_it_hovers_where_the_policy_left_it(scene: Scene, supervisor: Supervisor):
    to_policy(scene, supervisor)
    scene.quat_wb = (math.nan, math.nan, math.nan, math.nan)
    run(scene, supervisor, 2)  # no state is known
    scene.pos_w, scene.quat_wb = (1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0)
    verdict = run(scene, supervisor)
    assert verdict.source is Source.HOVER
    assert verdict.command is not None
    assert verdict.command.rate_b_radps == pytest.approx((0.0, 0.0, 0.0), abs=1e-3), "it stays where it is"


@pytest.mark.parametrize("state", [State.RECOVERING, State.LANDING])
def test_after_a_reset_it_hovers_where_it_is_by_the_new_account(
    scene: Scene, supervisor: Supervisor, state: State
):
    to_policy(scene, supervisor)
    scene.obeys = False
    scene.resets, scene.pos_w = 1, (1.5, 0.0, 1.0)
    scene.words = frozenset({Word.LAND} if state is State.LANDING else {})
    run(scene, supervisor)
    assert supervisor.state is state
    scene.resets, scene.pos_w = 2, (0.0, 0.0, 1.0)
    verdict = run(scene, supervisor)
    assert verdict.source is Source.HOVER
    assert verdict.command is not None
    assert verdict.command.rate_b_radps == pytest.approx((0.0, 0.0, 0.0), abs=1e-3), (
        "it was there all the time"
    )


def test_without_a_commanded_place_it_climbs_above_where_it_stands(scene: Scene, supervisor: Supervisor):
    scene.armed = True
    run(scene, supervisor)
    scene.words = frozenset({Word.ENGAGE})
    scene.now_s += DT_S
    verdict = supervisor.tick(scene.see()._replace(pos_w=(0.5, 0.0, 0.0), place_w=None))
    assert verdict.command is not None
    assert verdict.command.thrust_n > ENVELOPE.hover_thrust_n
    assert PLACE_W[2] == QUICK.take_off_m


def test_its_place_can_be_moved_down(scene: Scene, supervisor: Supervisor):
    """As a team does that lowers its load."""
    scene.armed = True
    run(scene, supervisor)
    hovering = say(scene, supervisor, Word.ENGAGE)
    assert hovering.command is not None
    supervisor.lower(0.3)
    lowered = run(scene, supervisor, ticks=20)
    assert lowered.command is not None
    assert lowered.command.thrust_n < hovering.command.thrust_n
