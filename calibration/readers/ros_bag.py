"""ROS 2 bags (mcap or sqlite3), read without ROS: PX4's topics as a log of PX4's, poses of ball, vehicle and load.

PX4's messages in a bag have the fields that the ULog of the same flight has, so that both become a :class:`RawLog` and
are read by the same code.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corvids.calibration.readers.ball_record import BALL, POSE, BallRecord, ball_record
from corvids.calibration.readers.csv_table import Table
from corvids.calibration.readers.record import FlightRecord
from corvids.calibration.readers.team_record import TeamRecord, gathered
from corvids.calibration.readers.ulog import TOPICS, RawLog
from corvids.errors import CorvidsError

SUFFIXES = (".mcap", ".db3")
"""Endings of a bag that is one file; others are folders with a metadata.yaml."""


def is_bag(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` looks like a bag rather than a ULog file."""
    path = Path(path)
    return path.suffix in SUFFIXES or (path / "metadata.yaml").is_file()


def read_px4_bag(path: str | os.PathLike[str]) -> RawLog:
    """PX4's topics in a bag (``/fmu/out/sensor_combined`` …); raises :class:`CorvidsError` where there is none."""
    path = Path(path)
    rows: dict[str, list[dict[str, float]]] = {}
    for topic, _, message in _messages(path, lambda topic: _px4_name(topic) in TOPICS):
        rows.setdefault(_px4_name(topic), []).append(dict(_flat(message)))
    topics = {
        name: {field: np.array([one[field] for one in messages]) for field in messages[0]}
        for name, messages in rows.items()
        if "timestamp" in messages[0]
    }
    if not topics:
        raise CorvidsError(f"{path}: holds none of PX4's topics that a fit needs: {', '.join(TOPICS)}")
    return RawLog(path.name, _hash(path), topics, {}, 0.0, False)


def read_ball_bag(path: str | os.PathLike[str], ball_topic: str, vehicle_topic: str | None) -> BallRecord:
    """Positions on ``ball_topic`` and poses on ``vehicle_topic`` (geometry_msgs or nav_msgs with a header)."""
    path = Path(path)
    wanted = {ball_topic} | ({vehicle_topic} if vehicle_topic else set())
    samples: dict[str, list[list[float]]] = {topic: [] for topic in wanted}
    for topic, stamp_ns, message in _messages(path, wanted.__contains__):
        samples[topic].append([1e-9 * stamp_ns, *_pose(path, topic, message)])
    for topic, found in samples.items():
        if not found:
            raise CorvidsError(f"{path}: has no message on {topic}")
    ball = np.array([one[:4] for one in samples[ball_topic]])
    first_s = float(ball[0, 0])
    columns = {"time_s": ball[:, 0] - first_s}
    columns.update({name: ball[:, 1 + k] for k, name in enumerate(BALL)})
    if vehicle_topic:
        pose = np.array(samples[vehicle_topic])
        if pose.shape[1] != 8:
            raise CorvidsError(
                f"{path}: {vehicle_topic} has positions without attitudes; name a topic of poses"
            )
        columns["vehicle_time_s"] = pose[:, 0] - first_s
        columns.update({name: pose[:, 1 + k] for k, name in enumerate(POSE)})
    return ball_record(Table(path.name, _hash(path), columns))


