"""``corvids mocap``: the bridges as processes would run them, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from mocap_lab import NatNetServer, vicon_datagram

from corvids.cli import main
from corvids.commands import mocap
from corvids.deploy.mocap import natnet
from corvids.deploy.mocap.state_port import StatePort
from corvids.deploy.mocap.state_stream import StateReceiver


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listen(port: int, wanted: int) -> list:
    """The first frames that arrive there; the sender is pinged."""
    receiver = StateReceiver()
    state_port = StatePort(f"udp:127.0.0.1:{port}", receiver)
    frames, deadline_s = [], time.monotonic() + 120.0
    while len(frames) < wanted and time.monotonic() < deadline_s:
        state_port.wait(0.05)
        frames += state_port.frames(time.monotonic())
    state_port.close()
    assert receiver.offset.samples > 0, "the bridge answered pings"
    return frames


def in_background(*argv: str) -> threading.Thread:
    thread = threading.Thread(target=main, args=(["mocap", *argv],), daemon=True)
    thread.start()
    return thread


@pytest.fixture
def end_bridges(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the time of the bridges be over when a test has heard enough, however long that took."""
    ahead_s = [0.0]
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + ahead_s[0], monotonic_ns=time.monotonic_ns, sleep=time.sleep
    )
    monkeypatch.setattr(mocap, "time", clock)
    return lambda: ahead_s.append(ahead_s.pop() + 1e6)


def test_vicon_on_loopback(end_bridges: Callable[[], None], capsys):
    vicon_port, state_port = free_port(), free_port()
    bridge = in_background(
        "vicon", "--listen", f"udp:127.0.0.1:{vicon_port}", "--rate-hz", "100", "--bodies", "drone=3",
        "--to", f"127.0.0.1:{state_port}", "--seconds", "1000",
    )  # fmt: skip
    is_over = threading.Event()

    def track() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tracker:
            number = 0
            while not is_over.wait(0.01):
                number += 1
                object_ = ("drone", (1.0, 2.0, 0.5 + 1e-6 * number), (0.0, 0.0, 0.1))
                tracker.sendto(vicon_datagram(number, [object_]), ("127.0.0.1", vicon_port))

    tracker = threading.Thread(target=track, daemon=True)
    tracker.start()
    frames = listen(state_port, 60)
    said, deadline_s = "", time.monotonic() + 120.0
    while " malformed" not in said and time.monotonic() < deadline_s:
        time.sleep(0.02)
        said += capsys.readouterr().out
    is_over.set()
    tracker.join()
    end_bridges()
    bridge.join()
    assert len(frames) >= 60
    assert {frame.poses[0].body for frame in frames} == {3}
    assert all(-0.02 < frame.arrived_s - frame.stamp_s < 60.0 for frame in frames)
    assert "0 malformed" in said


def test_natnet_on_loopback(end_bridges: Callable[[], None], monkeypatch):
    command_port, data_port, state_port = free_port(), free_port(), free_port()
    monkeypatch.setattr(natnet, "COMMAND_PORT", command_port)
    bridge = in_background(
        "natnet", "--multicast", "", "--data-port", str(data_port), "--up", "Z",
        "--to", f"127.0.0.1:{state_port}", "--seconds", "1000",
    )  # fmt: skip
    is_over = threading.Event()

    def serve() -> None:
        server = NatNetServer((4, 1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as command:
            command.bind(("127.0.0.1", command_port))
            command.settimeout(0.01)
            while not is_over.is_set():
                try:
                    request, client = command.recvfrom(2048)
                    answer = server.answer(request, time.monotonic())
                    if answer:
                        command.sendto(answer, client)
                except TimeoutError:
                    pass
                now_s = time.monotonic()
                body = (2, (1.0, 2.0, 0.5), (0.0, 0.0, 0.0, 1.0), True)
                frame = server.frame(now_s - 0.003, now_s, [body], [(1, (0.0, 0.0, 2.0), 0)])
                command.sendto(frame, ("127.0.0.1", data_port))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    frames = listen(state_port, 60)
    is_over.set()
    server.join()
    end_bridges()
    bridge.join()
    assert len(frames) >= 60
    assert frames[-1].poses[0].pos_w_m == (1.0, 2.0, 0.5)
    assert frames[-1].points[0].pos_w_m == (0.0, 0.0, 2.0)
    assert all(0.0 < frame.arrived_s - frame.stamp_s < 60.0 for frame in frames)


def test_listening_to_nothing_says_so(capsys):
    assert main(["mocap", "listen", "--listen", f"udp:127.0.0.1:{free_port()}", "--seconds", "0.1"]) == 0
    assert "nothing of use was heard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which source?"),
        (["qualisys"], "(known: natnet, vicon, sih, listen)"),
        (["vicon", "--rate-hz", "100"], "a number from 1 to 65535 for each object"),
        (["vicon", "--rate-hz", "100", "--bodies", "drone"], "must be NAME=NUMBER"),
        (["vicon", "--rate-hz", "100", "--bodies", "drone=1", "--to", "here"], "must be HOST:PORT"),
        (["natnet", "--multicast", "10.0.0.1"], "cannot be joined"),
        (["listen", "--key", "no.key"], "No such file"),
        (["listen", "--listen", "14600"], "must be udp:PORT"),
        (["listen", "--seconds", "0"], "must be positive"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, capsys, monkeypatch):
    monkeypatch.setattr(mocap, "DEFAULT_PORT", free_port())
    assert main(["mocap", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
