"""Messages to and from PX4: frames, stamps, modes, definitions; settings and poses."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from message_px4 import MessagePx4, hash_of
from px4_layouts import LAYOUTS
from virtual_dds import MESSAGES, VirtualDds, VirtualTransport

from corvids.deploy.px4.channels import HOLDS
from corvids.deploy.px4.keeping import Level
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.checks import Mode
from corvids.deploy.supervision.supervisor import Request
from corvids.errors import CorvidsError
from corvids_ros.message_formats import fields, format_hash, mismatch
from corvids_ros.message_link import MessageLink, hear_all
from corvids_ros.poses import Pose, PoseSource
from corvids_ros.px4_messages import Px4Messages, text_of
from corvids_ros.px4_reader import Counters, MessageReader
from corvids_ros.settings import SETTINGS
from corvids_ros.topics import are_all_known, missing

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def odometry(**changes: Any) -> SimpleNamespace:
    """1 m north, 2 m east, 3 m up; heading north, climbing, rolling right."""
    usual = {
        "timestamp": 5_000_000,
        "timestamp_sample": 4_990_000,
        "pose_frame": 1,
        "position": [1.0, 2.0, -3.0],
        "q": [1.0, 0.0, 0.0, 0.0],
        "velocity_frame": 1,
        "velocity": [0.1, 0.2, -0.3],
        "angular_velocity": [0.5, 0.6, 0.7],
        "reset_counter": 0,
        "position_variance": [math.nan] * 3,
    }
    return SimpleNamespace(**{**usual, **changes})


def test_odometry_comes_out_in_our_frames_and_on_our_clock():
    reader = MessageReader()
    reader.take_in("vehicle_odometry", odometry(), 100.0)
    state = reader.state
    assert state.pos_w == (2.0, 1.0, 3.0), "east, north, up"
    assert state.vel_w == pytest.approx((0.2, 0.1, 0.3))
    assert state.omega_b == pytest.approx((0.5, -0.6, -0.7)), "forward, left, up"
    half = math.sqrt(0.5)
    assert state.quat_wb == pytest.approx((half, 0.0, 0.0, half)), "heading north is 90° from east"
    assert state.stamp_s == pytest.approx(99.99), "the sample is 10 ms older than the message"


def test_one_slow_round_trip_makes_no_state_stale():
    reader = MessageReader()
    for index, round_trip_us in enumerate((400, 80_000, 500, 80_000)):
        timesync = SimpleNamespace(source_protocol=2, round_trip_time=round_trip_us)
        reader.take_in("timesync_status", timesync, 100.0 + 0.01 * index)
        stamp_us = 5_000_000 + 10_000 * index
        message = odometry(timestamp=stamp_us, timestamp_sample=stamp_us)
        reader.take_in("vehicle_odometry", message, 100.0 + 0.01 * index)
        assert reader.state.stamp_s == pytest.approx(100.0 + 0.01 * index - 0.0002), index
    assert reader.counters.stale == 0


def test_velocity_in_the_body_is_turned_into_the_world():
    half = math.sqrt(0.5)
    east = odometry(q=[half, 0.0, 0.0, half], velocity_frame=3, velocity=[1.0, 0.0, 0.0])
    reader = MessageReader()
    reader.take_in("vehicle_odometry", east, 100.0)
    assert reader.state.vel_w == pytest.approx((1.0, 0.0, 0.0), abs=1e-9), "ahead is east"


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        ({"pose_frame": 2}, "malformed"),
        ({"velocity_frame": 2}, "malformed"),
        ({"q": [0.0, 0.0, 0.0, 0.0]}, "malformed"),
        ({"position": [math.nan, 0.0, 0.0]}, "not_finite"),
        ({"q": [math.nan] * 4}, "not_finite"),
        ({"timestamp_sample": 4_980_000}, "stale"),
        ({"timestamp_sample": 6_000_000}, "stale"),
    ],
)
def test_what_is_not_understood_changes_nothing_but_a_counter(change: dict, counter: str):
    reader = MessageReader()
    reader.take_in("vehicle_odometry", odometry(), 100.0)
    before = reader.state.pos_w, reader.state.stamp_s
    reader.take_in("vehicle_odometry", odometry(position=[9.0, 9.0, 9.0], **change)
                   if "position" not in change else odometry(**change), 100.01)  # fmt: skip
    assert (reader.state.pos_w, reader.state.stamp_s) == before
    assert getattr(reader.counters, counter) == 1


def test_a_place_that_px4_no_longer_measures_is_none():
    """Its estimator goes on telling one, as fresh as ever; attitude and rates live on its IMU."""
    reader = MessageReader()
    for stamp_us, std_m in ((5_000_000, 0.3), (5_100_000, 1.5)):
        variance = [0.01, std_m**2, 0.01]
        said = odometry(timestamp=stamp_us, timestamp_sample=stamp_us, position_variance=variance)
        reader.take_in("vehicle_odometry", said, 95.0 + 1e-6 * stamp_us)
    assert reader.state.pose_stamp_s == pytest.approx(100.0)
    assert reader.state.attitude_stamp_s == pytest.approx(100.1)
    assert reader.counters.stale == 0


@pytest.mark.parametrize(
    ("nav_state", "mode", "killed"),
    [
        (14, Mode.OFFBOARD, False),
        (4, Mode.HOLD, False),
        (18, Mode.LAND, False),
        (2, Mode.OTHER, False),
        (3, Mode.AUTO, False),
        (17, Mode.AUTO, False),
        (23, Mode.AUTO, False),
        (13, Mode.OTHER, True),
    ],
)
def test_modes(nav_state: int, mode: Mode, killed: bool):
    reader = MessageReader()
    status = SimpleNamespace(arming_state=2, nav_state=nav_state, failsafe=False)
    reader.take_in("vehicle_status", status, 7.0)
    autopilot = reader.autopilot
    assert (autopilot.mode, autopilot.killed, autopilot.armed, autopilot.heard_s) == (mode, killed, True, 7.0)


def test_a_vehicle_that_the_kill_switch_has_disarmed_is_killed_and_later_only_disarmed():
    """PX4 names the reason until it disarms for another: an old one does not say whether the switch is still on."""
    reader, told = MessageReader(), []
    for now_s, arming_state, reason in (
        (0.0, 1, 9),  # of a flight before ours
        (1.0, 2, 9),
        (2.0, 1, 7),  # landed
        (3.0, 2, 7),
        (4.0, 1, 9),
        (4.5, 1, 9),
        (7.0, 1, 9),
        (8.0, 2, 9),
    ):
        status = SimpleNamespace(
            arming_state=arming_state, nav_state=14, failsafe=False, latest_disarming_reason=reason
        )
        reader.take_in("vehicle_status", status, now_s)
        if reader.autopilot.killed:
            told.append(now_s)
    assert told == [4.0, 4.5]


def test_resets_and_batteries_are_read():
    reader = MessageReader()
    for index, counter in enumerate((3, 3, 4)):
        stamp = 5_000_000 + 10_000 * index
        message = odometry(reset_counter=counter, timestamp=stamp, timestamp_sample=stamp)
        reader.take_in("vehicle_odometry", message, 100.0 + 0.01 * index)
    assert reader.state.resets == 1
    for remaining, share in ((0.25, 0.25), (-1.0, math.nan)):
        reader.take_in("battery_status", SimpleNamespace(connected=True, remaining=remaining), 1.0)
        assert reader.autopilot.battery == pytest.approx(share, nan_ok=True)


def test_what_was_received_may_be_told_while_more_comes():
    """Diagnostics are another thread's, and a topic may be heard for the first time between two words of theirs."""
    counters = Counters()

    class Topic(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            counters.received[f"another_{len(counters.received)}"] = 1
            return super().__format__(spec)

    counters.received = {Topic("vehicle_odometry"): 2, Topic("vehicle_status"): 1}
    assert counters.received_in_words() == "vehicle_odometry 2 vehicle_status 1"


def test_set_points_go_out_in_px4s_frames():
    message = MESSAGES.rates(0.4, (0.1, 0.2, 0.3), 17)
    assert (message.roll, message.pitch, message.yaw) == (0.1, -0.2, -0.3), "forward, right, down"
    assert message.thrust_body == (0.0, 0.0, -0.4)
    assert message.timestamp == 17
    level = MESSAGES.level(Level(math.pi, 0.3), 0)
    assert level.q_d == pytest.approx((0.0, 0.0, 0.0, 1.0), abs=1e-9)
    assert level.thrust_body == (0.0, 0.0, -0.3)
    assert (MESSAGES.offboard(1).body_rate, MESSAGES.offboard(1).attitude) == (True, False)
    assert (MESSAGES.offboard(1, attitude=True).body_rate, MESSAGES.offboard(1, attitude=True).attitude) == (
        False,
        True,
    )


def test_requests_do_what_they_say():
    px4 = MessagePx4(20.0)
    for request, armed, nav_state in (
        (Request.ARM, True, 4),
        (Request.LAND, True, 18),
        (Request.HOLD, True, 4),
        (Request.OFFBOARD, True, 4),  # refused without a stream
    ):
        px4.hear("vehicle_command", MESSAGES.request(request, 0), 1.0)
        assert px4.armed is armed
        assert px4.status_fields(1.0)[1]["nav_state"] == nav_state
    px4.hear("offboard_control_mode", MESSAGES.offboard(0), 1.0)
    px4.hear("vehicle_command", MESSAGES.request(Request.OFFBOARD, 0), 1.0)
    assert px4.status_fields(1.0)[1]["nav_state"] == 14


def test_a_pose_for_the_estimator_comes_back_as_it_went():
    pose = MESSAGES.visual_odometry((1.0, 2.0, 3.0), (0.5, 0.5, 0.5, 0.5), 90, 100, 0.002, 0.01)
    assert pose.position == (2.0, 1.0, -3.0)
    assert pose.pose_frame == 1
    reader = MessageReader()
    pose = pose._replace(velocity=(0.0,) * 3, velocity_frame=1, angular_velocity=(0.0,) * 3)
    reader.take_in("vehicle_odometry", pose, 1.0)
    assert reader.state.quat_wb == pytest.approx((0.5, 0.5, 0.5, 0.5))
    assert pose.position_variance == pytest.approx((4e-6,) * 3)


def test_px4_and_we_give_one_definition_the_same_number():
    text = "# a comment\nuint64 timestamp # [us]\nuint8 A = 1\nfloat32[3]  xyz\t# axes\n\nuint8 B=2\nbool is_on\n"
    assert fields("Any", lambda _: text) == "uint64 timestamp\nfloat32[3] xyz\nbool is_on\n"
    layout = LAYOUTS["VehicleCommand"]
    ours = format_hash("VehicleCommand", lambda _: "".join(f"{kind} {name}\n" for kind, name in layout))
    assert ours == hash_of(layout)
    assert hash_of((("x", "y"),)) != hash_of((("x", "z"),))


def test_the_hash_is_fnv_1a():
    """Two published values: of nothing, and of the letter a, here as text that no field line could be."""
    assert format_hash("Empty", lambda _: "") == 0x811C9DC5
    assert hash_of(()) == 0x811C9DC5


def test_nested_messages_are_hashed_after_their_field():
    texts = {"Outer": "uint8 count\nInner[4] parts\nbool last\n", "Inner": "float32 x\n"}
    assert fields("Outer", texts.__getitem__) == "uint8 count\nInner[4] parts\nfloat32 x\nbool last\n"


def test_a_mismatch_is_said_plainly():
    assert mismatch("/fmu/out/x", "X", 1, True, 1) == ""
    assert "build px4_msgs from the branch" in mismatch("/fmu/out/x", "X", 1, True, 2)
    assert "no such topic" in mismatch("/fmu/out/x", "X", 1, False, 0)


def test_topics_of_another_version_are_named():
    wanted = {"vehicle_status": "/fmu/out/vehicle_status_v1", "vehicle_odometry": "/fmu/out/vehicle_odometry"}
    assert missing(wanted, set(wanted.values())) == []
    (said,) = missing(wanted, {"/fmu/out/vehicle_status_v4", "/fmu/out/vehicle_odometry"})
    assert "/fmu/out/vehicle_status_v4" in said
    assert "topics.vehicle_status" in said
    (said,) = missing(wanted, {"/rosout"})
    assert "uXRCE-DDS agent" in said
    assert are_all_known(wanted, {"/fmu/out/vehicle_status_v4", "/fmu/out/vehicle_odometry"}), (
        "no use to wait"
    )
    assert not are_all_known(wanted, {"/fmu/out/vehicle_status_v4", "/rosout"})


def test_a_question_of_format_carries_the_topic():
    request = MESSAGES.format_request("/fmu/out/vehicle_odometry", 1)
    assert text_of(request.topic_name) == "/fmu/out/vehicle_odometry"
    assert len(request.topic_name) == 50


def test_without_px4_msgs_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "px4_msgs.msg", None)
    with pytest.raises(CorvidsError, match=r"release/1\.17"):
        Px4Messages(1)
    with pytest.raises(CorvidsError, match="has no VehicleOdometry"):
        Px4Messages(1, SimpleNamespace()).type_of("VehicleOdometry")


