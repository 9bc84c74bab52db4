"""``corvids mocap``: the bridges as processes would run them, on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from mocap_lab import NatNetServer, vicon_datagram
from test_sih_truth import packet as sih_packet

from corvids.cli import main
from corvids.commands import mocap
from corvids.deploy.mocap import natnet
from corvids.deploy.mocap.relay import mocap_config
from corvids.deploy.mocap.state_packet import BodyPose
from corvids.deploy.mocap.state_port import StatePort
from corvids.deploy.mocap.state_stream import StateReceiver, StateSender


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listen(port: int, wanted: int, *, is_ptp: bool = False) -> list:
    """The first frames that arrive there, received as by a flight; without PTP the sender is pinged."""
    ahead_s = time.time() - time.monotonic()
    where = f"udp:127.0.0.1:{port}"
    receiver = StateReceiver(
        mocap_config(where, 1, None, is_ptp=is_ptp, least_ms=2.0, ahead_s=ahead_s).stream
    )
    state_port = StatePort(where, receiver)
    frames, deadline_s = [], time.monotonic() + 120.0
    while len(frames) < wanted and time.monotonic() < deadline_s:
        state_port.wait(0.05)
        frames += state_port.frames(time.monotonic())
    state_port.close()
    assert is_ptp or receiver.offset.samples > 0, "the bridge answered pings"
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
        monotonic=lambda: time.monotonic() + ahead_s[0],
        monotonic_ns=time.monotonic_ns,
        time_ns=time.time_ns,
        sleep=time.sleep,
    )
    monkeypatch.setattr(mocap, "time", clock)
    return lambda: ahead_s.append(ahead_s.pop() + 1e6)


PTP = pytest.mark.parametrize("is_ptp", [False, True], ids=["echoes", "ptp"])
"""Whether PTP keeps both ends' clocks together, as the options on both sides say."""


