"""Answers each odometry with a set-point, and does nothing else; until standard input ends or it is interrupted."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException

from corvids_ros.px4_messages import Px4Messages
from corvids_ros.ros_transport import RosTransport
from corvids_ros.topics import Topics


def main() -> None:
    """Run until interrupted."""
    rclpy.init()
    messages = Px4Messages(1)
    transport = RosTransport(rclpy.get_default_context(), "echo", "", Topics(), messages)
    transport.advertise("vehicle_rates_setpoint")

    def answer(message: object) -> None:
        transport.publish("vehicle_rates_setpoint", messages.rates(0.4, (0.0, 0.0, 0.0), 1))

    transport.subscribe("vehicle_odometry", answer)
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        while rclpy.ok():
            transport.spin(0.2)


if __name__ == "__main__":
    main()
