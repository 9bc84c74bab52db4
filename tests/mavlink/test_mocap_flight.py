"""Motion capture in flight: the keeper hands it on, the runtime juggles by it, whatever becomes of labels."""

from __future__ import annotations

import dataclasses
import math
import random
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flying import Fault, FlyingStandin, VirtualLink
from pymavlink.dialects.v20 import common
from standin import AUTO, LOITER, Standin

from corvids.commands.flying.px4 import Outcome, Plan, fly_over
from corvids.deploy.mocap.input import MocapInput, Score
from corvids.deploy.mocap.relay import MocapRelay
from corvids.deploy.mocap.state_packet import BodyPose, Point, decode, is_state_packet
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.mocap.state_stream import Frame, StateReceiver, StateSender
from corvids.deploy.policy import read_policy_file
from corvids.deploy.px4.channels import KeeperChannel
from corvids.deploy.px4.frames import enu_ned, flu_frd, quat_enu_ned
from corvids.deploy.px4.link_keeper import hand_over
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.runtime import Tick
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.virtual_ball import VirtualBall
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
POLICY = Path(__file__).resolve().parents[2] / "pretrained" / "juggle.onnx"
FRAME_MARKERS = ((0.15, 0.1, 0.01), (-0.12, 0.12, 0.015), (0.1, -0.14, 0.012))


@dataclasses.dataclass
class Truth:
    """A pose as a virtual ball takes it."""

    stamp_s: float
    pos_w: tuple[float, float, float]
    vel_w: tuple[float, float, float]
    quat_wb: tuple[float, float, float, float]
    omega_b: tuple[float, float, float]


class TrackedLink(VirtualLink):
    """A link on which motion capture arrives too: pose, ball, and markers of the frame, none of them labelled."""

    def __init__(self, px4: FlyingStandin, ball: VirtualBall) -> None:
        super().__init__(px4, Fault(start_s=0.0, battery=100))
        self.ball, self.sender, self.order = ball, StateSender(session=1), random.Random(8)

    def _report(self, now_s: float) -> None:
        super()._report(now_s)
        truth = self.px4.truth
        pose = Truth(
            now_s,
            enu_ned(truth.pos_ned),
            enu_ned(truth.vel_ned),
            quat_enu_ned(truth.quat_ned),
            flu_frd(truth.rate_frd),
        )
        for stamp_s, place in self.ball.measure(now_s, pose):
            x, y, z = pose.pos_w
            places = [(x + a, y + b, z + c) for a, b, c in FRAME_MARKERS] + [place, (1.2, 0.4, 2.5)]
            self.order.shuffle(places)
            frame = self.sender.state(
                round(1e9 * stamp_s),
                round(1e9 * now_s),
                (BodyPose(1, pose.pos_w, pose.quat_wb),),
                tuple(Point(7, p) for p in places),
            )
            self._push(self._to_us, 0.001, frame)


class SeenBall(MocapInput):
    """The runtime's view of the ball, which somebody lets go when the policy flies."""

    def __init__(self, real: VirtualBall) -> None:
        super().__init__(vehicle=1, ball=0)
        self._real = real

    def release(self) -> None:
        self._real.release()


def juggled(
    link: TrackedLink, seen: SeenBall, note: Callable[[Tick], None] | None = None, seconds: float = 8.0
) -> Outcome:
    """A flight by motion capture; each tick is told to ``note``."""
    plan = Plan(vehicle=None, seconds=seconds, seed=0, record=None, origin=None)
    return fly_over(read_policy_file(POLICY, "juggle"), AIR, link, seen, plan, mocap=seen, recorder=note)


def test_it_juggles_a_ball_that_is_one_of_many_markers():
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    real = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    seen = SeenBall(real)
    outcome = juggled(TrackedLink(px4, real), seen, seconds=6.0)
    assert outcome.has_ended_safely
    assert not px4.crashed
    assert real.hits >= 2
    assert abs(outcome.hits - real.hits) <= 1, "hits as they are seen are those of the simulated racket"
    assert outcome.states["policy"] > 2.5
    counters = seen.receiver.counters
    assert counters.accepted > 500
    assert counters.lost == counters.malformed == 0


class BlindedLink(TrackedLink):
    """Motion capture ends while the policy flies, and PX4 goes on telling where it thinks it is: 30 cm aside."""

    def _report(self, now_s: float) -> None:
        if now_s < 9.0:
            super()._report(now_s)
            return
        truth = self.px4.truth
        north, east, down = truth.pos_ned
        self.px4.truth = dataclasses.replace(truth, pos_ned=(north + 0.3, east, down))
        VirtualLink._report(self, now_s)
        self.px4.truth = truth


