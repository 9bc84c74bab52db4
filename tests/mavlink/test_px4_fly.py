"""A whole flight of the shipped policy over a stand-in's link: arming, take-off, juggling, landing."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from typing import Any

import pytest
from flying import Fault, FlyingStandin, VirtualLink
from mcap.reader import make_reader
from pymavlink.dialects.v20 import common
from standin import AUTO, LAND, LOITER, MISSION, POSCTL, TAKEOFF

from corvids.cli import main
from corvids.commands.flying import px4 as px4_fly
from corvids.commands.flying.px4 import Operator, Plan, fly_over, recording
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.policy import read_policy_file
from corvids.deploy.px4 import flight
from corvids.deploy.px4.flight import Px4Flight
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.reactions import State
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.conditions import APEX_M, PLACE_W_M
from corvids.envs.plants.virtual_ball import VirtualBall
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
POLICY = Path(__file__).resolve().parents[2] / "pretrained" / "juggle.onnx"
NOTHING: frozenset[Word] = frozenset()


def ball() -> VirtualBall:
    return VirtualBall(AIR, 0.6, BallConfig(), seed=0)


def plan(seconds: float) -> Plan:
    return Plan(vehicle=None, seconds=seconds, seed=0, record=None, origin=None)


def test_the_task_is_the_one_that_policies_are_judged_by():
    assert (px4_fly.PLACE_W_M, px4_fly.APEX_M) == (PLACE_W_M, APEX_M)


def test_it_takes_off_juggles_and_lands(capsys):
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    link = VirtualLink(px4, Fault(start_s=0.0, battery=100))
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, link, ball(), plan(12.0))
    assert outcome.has_ended_safely
    assert not px4.crashed
    assert outcome.was_armed and not px4.armed
    assert px4.commands(common.MAV_CMD_DO_SET_MODE)[-1].param3 == LAND
    assert outcome.hits >= 3, "of about 5 in the 5 s that are left after the ball's first fall"
    said = capsys.readouterr().out
    for step in ("ready -> armed", "armed -> engaging", "engaging -> policy", "policy -> landing"):
        assert step in said
    assert outcome.states["policy"] > 4.0


def test_a_heavier_vehicle_hovers_where_it_should():
    """Its file says its weight, the policy's file another: without that it hung 0.44 m low and never settled."""
    heavy = dataclasses.replace(AIR, body=dataclasses.replace(AIR.body, mass_kg=1.2 * AIR.body.mass_kg))
    px4 = FlyingStandin(full_thrust_mps2=heavy.max_thrust_n / heavy.body.mass_kg)
    heights_m: dict[float, float] = {}
    outcome = fly_over(
        read_policy_file(POLICY, "juggle"),
        heavy,
        VirtualLink(px4, Fault(start_s=0.0, battery=100)),
        None,  # which the policy does not fly without: the supervisor's hover controller does
        plan(10.0),
        recorder=lambda tick: heights_m.update({tick.now_s: -px4.truth.pos_ned[2]}),
    )
    assert outcome.states["engaging"] > 9.0
    assert outcome.has_ended_safely
    settled_m = [height_m for now_s, height_m in heights_m.items() if 10.0 < now_s < 12.0]
    assert settled_m == pytest.approx([PLACE_W_M[2]] * len(settled_m), abs=0.05)


def test_a_flight_that_rehearses_sends_the_same(monkeypatch):
    monkeypatch.setattr(flight, "SPARE_S", 0.008)  # more than a step of the virtual link
    sent, rehearsed, rehearse = [], [], Px4Flight._rehearse

    def rehearsing(plant: Px4Flight) -> float:
        rehearsed.append(plant.now_s)
        return rehearse(plant)

    for does in (lambda plant: 0.0, rehearsing):
        monkeypatch.setattr(Px4Flight, "_rehearse", does)
        link = VirtualLink(FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg))
        file = read_policy_file(POLICY, "juggle")
        outcome = fly_over(file, AIR, link, ball(), plan(8.0), is_real_time=True)
        assert outcome.states["policy"] > 1.0
        sent.append([str(target) for target in link.px4.targets()])
    assert sent[0] == sent[1]
    assert len(rehearsed) > 300


def test_a_vehicle_that_does_not_arm_stays_where_it_is(monkeypatch):
    monkeypatch.setattr(px4_fly, "PREPARE_S", 4.0)
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    px4._obey = lambda message, now_s: b""  # preflight checks fail
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, VirtualLink(px4), ball(), plan(5.0))
    assert outcome.has_ended_safely
    assert set(outcome.states) == {"disconnected", "ready"}
    assert not outcome.was_armed
    assert px4.targets() == []


