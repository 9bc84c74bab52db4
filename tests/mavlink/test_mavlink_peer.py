"""The conversation with PX4, against a stand-in that speaks for itself."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from flying import is_asked_for_its_mode
from pymavlink.dialects.v20 import common, development
from standin import AUTO, LAND, LOITER, MISSION, OFFBOARD, POSCTL, RTL, TERMINATION, Standin, custom_mode

from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.mavlink_state import mode_of
from corvids.deploy.supervision.checks import Mode
from corvids.deploy.supervision.supervisor import Request
from corvids.errors import CorvidsError

KEY = bytes(range(32))


def connected(px4: Standin, config: PeerConfig | None = None, now_s: float = 100.0) -> Peer:
    """A peer that has heard PX4 and knows its clock."""
    peer = Peer(config)
    peer.take_in(px4.heartbeat(), now_s)
    for packet in peer.housekeeping(now_s):
        for answer in px4.take_in(packet, now_s + 0.001):
            peer.take_in(answer, now_s + 0.002)
    return peer


def test_a_change_of_mode_is_heard_before_the_next_heartbeat():
    px4 = Standin()
    peer = connected(px4)
    px4.main, px4.sub = OFFBOARD, 0
    peer.take_in(px4.current_mode(), 100.1)
    assert peer.reader.autopilot.mode is Mode.OFFBOARD
    px4.main, px4.sub = POSCTL, 0
    peer.take_in(px4.current_mode(), 100.2)
    assert peer.reader.autopilot.mode is Mode.OTHER
    assert peer.counters.malformed == 0
    assert is_asked_for_its_mode(px4)


@pytest.mark.parametrize("landed", [None, False, True])
def test_a_change_of_mode_is_heard_while_it_lands(landed: bool | None):
    """Whether a pilot took over or PX4 disarmed, which its heartbeat tells."""
    px4 = Standin()
    px4.armed, px4.main, px4.sub = True, AUTO, LAND
    peer = connected(px4)
    if landed is not None:
        peer.take_in(px4.landed(landed), 100.1)
    assert peer.reader.autopilot.landed is landed
    px4.main, px4.sub = POSCTL, 0
    peer.take_in(px4.current_mode(), 100.2)
    assert peer.reader.autopilot.mode is Mode.OTHER


@pytest.mark.parametrize(
    ("main", "sub", "status", "killed"),
    [
        (AUTO, RTL, common.MAV_STATE_CRITICAL, False),
        (AUTO, LOITER, common.MAV_STATE_CRITICAL, False),
        (POSCTL, 0, common.MAV_STATE_CRITICAL, False),
        (TERMINATION, 0, common.MAV_STATE_FLIGHT_TERMINATION, True),
    ],
)
def test_a_mode_that_nobody_intended_is_a_failsafe(main: int, sub: int, status: int, killed: bool):
    """Its heartbeat tells of that up to a second later than of its mode."""
    px4 = Standin()
    px4.armed, px4.main, px4.sub = True, OFFBOARD, 0
    peer = connected(px4)
    px4.fail(main, sub, status)
    peer.take_in(px4.current_mode(), 100.1)
    assert (peer.reader.autopilot.failsafe, peer.reader.autopilot.killed) == (True, killed)
    peer.take_in(px4.heartbeat(), 100.2)
    assert (peer.reader.autopilot.failsafe, peer.reader.autopilot.killed) == (not killed, killed)
    px4.main, px4.sub, px4.status = POSCTL, 0, common.MAV_STATE_ACTIVE
    peer.take_in(px4.heartbeat(), 101.2)
    assert (peer.reader.autopilot.failsafe, peer.reader.autopilot.killed) == (False, False), "it is over"


@pytest.mark.parametrize("status", [common.MAV_STATE_CRITICAL, common.MAV_STATE_FLIGHT_TERMINATION])
def test_a_mode_that_somebody_intended_ends_neither_failsafe_nor_kill(status: int):
    """Only PX4's status does: it may be in that mode all the same."""
    px4 = Standin()
    px4.main, px4.sub, px4.status = AUTO, LAND, status
    peer = connected(px4)
    before = peer.reader.autopilot
    peer.take_in(px4.current_mode(), 100.1)
    assert (peer.reader.autopilot.failsafe, peer.reader.autopilot.killed) == (before.failsafe, before.killed)
    assert before.failsafe or before.killed


def test_an_autopilot_that_does_not_tell_what_was_intended_is_in_no_failsafe():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.pack(development.MAVLink_current_mode_message(0, custom_mode(POSCTL), 0)), 100.1)
    assert (peer.reader.autopilot.mode, peer.reader.autopilot.failsafe) == (Mode.OTHER, False)


def test_termination_is_known_by_its_mode():
    """Whatever PX4's status says."""
    px4 = Standin()
    px4.main, px4.sub, px4.status = TERMINATION, 0, common.MAV_STATE_CRITICAL
    assert connected(px4).reader.autopilot.killed