def test_when_motion_capture_ends_px4_holds():
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    real = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    seen, holds_s = SeenBall(real), []

    def note(tick: Tick) -> None:
        if (px4.main, px4.sub) == (AUTO, LOITER) and tick.now_s > 7.0:
            holds_s.append(tick.now_s)

    outcome = juggled(BlindedLink(px4, real), seen, note)
    assert outcome.states["policy"] > 0.5
    assert 9.0 < holds_s[0] < 9.7
    assert not px4.crashed


class Stubborn(FlyingStandin):
    """Neither holds nor lands while the policy has flown."""

    def _obey(self, message: Any, now_s: float) -> bytes:
        if message.command == common.MAV_CMD_DO_SET_MODE and int(message.param2) == AUTO and now_s > 8.5:
            return self.pack(common.MAVLink_command_ack_message(message.command, common.MAV_RESULT_FAILED))
        return super()._obey(message, now_s)


def test_where_px4_does_not_hold_either_the_vehicle_is_kept_level():
    """By its attitude, which is all that is known of it; it was told to turn by 20° just before."""
    px4 = Stubborn(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    real = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    seen, tilts_rad = SeenBall(real), []

    def note(tick: Tick) -> None:
        if 9.24 < tick.now_s < 9.26:
            px4.truth.quat_ned = (math.cos(math.radians(10.0)), math.sin(math.radians(10.0)), 0.0, 0.0)
        _, x, y, _ = px4.truth.quat_ned
        if tick.now_s < 12.0:
            tilts_rad.append(2.0 * math.asin(math.hypot(x, y)))

    juggled(BlindedLink(px4, real), seen, note)
    assert max(tilts_rad) > math.radians(15.0)
    assert max(tilts_rad[-50:]) < math.radians(1.0)


@pytest.mark.parametrize("begin_s", [9.0, 9.006, 9.012])
@pytest.mark.parametrize("off_m", [(1.5, 0.0, 0.0), (0.0, 0.0, 1.5), (0.45, 0.0, 0.0)])
def test_one_wrong_picture_moves_nothing(begin_s: float, off_m: tuple[float, float, float]):
    px4 = FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg)
    real = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    seen, link, strays_m = SeenBall(real), TrackedLink(px4, real), [0.0]
    state = link.sender.state

    def mistaken(stamp_ns: int, now_ns: int, poses: Any = (), points: Any = ()) -> bytes:
        nonlocal begin_s
        if 1e-9 * stamp_ns >= begin_s:
            begin_s, place = math.inf, poses[0].pos_w_m
            poses = (poses[0]._replace(pos_w_m=tuple(np.add(place, off_m))),)
        return state(stamp_ns, now_ns, poses, points)

    link.sender.state = mistaken

    def note(tick: Tick) -> None:
        if 9.0 < tick.now_s < 11.0:
            strays_m.append(math.hypot(*px4.truth.pos_ned[:2]))

    outcome = juggled(link, seen, note)
    assert begin_s == math.inf and real.drops == outcome.drops == 0
    assert max(strays_m) < 0.2
    assert outcome.states["policy"] > 4.0


