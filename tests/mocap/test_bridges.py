"""NatNet and Vicon streams, turned into state streams: who, where, when."""

from __future__ import annotations

import math
import random

import pytest
from mocap_lab import NatNetServer, rotated_about, vicon_datagram

from corvids.deploy.mocap import natnet, vicon
from corvids.deploy.mocap.bridge import NatNetBridge, Up, ViconBridge
from corvids.deploy.mocap.state_packet import Packet, PacketError, decode
from corvids.deploy.mocap.state_stream import Clock, StateReceiver, StateSender, StreamConfig
from corvids.deploy.px4.frames import rotate
from corvids.errors import CorvidsError

HALF = math.sqrt(0.5)
LEVEL = (0.0, 0.0, 0.0, 1.0)
VERSIONS = [(3, 0), (3, 1), (4, 0), (4, 1)]


def connected(server: NatNetServer, up: Up = Up.Z, sender: StateSender | None = None) -> NatNetBridge:
    """A bridge that has asked, and has compared clocks for a second; echoes take 1 ms each way."""
    bridge = NatNetBridge(sender or StateSender(), up)
    for index in range(30):
        now_s = 100.0 + 0.1 * index
        for request in bridge.requests(now_s):
            answer = server.answer(request, now_s + 0.001)
            assert answer is not None
            assert bridge.take_in(answer, now_s + 0.002) is None
    return bridge


def sent(datagram: bytes | None) -> Packet:
    assert datagram is not None
    return decode(datagram)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("crowded", [False, True])
def test_natnet_bodies_and_markers(version: tuple[int, int], crowded: bool):
    server = NatNetServer(version)
    bridge = connected(server)
    datagram = server.frame(
        103.0,
        103.004,
        [(1, (0.5, -0.25, 1.5), (HALF, 0.0, 0.0, HALF), True), (2, (9.0, 9.0, 9.0), LEVEL, False)],
        [
            (0x20001, (0.25, 0.5, 2.0), 0x10),  # without a label
            (3, (7.0, 7.0, 7.0), 0x0A),  # of a rigid body
            (4, (8.0, 8.0, 8.0), 0x01),  # hidden
        ],
        crowded=crowded,
    )
    packet = sent(bridge.take_in(datagram, 103.005))
    (pose,) = packet.poses
    assert (pose.body, pose.pos_w_m) == (1, (0.5, -0.25, 1.5))
    assert pose.quat_wb == pytest.approx((HALF, HALF, 0.0, 0.0), abs=1e-6)
    assert pose.std_m == pytest.approx(4e-4, abs=5e-5)
    assert [(point.marker, point.pos_w_m) for point in packet.points] == [(1, (0.25, 0.5, 2.0))]
    assert 1e-9 * packet.stamp_ns == pytest.approx(103.0, abs=5e-4), (
        "the middle of the exposure, on our clock"
    )
    assert 1e-9 * packet.sent_ns == pytest.approx(103.005)


def test_natnet_markers_without_labels_in_the_older_form():
    server = NatNetServer()
    datagram = server.frame(103.0, 103.0, [], [], [(1.0, 2.0, 3.0)])
    packet = sent(connected(server).take_in(datagram, 103.001))
    assert [point.pos_w_m for point in packet.points] == [(1.0, 2.0, 3.0)]


def test_y_up_becomes_z_up_for_places_and_attitudes():
    """The room seen from both: what is up stays up, and a turn about the vertical stays one."""
    server = NatNetServer()
    bridge = connected(server, Up.Y)
    turned = (0.0, math.sin(0.3), 0.0, math.cos(0.3))  # 0.6 rad about y, which is up there
    datagram = server.frame(103.0, 103.0, [(1, (1.0, 2.0, 3.0), turned, True)], [])
    (pose,) = sent(bridge.take_in(datagram, 103.001)).poses
    assert pose.pos_w_m == (1.0, -3.0, 2.0)
    for axis_b in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        assert rotate(pose.quat_wb, axis_b) == pytest.approx(rotated_about(2, 0.6, axis_b), abs=1e-6)


def test_natnet_frames_wait_for_the_clock():
    server = NatNetServer()
    bridge = NatNetBridge(StateSender())
    frame = server.frame(100.0, 100.0, [(1, (0.0, 0.0, 0.0), LEVEL, True)], [])
    assert bridge.take_in(frame, 100.0) is None, "it is not known yet which version this is"
    (connect,) = bridge.requests(100.0)
    answer = server.answer(connect, 100.0)
    assert answer is not None
    bridge.take_in(answer, 100.0)
    assert bridge.take_in(frame, 100.0) is None
    assert bridge.tally.unsynchronised == 1


def test_stamps_are_dates_for_who_goes_by_ptp():
    """Where clocks are kept together nothing is compared: what is sent is what is believed."""
    date_s = 1.8e9  # in 2027
    server, ahead_s = NatNetServer(), date_s - 103.0
    bridge = connected(server, sender=StateSender(ahead_ns=lambda: round(1e9 * ahead_s)))
    receiver = StateReceiver(StreamConfig(clock=Clock.SHARED, shared_ahead_s=ahead_s))
    still = StateReceiver(StreamConfig(clock=Clock.SHARED, shared_ahead_s=ahead_s))
    for number in range(5):
        taken_s = 103.0 + 0.01 * number
        datagram = server.frame(taken_s, taken_s, [(1, (0.5, -0.25, 1.5), LEVEL, True)], [])
        said = bridge.take_in(datagram, taken_s + 0.002)
        assert sent(said).stamp_ns == pytest.approx(1e9 * (taken_s + ahead_s), abs=1e6)
        frame = receiver.take_in(said or b"", taken_s + 0.003)
        assert frame
        assert frame.stamp_s == pytest.approx(taken_s, abs=5e-4)
        # A sender that stamps by a clock of its own is not believed, and no frame is ever used.
        other = connected(server).take_in(datagram, taken_s + 0.002)
        assert still.take_in(other or b"", taken_s + 0.003) is None
    assert still.counters.ill_timed == 5


