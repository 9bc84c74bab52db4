"""The keeper: what it does when set-points are late, and as a process when the runtime is killed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import common
from standin import AUTO, LAND, LOITER, OFFBOARD, POSCTL, Standin
from test_channels import free_port

from corvids.deploy.px4.channels import (
    ENGAGE,
    HOLDS,
    PACKET,
    RELEASE,
    SAFE,
    SETPOINT,
    KeeperChannel,
)
from corvids.deploy.px4.keeping import Keeping
from corvids.deploy.px4.link_keeper import BEHIND, COMPONENT, Keeper, hand_over
from corvids.deploy.px4.mavlink_link import MavlinkLink
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig

RATES = Peer().rates(0.4, (0.0, 0.0, 0.0), 0.0)


def frame(yaw: float = 0.5, thrust: float = 0.3) -> bytes:
    return SETPOINT + SAFE.pack(yaw, thrust) + RATES


def flying(mode: int = OFFBOARD) -> tuple[Keeper, Standin]:
    """A keeper that relayed a set-point at time 10, to a vehicle in ``mode``."""
    px4 = Standin()
    px4.armed, px4.main, px4.sub = True, mode, 0
    keeper = Keeper(Peer(PeerConfig(component=COMPONENT)))
    keeper.peer.take_in(px4.heartbeat(), 10.0)
    assert keeper.from_runtime(frame(), 10.0) == RATES
    return keeper, px4


def play(keeper: Keeper, px4: Standin, start_s: float, end_s: float) -> None:
    """Let time pass in steps of 5 ms."""
    for step in range(round((end_s - start_s) / 0.005)):
        now_s = start_s + 0.005 * (step + 1)
        for packet in keeper.watch(now_s):
            px4.take_in(packet, now_s)


def test_it_passes_what_is_in_time():
    keeper, px4 = flying()
    play(keeper, px4, 10.0, 10.04)
    assert px4.heard == []
    assert keeper.from_runtime(PACKET + b"any", 10.0) == b"any"


def test_after_40_ms_it_levels_and_hovers():
    keeper, px4 = flying()
    play(keeper, px4, 10.0, 10.1)
    assert keeper.stream.keeping is Keeping.LEVELLING
    targets = px4.targets()
    assert len(targets) == 3, "at 45, 65 and 85 ms"
    assert {t.type_mask for t in targets} == {0b00000111}
    assert targets[0].thrust == pytest.approx(0.3)
    assert targets[0].q[3] == pytest.approx(0.2474, abs=1e-4), "sin(0.5 rad / 2)"
    assert px4.commands(common.MAV_CMD_DO_SET_MODE) == []
    keeper.from_runtime(frame(), 10.1)
    assert keeper.stream.keeping is Keeping.RELAYING


def test_after_200_ms_it_asks_to_hold_and_does_not_let_the_stream_resume():
    keeper, px4 = flying()
    play(keeper, px4, 10.0, 10.3)
    assert keeper.stream.keeping is Keeping.HOLDING
    assert (px4.main, px4.sub) == (AUTO, LOITER)
    keeper.peer.take_in(px4.heartbeat(), 10.3)
    assert keeper.from_runtime(frame(), 10.4) is None
    assert keeper.dropped == 1
    heard = len(px4.commands(common.MAV_CMD_DO_SET_MODE))
    play(keeper, px4, 10.4, 13.0)
    assert len(px4.commands(common.MAV_CMD_DO_SET_MODE)) == heard, "not asked again once it holds"
    assert keeper.from_runtime(RELEASE, 13.0) is None
    assert keeper.from_runtime(frame(), 13.0) is None, "only the operator's word opens it"
    keeper.from_runtime(ENGAGE, 13.1)
    assert keeper.from_runtime(frame(), 13.1) == RATES


def test_it_asks_until_px4_holds():
    keeper, px4 = flying()
    px4._obey = lambda message, now_s: b""  # a PX4 that does not listen
    play(keeper, px4, 10.0, 11.2)
    assert len(px4.commands(common.MAV_CMD_DO_SET_MODE)) == 4, "every 250 ms from 205 ms on"
    assert 47 <= len(px4.targets()) <= 58, "and levels all the while, every 20 to 25 ms from 45 ms on"


def test_px4_that_does_not_hold_is_made_to_land():
    """PX4 refuses to hold where it knows no global position, as with motion capture alone."""
    keeper, px4 = flying()
    obey = px4._obey

    def obey_without_a_globe(message, now_s: float) -> bytes:
        return b"" if message.param3 == LOITER else obey(message, now_s)

    px4._obey = obey_without_a_globe
    play(keeper, px4, 10.0, 11.6)
    assert px4.main == OFFBOARD
    play(keeper, px4, 11.6, 12.1)
    assert (px4.main, px4.sub) == (AUTO, LAND)


def test_px4_that_does_nothing_is_left_to_its_own_failsafe():
    keeper, px4 = flying()
    px4._obey = lambda message, now_s: b""
    play(keeper, px4, 10.0, 15.0)
    last_s = len(px4.heard)
    play(keeper, px4, 15.0, 16.0)
    assert len(px4.heard) == last_s, "silent"
    asked = [message.param3 for message in px4.commands(common.MAV_CMD_DO_SET_MODE)]
    assert asked == [LOITER] * asked.count(LOITER) + [LAND] * asked.count(LAND)
    assert (asked.count(LOITER), asked.count(LAND)) == (7, 12), "at 0, 0.25, … 1.5 s, and up to 4.5 s"


def test_it_does_not_disturb_who_flies_in_another_mode():
    keeper, px4 = flying(POSCTL)
    play(keeper, px4, 10.0, 13.0)
    assert px4.commands(common.MAV_CMD_DO_SET_MODE) == []
    assert px4.main == POSCTL
    assert keeper.watch(14.0) == []


def test_released_it_keeps_nothing():
    keeper, px4 = flying()
    keeper.from_runtime(RELEASE, 10.01)
    play(keeper, px4, 10.0, 11.0)
    assert px4.heard == []


def test_it_tells_px4_the_time_once_for_every_question():
    """Under way for 2 ms there and 4 ms back: PX4 cannot know that, and errs by half the difference."""
    keeper, px4 = flying(POSCTL)
    keeper.from_runtime(RELEASE, 10.0)
    for asked_s in (10.1, 10.2):
        keeper.peer.take_in(px4.ask_time(asked_s), asked_s + 0.002)
        for packet in keeper.watch(asked_s + 0.002):
            px4.take_in(packet, asked_s + 0.006)
        assert keeper.watch(asked_s + 0.01) == []
    assert px4.clock_offsets_us == pytest.approx([-1e6 * px4.boot_s + 1e3] * 2, abs=2.0)
    runtime = Peer()
    runtime.take_in(px4.ask_time(10.3), 10.3)
    for packet in runtime.housekeeping(10.3):
        px4.take_in(packet, 10.3)
    assert len(px4.clock_offsets_us) == 2, "the runtime leaves the telling to the keeper"


def test_it_has_nothing_to_keep_of_an_autopilot_that_is_gone():
    keeper, _ = flying()
    assert not keeper.has_nothing_to_keep(69.0), "off-board, and perhaps to be heard again"
    assert keeper.has_nothing_to_keep(71.0)
    assert flying(POSCTL)[0].has_nothing_to_keep(10.1)


@pytest.mark.parametrize("guides", [False, True])
def test_it_has_nothing_to_keep_of_a_vehicle_that_has_disarmed(guides: bool):
    """After a landing PX4 is in OFFBOARD again, where a keeper that had to have it hold would wait for ever."""
    keeper, px4 = flying()
    play(keeper, px4, 10.0, 10.3)
    assert keeper.stream.keeping is Keeping.HOLDING
    px4.main, px4.sub = OFFBOARD, 0
    keeper.peer.take_in(px4.heartbeat(), 15.0)
    assert not keeper.has_nothing_to_keep(15.0, guides)
    px4.armed = False
    keeper.peer.take_in(px4.heartbeat(), 16.0)
    assert keeper.has_nothing_to_keep(16.0, guides)


def test_it_tells_the_runtime_that_it_has_px4_hold():
    keeper, px4 = flying()
    keeper.from_runtime(ENGAGE + b"\x07", 9.0)
    keeper.from_runtime(frame(), 10.0)
    assert keeper.to_runtime(10.1) is None
    play(keeper, px4, 10.0, 10.3)
    assert keeper.to_runtime(10.3) == HOLDS + b"\x07\x01"
    assert keeper.to_runtime(10.35) is None, "not at every turn"
    for mode, holds in (((AUTO, LOITER), 1), ((POSCTL, 0), 0), ((AUTO, LOITER), 0)):
        px4.main, px4.sub = mode
        keeper.peer.take_in(px4.heartbeat(), 10.4)
        keeper.watch(10.4)
        keeper._told_s = 0.0
        assert keeper.to_runtime(10.45) == HOLDS + bytes([7, holds]), "until a pilot takes it"
    keeper.from_runtime(ENGAGE + b"\x08", 10.5)
    assert keeper.to_runtime(10.6) is None


def test_the_runtime_believes_that_of_its_last_word_to_engage_alone(tmp_path: Path):
    path = str(tmp_path / "runtime")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        link = MavlinkLink(KeeperChannel(tmp_path / "nobody", tmp_path / "runtime"), Peer())
        link.engage()
        for turn, holds, is_kept in ((0, 1, False), (1, 1, True), (0, 0, True), (1, 0, False), (1, 1, True)):
            local.sendto(HOLDS + bytes([turn, holds]), path)
            assert [*link.wait(time.monotonic())] == []
            assert link.is_kept is is_kept
        link.engage()
        assert not link.is_kept


def test_a_busy_runtime_gets_everything_late_and_in_order(tmp_path: Path):
    """The system queues ten datagrams of such a socket; PX4 sends as many in 20 ms."""
    sent = [bytes([number]) * 50 for number in range(100)]
    runtime = KeeperChannel(tmp_path / "nobody", tmp_path / "runtime")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.setblocking(False)
        pending = deque(sent)
        hand_over(pending, local, str(tmp_path / "runtime"), 0.0)
        assert pending, "it takes no more now"
        heard = []
        while pending:
            heard += runtime.wait(time.monotonic())
            hand_over(pending, local, str(tmp_path / "runtime"), 0.0)
        heard += runtime.wait(time.monotonic())
        assert heard == sent
        runtime.close()
        pending.extend(sent)
        hand_over(pending, local, str(tmp_path / "runtime"), 0.0)
        assert not pending, "nobody is there any more"


def test_a_runtime_that_is_always_busy_gets_the_newest_states(tmp_path: Path):
    """And every message that does not come again at once."""
    px4 = Standin()
    states = [px4.odometry(100.0 + 0.008 * index) for index in range(200)]
    once = [px4.heartbeat(), px4.battery(50)]
    runtime = KeeperChannel(tmp_path / "nobody", tmp_path / "runtime")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.setblocking(False)
        pending = deque([*states[:100], *once, *states[100:]])
        hand_over(pending, local, str(tmp_path / "runtime"), 0.0)
        heard = []
        while pending:
            heard += runtime.wait(time.monotonic())
            hand_over(pending, local, str(tmp_path / "runtime"), 0.0)
        heard += runtime.wait(time.monotonic())
    runtime.close()
    assert heard == [*once, *states[-BEHIND:]]


def test_frames_that_are_none_are_counted():
    keeper, _ = flying()
    for wrong in (b"", b"X123", SETPOINT + b"123"):
        assert keeper.from_runtime(wrong, 10.0) is None
    assert keeper.dropped == 3


def test_when_the_runtime_dies_the_process_levels_and_then_makes_px4_hold(tmp_path: Path):
    """As flown: keeper process, stand-in on loopback, a runtime that streams for a while and is never heard again."""
    port, px4 = free_port(), Standin()
    px4.armed, px4.main, px4.sub = True, OFFBOARD, 0
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setblocking(False)
    arguments = [
        sys.executable,
        "-m",
        "corvids.deploy.px4.link_keeper",
        f"udp:127.0.0.1:{port}",
        str(tmp_path / "keeper"),
    ]
    process = subprocess.Popen(arguments)
    try:
        deadline_s = time.monotonic() + 240.0
        while not (tmp_path / "keeper").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        runtime = KeeperChannel(tmp_path / "keeper", tmp_path / "runtime")
        heard = None
        while heard is None and time.monotonic() < deadline_s:
            link.sendto(px4.heartbeat(), ("127.0.0.1", port))
            heard = next(runtime.wait(time.monotonic() + 0.1), None)
        assert heard, "what PX4 sends reaches the runtime"
        link.sendto(b"CRVS", ("127.0.0.1", port))  # what is no packet must not end it
        runtime.send(ENGAGE)
        for _ in range(5):  # at once: on a busy machine pauses between them may be too long for the keeper
            runtime.send(SETPOINT, RATES, (0.0, 0.35))
        runtime.close()
        while (px4.main, px4.sub) != (AUTO, LOITER) and time.monotonic() < deadline_s:
            try:
                px4.take_in(link.recv(2048), time.monotonic())
            except BlockingIOError:
                time.sleep(0.005)
        kinds = [(t.type_mask, round(t.thrust, 2)) for t in px4.targets()]
        assert kinds.count((0b10000000, 0.4)) == 5, "the runtime's set-points"
        assert (0b00000111, 0.35) in kinds, "then the keeper's"
        assert kinds.index((0b00000111, 0.35)) >= 1
        assert (px4.main, px4.sub) == (AUTO, LOITER)
    finally:
        process.kill()
        process.wait()
        link.close()
