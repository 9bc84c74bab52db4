"""One vehicle: ``ros2 launch corvids_ros vehicle.launch.py policy:=juggle.onnx``.

``params`` names a file of parameters (config/vehicle.yaml is the model); ``namespace`` is PX4's; ``record:=true``
records a bag with the profile in config/recording.yaml.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("corvids_ros"), "config"])
ARGUMENTS = {
    "policy": ("", "policy file"),
    "namespace": ("", "PX4's namespace on ROS 2, such as px4_1; empty for a single vehicle"),
    "target_system": ("1", "PX4's MAV_SYS_ID"),
    "params": (PathJoinSubstitution([CONFIG, "vehicle.yaml"]), "file of parameters"),
    "autostart": (
        "true",
        "configure and activate at once; nothing is streamed before an operator says engage",
    ),
    "record": ("false", "record a bag"),
    "bag": ("corvids_bag", "where to"),
}


def generate_launch_description() -> LaunchDescription:
    chosen = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    node = LifecycleNode(
        package="corvids_ros",
        executable="vehicle",
        name="corvids",
        namespace=chosen["namespace"],
        output="screen",
        emulate_tty=True,
        # Time for PX4 to hold before the process is killed.
        sigterm_timeout="15",
        sigkill_timeout="20",
        parameters=[
            chosen["params"],
            {name: chosen[name] for name in ("policy", "target_system", "autostart")},
        ],
    )
    profile = PathJoinSubstitution([CONFIG, "recording.yaml"])
    topics = r"(.*/)?(fmu/(in|out)/.*|corvids/.*|ball/.*|load/.*)|/diagnostics|/rosout"
    record = ["ros2", "bag", "record", "--storage", "mcap", "--qos-profile-overrides-path", profile]
    bag = ExecuteProcess(
        cmd=[*record, "--output", chosen["bag"], "--regex", topics],
        condition=IfCondition(chosen["record"]),
        output="screen",
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=about)
        for name, (default, about) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, node, bag])