@pytest.mark.parametrize("bodies", [[], [(1, (9.0, 9.0, 9.0), LEVEL, False)]])
def test_frames_in_which_nothing_is_seen_are_counted(bodies: list):
    server = NatNetServer()
    bridge = connected(server)
    assert bridge.take_in(server.frame(103.0, 103.0, bodies, []), 103.001) is None
    assert (bridge.tally.frames, bridge.tally.empty, bridge.tally.unsynchronised) == (0, 1, 0)


def test_a_natnet_server_that_is_silent_is_asked_anew():
    server = NatNetServer()
    bridge = connected(server)
    (request,) = bridge.requests(110.0)
    assert natnet.message_of(request) == natnet.CONNECT


@pytest.mark.parametrize("version", VERSIONS)
def test_hostile_natnet_frames(version: tuple[int, int]):
    rng, server = random.Random(2), NatNetServer(version)
    bridge = connected(server)
    whole = server.frame(
        103.0, 103.0, [(1, (0.0, 0.0, 0.0), LEVEL, True)], [(1, (1.0, 1.0, 1.0), 0)], crowded=True
    )
    for _ in range(3000):
        datagram = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            datagram[rng.randrange(4, len(datagram))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        bridge.take_in(bytes(datagram[: rng.randrange(len(datagram))]), 103.0)
        bridge.take_in(bytes(datagram), 103.0)
    assert bridge.tally.malformed > 100
    assert bridge.server is not None
    assert sent(bridge.take_in(whole, 103.001)).poses


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.7), (0.3, 0.0, 0.0), (0.3, -0.5, 2.0), (-1.2, 0.4, -2.8)])
def test_vicon_attitudes_are_turns_about_x_then_the_new_y_then_the_new_z(angles: tuple[float, float, float]):
    frame = vicon.decode_frame(vicon_datagram(5, [("drone", (1.0, -2.0, 0.5), angles)]))
    (drone,) = frame.objects
    assert (frame.number, drone.name) == (5, "drone")
    assert drone.pos_w_m == pytest.approx((1.0, -2.0, 0.5))
    for axis_b in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        # Turning about new axes is turning about fixed ones in the reverse order.
        turned = rotated_about(0, angles[0], rotated_about(1, angles[1], rotated_about(2, angles[2], axis_b)))
        assert rotate(drone.quat_wb, axis_b) == pytest.approx(turned, abs=1e-12)


def test_vicon_frames_are_stamped_by_their_numbers():
    rng, bridge = random.Random(4), ViconBridge(StateSender(), {"drone": 1, "ball": 2}, 200.0, 0.004)
    errors_s = []
    for number in range(1000, 5000):
        taken_s = 50.0 + number / 200.0
        arrived_s = taken_s + 0.004 + rng.expovariate(1000.0)
        objects = [
            ("drone", (0.1, 1e-5 * rng.random(), 1.0), (0.0, 0.0, 0.0)),
            ("ball", (0.1, 0.0, 1.5 + 1e-5 * rng.random()), (0.0, 0.0, 0.0)),
            ("chair", (3.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ]
        packet = sent(bridge.take_in(vicon_datagram(number, objects), arrived_s))
        assert [pose.body for pose in packet.poses] == [1, 2]
        errors_s.append(1e-9 * packet.stamp_ns - taken_s)
    assert max(map(abs, errors_s[2000:])) < 2e-4


def test_a_vicon_object_that_is_lost_is_left_out():
    bridge = ViconBridge(StateSender(), {"drone": 1}, 100.0)
    still = ("drone", (0.5, 0.0, 1.0), (0.0, 0.0, 0.1))
    assert bridge.take_in(vicon_datagram(1, [still]), 10.0) is not None
    assert bridge.take_in(vicon_datagram(2, [still]), 10.01) is None, (
        "it stayed where it was, to the last bit"
    )
    assert bridge.take_in(vicon_datagram(3, [("drone", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))]), 10.02) is None


def test_hostile_vicon_frames():
    rng, whole = random.Random(3), vicon_datagram(1, [("drone", (0.5, 0.0, 1.0), (0.0, 0.0, 0.1))] * 3)
    refused = 0
    for _ in range(3000):
        datagram = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            datagram[rng.randrange(len(datagram))] = rng.randrange(256)
        try:
            vicon.decode_frame(bytes(datagram[: rng.randrange(len(datagram))]))
        except PacketError:
            refused += 1
    assert refused > 1000


def test_a_vicon_bridge_says_what_it_needs():
    for bodies, rate_hz in (({}, 100.0), ({"drone": 0}, 100.0), ({"drone": 1}, 0.0)):
        with pytest.raises(CorvidsError, match="frame rate, and a number"):
            ViconBridge(StateSender(), bodies, rate_hz)