def test_what_the_autopilot_says_of_itself():
    px4 = Standin()
    peer = connected(px4)
    assert peer.reader.autopilot.mode is Mode.HOLD
    px4.armed, px4.main, px4.sub, px4.status = True, OFFBOARD, 0, common.MAV_STATE_CRITICAL
    for packet in (px4.heartbeat(), px4.landed(False), px4.battery(63), px4.imu(101.0)):
        peer.take_in(packet, 101.0)
    autopilot = peer.reader.autopilot
    assert autopilot[:5] == (101.0, True, Mode.OFFBOARD, True, False)
    assert (autopilot.landed, autopilot.battery) == (False, 0.63)
    assert peer.reader.state.specific_force_b_mps2 == pytest.approx((0.1, -0.2, 9.8))
    px4.status = common.MAV_STATE_FLIGHT_TERMINATION
    peer.take_in(px4.heartbeat(), 101.1)
    assert peer.reader.autopilot.killed


@pytest.mark.parametrize(
    ("main", "sub", "mode"),
    [
        (OFFBOARD, 0, Mode.OFFBOARD),
        (AUTO, LOITER, Mode.HOLD),
        (AUTO, LAND, Mode.LAND),
        (AUTO, MISSION, Mode.AUTO),
        (AUTO, RTL, Mode.AUTO),
        (POSCTL, 0, Mode.OTHER),
    ],
)
def test_modes(main: int, sub: int, mode: Mode):
    assert mode_of(custom_mode(main, sub)) is mode


def test_rates_are_sent_in_px4s_frame():
    px4, peer = Standin(), Peer()
    px4.take_in(peer.rates(0.4, (0.1, 0.2, 0.3), 5.0), 5.0)
    (target,) = px4.targets()
    assert target.type_mask == 0b10000000
    assert (target.target_system, target.target_component, target.time_boot_ms) == (1, 1, 5000)
    sent = (target.body_roll_rate, target.body_pitch_rate, target.body_yaw_rate, target.thrust)
    assert sent == pytest.approx((0.1, -0.2, -0.3, 0.4))


def test_level_keeps_the_heading():
    px4, peer = Standin(), Peer()
    px4.take_in(peer.level(0.3, 0.5 * math.pi, 5.0), 5.0)
    (target,) = px4.targets()
    assert target.type_mask == 0b00000111
    assert target.q == pytest.approx((math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))


def test_requests_do_what_they_say():
    px4, peer = Standin(), Peer()
    px4.take_in(peer.request(Request.ARM), 5.0)
    assert px4.armed
    px4.take_in(peer.request(Request.OFFBOARD), 5.0)
    assert px4.main == AUTO, "not without a stream"
    px4.take_in(peer.rates(0.4, (0.0, 0.0, 0.0), 5.0), 5.0)
    px4.take_in(peer.request(Request.OFFBOARD), 5.1)
    assert px4.main == OFFBOARD
    px4.take_in(peer.request(Request.LAND), 5.1)
    assert (px4.main, px4.sub) == (AUTO, LAND)
    px4.take_in(peer.request(Request.HOLD), 5.1)
    assert (px4.main, px4.sub) == (AUTO, LOITER)


def test_housekeeping_keeps_time():
    px4, peer = Standin(), Peer()
    assert len([*peer.housekeeping(0.0)]) == 2, "heartbeat and clock; streams once PX4 is heard"
    peer.take_in(px4.heartbeat(), 0.0)
    for tick in range(1, 501):
        for packet in peer.housekeeping(0.02 * tick):
            px4.take_in(packet, 0.02 * tick)
    kinds = [message.get_type() for message in px4.heard]
    assert 9 <= kinds.count("HEARTBEAT") <= 10, "once a second, on the grid of calls"
    assert 80 <= kinds.count("TIMESYNC") <= 100
    asked = px4.commands(common.MAV_CMD_SET_MESSAGE_INTERVAL)
    assert (common.MAVLINK_MSG_ID_ODOMETRY, 8000.0) in {(m.param1, m.param2) for m in asked}


def test_a_px4_without_a_place_on_the_globe_is_told_one():
    px4, peer = Standin(boot_s=0.0), Peer(PeerConfig(origin=(47.397742, 8.545594, 488.0)))

    ticks = itertools.count(1)

    def told() -> list:
        """What PX4 is told of it in the next 10 s."""
        px4.heard.clear()
        for tick in itertools.islice(ticks, 100):
            for packet in peer.housekeeping(0.1 * tick):
                px4.take_in(packet, 0.0)
        return [message for message in px4.heard if message.get_type() == "SET_GPS_GLOBAL_ORIGIN"]

    assert told() == [], "before it has a place in its own world, nothing is known of it"
    peer.take_in(px4.odometry(10.0), 10.0)
    first, *_ = told()
    assert (first.latitude, first.longitude, first.altitude) == (473977420, 85455940, 488000)
    known = common.MAVLink_global_position_int_message(0, 473977420, 85455940, 488000, 0, 0, 0, 0, 0)
    peer.take_in(px4.pack(known), 20.0)
    assert told() == [], "a vehicle with GPS keeps its own"


