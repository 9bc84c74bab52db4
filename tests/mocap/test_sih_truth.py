"""PX4's own simulator as a motion capture system: frames, units, and a ball that is let go when it is time."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from corvids.commands.mocap_sih import SihBridge
from corvids.deploy.mocap.sih_truth import SihReader
from corvids.deploy.mocap.state_packet import decode
from corvids.deploy.mocap.state_stream import StateSender
from corvids.vehicle import load_vehicle

LATITUDE, LONGITUDE, HEIGHT_MM = 473977420, 85455940, 489_400
QUARTER_MM = 10_001_965_729
"""From the equator to a pole [mm], by the metre's own definition but for 0.02 %."""


def packet(
    north_mm: float = 0.0, east_mm: float = 0.0, up_mm: int = 0, vel_cmps=(0, 0, 0), quat=(1, 0, 0, 0)
) -> bytes:
    """What SIH sends of a vehicle at that place, in its own units; all of the NED velocity in cm/s."""
    per_mm = 90e7 / QUARTER_MM
    north, east, down = vel_cmps
    shrink = math.cos(math.radians(1e-7 * LATITUDE))
    message = common.MAVLink_hil_state_quaternion_message(
        0, [float(q) for q in quat], 0.1, 0.2, 0.3,
        LATITUDE + round(per_mm * north_mm), LONGITUDE + round(per_mm * east_mm / shrink), HEIGHT_MM + up_mm,
        north, east, down, 0, 0, 0, 0, 0,
    )  # fmt: skip
    return bytes(message.pack(common.MAVLink(None, 1, 1)))


def test_places_velocities_and_attitudes_come_out_in_our_frames():
    reader = SihReader()
    assert reader.take_in(packet(), 9.9)
    half = math.sqrt(0.5)
    rolled_right = (half, half, 0.0, 0.0)
    truth = reader.take_in(packet(2000.0, 1000.0, 3000, (20, 10, -30), rolled_right), 10.0)
    assert truth
    assert truth.stamp_s == 10.0
    assert truth.pos_w == pytest.approx((1.0, 2.0, 3.0), abs=0.012), "east, north, up; in steps of 11 mm"
    assert truth.vel_w == pytest.approx((0.1, 0.2, 0.3))
    assert truth.omega_b == pytest.approx((0.1, -0.2, -0.3)), "forward, left, up"
    assert truth.quat_wb == pytest.approx((0.5, 0.5, 0.5, 0.5)), "forward is north, and left is up"


def test_the_origin_is_where_it_first_stood():
    reader = SihReader()
    assert reader.take_in(packet(500.0, vel_cmps=(10, 0, 0)), 1.0) is None, "it moves"
    standing = reader.take_in(packet(700.0, 100.0, 50), 2.0)
    assert standing
    assert standing.pos_w == (0.0, 0.0, 0.0)


def test_nothing_in_a_datagram_raises():
    reader = SihReader()
    broken = bytearray(packet())
    broken[20] ^= 0xFF
    for datagram in (b"", b"\xfd", bytes(broken), packet(quat=(0, 0, 0, 0)), b"x" * 300):
        assert reader.take_in(datagram, 1.0) is None
    assert reader.malformed >= 2


def test_px4_is_asked_for_its_truth_again_and_again():
    reader = SihReader()
    asked = [reader.request(now_s) for now_s in (0.0, 0.5, 2.1)]
    assert [request is not None for request in asked] == [True, False, True]
    messages: list[Any] = [*(common.MAVLink(None).parse_buffer(asked[2] or b"") or [])]
    assert [(m.command, m.param1, m.param2) for m in messages] == [(511, 115.0, 8000.0)]


def test_the_ball_is_brought_when_the_vehicle_has_come_to_rest_and_let_go_again():
    """It climbs for a quarter of a second, and drifts away once the ball is there; the hand does not."""
    bridge = SihBridge(StateSender(session=1), load_vehicle("air"), 0.6)
    bridge.take_in(packet(), 9.99)
    seen = []
    for step in range(340):
        now_s = 0.008 * step
        height_m, north_m = min(1.0, 4.0 * now_s), 0.2 * max(0.0, now_s - 1.3)
        climbing = 400 if height_m < 1.0 else 0
        moved = packet(1e3 * north_m, 0.0, round(1e3 * height_m), (0, 0, -climbing))
        frame = decode(bridge.take_in(moved, 10.0 + now_s) or b"")
        assert frame.poses[0].pos_w_m == pytest.approx((0.0, north_m, height_m), abs=0.012)
        seen += [(now_s, point.pos_w_m) for point in frame.points]
    assert seen[0][0] == pytest.approx(1.25, abs=0.03), "after a second at rest"
    for axis in range(3):
        held = [place[axis] for moment, place in seen if moment < 2.2]
        assert max(held) - min(held) < 0.03, "in one place, but for noise"
    above_m = [place[2] - 1.0 for _, place in seen]
    assert above_m[0] == pytest.approx(0.6 + 0.08, abs=0.08), "over the racket"
    assert min(above_m) < above_m[0] - 0.3, "let go"
    assert bridge.tally.frames == 341