def pose(x: float, frame: str = "map", w: float = 1.0, stamp_s: float = 1000.5) -> SimpleNamespace:
    place = SimpleNamespace(x=x, y=0.0, z=1.0)
    turn = SimpleNamespace(w=w, x=0.0, y=0.0, z=0.0)
    stamp = SimpleNamespace(sec=int(stamp_s), nanosec=round(1e9 * (stamp_s % 1.0)))
    header = SimpleNamespace(frame_id=frame, stamp=stamp)
    return SimpleNamespace(header=header, pose=SimpleNamespace(position=place, orientation=turn))


def test_poses_are_taken_once_on_our_clock_and_in_our_frame():
    source = PoseSource("map")
    nested = SimpleNamespace(header=pose(2.0, stamp_s=1000.51).header, pose=pose(2.0))
    for message in (pose(1.0), nested, pose(3.0, "camera"), pose(math.nan), pose(1e39), pose(-math.inf)):
        source.take_in(message, 50.0, 1000.6)
    arrived = source.measure(50.0, VehicleState())
    assert [place[0] for _, place in arrived] == [1.0, 2.0]
    assert arrived[0][0] == pytest.approx(49.9), "0.1 s before it arrived"
    assert source.measure(50.0, VehicleState()) == []
    assert (source.received, source.foreign, source.malformed) == (6, 1, 3)
    assert source.stamp_s == pytest.approx(49.91)


