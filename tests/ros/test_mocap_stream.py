"""A state stream of motion capture into the node: poses to PX4 through the keeper, the ball to the flight."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from message_px4 import MessagePx4
from ros_flight import Flight
from ros_lab import ended
from test_messages import DEFAULTS, odometry
from virtual_dds import MESSAGES, VirtualDds, VirtualTransport

from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.relay import MocapRelay
from corvids.deploy.mocap.state_packet import BodyPose, Point
from corvids.deploy.mocap.state_stream import Frame, StateSender
from corvids.deploy.px4.state import VehicleState
from corvids.errors import CorvidsError
from corvids_ros.frame_watch import PoseMessages
from corvids_ros.message_link import MessageLink
from corvids_ros.px4_reader import MessageReader
from corvids_ros.settings import Settings

VEHICLE = BodyPose(4, (1.0, 2.0, 3.0), (0.5, 0.5, 0.5, 0.5), 0.002)
BALL = BodyPose(9, (1.5, 2.0, 4.0), (1.0, 0.0, 0.0, 0.0))


def test_a_frame_goes_to_px4_in_its_frames_and_on_its_clock_and_to_the_runtime_as_it_is():
    dds = VirtualDds(MessagePx4(20.0))
    dds.pause(100.0)
    reader = MessageReader()
    relay = MocapRelay(4, PoseMessages(MESSAGES, reader, VirtualTransport(dds)))
    frame = Frame(99.9, 99.91, (VEHICLE, BALL), ())
    assert relay.relay(frame, 99.91).to_px4 is None, "PX4's clock is not known yet"
    reader.take_in("vehicle_odometry", odometry(), 100.0)  # stamped 5 s, on its clock
    message, packet = relay.relay(frame._replace(stamp_s=99.98), 100.0)
    assert message.timestamp_sample == pytest.approx(4_980_000, abs=2)
    assert message.timestamp == pytest.approx(5_000_000, abs=2)
    assert list(message.position) == [2.0, 1.0, -3.0]
    half = math.sqrt(0.5)
    assert list(message.q) == pytest.approx([half, half, 0.0, 0.0]), (
        "forward is north, left is up: rolled right"
    )
    assert list(message.position_variance) == pytest.approx([4e-6] * 3)

    link, seen = MessageLink(dds.runtime, MESSAGES), MocapInput(4, 9)
    dds.answers = [packet]
    link.connect_keeper(dds)
    link.take_mocap(seen)
    list(link.wait(dds.now_s + 0.01))
    assert seen.measure(dds.now_s, VehicleState()) == [(pytest.approx(99.98, abs=1e-6), BALL.pos_w_m)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mocap_stream": "14600"}, "must be udp:PORT"),
        ({"mocap_stream": "udp:14600", "mocap_topic": "pose"}, "no mocap_topic beside it"),
        ({"mocap_stream": "udp:14600", "keeper": False}, "needs the keeper"),
        ({"mocap_vehicle": 0}, "is not between 1 and 65535"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changed: dict, said: str):
    with pytest.raises(CorvidsError, match=said):
        Settings({**DEFAULTS, **changed})


@contextmanager
def tracker(port: int, key: bytes) -> Iterator[None]:
    """Sends that picture a hundred times a second, and answers pings; a forger beside it says something else."""
    is_over = threading.Event()

    def send() -> None:
        sender, forger = StateSender(key), StateSender()
        elsewhere = VEHICLE._replace(pos_w_m=(-9.0, 0.0, 1.0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(0.01)
            while not is_over.is_set():
                now_ns = time.monotonic_ns()
                out.sendto(
                    sender.state(now_ns - 3_000_000, now_ns, (VEHICLE,), (Point(0, BALL.pos_w_m),)),
                    ("127.0.0.1", port),
                )
                out.sendto(forger.state(now_ns, now_ns, (elsewhere,)), ("127.0.0.1", port))
                try:
                    echo = sender.answer(out.recv(2048), time.monotonic_ns())
                    if echo is not None:
                        out.sendto(echo, ("127.0.0.1", port))
                except OSError:  # nothing was asked
                    pass

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.mark.ros
def test_the_node_flies_by_a_signed_stream(tmp_path: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = os.urandom(32)
    (tmp_path / "mocap.key").write_text(key.hex())
    where = f"udp:127.0.0.1:{port}"
    flight = Flight(tmp_path, mocap_vehicle=4, mocap_stream=where, mocap_key=str(tmp_path / "mocap.key"))
    said: dict[str, str] = {}

    def has_seen() -> bool:
        said.update(flight.operator.diagnose())
        return int(said.get("pictures from the keeper", "0")) > 20

    with tracker(port, key), ended(*flight.processes()):
        flight.px4.wait_for("guided by motion capture")
        flight.until(has_seen)
        flown = flight.px4.result()
        flight.node.end()
    for sample_us, stamp_us, position, _, variance in flown["seen_from_outside"]:
        assert position == [2.0, 1.0, -3.0], "nothing of the forger's"
        assert 0 <= stamp_us - sample_us < 1_000_000
        assert variance == pytest.approx([4e-6] * 3, rel=1e-3)
