"""The small process that outlives the runtime: when set-points stop coming it levels the vehicle and has PX4 hold.

The runtime sends set-points to PX4 itself, and tells this process of each over a local socket, in frames as
:mod:`corvids.deploy.channels` has them. What is done when they stop: :mod:`corvids.deploy.keeping`.

Run by the vehicle's node as ``python -m corvids_ros.keeper FOLDER SYSTEM NAMESPACE TOPICS``, the last as JSON.
"""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import rclpy

from corvids.deploy.channels import BUFFER, KeeperChannel
from corvids.errors import CorvidsError
from corvids_ros.frame_watch import FrameWatch
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader
from corvids_ros.ros_transport import RosTransport
from corvids_ros.topics import Topics


class KeeperSocket(KeeperChannel):
    """The runtime's end of the line to the keeper."""

    def poll(self) -> bytes | None:
        """What it has said, if it has."""
        with contextlib.suppress(BlockingIOError):
            return self.socket.recv(BUFFER)
        return None


def run(folder: Path, transport: RosTransport, watch: FrameWatch) -> None:
    """Keep the stream until the runtime is gone and nothing needs keeping."""
    reader = MessageReader()

    def hear(topic: str, message: object) -> None:
        reader.take_in(topic, message, transport.now_s)

    transport.subscribe("vehicle_status", partial(hear, "vehicle_status"))
    path = folder / "keeper"
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(str(path))
    os.chmod(path, 0o600)
    local.setblocking(False)
    runtime, heard_s = None, time.monotonic()
    try:
        while True:
            select.select([local], [], [], 0.005)
            transport.spin(0.0)
            now_s = transport.now_s
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, runtime = local.recvfrom(BUFFER)
                    heard_s = now_s
                    watch.from_runtime(frame, now_s)
            watch.speak(now_s, reader.autopilot)
            answer = watch.to_runtime()
            if answer is not None and runtime is not None:
                with contextlib.suppress(OSError):  # full, or gone: said again, or in vain
                    local.sendto(answer, runtime)
            has_nothing = watch.stream.has_nothing_to_keep(now_s, reader.autopilot)
            if has_nothing and now_s - heard_s > watch.stream.config.linger_s:
                return
    finally:
        local.close()
        path.unlink(missing_ok=True)


def command_line(folder: Path, system: int, namespace: str, topics: Topics) -> list[str]:
    """How the vehicle's node starts a keeper."""
    topic_names = json.dumps(dataclasses.asdict(topics))
    return [sys.executable, "-m", "corvids_ros.keeper", str(folder), str(system), namespace, topic_names]


def main(argv: list[str]) -> int:
    """``FOLDER SYSTEM NAMESPACE TOPICS``."""
    if len(argv) != 4:
        print("usage: python -m corvids_ros.keeper FOLDER SYSTEM NAMESPACE TOPICS", file=sys.stderr)
        return 2
    folder, system, namespace, topics = argv
    try:
        messages = Px4Messages(int(system))
        rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runtime
        context = rclpy.get_default_context()
        transport = RosTransport(context, "corvids_keeper", namespace, Topics(**json.loads(topics)), messages)
        run(Path(folder), transport, FrameWatch(messages, transport))
    except (CorvidsError, ValueError, TypeError) as error:
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
