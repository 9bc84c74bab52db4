"""Motion capture as poses on a topic: they correct what PX4 says of its vehicle, and when they end PX4 holds."""

from __future__ import annotations

import dataclasses
import math
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fault_lab import CirclingPilot, check_safe, flown
from message_px4 import MessagePx4
from ros_flight import Flight
from ros_lab import Process, ended
from standin import AUTO, LOITER
from test_messages import pose
from virtual_dds import MESSAGES, VirtualDds

from corvids.deploy.px4.frames import enu_ned, quat_enu_ned
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.reactions import State
from corvids_ros.message_link import MessageLink
from corvids_ros.poses import PoseSource

SEEN_STEPS, SEEN_AGE_S = 2, 0.006
"""Seen every so many steps of 4 ms; how old a picture is when its pose is sent [s]."""


class TrackedDds(VirtualDds):
    """A tracker sees the vehicle until ``blind_s``; PX4 believes itself further north, and leaning."""

    def __init__(self, blind_s: float = math.inf, aside_m: float = 0.0, lean_rad: float = 0.0) -> None:
        super().__init__(MessagePx4(20.0))
        self.blind_s, self.aside_m, self.lean_rad = blind_s, aside_m, lean_rad
        self.holds_s: list[float] = []
        """When it held in the air."""
        self._seen: list[Any] = []

    def _report(self, now_s: float) -> None:
        truth = self.px4.truth
        if self._steps % SEEN_STEPS == 0 and now_s < self.blind_s:
            self._seen.append((now_s, enu_ned(truth.pos_ned), quat_enu_ned(truth.quat_ned)))
        while self._seen and now_s - self._seen[0][0] >= SEEN_AGE_S:
            self._heard("mocap", pose_fields(*self._seen.pop(0)))
        if (self.px4.main, self.px4.sub) == (AUTO, LOITER) and truth.pos_ned[2] < -0.3:
            self.holds_s.append(now_s)
        north, east, down = truth.pos_ned
        believed: dict[str, Any] = {"pos_ned": (north + self.aside_m, east, down)}
        if self.lean_rad:
            believed["quat_ned"] = (math.cos(0.5 * self.lean_rad), math.sin(0.5 * self.lean_rad), 0.0, 0.0)
        self.px4.truth = dataclasses.replace(truth, **believed)
        super()._report(now_s)
        self.px4.truth = truth


def pose_fields(stamp_s: float, pos_w, quat_wb) -> dict[str, Any]:
    """Those of a PoseStamped."""
    (x, y, z), (w, *turn) = pos_w, quat_wb
    stamp = SimpleNamespace(sec=int(stamp_s), nanosec=round(1e9 * (stamp_s % 1.0)))
    orientation = SimpleNamespace(w=w, **dict(zip("xyz", turn, strict=True)))
    place = SimpleNamespace(position=SimpleNamespace(x=x, y=y, z=z), orientation=orientation)
    return {"header": SimpleNamespace(frame_id="map", stamp=stamp), "pose": place}


def tracked(dds: TrackedDds) -> MessageLink:
    """The flight's link, wired as the node wires it."""
    link, source = MessageLink(dds.runtime, MESSAGES), PoseSource("map")
    relay = link.relay_to_estimator(0.002, 0.01)

    def heard(message: Any) -> None:
        link.note_pose()
        if pose := source.take_in(message, dds.now_s, dds.now_s):
            relay(pose)

    dds.runtime.subscribe("mocap", heard)
    link.connect_keeper(dds)
    return link


def seconds_of(link: MessageLink, seconds: float) -> VehicleState:
    """On the ground for so long; the state then."""
    list(link.wait(link.now_s + seconds))
    return link.state


def test_px4_gets_the_poses_and_what_it_says_is_corrected_by_them():
    dds = TrackedDds(aside_m=0.2, lean_rad=0.04)
    state = seconds_of(tracked(dds), 3.0)
    assert state.pos_w == pytest.approx((0.0, 0.0, 0.0), abs=2e-3)
    assert state.quat_wb == pytest.approx(quat_enu_ned(dds.px4.truth.quat_ned), abs=1e-3)
    assert dds.now_s - state.stamp_s < 0.02
    assert len(dds.px4.seen_from_outside) == 10