@PTP
def test_vicon_on_loopback(is_ptp: bool, end_bridges: Callable[[], None], capsys):
    vicon_port, state_port = free_port(), free_port()
    bridge = in_background(
        "vicon", "--listen", f"udp:127.0.0.1:{vicon_port}", "--rate-hz", "100", "--bodies", "drone=3",
        "--to", f"127.0.0.1:{state_port}", "--seconds", "1000", *(["--ptp"] if is_ptp else []),
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
    frames = listen(state_port, 60, is_ptp=is_ptp)
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


@PTP
def test_natnet_on_loopback(is_ptp: bool, end_bridges: Callable[[], None], monkeypatch):
    command_port, data_port, state_port = free_port(), free_port(), free_port()
    monkeypatch.setattr(natnet, "COMMAND_PORT", command_port)
    bridge = in_background(
        "natnet", "--multicast", "", "--data-port", str(data_port), "--up", "Z",
        "--to", f"127.0.0.1:{state_port}", "--seconds", "1000", *(["--ptp"] if is_ptp else []),
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
    frames = listen(state_port, 60, is_ptp=is_ptp)
    is_over.set()
    server.join()
    end_bridges()
    bridge.join()
    assert len(frames) >= 60
    assert frames[-1].poses[0].pos_w_m == (1.0, 2.0, 0.5)
    assert frames[-1].points[0].pos_w_m == (0.0, 0.0, 2.0)
    assert all(0.0 < frame.arrived_s - frame.stamp_s < 60.0 for frame in frames)


@PTP
def test_px4s_simulator_on_loopback(is_ptp: bool, end_bridges: Callable[[], None]):
    sih_port, state_port, is_over = free_port(), free_port(), threading.Event()
    bridge = in_background(
        "sih", "--listen", f"udp:127.0.0.1:{sih_port}", "--to", f"127.0.0.1:{state_port}", "--seconds", "1000",
        *(["--ptp"] if is_ptp else []),
    )  # fmt: skip

    def simulate() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as px4:
            while not is_over.wait(0.01):
                px4.sendto(sih_packet(), ("127.0.0.1", sih_port))

    px4 = threading.Thread(target=simulate, daemon=True)
    px4.start()
    frames = listen(state_port, 60, is_ptp=is_ptp)
    is_over.set()
    px4.join()
    end_bridges()
    bridge.join()
    assert len(frames) >= 60
    assert all(-0.02 < frame.arrived_s - frame.stamp_s < 60.0 for frame in frames)


@pytest.mark.parametrize("options", [[], ["--ptp"]])
def test_listening_to_nothing_says_so(options: list[str], capsys):
    where = f"udp:127.0.0.1:{free_port()}"
    assert main(["mocap", "listen", "--listen", where, "--seconds", "0.1", *options]) == 0
    assert "nothing of use was heard" in capsys.readouterr().out


@pytest.mark.parametrize("is_ptp", [False, True])
def test_who_listens_by_ptp_hears_stamps_that_are_dates(is_ptp: bool, capsys):
    port, is_over = free_port(), threading.Event()
    ahead_ns = (lambda: time.time_ns() - time.monotonic_ns()) if is_ptp else (lambda: 0)

    def send() -> None:
        sender = StateSender(ahead_ns=ahead_ns)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not is_over.wait(0.01):
                now_ns = time.monotonic_ns()
                pose = BodyPose(1, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0))
                out.sendto(sender.state(now_ns - 1_000_000, now_ns, (pose,)), ("127.0.0.1", port))

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    assert main(["mocap", "listen", "--ptp", "--listen", f"udp:127.0.0.1:{port}", "--seconds", "1"]) == 0
    is_over.set()
    sending.join()
    said = capsys.readouterr().out
    assert ("ms old at arrival" in said) == is_ptp
    assert (" ill-timed" in said) != is_ptp


def test_a_process_that_is_held_up_between_two_clocks_stamps_by_them_all_the_same(monkeypatch):
    """The date is read 1 ms after our clock at first, while it works at something else; then within 2 µs."""
    now_ns, held_up_ns = 5_000_000_000, [1_000_000, 1_000, 1_000]

    def date() -> int:
        nonlocal now_ns
        now_ns += held_up_ns.pop(0)
        date_ns = now_ns + 1_800_000_000_000_000_000
        now_ns += 1_000
        return date_ns

    monkeypatch.setattr(mocap, "time", SimpleNamespace(monotonic_ns=lambda: now_ns, time_ns=date))
    assert mocap._date_ahead_ns() == pytest.approx(1_800_000_000_000_000_000, abs=2_000, rel=0.0)


class Cards:
    """Sockets of a computer whose card at ``address``, if it has one there, leads to every server."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.towards: list[tuple[str, int]] = []
        self.joined: list[bytes] = []

    def __call__(self, *arguments: object) -> Cards:
        return self

    def connect(self, server: tuple[str, int]) -> None:
        self.towards.append(server)
        if self.address is None:
            raise OSError("Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return self.address or "", 40000

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (level, option) == (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP)
        self.joined.append(value)

    def bind(self, where: tuple[str, int]) -> None: ...
    def setblocking(self, waits: bool) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Cards:
        return self

    def __exit__(self, *arguments: object) -> None: ...


@pytest.mark.parametrize(
    ("address", "card"),
    [
        ("10.7.0.2", "10.7.0.2"),  # not the default route's
        ("127.0.0.1", "0.0.0.0"),  # loopback has no multicast
        (None, "0.0.0.0"),
    ],
)
def test_a_group_is_joined_on_the_card_that_leads_to_the_server(address: str | None, card: str, monkeypatch):
    cards = Cards(address)
    monkeypatch.setattr(socket, "socket", cards)
    mocap._natnet_socket(mocap.MocapOptions(), ("10.7.0.9", natnet.COMMAND_PORT))
    assert cards.towards == [("10.7.0.9", 1510)]
    assert cards.joined == [socket.inet_aton("239.255.42.99") + socket.inet_aton(card)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (["natnet", "--multicast", ""], "127.0.0.1 does not answer at port"),
        (["vicon", "--rate-hz", "100", "--bodies", "drone=1"], "does the Tracker stream objects there?"),
    ],
)
def test_a_source_that_is_silent_is_said_to_be(source: list[str], said: str, monkeypatch, capsys):
    monkeypatch.setattr(mocap, "SAY_S", 0.05)
    monkeypatch.setattr(natnet, "COMMAND_PORT", free_port())
    data = ["--data-port", str(free_port()), "--listen", f"udp:127.0.0.1:{free_port()}"]
    assert main(["mocap", *source, *data, "--to", f"127.0.0.1:{free_port()}", "--seconds", "0.3"]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("0 frames, ")
    assert said in line


def test_a_server_that_answers_but_sends_no_frames_is_told_apart(monkeypatch, capsys):
    """As where it sends to a group that was not joined, or to another port."""
    command_port, is_over = free_port(), threading.Event()
    monkeypatch.setattr(mocap, "SAY_S", 0.05)
    monkeypatch.setattr(natnet, "COMMAND_PORT", command_port)

    def serve() -> None:
        server = NatNetServer((4, 1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as command:
            command.bind(("127.0.0.1", command_port))
            command.settimeout(0.01)
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    request, client = command.recvfrom(2048)
                    command.sendto(server.answer(request, time.monotonic()) or b"", client)

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    port = free_port()
    options = ["--multicast", "", "--data-port", str(port), "--to", f"127.0.0.1:{free_port()}"]
    assert main(["mocap", "natnet", *options, "--seconds", "2"]) == 0
    is_over.set()
    serving.join()
    assert f"no frame comes to this host, port {port}" in capsys.readouterr().out.splitlines()[-1]


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
