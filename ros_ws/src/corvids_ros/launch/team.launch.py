"""Several vehicles, each by itself: ``ros2 launch corvids_ros team.launch.py count:=3 policy:=juggle.onnx``.

They know nothing of each other, so the policy must be one for a single vehicle, and each has a place of its own: side
by side along the world's x, about the place in the ``command`` that ``params`` has for all.
Vehicle i (from 1) lives in the namespace ``px4_i``, with MAV_SYS_ID i + 1, as PX4's own simulators number instances; it
is rigid body i of motion capture, whose stream arrives i - 1 ports above the first one's.
"""

from array import array

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare
from rclpy.parameter import parameter_dict_from_yaml_file, parameter_value_to_python

SHARE = FindPackageShare("corvids_ros")
ARGUMENTS = {
    "count": ("3", "how many vehicles"),
    "spacing_m": (
        "2.0",
        "from one's place to the next [m]; 0: each flies where params has it, such as below /px4_1",
    ),
    "policy": (None, "policy file, the same for all"),
    "params": (
        PathJoinSubstitution([SHARE, "config", "vehicle.yaml"]),
        "file of parameters, the same for all",
    ),
    "prefix": ("px4_", "of their namespaces"),
    "mocap_stream": (
        "",
        "where the first one's state stream of motion capture arrives; empty: what params says",
    ),
    "origin": ("", "[latitude, longitude, height] of the world's origin [°, m]; empty: what params says"),
    "autostart": ("true", "configure and activate at once"),
    "record": ("false", "record a bag of each"),
    "bag": ("", "where to; the namespace is added; empty: named after namespace, date and time"),
}


def for_all(params: str) -> dict[str, object]:
    """What a file of parameters has below ``/**``, by name."""
    try:
        found = parameter_dict_from_yaml_file(params, target_nodes=["/**"])
    except RuntimeError:  # each vehicle has a section of its own
        return {}
    return {name: parameter_value_to_python(parameter.value) for name, parameter in found.items()}


def commands(command: object, count: int, spacing_m: float) -> list[str]:
    """The task command of each vehicle, from that for all; empty where it is left to the file of parameters."""
    if spacing_m == 0.0:
        return [""] * count
    if not isinstance(command, (list, array)) or not command:
        raise ValueError("params: must have a command of numbers below /**, such as [0.0, 0.0, 1.5, 0.5]")
    x, *rest = command
    return [str([x + spacing_m * (index - 0.5 * (count - 1)), *rest]) for index in range(count)]


def port_above(stream: str, more: int) -> str:
    """A state stream's place so many ports above another: keepers at one port would take it from each other."""
    where, _, port = stream.rpartition(":")
    if stream and not port.isdecimal():
        raise ValueError(f"mocap_stream:={stream}: must be udp:PORT or udp:HOST:PORT")
    return f"{where}:{int(port) + more}" if stream else ""


def vehicles(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """One launch file each."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    path = PathJoinSubstitution([SHARE, "launch", "vehicle.launch.py"])
    same = {name: given[name] for name in ("policy", "params", "origin", "autostart", "record")}
    try:
        count, spacing_m = int(given["count"]), float(given["spacing_m"])
    except ValueError:
        raise ValueError("count and spacing_m must be numbers, such as count:=3 spacing_m:=2.0") from None
    known = for_all(given["params"])
    places = commands(known.get("command"), count, spacing_m)
    stream = given["mocap_stream"] or str(known.get("mocap_stream", ""))
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(path),
            launch_arguments={
                **same,
                "namespace": f"{given['prefix']}{number}",
                "target_system": str(number + 1),
                "command": command,
                "mocap_vehicle": str(number),
                "mocap_stream": port_above(stream, number - 1),
                "bag": given["bag"] and f"{given['bag']}_{given['prefix']}{number}",
            }.items(),
        )
        for number, command in enumerate(places, start=1)
    ]


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=about)
        for name, (default, about) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=vehicles)])