def test_a_place_that_was_seen_and_is_not_any_more_grows_old():
    dds = TrackedDds(blind_s=1.0)
    state = seconds_of(tracked(dds), 3.0)
    assert 1.0 < state.pose_stamp_s < 1.3
    assert dds.now_s - state.attitude_stamp_s < 0.02, "that lives on the IMU"


def test_a_place_that_is_seen_again_is_young_again():
    dds = TrackedDds(blind_s=1.0)
    link = tracked(dds)
    seconds_of(link, 2.0)
    dds.blind_s = math.inf
    assert dds.now_s - seconds_of(link, 0.5).stamp_s < 0.02


def test_when_motion_capture_ends_px4_holds():
    """PX4 flies on by dead reckoning, and tells its place as ever."""
    dds = TrackedDds(blind_s=9.0)
    visited = flown(tracked(dds), dds, CirclingPilot(), in_step=True)
    check_safe(dds.px4)
    assert State.POLICY in visited
    assert 9.3 < min((moment for moment in dds.holds_s if moment > 7.0), default=math.inf) < 9.7


def test_as_long_as_it_is_seen_it_flies_and_lands():
    dds = TrackedDds()
    flown(tracked(dds), dds, pilot := CirclingPilot(), in_step=True)
    check_safe(dds.px4)
    assert pilot.rehearsals > 500
    assert not [moment for moment in dds.holds_s if 7.0 < moment < 12.0]
    assert not dds.px4.armed, "it was told to land at 12 s"


@pytest.mark.ros
def test_the_node_misses_its_tracker(tmp_path: Path):
    flight = Flight(tmp_path, mocap_topic="mocap/pose")
    tracker = Process(tmp_path, str(Path(__file__).with_name("ros_tracker.py")))
    ages_ms: list[float] = []

    def is_seen() -> bool:
        said = flight.operator.diagnose()
        ages_ms.append(float(said.get("state age [ms]", math.nan)))
        return int(said["mocap poses"]) > 50 and ages_ms[-1] < 100.0

    with ended(*flight.processes(), tracker):
        flight.until(is_seen)
        tracker.end(signal.SIGKILL)
        flight.until(lambda: not is_seen() and ages_ms[-1] > 2000.0)
        flown = flight.px4.result()
    assert len(flown["seen_from_outside"]) == 10, "PX4 was given the poses"


def test_poses_that_were_overtaken_or_come_twice_are_ill_timed():
    source = PoseSource("map")
    sent = ((1.0, 1000.50), (2.0, 1000.45), (3.0, 1000.50), (4.0, 1000.51))
    taken = [source.take_in(pose(x, stamp_s=stamp_s), 50.0, 1000.6) is not None for x, stamp_s in sent]
    assert taken == [True, False, False, True]
    assert source.ill_timed == 2
    assert [place[0] for _, place in source.measure(50.0, VehicleState())] == [1.0, 4.0]


def test_one_that_comes_twice_is_known_though_our_clocks_are_not_read_at_once():
    source = PoseSource("map")
    assert source.take_in(pose(1.0), 50.0, 1000.6)
    assert source.take_in(pose(1.0), 50.010002, 1000.61) is None
    assert source.ill_timed == 1


def test_a_source_that_starts_anew_by_another_clock_is_heard_after_a_second():
    """Its clock was ahead by as much as it may be, and is behind by as much."""
    source = PoseSource("map")
    assert source.take_in(pose(1.0, stamp_s=1000.619), 50.0, 1000.6)
    assert source.take_in(pose(2.0, stamp_s=1000.5), 50.8, 1001.4) is None
    assert source.take_in(pose(3.0, stamp_s=1000.641), 51.03, 1001.63)
