"""The ROS 2 package as files: what its parts name exists, and px4_msgs is named in one of them."""

from __future__ import annotations

import ast
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import astuple
from pathlib import Path

import pytest

from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import read_policy_file
from corvids_ros.hopping_ball import GRAVITY_MPS2, HoppingBall
from corvids_ros.settings import SETTINGS
from corvids_ros.topics import TYPES, Topics

PACKAGE = Path(__file__).resolve().parents[2] / "ros_ws/src/corvids_ros"
SOURCES = sorted((PACKAGE / "corvids_ros").glob("*.py"))
SHOWN = {"/corvids/vehicle", "/corvids/ball", "/corvids/place", "/diagnostics"}


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_px4_msgs_is_one_files_affair():
    assert [path.name for path in SOURCES if re.search(r'"px4_msgs(\.msg)?"', path.read_text("utf-8"))] == [
        "px4_messages.py"
    ]
    assert not any("px4_msgs" in imported(path) for path in SOURCES), "imported when needed, by name"


def test_what_is_imported_is_declared():
    declared = {node.text for node in ElementTree.parse(PACKAGE / "package.xml").iter("exec_depend")}
    needed = set().union(*(imported(path) for path in [*SOURCES, *(PACKAGE / "launch").glob("*.py")]))
    ours = {"corvids", "corvids_ros", "numpy", "__future__"}
    standard = {
        "ament_index_python",
        "launch",
        "launch_ros",
        "rclpy",
        *(n for n in needed if n.endswith(("_msgs", "_srvs"))),
    }
    assert (needed & standard) - ours <= declared
    assert "px4_msgs" in declared


def test_executables_have_an_entry_point():
    points = dict(re.findall(r"(\w+) = \{NAME\}\.(\w+):main", (PACKAGE / "setup.py").read_text("utf-8")))
    assert points
    for module in points.values():
        tree = ast.parse((PACKAGE / "corvids_ros" / f"{module}.py").read_text("utf-8"))
        assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for path in (PACKAGE / "launch").glob("*.launch.py"):
        text = path.read_text("utf-8")
        named = set(re.findall(r'package="corvids_ros",\s*executable="(\w+)"', text))
        assert named <= set(points), path.name
        files = set(re.findall(r'"([\w.]+\.(?:yaml|rviz|launch\.py))"', text))
        assert files, path.name
        for name in files:
            folder = "launch" if name.endswith(".launch.py") else "config"
            assert (PACKAGE / folder / name).is_file(), f"{path.name} names {name}"


def test_the_policies_that_are_named_are_ones_that_the_node_flies():
    root = PACKAGE.parents[2]
    texts = [(root / "README.md").read_text("utf-8")]
    texts += [path.read_text("utf-8") for path in (PACKAGE / "launch").glob("*.launch.py")]
    named = set(re.findall(r"policy:=(\S+\.onnx)", "\n".join(texts)))
    assert named
    for name in named:
        file = read_policy_file(root / "pretrained" / Path(name).name)
        assert not file.contract.is_accbr, f"{name} flies a team"
        assert Pilot(file).rows == 1


def test_topics_are_px4s():
    assert {name.rpartition("/")[2].partition("_v1")[0] for name in astuple(Topics())} == {
        *TYPES, "message_format_request", "message_format_response"
    }  # fmt: skip


def test_pictures_show_what_is_published():
    rviz = (PACKAGE / "config/corvids.rviz").read_text("utf-8")
    assert set(re.findall(r"Value: (/\S+?),", rviz)) == SHOWN - {"/diagnostics"}
    foxglove = json.loads((PACKAGE / "config/foxglove.json").read_text("utf-8"))
    text = json.dumps(foxglove)
    topics = {f"/{topic}" for topic in astuple(Topics())}
    for named in re.findall(r'"(/[\w/]+)', text):
        assert named in SHOWN | topics, named
    panels = set(re.findall(r'"(\w+![\w]+)"', json.dumps(foxglove["layout"])))
    assert panels == set(foxglove["configById"])


def test_configuration_files_name_what_exists():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    topics = {f"/{topic}" for topic in astuple(Topics())} | {"/ball/pose"}
    profile = yaml.safe_load((PACKAGE / "config/recording.yaml").read_text("utf-8"))
    assert set(profile) <= topics
    for qos in profile.values():
        assert set(qos) == {"reliability", "durability", "history", "depth"}
    chosen = yaml.safe_load((PACKAGE / "config/vehicle.yaml").read_text("utf-8"))["/**"]["ros__parameters"]
    named = {**chosen, **{f"topics.{topic}": name for topic, name in chosen.pop("topics").items()}}
    named.pop("topics", None)
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for name, value in named.items():
        assert type(value) is type(defaults[name]), name


def test_launch_files_run_where_launch_is():
    pytest.importorskip("launch_ros", reason="needs launch_ros, which pip does not have")
    from launch.launch_description_sources import (  # pyright: ignore[reportMissingImports]
        get_launch_description_from_python_launch_file,
    )

    for path in (PACKAGE / "launch").glob("*.launch.py"):
        assert get_launch_description_from_python_launch_file(str(path)).entities


def test_the_hopping_ball_hops_to_its_apex():
    ball, heights = HoppingBall(0.5, 0.1), []
    for _ in range(2000):
        heights.append(ball.advance(0.001, (1.0, 2.0, 3.0))[2])
    assert max(heights[700:]) == pytest.approx(3.6, abs=0.01)
    assert min(heights) == pytest.approx(3.1, abs=0.01)
    period_s = 2.0 * (2.0 * 0.5 / GRAVITY_MPS2) ** 0.5
    contacts = [i for i in range(1, 1999) if heights[i] < heights[i - 1] and heights[i] < heights[i + 1]]
    assert 1e-3 * (contacts[2] - contacts[1]) == pytest.approx(period_s, abs=0.01)
