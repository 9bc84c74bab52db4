"""Motion capture over ROS 2: poses of a vehicle that stands in the middle of the world, 100 a second."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import rclpy
from geometry_msgs.msg import PoseStamped

PERIOD_S = 0.01


def main() -> None:
    """Run until killed."""
    rclpy.init()
    node = rclpy.create_node("tracker")
    poses = node.create_publisher(PoseStamped, "mocap/pose", 10)
    message = PoseStamped()
    message.header.frame_id = "map"

    def publish() -> None:
        message.header.stamp = node.get_clock().now().to_msg()
        poses.publish(message)

    node.create_timer(PERIOD_S, publish)
    print("ready", flush=True)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
