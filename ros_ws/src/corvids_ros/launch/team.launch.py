"""Several vehicles, each by itself: ``ros2 launch corvids_ros team.launch.py count:=3 policy:=juggle.onnx``.

They know nothing of each other, so the policy must be one for a single vehicle.
Vehicle i (from 1) lives in the namespace ``px4_i``, with MAV_SYS_ID i + 1, as PX4's own simulators number instances.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

LAUNCH = PathJoinSubstitution([FindPackageShare("corvids_ros"), "launch"])


def vehicles(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """One launch file each."""
    policy, prefix = (LaunchConfiguration(name).perform(context) for name in ("policy", "prefix"))
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([LAUNCH, "vehicle.launch.py"]))
    return [
        IncludeLaunchDescription(
            source,
            launch_arguments={
                "policy": policy,
                "namespace": f"{prefix}{index}",
                "target_system": str(index + 1),
            }.items(),
        )
        for index in range(1, int(LaunchConfiguration("count").perform(context)) + 1)
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("count", default_value="3", description="how many vehicles"),
            DeclareLaunchArgument("policy", description="policy file, the same for all"),
            DeclareLaunchArgument("prefix", default_value="px4_", description="of their namespaces"),
            OpaqueFunction(function=vehicles),
        ]
    )
