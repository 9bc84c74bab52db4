"""One vehicle: ``ros2 launch corvids_ros vehicle.launch.py policy:=juggle.onnx``.

``params`` names a file of parameters (config/vehicle.yaml is the model), over which the other parameters here go where
they are given; ``namespace`` is PX4's; ``record:=true`` records a bag of this vehicle, with the profile in
config/recording.yaml.
"""

import json
import re
import tempfile
import time
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("corvids_ros"), "config"])
PARAMETERS = {
    "policy": (str, "policy file"),
    "target_system": (int, "PX4's MAV_SYS_ID"),
    "command": (
        list,
        "task command, such as place x, y, z in the world and apex above it [m]",
    ),
    "mocap_stream": (str, "where a state stream of motion capture arrives, such as udp:14600"),
    "mocap_vehicle": (int, "number of the vehicle's rigid body in it"),
    "origin": (list, "[latitude, longitude, height] of the world's origin [°, m], for a PX4 without GPS"),
}
"""Parameters of the node that may be given here; their types as ROS has them."""
ARGUMENTS = {
    **{name: ("", f"{about}; empty: what params says") for name, (_, about) in PARAMETERS.items()},
    "params": (PathJoinSubstitution([CONFIG, "vehicle.yaml"]), "file of parameters"),
    "namespace": ("", "PX4's namespace on ROS 2, such as px4_1; empty for a single vehicle"),
    "autostart": (
        "true",
        "configure and activate at once; nothing is streamed before an operator says engage",
    ),
    "record": ("false", "record a bag"),
    "bag": ("", "where to, a folder that is not there yet; empty: one named after namespace, date and time"),
}


def value_of(name: str, text: str) -> ParameterValue | int | list[float]:
    """A parameter from its argument. Numbers of a list become real ones, all of them, as ROS has no mixed lists."""
    kind = PARAMETERS[name][0]
    try:
        if kind is str:
            return ParameterValue(text, value_type=str)  # also where it looks like something else
        return int(text) if kind is int else [float(number) for number in json.loads(text)]
    except (TypeError, ValueError):
        likely = "a whole number" if kind is int else "numbers in brackets, such as [0,0,1.5,0.5]"
        raise ValueError(f"{name}:={text}: must be {likely}") from None


def vehicle(context: LaunchContext) -> list[LifecycleNode]:
    """The node, with those parameters that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in PARAMETERS}
    return [
        LifecycleNode(
            package="corvids_ros",
            executable="vehicle",
            name="corvids",
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            emulate_tty=True,
            # Time for PX4 to hold before the process is killed.
            sigterm_timeout="15",
            sigkill_timeout="20",
            parameters=[
                LaunchConfiguration("params"),
                {
                    "autostart": LaunchConfiguration("autostart"),
                    **{name: value_of(name, text) for name, text in given.items() if text},
                },
            ],
        )
    ]


def recording(context: LaunchContext) -> list[ExecuteProcess]:
    """What records the vehicle's bag, if one is wanted."""
    if not IfCondition(LaunchConfiguration("record")).evaluate(context):
        return []
    namespace = LaunchConfiguration("namespace").perform(context).strip("/")
    profile = Path(PathJoinSubstitution([CONFIG, "recording.yaml"]).perform(context))
    # ros2 bag refuses a folder that exists, such as the flight's before.
    parts = ("corvids_bag", *namespace.split("/"), time.strftime("%Y-%m-%dT%H-%M-%S"))
    bag = LaunchConfiguration("bag").perform(context) or "_".join(part for part in parts if part)
    command = ["ros2", "bag", "record", "--storage", "mcap", "--output", bag]
    command += ["--qos-profile-overrides-path", profile_below(namespace, profile)]
    return [ExecuteProcess(cmd=[*command, "--regex", topics_below(namespace)], output="screen")]


def topics_below(namespace: str) -> str:
    """Which topics are recorded: of all vehicles, where no namespace tells this one's from theirs.

    Ball and load may be everybody's, and then outside any namespace. Some releases of ros2 bag look for the expression
    anywhere in a name, hence its ends.
    """
    own = f"/{namespace}/" if namespace else "/(.*/)?"
    return f"^({own}(fmu/(in|out)|corvids|ball|load)/.*|/(ball|load)/.*|/diagnostics|/rosout)$"


def profile_below(namespace: str, profile: Path) -> str:
    """Path of the recording profile for a namespace: ros2 bag knows topics by their full names alone.

    As launch_ros does with parameters, it goes to a temporary file, which stays.
    """
    if not namespace:
        return str(profile)
    text = re.sub("^/", f"/{namespace}/", profile.read_text("utf-8"), flags=re.MULTILINE)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="corvids_recording_", suffix=".yaml", delete=False
    ) as file:
        file.write(text)
    return file.name


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=about)
        for name, (default, about) in ARGUMENTS.items()
    ]
    return LaunchDescription(
        [*declared, OpaqueFunction(function=vehicle), OpaqueFunction(function=recording)]
    )
