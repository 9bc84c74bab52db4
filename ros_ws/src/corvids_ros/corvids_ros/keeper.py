"""The small process that outlives the runtime: when set-points stop coming it levels the vehicle and has PX4 hold.

The runtime sends set-points to PX4 itself, and tells this process of each over a local socket, in frames as
:mod:`corvids.deploy.px4.channels` has them. What is done when they stop: :mod:`corvids.deploy.px4.keeping`.

With a state stream of motion capture it also hands the vehicle's pose on to PX4, and every frame to the runtime; see
:mod:`corvids_ros.guide`.

Run by the vehicle's node as ``python -m corvids_ros.keeper FOLDER SYSTEM NAMESPACE TOPICS MOCAP``, two of JSON.
"""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
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

from corvids.deploy.mocap.relay import MocapConfig, mocap_config
from corvids.deploy.px4.channels import BUFFER, is_orphaned, is_taken
from corvids.errors import CorvidsError
from corvids_ros.frame_watch import FrameWatch
from corvids_ros.guide import Guide
from corvids_ros.keeper_line import KEY_VARIABLE
from corvids_ros.message_link import hear_all
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader
from corvids_ros.ros_transport import RosTransport
from corvids_ros.topics import Topics

LOOK_S = 0.005
"""How often it looks whether there is anything to do [s]."""


def run(
    folder: Path, transport: RosTransport, messages: Px4Messages, mocap: MocapConfig | None = None
) -> None:
    """Keep the stream until the runtime is gone and nothing needs keeping."""
    reader, watch = MessageReader(), FrameWatch(messages, transport)

    def hear(topic: str, message: object) -> None:
        reader.take_in(topic, message, transport.now_s)

    transport.subscribe("vehicle_status", partial(hear, "vehicle_status"))
    guide = Guide(mocap, messages, reader, transport, hear) if mocap else None
    path = folder / "keeper"
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(str(path))
    os.chmod(path, 0o600)
    local.setblocking(False)
    runtime, heard_s, looked_s = None, time.monotonic(), 0.0
    try:
        while True:
            select.select([local, *([guide.port.socket] if guide else [])], [], [], LOOK_S)
            now_s = transport.now_s
            for packet in guide.relay(now_s) if guide else ():
                if runtime is not None:
                    is_taken(local, packet, runtime)  # or lost, as the runtime is busy: newer ones follow
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, runtime = local.recvfrom(BUFFER)
                    heard_s = now_s
                    watch.from_runtime(frame, now_s)
            if now_s - looked_s < LOOK_S:
                continue  # a set-point in time needs no more, and PX4 has yet to take it in: let it
            looked_s = now_s
            hear_all(transport, reader)
            watch.speak(now_s, reader.autopilot)
            answer = watch.stream.news()
            if answer is not None and runtime is not None:
                is_taken(local, answer, runtime)  # or lost: it is said again
            is_alone = now_s - heard_s > watch.stream.config.linger_s
            if guide and guide.has_passed_on(partial(is_orphaned, local, runtime, is_alone)):
                guide.close()
                guide = None
            has_nothing = watch.stream.has_nothing_to_keep(now_s, reader.autopilot, guides=guide is not None)
            if has_nothing and is_alone:
                return
    finally:
        local.close()
        path.unlink(missing_ok=True)
        if guide:
            guide.close()


def main(argv: list[str]) -> int:
    """``FOLDER SYSTEM NAMESPACE TOPICS MOCAP``."""
    if len(argv) != 5:
        print("usage: python -m corvids_ros.keeper FOLDER SYSTEM NAMESPACE TOPICS MOCAP", file=sys.stderr)
        return 2
    folder, system, namespace, topics, stream = argv
    try:
        mocap, options = None, json.loads(stream)
        if options:
            key = bytes.fromhex(os.environ.get(KEY_VARIABLE, "")) or None
            mocap = mocap_config(**options, key=key, ahead_s=time.time() - time.monotonic())
        messages = Px4Messages(int(system))
        rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runtime
        context = rclpy.get_default_context()
        transport = RosTransport(context, "corvids_keeper", namespace, Topics(**json.loads(topics)), messages)
        run(Path(folder), transport, messages, mocap)
    except (CorvidsError, ValueError, TypeError) as error:
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
