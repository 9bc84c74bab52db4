"""PX4's own simulator: ``ros2 launch corvids_ros simulation.launch.py policy:=juggle.onnx``.

Starts the uXRCE-DDS agent, the vehicle's node and a ball that hops over the vehicle by itself. PX4 is started by hand,
from its own documentation: ``PX4_SYS_AUTOSTART=10040 PX4_SIMULATOR=sihsim PX4_SIM_MODEL=sihsim_quadx``.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("corvids_ros")


def generate_launch_description() -> LaunchDescription:
    show = LaunchConfiguration("rviz")
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="policy file"),
            DeclareLaunchArgument("rviz", default_value="false", description="show it in RViz"),
            ExecuteProcess(cmd=["MicroXRCEAgent", "udp4", "-p", "8888"], output="screen"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "vehicle.launch.py"])),
                launch_arguments={"policy": LaunchConfiguration("policy")}.items(),
            ),
            Node(package="corvids_ros", executable="simulated_ball", output="screen"),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", PathJoinSubstitution([SHARE, "config", "corvids.rviz"])],
                condition=IfCondition(show),
            ),
        ]
    )
