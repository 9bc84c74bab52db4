"""``corvids mocap SOURCE``: hand a motion capture system's stream on as a state stream, or listen to one."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from corvids.cli import first_word, parse
from corvids.deploy.mocap import natnet, sih_truth, vicon
from corvids.deploy.mocap.bridge import NatNetBridge, Tally, Up, ViconBridge
from corvids.deploy.mocap.relay import account
from corvids.deploy.mocap.state_port import StatePort, read_key
from corvids.deploy.mocap.state_stream import Clock, StateReceiver, StateSender, StreamConfig
from corvids.deploy.px4.channels import BUFFER, listening_socket, udp_address
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

SOURCES = ("natnet", "vicon", "sih", "listen")
DEFAULT_PORT = 14600
"""Where `corvids fly --mocap` is told to listen, in all examples."""
ANYWHERE = "0.0.0.0"
"""No network card in particular."""
SAY_S = 2.0
"""Time between two lines about the stream [s]."""


@dataclasses.dataclass(frozen=True)
class MocapOptions:
    """Hand on what a motion capture system sends, as `corvids fly --mocap` takes it in; or listen to it."""

    to: str = f"127.0.0.1:{DEFAULT_PORT}"
    """Host and port of the flying computer."""
    server: str = "127.0.0.1"
    """For natnet: host of the server (Motive)."""
    multicast: str = natnet.GROUP
    """For natnet: group that the server sends to; empty where it sends to this host alone (unicast)."""
    data_port: int = natnet.DATA_PORT
    """For natnet: port of the data."""
    up: Up = Up.Y
    """For natnet: axis that points up in what the server streams."""
    listen: str = ""
    """For all but natnet: where to listen, udp:PORT or udp:HOST:PORT; vicon: 51001, sih: 19410, listen: 14600."""
    rate_hz: float = 0.0
    """For vicon: the Tracker's frame rate, which gives its frame numbers their times."""
    bodies: tuple[str, ...] = ()
    """For vicon: numbers for the objects, such as drone=1 ball=2."""
    least_ms: float = 5.0
    """For vicon: least time from exposure to arrival, which the Tracker shows as its latency."""
    vehicle: str = "air"
    """For sih: vehicle that it simulates, name or file; it has the racket."""
    apex: float = 0.6
    """For sih: how high above where it would lie on the racket the ball is held, before it is let go [m]."""
    key: Path | None = None
    """File of 64 hexadecimal digits with which to sign; or, for listen, to verify."""
    ptp: bool = False
    """PTP keeps both computers' clocks: stamps are dates, as `fly --mocap-ptp` takes them, and then listen, too."""
    seconds: float = float("inf")
    """How long to go on."""


class Bridge(Protocol):
    """One maker's stream."""

    @property
    def tally(self) -> Tally: ...
    def take_in(self, datagram: bytes, now_s: float) -> bytes | None: ...


def main(argv: list[str]) -> int:
    """Entry point."""
    source, rest = first_word(argv, "mocap", "source", SOURCES)
    options = parse(MocapOptions, rest, f"mocap {source}")
    if not options.seconds > 0.0:
        raise CorvidsError(f"--seconds {options.seconds}: must be positive")
    key = read_key(options.key) if options.key else None
    if source == "listen":
        _listen(options, key)
        return 0
    sender = StateSender(key, ahead_ns=_date_ahead_ns) if options.ptp else StateSender(key)
    follow = {"natnet": _follow_natnet, "sih": _follow_sih, "vicon": _follow_vicon}[source]
    follow(options, sender)
    return 0


def _date_ahead_ns() -> int:
    """How far the clock that PTP keeps, which tells the date, is ahead of the one that is never set.

    By the quickest of three readings: whoever is held up between the clocks would stamp a frame by so much too late.
    """
    readings = []
    for _ in range(3):
        before_ns, date_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, date_ns - (before_ns + after_ns) // 2))
    return min(readings)[1]


def _listen(options: MocapOptions, key: bytes | None) -> None:
    clock = Clock.SHARED if options.ptp else Clock.ECHO
    receiver = StateReceiver(StreamConfig(key, clock, 1e-9 * _date_ahead_ns(), 1e-3 * options.least_ms))
    with contextlib.closing(StatePort(options.listen or f"udp:{DEFAULT_PORT}", receiver)) as port:
        end_s = said_s = time.monotonic()
        end_s += options.seconds
        seen = 0
        while (now_s := time.monotonic()) < end_s:
            port.wait(0.05)
            seen += sum(bool(frame.poses) for frame in port.frames(time.monotonic()))
            if now_s - said_s >= SAY_S:
                said_s = now_s
                print(account(receiver, seen), flush=True)
        print(account(receiver, seen), flush=True)


