"""Set-points wait for no other process's shared memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ros_lab import START_S, VehicleNode, ended

from corvids_ros.fast_dds import avoid_shared_memory, complaint


def test_it_is_avoided_unless_the_user_chose_transports():
    plain = {"HOME": "/home"}
    avoid_shared_memory(plain)
    assert plain == {"HOME": "/home", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    for name in ("FASTDDS_BUILTIN_TRANSPORTS", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        chosen = {name: "LARGE_DATA"}
        avoid_shared_memory(chosen)
        assert chosen == {name: "LARGE_DATA"}


def test_threads_for_it_are_complained_of(tmp_path: Path):
    assert complaint(tmp_path / "nothing") == ""
    for index, name in enumerate(("python", "dds.udp.7000")):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "comm").write_text(name + "\n")
    assert complaint(tmp_path) == ""
    (tmp_path / "2" / "comm").mkdir(parents=True)
    assert complaint(tmp_path) == "", "one that cannot be read"
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "comm").write_text("dds.shm.7000\n")
    assert "FASTDDS_BUILTIN_TRANSPORTS=UDPv4" in complaint(tmp_path)


@pytest.mark.ros
def test_with_the_shipped_profile_there_is_none(tmp_path: Path):
    node = VehicleNode(tmp_path, autostart=False)
    with ended(node):
        tasks = Path(f"/proc/{node.process.pid}/task")
        deadline_s, names = time.monotonic() + START_S, [""]
        # Threads have names, by which one can tell; they are there before anything else is.
        while not any(name.startswith("dds.udp") for name in names) and time.monotonic() < deadline_s:
            time.sleep(0.5)
            names = [name.read_text() for name in tasks.glob("*/comm")]
    assert any(name.startswith("dds.udp") for name in names)
    assert not any(name.startswith("dds.shm") for name in names)


@pytest.mark.ros
def test_a_node_with_it_says_so(tmp_path: Path):
    """ROS's own way to stay on one computer overrides what Fast DDS is told."""
    own = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "FASTRTPS_DEFAULT_PROFILES_FILE": ""}
    node = VehicleNode(tmp_path, autostart=False, variables=own)
    with ended(node):
        node.wait_for("Fast DDS uses shared memory here")
