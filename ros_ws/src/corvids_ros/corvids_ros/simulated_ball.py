"""Publishes poses of a ball that hops over the vehicle: ``ros2 run corvids_ros simulated_ball``."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from corvids_ros.hopping_ball import HoppingBall

PERIOD_S = 0.01


class SimulatedBall(Node):
    """The ball of one vehicle, in its namespace."""

    def __init__(self) -> None:
        super().__init__("simulated_ball")
        self._ball = HoppingBall()
        self._vehicle: PoseStamped | None = None
        self._poses = self.create_publisher(PoseStamped, "ball/pose", 10)
        self.create_subscription(PoseStamped, "corvids/vehicle", self._hear, 1)
        self.create_timer(PERIOD_S, self._publish)

    def _hear(self, message: PoseStamped) -> None:
        self._vehicle = message

    def _publish(self) -> None:
        if self._vehicle is None:
            return
        place = self._vehicle.pose.position
        message = PoseStamped()
        message.header.frame_id = self._vehicle.header.frame_id
        message.header.stamp = self.get_clock().now().to_msg()
        ball = message.pose.position
        ball.x, ball.y, ball.z = self._ball.advance(PERIOD_S, (place.x, place.y, place.z))
        self._poses.publish(message)


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    rclpy.init(args=arguments)
    try:
        rclpy.spin(SimulatedBall())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
