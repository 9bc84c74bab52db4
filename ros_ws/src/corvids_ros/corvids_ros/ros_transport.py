"""PX4's topics over rclpy: a node with nothing else, and an executor that runs while somebody waits."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from corvids_ros.px4_messages import Px4Messages
from corvids_ros.topics import TYPES, Topics


def _qos(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


FROM_PX4 = _qos(ReliabilityPolicy.BEST_EFFORT, 10)
"""PX4's writers offer more; a reader must not ask for what the agent on another machine may not keep."""
POSES = _qos(ReliabilityPolicy.BEST_EFFORT, 50)
SETPOINTS = _qos(ReliabilityPolicy.BEST_EFFORT, 1)
"""An old set-point is worth nothing."""
COMMANDS = _qos(ReliabilityPolicy.RELIABLE, 10)


class RosTransport:
    """See :class:`corvids_ros.message_link.Transport`."""

    def __init__(
        self, context: Context, name: str, namespace: str, topics: Topics, messages: Px4Messages
    ) -> None:
        self.topics, self.messages = topics, messages
        # Parameters and their services belong to the lifecycle node: each would be waited for at every tick.
        self.node = Node(
            name, context=context, namespace=namespace, start_parameter_services=False, enable_rosout=False
        )
        self.executor = make_executor(context)
        self.executor.add_node(self.node)
        self._readers: list[Any] = []
        self._writers: dict[str, Any] = {}

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def subscribe(self, topic: str, heard: Callable[[Any], None]) -> None:
        kind = self.messages.type_of(TYPES[topic])
        self.watch(kind, getattr(self.topics, topic), heard, FROM_PX4)

    def watch(self, kind: Any, name: str, heard: Callable[[Any], None], qos: QoSProfile = POSES) -> None:
        """Likewise, any topic by its name."""
        self._readers.append(self.node.create_subscription(kind, name, heard, qos))

    def advertise(self, topic: str, *, reliable: bool = False) -> None:
        kind, name = self.messages.type_of(TYPES[topic]), getattr(self.topics, topic)
        self._writers[topic] = self.node.create_publisher(kind, name, COMMANDS if reliable else SETPOINTS)

    def publish(self, topic: str, message: Any) -> None:
        self._writers[topic].publish(message)

    def spin(self, seconds: float) -> None:
        self.executor.spin_once(timeout_sec=seconds)

    def close(self) -> None:
        """Leave ROS."""
        self.executor.shutdown()
        self.node.destroy_node()


def make_executor(context: Context) -> Any:
    """The quickest executor that this rclpy has: waking one written in Python takes several times as long."""
    try:
        module = importlib.import_module("rclpy.experimental.events_executor")
    except ImportError:  # Humble
        return SingleThreadedExecutor(context=context)
    return module.EventsExecutor(context=context)
