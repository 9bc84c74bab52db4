"""What a topic may be called is said when it is set: ROS itself says so when the node is configured, to nobody."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corvids_ros.settings import SETTINGS, problem

BY_NAME = {setting.name: setting for setting in SETTINGS}


@pytest.mark.parametrize("name", ["ball/pose", "/vicon/ball_1/pose", "~/ball", "_b", ""])
def test_poses_come_under_any_topics_name_or_none(name: str):
    for of in ("ball", "load", "mocap"):
        assert problem(BY_NAME[f"{of}_topic"], name) == ""


@pytest.mark.parametrize(
    "name", ["ball-1/pose", "1/pose", "ball//pose", "ball/", "/", "~ball", "ball pose\n"]
)
def test_what_is_no_topics_name_is_said_to_be_none(name: str):
    for parameter in ("ball_topic", "load_topic", "mocap_topic", "topics.vehicle_command"):
        said = problem(BY_NAME[parameter], name)
        assert said.startswith(f"parameter {parameter} = {name!r}: must be the name of a topic, such as")
        assert "\n" not in said


@pytest.mark.parametrize("name", ["", "~/vehicle_command"])
def test_px4s_topics_have_a_name_that_is_the_same_for_runtime_and_keeper(name: str):
    assert "must be the name of a topic" in problem(BY_NAME["topics.vehicle_command"], name)


@pytest.mark.ros
@given(st.text("aZ1_/~- é", max_size=8))
def test_ros_takes_the_same_names(name: str):
    from rclpy.exceptions import NameValidationException
    from rclpy.expand_topic_name import expand_topic_name
    from rclpy.validate_full_topic_name import validate_full_topic_name

    # To us nothing is none; ROS takes ~ and ~a, too, against its own rules, and appends them to the node's name.
    assume(name and (name[0] != "~" or name[1:2] == "/"))
    try:
        validate_full_topic_name(expand_topic_name(name, "corvids", "/px4_1"))
        is_taken = True
    except (ValueError, NameValidationException):
        is_taken = False
    assert (problem(BY_NAME["ball_topic"], name) == "") == is_taken
