"""Bags written here, in both formats, read back as the log or trajectory that was put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ulog_lab import flight_topics, ulog

from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.ros_bag import is_bag, read_ball_bag, read_px4_bag
from corvids.calibration.readers.ulog import read_ulog
from corvids.errors import CorvidsError

rosbag2 = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")

FIELDS = {
    "sensor_combined": "uint64 timestamp\nfloat32[3] gyro_rad\nfloat32[3] accelerometer_m_s2",
    "actuator_motors": "uint64 timestamp\nfloat32[12] control",
    "vehicle_attitude": "uint64 timestamp\nfloat32[4] q",
    "vehicle_local_position": "uint64 timestamp\nfloat32 vx\nfloat32 vy\nfloat32 vz",
}
"""The fields of px4_msgs that a fit reads."""


def kind_of(topic: str) -> str:
    return f"px4_msgs/msg/{''.join(part.capitalize() for part in topic.split('_'))}"


def write_px4(path: Path, plugin: Any) -> None:
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    for topic, fields in FIELDS.items():
        store.register(typesys.get_types_from_msg(fields, kind_of(topic)))
    with rosbag2.Writer(path, version=9, storage_plugin=plugin) as writer:
        for topic, (fields, arrays) in flight_topics(seconds=1.0).items():
            kind = kind_of(topic)
            connection = writer.add_connection(f"/fmu/out/{topic}", kind, typestore=store)
            for index, time_us in enumerate(arrays["timestamp"]):
                values = {
                    name: np.asarray(arrays[name][index], np.float32)
                    if "[" in form
                    else float(arrays[name][index])
                    for form, name in fields
                }
                message = store.types[kind](timestamp=int(time_us), **values)
                writer.write(connection, 1000 * int(time_us), store.serialize_cdr(message, kind))


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_a_bag_of_px4s_topics_is_the_flight_that_its_ulog_is(tmp_path: Path, plugin: str):
    write_px4(tmp_path / "bag", rosbag2.StoragePlugin[plugin])
    (tmp_path / "flight.ulg").write_bytes(ulog(flight_topics(seconds=1.0)))
    assert is_bag(tmp_path / "bag") and not is_bag(tmp_path / "flight.ulg")
    bag, log = px4_flight(read_px4_bag(tmp_path / "bag")), px4_flight(read_ulog(tmp_path / "flight.ulg"))
    for name, channel in log.channels().items():
        np.testing.assert_allclose(bag.channels()[name].time_s, channel.time_s, atol=1e-9)
        np.testing.assert_allclose(bag.channels()[name].values, channel.values, atol=1e-5)


def write_poses(path: Path) -> np.ndarray:
    """A ball in free flight on /ball (points), a vehicle at rest on /vehicle (poses); returns the ball's heights."""
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    types = store.types
    point, pose = "geometry_msgs/msg/PointStamped", "geometry_msgs/msg/PoseStamped"
    times = 1_000_000_000 + 4_000_000 * np.arange(100)
    heights = 2.0 + 1.0e-9 * (times - times[0]) - 4.903325 * (1e-9 * (times - times[0])) ** 2
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        ball = writer.add_connection("/ball", point, typestore=store)
        vehicle = writer.add_connection("/vehicle", pose, typestore=store)
        for time_ns, height in zip(times.tolist(), heights.tolist(), strict=True):
            stamp = types["builtin_interfaces/msg/Time"](sec=time_ns // 10**9, nanosec=time_ns % 10**9)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="world")
            place = types["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=height)
            writer.write(ball, 0, store.serialize_cdr(types[point](header=header, point=place), point))
            turn = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
            at = types["geometry_msgs/msg/Pose"](position=place, orientation=turn)
            writer.write(vehicle, 0, store.serialize_cdr(types[pose](header=header, pose=at), pose))
    return heights


def test_poses_in_a_bag_become_a_trajectory(tmp_path: Path):
    heights = write_poses(tmp_path / "bag")
    record = read_ball_bag(tmp_path / "bag", "/ball", "/vehicle")
    np.testing.assert_allclose(record.ball_w.values[:, 2], heights, atol=1e-9)
    np.testing.assert_allclose(np.diff(record.ball_w.time_s), 0.004, atol=1e-6)
    assert record.pose is not None and np.all(record.pose.values[:, 3] == 1.0)
    with pytest.raises(CorvidsError, match="no message on /bal"):
        read_ball_bag(tmp_path / "bag", "/bal", None)
    with pytest.raises(CorvidsError, match="none of PX4's topics"):
        read_px4_bag(tmp_path / "bag")


def test_what_is_no_bag_is_refused_in_one_line(tmp_path: Path):
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(b"\x89MCAP0\r\n" + bytes(100))
    with pytest.raises(CorvidsError, match=r"broken\.mcap: is no ROS 2 bag") as refusal:
        read_px4_bag(broken)
    assert "\n" not in str(refusal.value)
