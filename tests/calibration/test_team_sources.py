"""A team's flight from a ROS 2 bag, and with motor commands from each drone's own log: the record that was put in."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_marker_alignment import recordings
from test_ros_bag import FIELDS, kind_of
from ulog_lab import flight_topics, ulog

from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.record import FlightRecord
from corvids.calibration.readers.ros_bag import read_team_bag
from corvids.calibration.readers.team_record import columns_of, read_team_csv
from corvids.calibration.readers.ulog import read_ulog
from corvids.errors import CorvidsError

rosbag2 = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")

LATE_US = 2_345_678_900
"""By how much the bag's clock is ahead of PX4's, the way there included."""
TOPICS = ("/load/pose", "/drone{}/pose", "/px4_{}/fmu/out/actuator_motors")


def poses(time_s: np.ndarray, high_m: float) -> np.ndarray:
    """Shape (n, 7): a body that sways and turns about z."""
    turn = 0.2 * np.sin(time_s)
    zero = 0.0 * time_s
    place = np.stack((np.sin(time_s), zero, high_m + zero), -1)
    return np.concatenate((place, np.stack((np.cos(turn), zero, zero, np.sin(turn)), -1)), -1)


def write_bag(path: Path, time_s: np.ndarray) -> np.ndarray:
    """Poses on two topics, motor commands on a third, received up to 3 ms late; returns the commands (n, 4)."""
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    motors, pose = kind_of("actuator_motors"), "geometry_msgs/msg/PoseStamped"
    store.register(typesys.get_types_from_msg(FIELDS["actuator_motors"], motors))
    types: Any = store.types
    rng = np.random.default_rng(0)
    commands = rng.uniform(0.3, 0.6, (len(time_s), 4)).astype(np.float32)
    bodies = {"/load/pose": poses(time_s, 1.0), "/drone1/pose": poses(time_s, 2.0)}
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        at = {topic: writer.add_connection(topic, pose, typestore=store) for topic in bodies}
        to = writer.add_connection("/px4_1/fmu/out/actuator_motors", motors, typestore=store)
        for index, time_us in enumerate(np.round(1e6 * time_s).astype(int)):
            now_us = int(time_us) + LATE_US
            stamp = types["builtin_interfaces/msg/Time"](sec=now_us // 10**6, nanosec=1000 * (now_us % 10**6))
            for topic, rows in bodies.items():
                x, y, z, qw, qx, qy, qz = rows[index].tolist()
                place = types["geometry_msgs/msg/Point"](x=x, y=y, z=z)
                turn = types["geometry_msgs/msg/Quaternion"](x=qx, y=qy, z=qz, w=qw)
                message = types[pose](
                    header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="world"),
                    pose=types["geometry_msgs/msg/Pose"](position=place, orientation=turn),
                )
                writer.write(at[topic], 0, store.serialize_cdr(message, pose))
            control = np.full(12, np.nan, np.float32)
            control[:4] = commands[index]
            told = store.serialize_cdr(types[motors](timestamp=int(time_us), control=control), motors)
            writer.write(to, 1000 * (now_us + int(rng.integers(-1500, 1500))), told)
    return commands


def test_a_bag_holds_a_teams_flight(tmp_path: Path):
    time_s = 3.0 + 0.005 * np.arange(400)
    commands = write_bag(tmp_path / "bag", time_s)
    record = read_team_bag(tmp_path / "bag", 1, *TOPICS)
    np.testing.assert_allclose(record.load.values, poses(time_s, 1.0), atol=1e-12)
    np.testing.assert_allclose(record.drones[0].values, poses(time_s, 2.0), atol=1e-12)
    np.testing.assert_allclose(record.motors[0].values, commands, atol=1e-6)
    np.testing.assert_allclose(record.load.time_s, time_s - 3.0, atol=1e-6)
    # Even to a microsecond though received unevenly, and on the poses' clock.
    np.testing.assert_allclose(np.diff(record.motors[0].time_s), 0.005, atol=2e-6)
    assert abs(record.motors[0].time_s[0]) < 0.0003
    with pytest.raises(CorvidsError, match="has no message on /drone1/odometry"):
        read_team_bag(tmp_path / "bag", 1, "/load/pose", "/drone{}/odometry", TOPICS[2])
    with pytest.raises(CorvidsError, match=r"need \{\} in their names"):
        read_team_bag(tmp_path / "bag", 3, "/load/pose", "/drone/pose", TOPICS[2])


def own_log(path: Path) -> tuple[FlightRecord, np.ndarray, np.ndarray]:
    """A drone's log, and times and attitudes (n, 4) of the same flight by another clock."""
    gyro, pose = recordings(0, seconds=12.0)
    topics = flight_topics(seconds=11.8)
    arrays = topics["sensor_combined"][1]
    arrays["gyro_rad"] = gyro.values[: len(arrays["timestamp"])] * [1.0, -1.0, -1.0]
    path.write_bytes(ulog(topics))
    return px4_flight(read_ulog(path)), pose.time_s, pose.values[:, 3:]


def test_motor_commands_may_come_from_a_drones_own_log(tmp_path: Path):
    flight, time_s, quat = own_log(tmp_path / "flight.ulg")
    assert flight.command is not None
    table = tmp_path / "poses.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns_of(1, motors=False))
        places = poses(time_s, 2.0)[:, :3]
        writer.writerows(np.column_stack((time_s, poses(time_s, 1.0), places, quat)).tolist())
    record = read_team_csv(table, 1, flights=[flight])
    # The gyroscope's first sample, 0.1 s after the poses' first, is the beginning of its log.
    np.testing.assert_allclose(record.motors[0].time_s, flight.command.time_s + 0.1, atol=0.0005)
    assert np.array_equal(record.motors[0].values, flight.command.values)
    assert any("later by the poses' clock" in one.text for one in record.findings)
    with pytest.raises(CorvidsError, match="2 flight logs for 1 drones; give one for each"):
        read_team_csv(table, 1, flights=[flight, flight])
    with pytest.raises(CorvidsError, match="has no column 'drone1_motor1_1'"):
        read_team_csv(table, 1)