def _follow_natnet(options: MocapOptions, sender: StateSender) -> None:
    bridge = NatNetBridge(sender, options.up)
    command_port = (_resolved(options.server, "--server"), natnet.COMMAND_PORT)
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(contextlib.closing(_natnet_socket(options, command_port)))
        command = stack.enter_context(contextlib.closing(listening_socket_anywhere()))
        out = stack.enter_context(contextlib.closing(listening_socket_anywhere()))

        def ask(now_s: float) -> None:
            for request in bridge.requests(now_s):
                with contextlib.suppress(OSError):  # lost like any datagram
                    command.sendto(request, command_port)

        def silence() -> str:
            if bridge.server is None:
                return f"{options.server} does not answer at port {natnet.COMMAND_PORT}: is it --server, and streaming?"
            where = f"{options.multicast or 'this host'}, port {options.data_port}"
            return f"the server answers, but no frame comes to {where}: is it sent there (--multicast, --data-port)?"

        _pump(bridge, sender, [data, command], out, options, ask, silence)


def _follow_vicon(options: MocapOptions, sender: StateSender) -> None:
    bridge = ViconBridge(sender, _numbers(options.bodies), options.rate_hz, 1e-3 * options.least_ms)
    where = options.listen or f"udp:{vicon.PORT}"
    silence = f"nothing comes to {where}: does the Tracker stream objects there?"
    with (
        contextlib.closing(listening_socket(where)) as data,
        contextlib.closing(listening_socket_anywhere()) as out,
    ):
        _pump(bridge, sender, [data], out, options, lambda now_s: None, lambda: silence)


def _follow_sih(options: MocapOptions, sender: StateSender) -> None:
    from corvids.commands.mocap_sih import SihBridge  # needs torch, for the ball

    where = options.listen or f"udp:{sih_truth.PORT}"
    px4 = ("127.0.0.1", udp_address(where)[1] + sih_truth.BACK)
    bridge = SihBridge(sender, load_vehicle(options.vehicle), options.apex)
    with (
        contextlib.closing(listening_socket(where)) as data,
        contextlib.closing(listening_socket_anywhere()) as out,
    ):

        def ask(now_s: float) -> None:
            request = bridge.reader.request(now_s)
            if request is not None:
                with contextlib.suppress(OSError):  # it does not run yet
                    data.sendto(request, px4)

        silence = f"no truth comes to {where}: does PX4's simulator run?"
        _pump(bridge, sender, [data], out, options, ask, lambda: silence)


def _pump(
    bridge: Bridge,
    sender: StateSender,
    sources: list[socket.socket],
    out: socket.socket,
    options: MocapOptions,
    ask: Callable[[float], None],
    silence: Callable[[], str],
) -> None:
    """From ``sources`` through the bridge to ``options.to``, and echoes back; says ``silence`` while nothing comes."""
    where = _address(options.to)
    said_s = time.monotonic()
    end_s = said_s + options.seconds
    while (now_s := time.monotonic()) < end_s:
        ask(now_s)
        readable, _, _ = select.select([*sources, out], [], [], 0.02)
        for one in readable:
            with contextlib.suppress(OSError):  # nothing there, or a complaint that nobody listens
                while True:
                    datagram, back = one.recvfrom(1 << 16 if one is not out else BUFFER)
                    if one is out:
                        answer, target = sender.answer(datagram, time.monotonic_ns()), back
                    else:
                        answer, target = bridge.take_in(datagram, time.monotonic()), where
                    if answer is not None:
                        out.sendto(answer, target)
        if now_s - said_s >= SAY_S:
            said_s = now_s
            counts = vars(bridge.tally)
            fates = ", ".join(f"{count} {fate}" for fate, count in counts.items())
            hint = "" if any(counts.values()) else f"; {silence()}"
            print(f"{fates}; {sender.answered} echoes{hint}", flush=True)


def _natnet_socket(options: MocapOptions, server: tuple[str, int]) -> socket.socket:
    data = listening_socket(f"udp:{options.data_port}")
    if options.multicast:
        try:
            group = socket.inet_aton(options.multicast) + socket.inet_aton(_card_towards(server))
            data.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError as error:
            data.close()
            raise CorvidsError(f"--multicast {options.multicast}: cannot be joined: {error}") from None
    return data


def _card_towards(server: tuple[str, int]) -> str:
    """Our address on the network where the server is, whose card must join its group: left to the system, that would be
    the default route's. 0.0.0.0, the system's choice, for a server on this computer, or one that no card leads to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(server)  # sends nothing
            address = probe.getsockname()[0]
        except OSError:
            return ANYWHERE
    return ANYWHERE if ipaddress.ip_address(address).is_loopback else address


def listening_socket_anywhere() -> socket.socket:
    """A UDP socket on any free port."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((ANYWHERE, 0))
    one.setblocking(False)
    return one


def _numbers(words: tuple[str, ...]) -> dict[str, int]:
    numbers = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not name or not number.isdecimal():
            raise CorvidsError(f"--bodies {word!r}: must be NAME=NUMBER, such as drone=1")
        numbers[name] = int(number)
    return numbers


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CorvidsError(f"--to {text!r}: must be HOST:PORT, such as 192.168.1.20:{DEFAULT_PORT}")
    return _resolved(host, "--to"), int(port)


def _resolved(host: str, option: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise CorvidsError(f"{option} {host}: {error.strerror or error}") from None
