"""What the launch files start, by a stand-in for ROS's launch."""

from __future__ import annotations

import re
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from launch_stand_in import PACKAGE, started

VEHICLE, TEAM, SIMULATION = (
    PACKAGE / f"launch/{name}.launch.py" for name in ("vehicle", "team", "simulation")
)
README = PACKAGE.parents[2] / "README.md"


def parameters(of: dict[str, Any]) -> dict[str, Any]:
    """Those that a node is given over its file of parameters."""
    _, given = of["parameters"]
    return given


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_what_is_not_given_is_left_to_the_file_of_parameters():
    (node,) = started(VEHICLE, {"policy": "juggle.onnx", "params": "mine.yaml"})
    assert node["parameters"] == ["mine.yaml", {"autostart": "true", "policy": "juggle.onnx"}]


def test_what_is_given_has_its_type():
    given = {
        "origin": "[47,8.5,488]",
        "mocap_stream": "udp:14600",
        "target_system": "3",
        "mocap_vehicle": "2",
    }
    (node,) = started(VEHICLE, given)
    assert parameters(node) == {
        "autostart": "true", "origin": [47.0, 8.5, 488.0], "mocap_stream": "udp:14600", "target_system": 3,
        "mocap_vehicle": 2,
    }  # fmt: skip
    assert {type(number) for number in parameters(node)["origin"]} == {float}
    with pytest.raises(ValueError, match=r"origin:=47: must be numbers in brackets"):
        started(VEHICLE, {"origin": "47"})
    with pytest.raises(ValueError, match=r"mocap_vehicle:=one: must be a whole number"):
        started(VEHICLE, {"mocap_vehicle": "one"})


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What launch files leave in the folder of temporary files goes with the test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def recorder(arguments: dict[str, str]) -> list[str]:
    """The command that records a vehicle's bag."""
    all_started = started(VEHICLE, {"record": "true", **arguments})
    (command,) = [entity["cmd"] for entity in all_started if "cmd" in entity]
    return command


def test_each_flight_has_a_bag_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """`ros2 bag record` refuses a folder that exists."""
    assert option(recorder({"bag": "practice"}), "--output") == "practice", "the user's to choose"
    written = time.strftime
    for now_s, then in ((0, "1970-01-01T00-00-00"), (86401, "1970-01-02T00-00-01")):
        monkeypatch.setattr(time, "strftime", lambda form, now_s=now_s: written(form, time.gmtime(now_s)))
        assert option(recorder({}), "--output") == f"corvids_bag_{then}"
        assert option(recorder({"namespace": "px4_2"}), "--output") == f"corvids_bag_px4_2_{then}"
        assert option(recorder({"namespace": "/room/px4_2"}), "--output") == f"corvids_bag_room_px4_2_{then}"


@pytest.mark.parametrize("looks_for", [re.search, re.fullmatch])
def test_a_bag_holds_its_own_vehicle(looks_for: Callable[[str, str], object]):
    """By releases of ros2 bag that look for the expression in a name, and by those that compare all of it."""
    own = ("fmu/out/vehicle_odometry", "fmu/in/vehicle_command", "corvids/vehicle", "ball/pose", "load/pose")
    shared = ("/ball/pose", "/load/pose", "/diagnostics", "/rosout")
    one, all_ = (option(recorder({"namespace": name}), "--regex") for name in ("px4_1", ""))
    for topic in (*(f"/px4_1/{name}" for name in own), *shared):
        assert looks_for(one, topic), topic
        assert looks_for(all_, topic), topic
    for name in own:
        for others in ("/px4_2", "/px4_11", "/room/px4_1", "/room"):
            assert not looks_for(one, f"{others}/{name}"), f"{others}/{name}"
        assert looks_for(all_, f"/{name}")
    for topic in ("/parameter_events", "/px4_1/rosout", "/diagnostics_agg", "/px4_1/other/fmu/out/x"):
        assert not looks_for(one, topic), topic


def test_a_bags_profile_names_the_topics_that_it_holds():
    """ros2 bag knows topics by their full names: below another namespace the profile would go unused."""
    common = re.findall(r"^/(\S+):", (PACKAGE / "config/recording.yaml").read_text("utf-8"), re.MULTILINE)
    assert "fmu/out/vehicle_odometry" in common
    for namespace in ("", "px4_1"):
        command = recorder({"namespace": namespace})
        text = Path(option(command, "--qos-profile-overrides-path")).read_text("utf-8")
        named = re.findall(r"^(/\S+):", text, re.MULTILINE)
        assert named == [f"{namespace and '/' + namespace}/{name}" for name in common]
        assert all(re.fullmatch(option(command, "--regex"), name) for name in named)