@pytest.mark.parametrize(("arms", "code", "said"), [(False, 1, "never armed"), (True, 0, "landed")])
def test_the_exit_code_says_whether_it_flew(monkeypatch, capsys, arms: bool, code: int, said: str):
    monkeypatch.setattr(px4_fly, "PREPARE_S", 4.0)
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    if not arms:
        px4._obey = lambda message, now_s: b""
    monkeypatch.setattr(
        px4_fly, "fly_px4", lambda file, link, plan, arm: fly_over(file, AIR, VirtualLink(px4), ball(), plan)
    )
    arguments = ["--plant", "px4", "--policy", str(POLICY), "--arm", "--seconds", "6"]
    assert main(["fly", "juggle", *arguments]) == code
    assert capsys.readouterr().out.rstrip().rsplit("; ", 1)[-1].startswith(said)


@pytest.mark.parametrize(
    ("options", "kept"),
    [([], "flight.mcap"), (["--record", "a.mcap"], "a.mcap"), (["--record", "none"], None)],
)
def test_every_flight_is_recorded_unless_told_otherwise(monkeypatch, options: list[str], kept: str | None):
    plans: list[Plan] = []

    def fly_px4(file: Any, link: str, plan: Plan, arm: bool) -> None:
        plans.append(plan)
        raise CorvidsError("enough")

    monkeypatch.setattr(px4_fly, "fly_px4", fly_px4)
    box = ["--fence-low", "-1", "-2", "-0.5", "--fence-high", "1", "2", "3", "--system", "7"]
    assert main(["fly", "juggle", "--plant", "px4", "--policy", str(POLICY), "--arm", *box, *options]) == 2
    assert plans[0].record == (Path(kept) if kept else None)
    assert (plans[0].fence.low_w_m, plans[0].fence.high_w_m) == ((-1.0, -2.0, -0.5), (1.0, 2.0, 3.0))
    assert plans[0].system == 7


def test_ctrl_c_while_it_is_written_ends_the_flight_with_a_whole_record(tmp_path: Path, monkeypatch):
    interrupt, add, seen = signal.signal(signal.SIGINT, signal.default_int_handler), FlightRecord._add, 0

    def pressed(record: FlightRecord, topic: str, now_s: float, content: dict[str, Any]) -> None:
        nonlocal seen
        seen += topic == "seen"
        if topic == "verdict" and seen == 100:
            signal.raise_signal(signal.SIGINT)
        add(record, topic, now_s, content)

    monkeypatch.setattr(FlightRecord, "_add", pressed)
    file, path = read_policy_file(POLICY, "juggle"), tmp_path / "flight.mcap"
    recorded = dataclasses.replace(plan(8.0), record=path)
    link = VirtualLink(FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg))
    with pytest.raises(KeyboardInterrupt), recording(recorded, file, AIR) as log:
        fly_over(file, AIR, link, None, recorded, log)
    assert signal.signal(signal.SIGINT, interrupt) is signal.default_int_handler, "as before"
    with open(path, "rb") as written:
        topics = [channel.topic for _, channel, _ in make_reader(written).iter_messages()]
    assert (topics.count("seen"), topics.count("verdict"), topics.count("policy")) == (100, 100, 99)


def test_after_a_flight_it_arms_again():
    """PX4 stays in the mode of the last flight, and arms neither in LAND nor in OFFBOARD."""
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    px4.main, px4.sub = AUTO, LAND
    obey = px4._obey

    def obey_as_px4(message, now_s: float) -> bytes:
        is_arming = message.command == common.MAV_CMD_COMPONENT_ARM_DISARM
        return b"" if is_arming and (px4.main, px4.sub) == (AUTO, LAND) else obey(message, now_s)

    px4._obey = obey_as_px4
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, VirtualLink(px4), ball(), plan(1.5))
    assert outcome.states["armed"] > 0.0


def test_the_operator_does_not_take_back_what_somebody_took():
    operator = Operator(seconds=20.0, now_s=0.0)
    assert operator.words(State.READY, 3, 0.5) == NOTHING, "a second to look round first"
    assert operator.words(State.READY, 3, 1.1) == {Word.ARM}
    assert operator.words(State.READY, 3, 1.9) == NOTHING
    assert operator.words(State.READY, 3, 2.2) == {Word.ARM}, "until it is armed"
    assert operator.words(State.ARMED, 3, 3.3) == {Word.ENGAGE}
    assert operator.words(State.ENGAGING, 3, 4.4) == NOTHING
    assert operator.words(State.ARMED, 2, 8.0) == NOTHING, "a pilot took over"
    assert operator.words(State.READY, 2, 12.0) == NOTHING, "and landed"
    assert operator.words(State.POLICY, 6, 24.0) == NOTHING
    assert operator.words(State.POLICY, 6, 24.5) == {Word.LAND}, "20 s after it was engaged"


def test_the_operator_does_not_engage_what_a_pilot_took_as_soon_as_it_was_armed():
    operator = Operator(seconds=20.0, now_s=0.0)
    assert operator.words(State.READY, 6, 1.1) == {Word.ARM}, "the mode of the last flight"
    assert operator.words(State.ARMED, 3, 1.5) == NOTHING
    assert not operator.was_taken
    for now_s, mode_code in ((1.8, 2), (2.2, 2), (3.3, 3)):
        assert operator.words(State.ARMED, mode_code, now_s) == NOTHING
        assert operator.was_taken


