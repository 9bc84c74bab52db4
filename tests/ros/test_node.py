"""The node for real: rclpy over DDS on loopback, against a flight controller that knows nothing of ROS.

Run by ``make test-ros``, which sets up what this needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader
from ros_flight import HOLD, LAND, OFFBOARD, Flight
from ros_lab import START_S, Client, FlightController, VehicleNode, ended

pytestmark = pytest.mark.ros
SET_MODE = 176


def test_it_takes_off_hands_over_to_the_policy_and_lands(tmp_path: Path):
    flight = Flight(tmp_path, record=str(tmp_path / "flight.mcap"))
    said: dict[str, str] = {}

    def is_diagnosed() -> bool:
        said.update(flight.operator.diagnose())
        is_policy = said["message"].partition(",")[0] == "policy"
        return is_policy and float(said["state age [ms]"]) < 250.0 and int(said["ball poses"]) > 50

    with ended(*flight.processes()):
        flight.hand_over()
        flight.operator.say("command 0 0 1.4 0.5")
        flight.operator.say("command 0 0 1.4", "refused")
        flight.operator.say("command 0 0 1000 0.5", "refused")
        flight.operator.say("command 0 2.9 1.4 0.5", "refused")
        flight.until(is_diagnosed, {"ready": "arm", "armed": "engage"})
        flight.land()
        flown = flight.px4.result()
        assert flight.node.end() == 0
    assert flown["crashed"] == ""
    assert flown["states"][:3] == ["disarmed 4 3", "armed 4 3", OFFBOARD]
    assert flown["states"][-2:] == [LAND, "disarmed 6 0"]
    assert flown["setpoints"] > 100
    assert flown["resumed"] == 0
    assert (said["mode"], said["armed"]) == ("offboard", "True")
    assert "ball poses ill-timed" in said
    with open(tmp_path / "flight.mcap", "rb") as file:
        decisions = [json.loads(message.data) for *_, message in make_reader(file).iter_messages("decision")]
    assert "POLICY" in {decision["after"] for decision in decisions}


def test_when_the_process_is_killed_px4_holds(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.hand_over()
        flight.node.end(signal.SIGKILL)
        flight.px4.wait_for(f"state {HOLD}", len(flight.px4.lines) - 1)
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, HOLD]
    assert flown["crashed"] == ""
    assert flown["height_m"] > 0.3
    assert [SET_MODE, 1.0, 4.0, 3.0, 0] in flown["commands"], (
        "asked by the keeper, which leaves the stamp to PX4"
    )


def test_without_its_keeper_it_has_px4_hold(tmp_path: Path):
    """Nobody would notice any more if the runtime stopped."""
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.hand_over()
        (keeper,) = children(flight.node.process.pid)
        os.kill(keeper, signal.SIGKILL)
        flight.node.wait_for("the operator said stop")
        flight.until(lambda: flight.mode == HOLD and flight.state == "armed")
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, HOLD]
    assert flown["commands"][-1][-1] > 0, "asked by the runtime, which stamps what it asks for"


def children(pid: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def test_after_a_pause_nothing_is_streamed_until_the_operator_engages(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.hand_over()
        flight.node.process.send_signal(signal.SIGSTOP)
        flight.until(lambda: flight.mode == HOLD)
        flight.node.process.send_signal(signal.SIGCONT)
        flight.until(lambda: flight.state == "armed")
        time.sleep(1.0)
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, HOLD]
    assert flown["resumed"] == 0
    assert flown["crashed"] == ""


def test_a_pilot_who_takes_over_is_left_alone(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.engage()
        flight.px4.tell("mode 3")
        flight.until(lambda: flight.mode == "armed 3 0" and flight.state == "armed")
        time.sleep(1.0)
        flown = flight.px4.result()
        assert any("the autopilot's mode was changed by somebody else" in line for line in flight.node.lines)
    assert flown["states"][-1] == "armed 3 0"
    asked = [command[2:4] for command in flown["commands"] if command[0] == SET_MODE]
    assert [6.0, 0.0] in asked
    late = flown["commands"][flown["commands_before_pilot"] :]
    assert [command for command in late if command[0] == SET_MODE] == [], "nobody takes it back"


def test_when_px4_falls_silent_the_stream_ends(tmp_path: Path):
    flight = Flight(tmp_path, px4_loss_s=3.0)
    with ended(*flight.processes()):
        flight.engage()
        flight.px4.tell("mute 1")
        flight.node.wait_for("the autopilot is not heard")
        flight.until(lambda: flight.mode in (HOLD, LAND))
        flown = flight.px4.result()
    assert flown["resumed"] == 0
    assert flown["crashed"] == ""


def test_a_vehicle_of_a_team_lives_in_its_namespace(tmp_path: Path):
    flight = Flight(tmp_path, namespace="px4_2", target_system=3)
    with ended(*flight.processes()):
        flight.engage()
        assert flight.node.end() == 0, "Ctrl-C in flight: PX4 is asked to hold first"
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, HOLD]
    assert flown["crashed"] == ""


def test_deactivated_in_flight_it_has_px4_hold_and_can_fly_again(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.engage()
        # Refused, and the flight goes on, where a busy machine lets PX4 hold too late.
        flight.until(lambda: flight.operator.ask("deactivate") == "heard")
        flight.until(lambda: flight.mode == HOLD)
        before = len(flight.node.lines)
        flight.operator.say("activate")
        flight.node.wait_for("the autopilot is heard", before)
        flight.engage()
        flown = flight.px4.result()
    assert flown["states"][-3:] == [OFFBOARD, HOLD, OFFBOARD]
    assert flown["crashed"] == ""


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            ["--other-format", "VehicleOdometry"],
            "/fmu/out/vehicle_odometry: PX4's VehicleOdometry is defined otherwise",
        ),
        (
            ["--rename", "vehicle_status_v1=vehicle_status_v4"],
            "PX4 publishes /fmu/out/vehicle_status_v4, not",
        ),
    ],
)
def test_messages_that_mean_something_else_are_refused(option: list[str], said: str, tmp_path: Path):
    px4 = FlightController(tmp_path, *option)
    node = VehicleNode(tmp_path)
    with ended(node, px4):
        node.wait_for(said)
        assert node.process.wait(START_S) == 2


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"policy": ""}, "must name a policy file"),
        ({"policy": "nowhere.onnx"}, "nowhere.onnx"),
        ({"command": [1.0, 2.0]}, "must have: place_x_w_m"),
        ({"command": [2.9, 0.0, 1.5, 0.5]}, "(2.9, 0.0, 1.5) m is not well within the fence"),
        ({"check_s": True}, "parameter check_s = True: must be a number"),
        ({"check_s": 0}, "parameter check_s: 0.0 is not between 1 and 120"),
        ({"command": 3}, "parameter command = 3: must be a list of numbers"),
        ({"target_system": 1.0}, "parameter target_system = 1.0: must be a whole number"),
        ({"autostart": 1}, "parameter autostart = 1: must be true or false"),
        ({"ball_topic": "ball-1/pose"}, "parameter ball_topic = 'ball-1/pose': must be the name of a topic"),
    ],
)
def test_mistakes_are_said_in_one_line(parameters: dict, said: str, tmp_path: Path):
    node = VehicleNode(tmp_path, **parameters)
    with ended(node):
        assert said in node.wait_for("[ERROR]")
        assert node.process.wait(START_S) == 2
    assert len(node.lines) == 1


def test_what_ros_itself_cannot_read_is_said_in_one_line(tmp_path: Path):
    node = VehicleNode(tmp_path, fence_high_m=[3, 3, 4.5])
    with ended(node):
        assert "Sequence should be of same type" in node.wait_for("corvids: ")
        assert node.process.wait(START_S) == 2
    assert len([line for line in node.lines if "[rcl]" not in line]) == 1


def test_whole_numbers_will_do_for_real_ones(tmp_path: Path):
    node = VehicleNode(tmp_path, policy="nowhere.onnx", autostart=False, check_s=5, fence_high_m=[3, 3, 4])
    operator = Client(tmp_path)
    with ended(operator, node):
        assert operator.ask("get check_s") == "5.0"
        assert operator.ask("get fence_high_m") == "[3.0, 3.0, 4.0]"
        operator.say("command 0 0 1 1")
        assert operator.ask("get command") == "[0.0, 0.0, 1.0, 1.0]"
        operator.say("command 0 0 1000 1", "refused")


def within(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so."""
    deadline_s = time.monotonic() + START_S
    while not is_so():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def test_what_nobody_foresaw_is_told_and_leaves_nothing_open(tmp_path: Path):
    """rclpy says nothing of what a transition raises. Such a name is one by its letters, but too long for DDS."""
    node = VehicleNode(tmp_path, autostart=False, check_messages=False, keeper=False, ball_topic="a" * 300)
    operator = Client(tmp_path)
    with ended(operator, node):
        assert operator.ask("configure") == "refused"
        assert "[ERROR]" in node.wait_for("Traceback")
        assert operator.ask("stop") == "refused", "it is not configured"
        assert within(lambda: operator.ask("nodes") == "/corvids /operator")
        assert node.end() == 0


