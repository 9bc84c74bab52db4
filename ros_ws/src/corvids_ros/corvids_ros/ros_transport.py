"""PX4's topics over rclpy: a node with nothing else, and an executor that runs while somebody waits."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import struct
import time
from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from corvids_ros.cdr import PlainMessage
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
        # Launch files name a process's node by an argument for all nodes in it, which would have two of one name; PX4's
        # topics are called what the parameters say, for the keeper, which has no such arguments, too.
        self.node = Node(
            name,
            context=context,
            namespace=namespace,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self.executor = make_executor(context)
        self.executor.add_node(self.node)
        self.malformed = 0
        """Messages that are not as px4_msgs defines them, or cannot be: neither heard nor published."""
        self._readers: dict[str, Any] = {}
        self._writers: dict[str, tuple[Any, PlainMessage]] = {}

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def subscribe(self, topic: str, heard: Callable[[Any], None]) -> None:
        plain = self.messages.plain(TYPES[topic])

        def take(data: bytes) -> None:
            message = plain.decode(data)
            if message is None:
                self.malformed += 1
            else:
                heard(message)

        kind, name = self.messages.type_of(TYPES[topic]), getattr(self.topics, topic)
        self._readers[topic] = self.node.create_subscription(kind, name, take, FROM_PX4, raw=True)

    def watch(self, kind: Any, name: str, heard: Callable[[Any], None]) -> None:
        """Likewise, any topic by its full name and its class of messages, which need not be plain."""
        self._readers[name] = self.node.create_subscription(kind, name, heard, POSES)

    def advertise(self, topic: str, *, reliable: bool = False) -> None:
        kind, name = self.messages.type_of(TYPES[topic]), getattr(self.topics, topic)
        writer = self.node.create_publisher(kind, name, COMMANDS if reliable else SETPOINTS)
        self._writers[topic] = writer, self.messages.plain(TYPES[topic])

    def publish(self, topic: str, message: Any) -> None:
        writer, plain = self._writers[topic]
        try:
            data = plain.encode(message)
        except (struct.error, OverflowError):
            self.malformed += 1  # what PX4's message cannot hold is not worth a flight
            return
        writer.publish(data)

    def forget(self, topic: str) -> None:
        """Neither hear nor publish it any more: each entity is one more that an executor waits for."""
        if topic in self._readers:
            self.node.destroy_subscription(self._readers.pop(topic))
        if topic in self._writers:
            self.node.destroy_publisher(self._writers.pop(topic)[0])

    def spin(self, seconds: float) -> None:
        self.executor.spin_once(timeout_sec=seconds)

    def close(self) -> None:
        """Leave ROS."""
        try:
            self.executor.shutdown()
        finally:
            self.node.destroy_node()


def make_executor(context: Context) -> Any:
    """The quickest executor that this rclpy has: waking one written in Python takes several times as long."""
    try:
        module = importlib.import_module("rclpy.experimental.events_executor")
    except ImportError:  # Humble
        return SingleThreadedExecutor(context=context)
    return module.EventsExecutor(context=context)