def test_a_flight_that_the_keeper_had_held_ends_on_the_ground(capsys):
    """The runtime is stopped for half a second; when time is up, PX4 holds, and nobody else has taken it."""
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    link = VirtualLink(px4, Fault(start_s=8.0, battery=100, once=lambda link: link.pause(0.5)))
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, link, ball(), plan(12.0))
    said = capsys.readouterr().out
    assert "the operator said land, and the autopilot holds" in said
    assert outcome.has_ended_safely and not px4.armed and not px4.crashed
    assert outcome.states["armed"] > 3.0, "silent while PX4 holds"


def test_a_flight_that_a_pilot_holds_is_the_pilots():
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)

    def choose_hold(link: VirtualLink) -> None:
        link.px4.main, link.px4.sub = AUTO, LOITER

    link = VirtualLink(px4, Fault(start_s=8.0, battery=100, once=choose_hold))
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, link, ball(), plan(6.0))
    assert px4.armed and not outcome.has_ended_safely
    assert (px4.main, px4.sub) == (AUTO, LOITER)


@pytest.mark.parametrize("pause_s", [0.5, 2.3])
def test_a_flight_that_a_pilot_holds_is_the_pilots_though_the_runtime_was_paused(pause_s: float):
    """In the longer pause the keeper has PX4 hold first; then the pilot takes it, and chooses to hold."""
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)

    def choose(link: VirtualLink, main: int, sub: int, *others: int) -> None:
        link.px4.main, link.px4.sub = main, sub
        if others:
            link.pause(1.0)
            choose(link, *others)

    def pause(link: VirtualLink) -> None:
        if pause_s > 1.0:
            link.pause(0.3)
            assert (px4.main, px4.sub) == (AUTO, LOITER)
            choose(link, POSCTL, 0, AUTO, LOITER)
            link.pause(1.0)
        else:
            choose(link, AUTO, LOITER)
            link.pause(pause_s)

    link = VirtualLink(px4, Fault(start_s=8.0, battery=100, once=pause))
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, link, ball(), plan(9.0))
    assert px4.armed and not outcome.has_ended_safely
    assert (px4.main, px4.sub) == (AUTO, LOITER)


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("sub_mode", [MISSION, TAKEOFF])
def test_px4_does_not_arm_into_a_plan_of_its_own(monkeypatch, sub_mode: int, lost: int):
    """Though the first request to hold gets lost."""
    monkeypatch.setattr(px4_fly, "PREPARE_S", 4.0)
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    px4.main, px4.sub, armed_in = AUTO, sub_mode, []
    obey, asked = px4._obey, []

    def watching(message, now_s: float) -> bytes:
        if message.command == common.MAV_CMD_DO_SET_MODE:
            asked.append(message)
            if len(asked) <= lost:
                return b""
        if message.command == common.MAV_CMD_COMPONENT_ARM_DISARM:
            armed_in.append((px4.main, px4.sub))
        return obey(message, now_s)

    px4._obey = watching
    fly_over(read_policy_file(POLICY, "juggle"), AIR, VirtualLink(px4), ball(), plan(1.0))
    assert set(armed_in) == {(AUTO, LOITER)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say so with --arm"),
        (["--arm", "--video", "a.mp4"], "--video"),
        (["--arm", "--seconds", "0"], "must be a positive number"),
        (["--arm", "--link", "tcp:1"], "must be udp:PORT"),
        (["--arm", "--record", "a.txt"], "must end in .mcap"),
        (["--arm", "--place", "9", "0", "1"], "must lie 0.5 m inside the fence"),
        (["--arm", "--place", "0", "0", "0.2"], "must lie 0.5 m inside the fence"),
        (["--arm", "--place", "nan", "0", "1"], "must lie 0.5 m inside the fence"),
        (["--arm", "--fence-high", "1", "2", "0.4"], "fence: z from -0.5 to 0.4 m must span"),
        (["--arm", "--fence-low", "nan", "-2", "-1"], "fence: x from nan"),
        (["--arm", "--mocap", "udp:14600", "--mocap-vehicle", "0"], "--mocap-vehicle 0: must be 1 to 65535"),
        (["--arm", "--system", "256"], "MAVLink system 256: must be 1 to 255"),
        (["--arm", "--pace", "2"], "--pace: is for --plant px4-hil"),
        (["--arm", "--apex", "-1"], "must be a height"),
        (["--arm", "--mocap", "14600"], "must be udp:PORT"),
        (["--arm", "--tracked"], "for --plant px4 motion capture is --mocap"),
        (["--arm", "--gps", "rtk"], "--gps: is for --plant px4-hil"),
        (["--arm", "--mocap", "udp:14600", "--mocap-key", "no.key"], "key file no.key: No such file"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, capsys):
    assert main(["fly", "juggle", "--plant", "px4", "--policy", str(POLICY), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
