"""What a user may set, with ranges: the node's parameters. No ROS."""

from __future__ import annotations

import dataclasses
import math
import re
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from corvids.deploy.pilot import PLACE
from corvids.deploy.px4.channels import udp_address
from corvids.deploy.supervision.envelope import Fence, Triple
from corvids.errors import CorvidsError
from corvids_ros.topics import Topics


class Setting(NamedTuple):
    """One parameter; its default says its type."""

    name: str
    default: Any
    about: str
    low: float | None = None
    """Range, for numbers and lists of them."""
    high: float | None = None
    choices: tuple[str, ...] = ()
    topic: re.Pattern[str] | None = None
    """What is the name of a topic, for those that must be one."""


NAMES = r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*"
"""What a topic is called below a namespace or node."""
PX4_TOPIC = re.compile(rf"/?{NAMES}")
POSE_TOPIC = re.compile(rf"((~?/)?{NAMES})?")
"""Of poses; that may be below the node, or nothing."""


SETTINGS = (
    Setting("policy", "", "policy file (.onnx)"),
    Setting("task", "juggle", "task that the policy must be for"),
    Setting("vehicle", "", "vehicle file, by name or path; empty: the one that the policy was trained for"),
    Setting("target_system", 1, "PX4's MAV_SYS_ID", 1, 250),
    Setting(
        "command", [0.0, 0.0, 1.5, 0.5], "task command, as the policy file names its components", -100, 100
    ),
    Setting("fence_low_m", [-3.0, -3.0, -0.5], "lower corner of the fence, world ENU [m]", -1000, 1000),
    Setting("fence_high_m", [3.0, 3.0, 4.0], "upper corner of the fence, world ENU [m]", -1000, 1000),
    Setting(
        "check_messages", True, "refuse to fly where PX4's messages are defined otherwise, or it does not say"
    ),
    Setting("check_s", 10.0, "how long to wait for PX4's topics and answers [s]", 1, 120),
    Setting("keeper", True, "start the process that keeps the stream of set-points if this one dies"),
    Setting("imu", False, "read sensor_combined too"),
    Setting("world_frame", "map", "what pose messages must call the world (ENU); empty: anything"),
    Setting("ball_topic", "ball/pose", "poses of the ball; empty: none", topic=POSE_TOPIC),
    Setting("ball_type", "PoseStamped", "their type", choices=("PoseStamped", "Odometry")),
    Setting("load_topic", "", "poses of the load; empty: none", topic=POSE_TOPIC),
    Setting("load_type", "PoseStamped", "their type", choices=("PoseStamped", "Odometry")),
    Setting(
        "mocap_topic",
        "",
        "poses of the vehicle, stamped when the pictures were taken: for PX4's estimator, and to correct what it says;"
        " empty: PX4 gets them otherwise",
        topic=POSE_TOPIC,
    ),
    Setting("mocap_type", "PoseStamped", "their type", choices=("PoseStamped", "Odometry")),
    Setting("mocap_pos_std_m", 0.002, "standard deviation of such a place [m]", 1e-5, 1),
    Setting("mocap_angle_std_rad", 0.01, "standard deviation of such an attitude [rad]", 1e-5, 1),
    Setting("mocap_stream", "", "where a state stream of motion capture arrives, udp:14600; empty: nowhere"),
    Setting("mocap_vehicle", 1, "number of the vehicle's rigid body in it", 1, 65535),
    Setting("mocap_ball", 0, "number of the ball's; 0: one of its markers without a body", 0, 65535),
    Setting(
        "mocap_key", "", "file of 64 hexadecimal digits: only what is signed with them counts; empty: none"
    ),
    Setting("mocap_ptp", False, "its sender's clock and this one are kept together by PTP"),
    Setting(
        "mocap_least_ms", 2.0, "least time that it is on its way, for a sender that echoes nothing", 0, 100
    ),
    Setting(
        "origin",
        [0.0, 0.0, 0.0],
        "latitude, longitude [°] and height [m] of the world's origin, for a PX4 that lives on motion capture alone, so"
        " that it can hold; zeros: it knows by itself",
        -10000,
        10000,
    ),
    Setting("record", "", "flight record to write (.mcap); empty: none"),
    *(
        Setting(
            f"topics.{field.name}",
            field.default,
            "PX4's topic, below the vehicle's namespace",
            topic=PX4_TOPIC,
        )
        for field in dataclasses.fields(Topics)
    ),
)
"""All of them."""
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list of numbers",
}
"""What a parameter is set to, by the type of its default."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Their values, by name."""

    values: dict[str, Any]

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            complaint = problem(setting, self.values[setting.name])
            if complaint:
                raise CorvidsError(complaint)
        if self["mocap_stream"]:
            udp_address(self["mocap_stream"])
            if self["mocap_topic"] or not self["keeper"]:
                raise CorvidsError("parameter mocap_stream: needs the keeper, and no mocap_topic beside it")

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def topics(self) -> Topics:
        """PX4's topics."""
        return Topics(
            **{field.name: self.values[f"topics.{field.name}"] for field in dataclasses.fields(Topics)}
        )

    @property
    def origin(self) -> Triple | None:
        """Where on the globe the world's origin is, if that is to be told."""
        return _triple("origin", self["origin"]) if any(self["origin"]) else None

    @property
    def fence(self) -> Fence:
        """The fence."""
        return Fence(
            _triple("fence_low_m", self["fence_low_m"]), _triple("fence_high_m", self["fence_high_m"])
        )

    def command(self, names: tuple[str, ...], values: Sequence[float] | None = None) -> list[float]:
        """The task command, for components of these names, or another one; its place must be one to hold."""
        command = [float(value) for value in (self["command"] if values is None else values)]
        if len(command) != len(names):
            raise CorvidsError(
                f"parameter command has {len(command)} components, must have: {', '.join(names)}"
            )
        if names[:3] == PLACE:
            place_w = _triple("command", command[:3])
            nearest_w = self.fence.inside(place_w)
            if place_w != nearest_w:
                raise CorvidsError(
                    f"parameter command: {place_w} m is not well within the fence; the nearest place is {nearest_w} m"
                )
        return command


