"""A state stream of motion capture into the node: poses to PX4 through the keeper, the ball to the flight."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from message_px4 import MessagePx4
from ros_flight import HOLD, LAND, Flight
from ros_lab import ended
from test_messages import DEFAULTS, odometry
from tracking import VEHICLE as VEHICLE_NUMBER
from tracking import free_port, new_key
from virtual_dds import MESSAGES, VirtualDds, VirtualTransport

from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.relay import MocapRelay
from corvids.deploy.mocap.state_packet import BodyPose
from corvids.deploy.mocap.state_stream import Frame
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


def guided_flight(folder: Path) -> Flight:
    """A vehicle that knows its place by a signed stream alone."""
    port, key_file = free_port(), folder / "mocap.key"
    new_key(key_file)
    return Flight(
        folder,
        px4_options=["--tracker", str(port), "--key", str(key_file)],
        mocap_vehicle=VEHICLE_NUMBER,
        mocap_stream=f"udp:127.0.0.1:{port}",
        mocap_key=str(key_file),
    )


@pytest.mark.ros
def test_the_node_flies_by_a_signed_stream_alone_and_again_without_landing(tmp_path: Path):
    flight = guided_flight(tmp_path)
    said: dict[str, str] = {}

    def has_seen() -> bool:
        said.update(flight.operator.diagnose())
        return int(said.get("pictures from the keeper", "0")) > 20

    with ended(*flight.processes()):
        flight.px4.wait_for("guided by motion capture")
        flight.hand_over()
        flight.until(has_seen, {"ready": "arm", "armed": "engage"})
        # Refused, and the flight goes on, where a busy machine lets PX4 hold too late.
        flight.until(lambda: flight.operator.ask("deactivate") == "heard")
        flight.until(lambda: flight.mode == HOLD)
        flight.until(lambda: flight.operator.ask("activate") == "heard")
        flight.hand_over()
        flight.land()
        flown = flight.px4.result()
        flight.node.end()
    assert flown["states"][-2:] == [LAND, "disarmed 6 0"]
    assert HOLD in flown["states"][2:]
    assert flown["crashed"] == ""
    assert flown["guided_wrong_m"] < 0.5, "nothing of the forger's, and clocks that fit"
    assert flown["unguided_s"] < 5.0, "as long as PX4's estimator bears"
    for *_, variance in flown["seen_from_outside"]:
        assert variance == pytest.approx([4e-6] * 3, rel=1e-3)