def test_poses_that_cannot_have_been_measured_now_are_counted_and_nothing_else():
    source = PoseSource("map")
    for stamp_s in (0.0, 999.5, 1000.7, 4600.5):
        assert source.take_in(pose(1.0, stamp_s=stamp_s), 50.0, 1000.6) is None, stamp_s
    assert math.isnan(source.stamp_s)
    assert source.measure(50.0, VehicleState()) == []
    for stamp_s in (999.7, 1000.6, 1000.61):
        assert source.take_in(pose(1.0, stamp_s=stamp_s), 50.0, 1000.6), stamp_s
    assert (source.received, source.ill_timed, source.malformed) == (7, 4, 0)


def test_no_pose_goes_to_an_estimator_whose_clock_is_not_known():
    """Its stamp would be 0, as nothing has come of PX4."""
    dds = VirtualDds(MessagePx4(20.0))
    link = MessageLink(dds.runtime, MESSAGES)
    relay, seen = link.relay_to_estimator(0.002, 0.01), Pose(49.9, (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0))
    relay(seen)
    assert dds.runtime.published["vehicle_visual_odometry"] == []
    link.reader.take_in("vehicle_odometry", odometry(), 50.0)
    relay(seen)
    (sent,) = dds.runtime.published["vehicle_visual_odometry"]
    assert sent.timestamp_sample == 4_900_000


