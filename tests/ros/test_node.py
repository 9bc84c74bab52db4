"""The node for real: rclpy over DDS on loopback, against a flight controller that knows nothing of ROS.

Run by ``make test-ros``, which sets up what this needs.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from mcap.reader import make_reader
from ros_lab import Client, FlightController, Process, VehicleNode, ended

from corvids.vehicle import load_vehicle

pytestmark = pytest.mark.ros
HOLD, LAND, OFFBOARD = "armed 4 3", "armed 4 6", "armed 6 0"
SET_MODE = 176


def full_thrust() -> str:
    """Full thrust over mass of the vehicle that the policy was trained for [m/s²]."""
    craft = load_vehicle("air")
    return str(craft.max_thrust_n / craft.body.mass_kg)


class Flight:
    """A node, its flight controller, an operator, and a ball."""

    def __init__(self, folder: Path, namespace: str = "", **parameters) -> None:
        scope = ["--namespace", namespace] if namespace else []
        self.px4 = FlightController(folder, "--every", "2", "--full-thrust", full_thrust(), *scope)
        self.node = VehicleNode(folder, namespace=namespace, **parameters)
        remap = ["--ros-args", "-r", f"__ns:=/{namespace}"] if namespace else []
        self.ball = Process(folder, "-m", "corvids_ros.simulated_ball", *remap)
        self.operator = Client(folder, namespace)

    def processes(self) -> tuple[Process, ...]:
        return self.operator, self.ball, self.node, self.px4

    def engage(self) -> None:
        """Into OFFBOARD, from the ground or in the air.

        On a machine so busy that the runtime stands still for 0.2 s, the keeper rightly lets nothing through, and PX4
        may land and disarm: then once more.
        """
        deadline_s = time.monotonic() + 60.0
        words = {"ready": "arm", "armed": "engage"}
        while not self.node.has_said("engaging -> engaging: over"):
            assert time.monotonic() < deadline_s, "\n".join(self.node.lines)
            changes = [line.partition(" -> ")[2] for line in self.node.lines if " -> " in line]
            word = words.get(changes[-1].partition(":")[0]) if changes else None
            if word:
                self.operator.say(word)
                time.sleep(0.5)
            time.sleep(0.02)


def test_it_takes_off_hands_over_to_the_policy_and_lands(tmp_path: Path):
    flight = Flight(tmp_path, record=str(tmp_path / "flight.mcap"))
    with ended(*flight.processes()):
        flight.engage()
        flight.node.wait_for("engaging -> policy")
        flight.operator.say("command 0 0 1.4 0.5")
        flight.operator.say("command 0 0 1.4", "refused")
        flight.operator.say("command 0 0 1000 0.5", "refused")
        said = flight.operator.diagnose()
        flight.operator.say("land")
        flight.node.wait_for("armed -> ready")
        flown = flight.px4.result()
        assert flight.node.end() == 0
    assert flown["crashed"] == ""
    assert flown["states"] == ["disarmed 4 3", "armed 4 3", OFFBOARD, LAND, "disarmed 4 6"]
    assert flown["setpoints"] > 100
    assert flown["resumed"] == 0
    assert said["message"].partition(",")[0] in ("policy", "recovering")
    assert (said["mode"], said["armed"]) == ("offboard", "True")
    assert int(said["ball poses"]) > 50
    assert float(said["state age [ms]"]) < 250.0
    with open(tmp_path / "flight.mcap", "rb") as file:
        decisions = [json.loads(message.data) for *_, message in make_reader(file).iter_messages("decision")]
    assert "POLICY" in {decision["after"] for decision in decisions}


def test_when_the_process_is_killed_px4_holds(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.engage()
        time.sleep(2.0)
        flight.node.end(signal.SIGKILL)
        time.sleep(2.0)
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, HOLD]
    assert flown["crashed"] == ""
    assert flown["height_m"] > 0.3
    assert [SET_MODE, 1.0, 4.0, 3.0, 0] in flown["commands"], (
        "asked by the keeper, which leaves the stamp to PX4"
    )


def test_after_a_pause_nothing_is_streamed_until_the_operator_engages(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.engage()
        time.sleep(2.0)
        flight.node.process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        flight.node.process.send_signal(signal.SIGCONT)
        flight.node.wait_for("-> armed")
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
        flight.node.wait_for("the autopilot's mode was changed by somebody else")
        time.sleep(1.0)
        flown = flight.px4.result()
    assert flown["states"][-2:] == [OFFBOARD, "armed 3 0"]
    assert [command[2:4] for command in flown["commands"] if command[0] == SET_MODE] == [[6.0, 0.0]]


def test_when_px4_falls_silent_the_stream_ends(tmp_path: Path):
    flight = Flight(tmp_path)
    with ended(*flight.processes()):
        flight.engage()
        time.sleep(1.0)
        flight.px4.tell("mute 1")
        flight.node.wait_for("the autopilot is not heard")
        time.sleep(1.0)
        flown = flight.px4.result()
    assert flown["states"][-1] in (HOLD, LAND)
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
        flight.operator.say("deactivate")
        assert "the autopilot holds" in flight.node.wait_for("recovering -> armed")
        flight.node.lines.clear()
        flight.operator.say("activate")
        flight.node.wait_for("the autopilot is heard")
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
    node = VehicleNode(tmp_path, check_s=15.0)
    with ended(node, px4):
        node.wait_for(said)
        assert node.process.wait(20.0) == 2


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"policy": ""}, "must name a policy file"),
        ({"policy": "nowhere.onnx"}, "nowhere.onnx"),
        ({"command": [1.0, 2.0]}, "must have: place_x_w_m"),
    ],
)
def test_mistakes_are_said_in_one_line(parameters: dict, said: str, tmp_path: Path):
    node = VehicleNode(tmp_path, **parameters)
    with ended(node):
        assert said in node.wait_for("[ERROR]")
        assert node.process.wait(20.0) == 2