def test_the_relay_tells_px4_the_pose_and_the_runtime_everything():
    relay, runtime, px4 = MocapRelay(3, Peer()), StateReceiver(MocapInput(3, 0).receiver.config), Standin()
    pose = BodyPose(3, (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0), 0.002)
    other = BodyPose(4, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    told = 0
    for index in range(40):  # 200 Hz
        stamp_s = 50.0 + 0.005 * index
        frame = Frame(stamp_s, stamp_s + 0.004, (other, pose), (Point(0, (0.0, 0.0, 2.0)),))
        relayed = relay.relay(frame, stamp_s + 0.004)
        handed_on = runtime.take_in(relayed.to_runtime, stamp_s + 0.0045)
        assert handed_on is not None
        assert handed_on.stamp_s == pytest.approx(stamp_s, abs=1e-8)
        assert handed_on.points == frame.points
        told += relayed.to_px4 is not None
        if relayed.to_px4:
            px4.take_in(relayed.to_px4, stamp_s)
    assert told == 20, "PX4 needs no more than 100 a second"
    message = px4.heard[0]
    assert message.get_type() == "ODOMETRY"
    assert message.time_usec == 50_000_000
    assert (message.x, message.y, message.z) == (2.0, 1.0, -3.0)
    assert message.frame_id == common.MAV_FRAME_LOCAL_NED
    assert np.allclose(message.q, quat_enu_ned(pose.quat_wb))
    assert message.pose_covariance[0] == pytest.approx(4e-6)
    assert np.isnan([message.vx, message.rollspeed]).all()
    assert relay.relay(Frame(60.0, 60.0, (other,), ()), 60.0).to_px4 is None, (
        "nothing of a body that is not seen"
    )


def test_hits_and_drops_are_counted_by_what_is_seen():
    score = Score()
    heights = [
        0.6,
        0.4,
        0.2,
        0.06,
        0.2,
        0.4,
        0.5,
        0.4,
        0.2,
        0.05,
        0.1,
        0.15,
        0.1,
        0.05,
        0.3,
        0.5,
        0.2,
        -0.1,
        -0.5,
    ]
    for tick, height in enumerate((*heights, -0.9, -1.0, 0.5, 0.6, 0.3, 0.1, 0.6)):
        score.take_in(1.0 + height, 1.0, 0.05 * tick)
    assert score.hits == 3, "the dribble of 10 cm does not count"
    assert score.drops == 1


def test_a_ball_that_somebody_brings_back_was_not_hit():
    score = Score()
    for stamp_s, height in ((0.0, 0.6), (0.1, 0.2), (0.15, 0.1), (1.5, 0.6), (1.6, 0.6)):
        score.take_in(1.0 + height, 1.0, stamp_s)
    assert score.hits == 0


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_keeper_hands_on_what_is_signed_and_nothing_else(tmp_path: Path, monkeypatch):
    """As flown: the process, a signed stream on loopback with a forger beside it, PX4's side, a runtime."""
    key, link_port, mocap_port = bytes(range(32)), free_port(), free_port()
    monkeypatch.setenv("CORVIDS_MOCAP_KEY", key.hex())
    arguments = [sys.executable, "-m", "corvids.deploy.px4.link_keeper", f"udp:127.0.0.1:{link_port}"]
    arguments += [str(tmp_path / "keeper"), "--mocap", f"udp:127.0.0.1:{mocap_port}", "--vehicle", "1"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    sender, forger, px4 = StateSender(key), StateSender(), Standin()
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in sockets:
        one.setblocking(False)
    link, mocap = sockets
    runtime, handed_on = None, []
    try:
        deadline_s = time.monotonic() + 120.0
        while not (tmp_path / "keeper").exists() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        runtime = KeeperChannel(tmp_path / "keeper", tmp_path / "runtime")
        poses = [m for m in px4.heard if m.get_type() == "ODOMETRY"]
        while (len(poses) < 5 or len(handed_on) < 5) and time.monotonic() < deadline_s:
            link.sendto(px4.heartbeat(), ("127.0.0.1", link_port))
            now_ns = time.monotonic_ns()
            for source, x in ((sender, 1.0), (forger, -9.0)):
                pose = BodyPose(1, (x, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0))
                mocap.sendto(source.state(now_ns - 3_000_000, now_ns, (pose,)), ("127.0.0.1", mocap_port))
            for source, answer in ((mocap, sender.answer), (link, None)):
                try:
                    while True:
                        datagram = source.recv(2048)
                        if answer is None:
                            px4.take_in(datagram, time.monotonic())
                        elif (echo := answer(datagram, time.monotonic_ns())) is not None:
                            mocap.sendto(echo, ("127.0.0.1", mocap_port))
                except BlockingIOError:
                    pass
            handed_on += [d for d in runtime.wait(time.monotonic() + 0.01) if is_state_packet(d)]
            poses = [m for m in px4.heard if m.get_type() == "ODOMETRY"]
        assert len(poses) >= 5
        assert {message.y for message in poses} == {1.0}, "east; nothing of the forger's"
        seen = [decode(datagram) for datagram in handed_on]
        assert {packet.poses[0].pos_w_m[0] for packet in seen} == {1.0}
        ages_s = [time.monotonic() - 1e-9 * packet.stamp_ns for packet in seen]
        assert all(-0.02 < age_s < 60.0 for age_s in ages_s)
        said, _ = process.communicate(timeout=60.0)
        assert "motion capture: " in said
        assert " unsigned" in said
        assert "ms old at arrival" in said
    finally:
        process.kill()
        process.wait()
        for end in (*sockets, *([runtime] if runtime else [])):
            end.close()


def test_key_files(tmp_path: Path):
    path = tmp_path / "mocap.key"
    path.write_text("ab" * 32 + "\n")
    assert read_key(path) == b"\xab" * 32
    for text in ("", "ab" * 31, "xy" * 32):
        path.write_text(text)
        with pytest.raises(CorvidsError, match="64 hexadecimal digits"):
            read_key(path)


def test_a_busy_runtime_gets_no_old_pictures(tmp_path: Path):
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as keeper,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as runtime,
    ):
        runtime.bind(str(tmp_path / "runtime"))
        runtime.setblocking(False)
        sender = StateSender(session=1)
        old, fresh = (sender.state(1, round(1e9 * sent_s)) for sent_s in (99.9, 99.99))
        pending = deque([old, b"\xfdMAVLink", fresh])
        hand_over(pending, keeper, str(tmp_path / "runtime"), 100.0)
        assert not pending
        assert [runtime.recv(2048) for _ in range(2)] == [b"\xfdMAVLink", fresh]
        with pytest.raises(BlockingIOError):
            runtime.recv(2048)
