"""Set-points wait for no other process's shared memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ros_lab import START_S, VehicleNode, ended

from corvids_ros.fast_dds import CHOSEN, avoid_shared_memory, complaint


def test_it_is_avoided_unless_the_user_chose_transports():
    plain = {"HOME": "/home"}
    avoid_shared_memory(plain)
    assert plain == {"HOME": "/home", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    for name in CHOSEN:
        chosen = {name: "something"}
        avoid_shared_memory(chosen)
        assert chosen == {name: "something"}
        empty = {name: ""}
        avoid_shared_memory(empty)
        assert empty["FASTDDS_BUILTIN_TRANSPORTS"] == "UDPv4"


def test_it_is_seen_in_what_a_process_has_mapped(tmp_path: Path):
    assert complaint(tmp_path / "nothing") == ""
    maps = tmp_path / "maps"
    maps.write_text(
        "7f0 r--p 00000000 00:00 0 /lib/libfastrtps.so.2.14\n7f1 rw-s 00000000 00:19 4 /dev/shm/other\n"
    )
    assert complaint(maps) == ""
    for name in ("fastrtps_port7000", "fastdds_port7000"):
        maps.write_text(f"7f1 rw-s 00000000 00:19 4 /dev/shm/{name}\n")
        assert "FASTDDS_BUILTIN_TRANSPORTS=UDPv4" in complaint(maps)


def threads(node: VehicleNode) -> list[str]:
    """Names of a node's threads, once Fast DDS has its own."""
    deadline_s, names = time.monotonic() + START_S, [""]
    while not any(name.startswith("dds.udp") for name in names) and time.monotonic() < deadline_s:
        time.sleep(0.5)
        names = [name.read_text() for name in Path(f"/proc/{node.process.pid}/task").glob("*/comm")]
    return names


@pytest.mark.ros
def test_the_node_avoids_it_before_ros_starts(monkeypatch: pytest.MonkeyPatch):
    from corvids_ros import vehicle_node

    seen: list[str | None] = []

    def start(**options: object) -> None:
        seen.append(os.environ.get("FASTDDS_BUILTIN_TRANSPORTS"))
        raise SystemExit

    for name in CHOSEN:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(vehicle_node.rclpy, "init", start)
    with pytest.raises(SystemExit):
        vehicle_node.main([])
    assert seen == ["UDPv4"]


@pytest.mark.ros
def test_with_the_shipped_profile_there_is_none(tmp_path: Path):
    node = VehicleNode(tmp_path, autostart=False)
    with ended(node):
        names = threads(node)
    assert any(name.startswith("dds.udp") for name in names)
    assert not any(name.startswith("dds.shm") for name in names)
    assert not any("shared memory" in line for line in node.lines)


@pytest.mark.ros
def test_a_node_with_it_says_so(tmp_path: Path):
    """ROS's own way to stay on one computer overrides what the node tells Fast DDS."""
    own = {"FASTRTPS_DEFAULT_PROFILES_FILE": "", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    node = VehicleNode(tmp_path, autostart=False, variables=own)
    with ended(node):
        node.wait_for("Fast DDS uses shared memory here")
        assert any(name.startswith("dds.shm") for name in threads(node))