def test_an_origin_off_the_globe_is_refused():
    with pytest.raises(CorvidsError, match="latitude"):
        PeerConfig(origin=(91.0, 0.0, 0.0))


def test_states_before_the_clocks_are_compared_are_not_used():
    px4, peer = Standin(), Peer()
    peer.take_in(px4.odometry(100.0), 100.0)
    assert peer.counters.unsynchronised == 1
    assert math.isnan(peer.reader.state.stamp_s)


def test_duplicates_lost_and_reordered_packets_are_counted_and_survived():
    px4 = Standin()
    peer = connected(px4)
    packets = [px4.odometry(100.1 + 0.01 * i) for i in range(6)]
    for index in (0, 0, 1, 3, 2, 5):
        peer.take_in(packets[index], 100.2)
    counters = peer.counters
    assert (counters.duplicate, counters.reordered, counters.lost, counters.stale) == (1, 1, 1, 1)
    assert peer.reader.state.stamp_s == pytest.approx(100.15, abs=1e-5)


def test_a_state_from_the_future_is_not_used():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.odometry(103.0), 100.2)
    assert peer.counters.stale == 1
    peer.take_in(px4.odometry(100.2), 100.21)
    assert peer.reader.state.stamp_s == pytest.approx(100.2, abs=1e-5), "and does not block the true ones"


def test_a_reset_of_the_estimator_is_counted():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.odometry(100.1), 100.1)
    px4.reset_counter = 7
    peer.take_in(px4.odometry(100.2), 100.2)
    peer.take_in(px4.odometry(100.3), 100.3)
    assert peer.reader.state.resets == 1


def test_what_is_not_a_number_or_no_rotation_is_not_used():
    px4 = Standin()
    peer = connected(px4)
    px4.truth.pos_ned = (math.nan, 0.0, 0.0)
    peer.take_in(px4.odometry(100.1), 100.1)
    peer.take_in(px4.position(100.1), 100.1)
    px4.truth.quat_ned = (0.0, 0.0, 0.0, 0.0)
    peer.take_in(px4.odometry(100.1), 100.1)
    peer.take_in(px4.attitude(100.1), 100.1)
    assert math.isnan(peer.reader.state.pose_stamp_s)


def test_others_are_not_the_vehicle():
    px4 = Standin()
    peer = Peer(PeerConfig(target_system=2))
    peer.take_in(px4.heartbeat(), 1.0)
    assert peer.counters.foreign == 1
    assert math.isnan(peer.reader.autopilot.heard_s)


def test_several_packets_may_share_a_datagram():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.odometry(100.1) + px4.battery(50) + px4.landed(True), 100.1)
    assert peer.reader.autopilot.battery == 0.5
    assert peer.counters.malformed == 0


def test_garbage_is_counted_and_survived():
    """Random bytes, cut packets, flipped bits: none raises, and the link works after each."""
    rng, px4 = random.Random(0), Standin()
    peer = connected(px4)
    whole = px4.odometry(100.1) + px4.heartbeat()
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        for datagram in (
            rng.randbytes(rng.randrange(300)),
            whole[: rng.randrange(len(whole))],
            bytes(flipped),
        ):
            peer.take_in(datagram, 100.2)
    peer.take_in(b"\xfd" * 5000, 100.2)
    assert peer.counters.malformed > 300
    peer.take_in(px4.odometry(100.3), 100.3)
    assert peer.reader.state.stamp_s == pytest.approx(100.3, abs=1e-5)


def test_with_a_key_unsigned_and_forged_packets_are_ignored():
    config = PeerConfig(key=KEY)
    px4, forger = Standin(key=KEY), Standin(key=bytes(32))
    peer = connected(px4, config)
    assert peer.reader.clock.is_known, "signed packets pass both ways"
    forger.mav.signing.timestamp = 1 << 46
    for impostor in (Standin(), forger):
        impostor.armed = True
        peer.take_in(impostor.heartbeat(), 100.5)
    assert not peer.reader.autopilot.armed
    assert peer.counters.unsigned == 2
    px4.armed = True
    peer.take_in(px4.heartbeat(), 100.6)
    assert peer.reader.autopilot.armed, "a forgery with a late time stamp does not lock the true one out"


@pytest.mark.parametrize("wrong", [{"key": b"short"}, {"target_system": 0}])
def test_a_configuration_that_cannot_be_is_refused(wrong: dict):
    with pytest.raises(CorvidsError, match="MAVLink"):
        PeerConfig(**wrong)