def test_a_held_link_streams_nothing_until_the_operator_engages():
    dds = VirtualDds(MessagePx4(20.0))
    link = MessageLink(dds.runtime, MESSAGES)
    link.connect_keeper(dds)
    link.engage()
    link.stream(0.5, (0.0, 0.0, 0.0), Level(0.0, 0.5))
    assert dds.runtime.published["vehicle_rates_setpoint"] == [], "PX4 flies by itself"
    assert len(dds.runtime.published["offboard_control_mode"]) == 1, "and hears that there is a stream"
    link.reader.take_in("vehicle_status", SimpleNamespace(arming_state=2, nav_state=14, failsafe=False), 0.0)
    for turn, holds, sent in ((None, 0, 1), (0, 1, 2), (1, 0, 2), (1, 1, 2), (None, 0, 2)):
        dds.answers = [] if turn is None else [HOLDS + bytes([turn, holds])]
        was_kept = link.is_kept
        link.stream(0.5, (0.0, 0.0, 0.0), Level(0.0, 0.5))
        assert len(dds.runtime.published["vehicle_rates_setpoint"]) == sent, (
            "an answer to an older word counts nothing"
        )
        assert link.is_kept == (holds == 1 if turn == 1 else was_kept), (
            "held, and perhaps by the keeper's word"
        )
    assert link.dropped == 3
    link.engage()
    assert not link.is_kept
    link.stream(0.5, (0.0, 0.0, 0.0), Level(0.0, 0.5))
    assert len(dds.runtime.published["vehicle_rates_setpoint"]) == 3