def read_team_bag(
    path: str | os.PathLike[str],
    drones: int,
    load_topic: str,
    drone_topic: str,
    motor_topic: str,
    flights: Sequence[FlightRecord] = (),
) -> TeamRecord:
    """Poses of a load and its drones, and PX4's motor commands, on topics in which ``{}`` stands for a drone's number.

    ``flights``: each drone's own log, where the bag has no motor commands. Those in a bag carry PX4's time stamps,
    which become the bag's by the median of how late they were received; a constant rest is the fit's to find.
    """
    path = Path(path)
    numbers = range(1, drones + 1)
    signal_of = {load_topic: "load"} | {drone_topic.replace("{}", str(n)): f"drone{n}" for n in numbers}
    motor_of = {} if flights else {motor_topic.replace("{}", str(n)): f"drone{n}_motor" for n in numbers}
    if len(signal_of) + len(motor_of) != 1 + drones * (1 if flights else 2):
        raise CorvidsError(
            f"{path}: topics of {drones} drones need {{}} in their names, for a drone's number"
        )
    rows: dict[str, list[list[float]]] = {topic: [] for topic in (*signal_of, *motor_of)}
    late_us: dict[str, list[float]] = {topic: [] for topic in motor_of}
    for topic, stamp_ns, message in _messages(path, rows.__contains__):
        if topic in signal_of:
            rows[topic].append([1e-3 * stamp_ns, *_pose(path, topic, message)])
        else:
            values = dict(_flat(message))
            late_us[topic].append(1e-3 * stamp_ns - values["timestamp"])
            rows[topic].append([values["timestamp"], *(values[f"control[{k}]"] for k in range(4))])
    signals = {}
    for topic, signal in (signal_of | motor_of).items():
        if not rows[topic]:
            raise CorvidsError(f"{path}: has no message on {topic}")
        found = np.array(rows[topic])
        if topic in signal_of and found.shape[1] != 8:
            raise CorvidsError(f"{path}: {topic} has positions without attitudes; name a topic of poses")
        if topic in motor_of:
            found[:, 0] += np.median(late_us[topic])
            found[:, 1:] = np.nan_to_num(found[:, 1:], nan=0.0)  # PX4 writes NaN for a motor that is off
        signals[signal] = found[:, 0], found[:, 1:]
    return gathered(path.name, _hash(path), signals, drones, flights)


def _messages(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, Any]]:
    """Topic, time stamp [ns] (the header's where there is one) and message of each message on a wanted topic."""
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            connections = [one for one in reader.connections if wanted(one.topic)]
            if not connections:  # the reader would take none to mean all
                return
            for connection, time_ns, raw in reader.messages(connections=connections):
                message: Any = reader.deserialize(raw, connection.msgtype)
                header = getattr(message, "header", None)
                if header is not None and (header.stamp.sec or header.stamp.nanosec):
                    time_ns = 1_000_000_000 * header.stamp.sec + header.stamp.nanosec
                yield connection.topic, time_ns, message
    except CorvidsError:
        raise
    # The reader fails in as many ways as a bag can be damaged: each means that it cannot be read.
    except Exception as error:  # noqa: BLE001
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CorvidsError(f"{path}: is no ROS 2 bag that can be read: {text}") from None


def _px4_name(topic: str) -> str:
    """``/fmu/out/vehicle_attitude_v1`` as ``vehicle_attitude``."""
    return re.sub(r"_v\d$", "", topic.rsplit("/", 1)[-1])


def _flat(message: Any) -> Iterator[tuple[str, float]]:
    """Fields of a message under the names that a ULog gives them; arrays and lists element by element."""
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if isinstance(value, (bool, int, float)):
            yield name, float(value) if name != "timestamp" else value
        elif isinstance(value, np.ndarray) and value.ndim == 1:
            yield from ((f"{name}[{index}]", float(one)) for index, one in enumerate(value))
        elif isinstance(value, list):
            for index, one in enumerate(value):
                yield from ((f"{name}[{index}].{inner}", number) for inner, number in _flat(one))


def _pose(path: Path, topic: str, message: Any) -> list[float]:
    """Position, and attitude (scalar first) where there is one, of PointStamped, PoseStamped, Odometry, Transform…"""
    inner = message
    for name in ("pose", "transform", "point"):
        while hasattr(inner, name):
            inner = getattr(inner, name)
    place = getattr(inner, "position", getattr(inner, "translation", inner))
    turn = getattr(inner, "orientation", getattr(inner, "rotation", None))
    try:
        found = [float(place.x), float(place.y), float(place.z)]
        return found if turn is None else [*found, float(turn.w), float(turn.x), float(turn.y), float(turn.z)]
    except AttributeError:
        kind = type(message).__name__
        raise CorvidsError(
            f"{path}: {topic} carries {kind}; needed are PoseStamped, PointStamped, TransformStamped or Odometry"
        ) from None


def _hash(path: Path) -> str:
    """SHA-256 of the bag's file, or of all files in its folder in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