def test_a_record_that_cannot_be_finished_leaves_nothing_open(tmp_path: Path):
    folder = tmp_path / "records"
    folder.mkdir()
    record = str(folder / "flight.mcap")
    node = VehicleNode(tmp_path, check_messages=False, keeper=False, record=record)
    operator = Client(tmp_path)
    with ended(operator, node):
        operator.say("stop")
        shutil.rmtree(folder)
        operator.say("deactivate")
        assert within(lambda: operator.ask("nodes") == "/corvids /operator")
        folder.mkdir()
        operator.say("activate")
        shutil.rmtree(folder)
        assert node.end() == 0, "Ctrl-C"
    errors = [line for line in node.lines if "[ERROR]" in line]
    assert len(errors) == 2
    assert all(f"{record}: cannot be finished" in line for line in errors)
    assert not any("Traceback" in line for line in node.lines)


def test_launch_files_name_one_node_and_may_send_poses_elsewhere(tmp_path: Path):
    """They say so to the whole process, in which PX4's topics have a node of their own, whose name must be another."""
    rules = ("-r", "__node:=corvids", "-r", "ball/pose:=/tracker/ball")
    node = VehicleNode(
        tmp_path, *rules, namespace="px4_2", check_messages=False, keeper=False, use_sim_time=True
    )
    operator = Client(tmp_path, "px4_2")
    with ended(operator, node):
        operator.say("stop")
        assert within(lambda: operator.ask("nodes") == "/operator /px4_2/corvids /px4_2/corvids_px4")
        assert within(lambda: operator.ask("readers /tracker/ball") == "1")
        assert operator.ask("readers /px4_2/ball/pose") == "0"
        assert operator.ask("readers /clock") == "1", "of the node that stamps diagnostics"
