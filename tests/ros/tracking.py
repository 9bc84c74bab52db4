"""A tracker that sees the stand-in fly: a signed state stream of its pose and of a ball, and a forger's beside it."""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections import deque
from pathlib import Path
from typing import Any

from standin import Truth

from corvids.deploy.mocap.state_packet import BodyPose, Point
from corvids.deploy.mocap.state_stream import StateSender
from corvids.deploy.px4.frames import enu_ned, quat_enu_ned
from corvids_ros.hopping_ball import HoppingBall

EVERY_S = 0.01
VEHICLE = 4
STD_M = 0.002


class Tracker:
    """Sends to a port on this machine, and knows how far off what comes of it is."""

    def __init__(self, port: int, key: bytes) -> None:
        self._to = ("127.0.0.1", port)
        self._sender, self._forger = StateSender(key), StateSender()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._ball = HoppingBall()
        self._sent_s = -math.inf
        self._seen: deque[tuple[int, tuple[float, float, float]]] = deque(maxlen=1000)

    def look(self, truth: Truth, now_s: float, px4_us: int) -> None:
        """Send what is seen now, if it is time, and answer pings; ``px4_us`` is the same time on PX4's clock."""
        self._seen.append((px4_us, truth.pos_ned))
        self._answer(now_s)
        if now_s - self._sent_s < EVERY_S:
            return
        seconds, self._sent_s = min(now_s - self._sent_s, 1.0), now_s
        place, now_ns = enu_ned(truth.pos_ned), int(1e9 * now_s)
        pose = BodyPose(VEHICLE, place, quat_enu_ned(truth.quat_ned), STD_M)
        ball = Point(0, self._ball.advance(seconds, place))
        self._send(self._sender.state(now_ns, now_ns, (pose,), (ball,)))
        self._send(self._forger.state(now_ns, now_ns, (pose._replace(pos_w_m=(-9.0, 0.0, 1.0)),)))

    def error_m(self, message: Any) -> float:
        """How far the pose in a message is from where the vehicle was at its stamp."""
        when_us = int(message.timestamp_sample)
        _, place = min(self._seen, key=lambda seen: abs(seen[0] - when_us))
        return math.dist(place, [float(x) for x in message.position])

    def _answer(self, now_s: float) -> None:
        while True:
            try:
                echo = self._sender.answer(self._socket.recv(2048), int(1e9 * now_s))
            except OSError:  # nothing was asked, or nobody is there
                return
            if echo is not None:
                self._send(echo)

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is there yet, or any more
            self._socket.sendto(packet, self._to)


def free_port() -> int:
    """One that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def new_key(path: Path) -> bytes:
    """A key, written to that file."""
    key = os.urandom(32)
    path.write_text(key.hex())
    return key
