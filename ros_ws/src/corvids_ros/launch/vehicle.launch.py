"""One vehicle: ``ros2 launch corvids_ros vehicle.launch.py policy:=juggle.onnx``.

``params`` names a file of parameters (config/vehicle.yaml is the model), over which the other parameters here go where
they are given; ``namespace`` is PX4's; ``record:=true`` records a bag with the profile in config/recording.yaml.
"""

import json

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
    "bag": ("corvids_bag", "where to"),
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


def generate_launch_description() -> LaunchDescription:
    profile = PathJoinSubstitution([CONFIG, "recording.yaml"])
    topics = r"(.*/)?(fmu/(in|out)/.*|corvids/.*|ball/.*|load/.*)|/diagnostics|/rosout"
    record = ["ros2", "bag", "record", "--storage", "mcap", "--qos-profile-overrides-path", profile]
    bag = ExecuteProcess(
        cmd=[*record, "--output", LaunchConfiguration("bag"), "--regex", topics],
        condition=IfCondition(LaunchConfiguration("record")),
        output="screen",
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=about)
        for name, (default, about) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=vehicle), bag])