def as_declared(setting: Setting, value: Any) -> Any:
    """A value as its parameter is declared: whole numbers stand for real ones too, as people write 5 for 5.0.

    What is neither stays as it is, for :func:`problem` to tell.
    """
    if isinstance(setting.default, float) and type(value) is int:
        return float(value)
    if isinstance(setting.default, list) and _is_numbers(value):
        return [float(number) for number in value]
    return value


def problem(setting: Setting, value: Any) -> str:
    """What is wrong with a value, or nothing."""
    is_list = isinstance(setting.default, list)
    if not (_is_numbers(value) if is_list else type(value) is type(setting.default)):
        return f"parameter {setting.name} = {value!r}: must be {KINDS[type(setting.default)]}"
    if setting.choices and value not in setting.choices:
        return f"parameter {setting.name} = {value!r}: must be one of {', '.join(setting.choices)}"
    if setting.topic and not setting.topic.fullmatch(value):
        return (
            f"parameter {setting.name} = {value!r}: must be the name of a topic, such as ball/pose:"
            " letters, digits and _ in parts between /, none of which begins with a digit"
        )
    if setting.low is None or setting.high is None:
        return ""
    for number in value if is_list else [value]:
        if not (math.isfinite(number) and setting.low <= number <= setting.high):
            return f"parameter {setting.name}: {number} is not between {setting.low} and {setting.high}"
    return ""


def _is_numbers(value: Any) -> bool:
    """Whether it is a list of numbers, in any of the forms in which ROS hands them out."""
    return isinstance(value, (list, tuple, array)) and all(type(number) in (int, float) for number in value)


def _triple(name: str, values: Any) -> Triple:
    if len(values) != 3:
        raise CorvidsError(f"parameter {name} has {len(values)} components, must have x, y, z")
    x, y, z = values
    return float(x), float(y), float(z)