def test_what_launch_files_start_is_declared():
    """Humble's ros2 bag has no MCAP by itself."""
    all_started = started(SIMULATION, {"policy": "juggle.onnx", "rviz": "true"})
    all_started += started(VEHICLE, {"policy": "juggle.onnx", "record": "true"})
    needed = {entity["package"] for entity in all_started if "package" in entity}
    for command in (entity["cmd"] for entity in all_started if "cmd" in entity):
        if command[0] == "ros2":
            needed |= {f"ros2{command[1]}", f"rosbag2_storage_{option(command, '--storage')}"}
    declared = {node.text for node in ElementTree.parse(PACKAGE / "package.xml").iter("exec_depend")}
    assert {"corvids_ros", "rviz2", "ros2bag"} <= needed
    assert needed - {"corvids_ros"} <= declared


def test_the_launch_arguments_that_the_readme_names_are_some():
    section = README.read_text("utf-8").partition("## With ROS 2")[2].partition("\n## ")[0]
    named = dict(re.findall(r"\b([a-z_]+):=([^\s`]+)", section))
    assert {"policy", "record", "count", "mocap_stream", "origin"} <= set(named)
    of_teams = {name: named.pop(name) for name in ("count", "spacing_m") if name in named}
    assert started(VEHICLE, named)
    assert set(of_teams) <= set(re.findall(r'^    "(\w+)": ', TEAM.read_text("utf-8"), re.MULTILINE))


@pytest.mark.ros
@pytest.mark.parametrize(
    ("more", "x_w_m"),
    [
        ({}, [-2.0, 0.0, 2.0]),
        ({"count": "2", "spacing_m": "1.5"}, [-0.75, 0.75]),
    ],
)
def test_every_vehicle_of_a_team_has_a_place_a_body_and_a_bag_of_its_own(
    more: dict[str, str], x_w_m: list[float]
):
    all_started = started(
        TEAM,
        {"policy": "juggle.onnx", "record": "true", "bag": "practice", "mocap_stream": "udp:14600", **more},
    )
    nodes = [entity for entity in all_started if "parameters" in entity]
    bags = [option(entity["cmd"], "--output") for entity in all_started if "cmd" in entity]
    numbers = range(1, len(x_w_m) + 1)
    assert [parameters(node)["command"] for node in nodes] == [[x, 0.0, 1.5, 0.5] for x in x_w_m]
    assert [parameters(node)["mocap_vehicle"] for node in nodes] == list(numbers)
    assert [parameters(node)["mocap_stream"] for node in nodes] == [f"udp:{14599 + i}" for i in numbers]
    assert [parameters(node)["target_system"] for node in nodes] == [i + 1 for i in numbers]
    assert [node["namespace"] for node in nodes] == [f"px4_{i}" for i in numbers]
    assert bags == [f"practice_px4_{i}" for i in numbers]


@pytest.mark.ros
def test_a_team_is_placed_about_what_its_file_says(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("/**: {ros__parameters: {command: [5.0, 1.0, 2.0, 0.4], mocap_stream: 'udp:7000'}}")
    nodes = started(TEAM, {"policy": "juggle.onnx", "params": str(path)})
    assert [parameters(node)["command"][:2] for node in nodes] == [[3.0, 1.0], [5.0, 1.0], [7.0, 1.0]]
    streams = [parameters(node)["mocap_stream"] for node in nodes]
    assert all(one != other for one, other in pairwise(streams)), (
        "keepers would take the port from each other"
    )
    path.write_text("/px4_1/corvids: {ros__parameters: {command: [5.0, 1.0, 2.0, 0.4]}}")
    with pytest.raises(ValueError, match=r"must have a command of numbers below /\*\*"):
        started(TEAM, {"policy": "juggle.onnx", "params": str(path)})
    with pytest.raises(ValueError, match=r"count and spacing_m must be numbers"):
        started(TEAM, {"policy": "juggle.onnx", "count": "few"})
    nodes = started(TEAM, {"policy": "juggle.onnx", "params": str(path), "spacing_m": "0"})
    assert not any("command" in parameters(node) for node in nodes)