def test_a_flood_of_messages_does_not_stop_the_ticks():
    dds = VirtualDds(MessagePx4(20.0))
    link = MessageLink(dds.runtime, MESSAGES)
    dds.runtime.inbox = [
        ("vehicle_status", SimpleNamespace(arming_state=1, nav_state=4, failsafe=False))
    ] * 1000
    assert sum(1 for _ in link.wait(dds.now_s)) == 100
    assert len(dds.runtime.inbox) == 900


def test_a_px4_that_knows_no_place_on_the_globe_is_told_one():
    dds = VirtualDds(MessagePx4(20.0))
    link = MessageLink(dds.runtime, MESSAGES)
    link.tell_origin((47.4, 8.5, 488.0))
    for _ in range(100):
        list(link.wait(dds.now_s + 0.1))
    assert dds.px4.origin == (47.4, 8.5, 488.0)
    assert [command.command for command in dds.px4.commands_heard] == [100000], "once, as it then knows"


def test_a_px4_that_knows_its_place_is_told_none():
    dds = VirtualDds(MessagePx4(20.0))
    dds.px4.origin = (1.0, 2.0, 3.0)
    link = MessageLink(dds.runtime, MESSAGES)
    link.tell_origin((47.4, 8.5, 488.0))
    for _ in range(100):
        list(link.wait(dds.now_s + 0.1))
    assert dds.px4.commands_heard == []


def test_a_keeper_hears_everything_that_is_there_at_one_look():
    """A turn of an executor hands over one message; at 250 Hz a keeper that looks as rarely would fall behind."""
    reader, pending = MessageReader(), [odometry(timestamp_sample=4_990_000 + 4_000 * n) for n in range(12)]

    class OneAtATime(VirtualTransport):
        def spin(self, seconds: float) -> None:
            if pending:
                reader.take_in("vehicle_odometry", pending.pop(0), 100.05)

    hear_all(OneAtATime(VirtualDds(MessagePx4(20.0))), reader)
    assert reader.counters.received == {"vehicle_odometry": 12}
    hear_all(OneAtATime(VirtualDds(MessagePx4(20.0))), reader)
