"""Datagrams to and from an autopilot, directly or through the keeper."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from corvids.deploy.mocap.state_packet import is_state_packet
from corvids.errors import CorvidsError

SETPOINT, PACKET, ENGAGE, RELEASE = b"S", b"P", b"E", b"R"
"""First byte of a frame to the keeper: a set-point with what to do without it, any other packet, the operator's word
to engage, and that nobody streams any more."""
HOLDS = b"H"
"""First byte of what the keeper tells once set-points stayed away, until the operator engages: none counts. Then
follows what came with the operator's last word to engage, so that no answer of before is taken for one of after; and 1
or 0, whether PX4 holds for the keeper, see :attr:`corvids.deploy.px4.keeping.StreamWatch.has_hold`."""
SAFE = struct.Struct("<ff")
"""In a set-point's frame, before its packet: heading [rad from north] and normalised thrust for level flight."""
BUFFER = 4096
TURN_MAX = 200
"""So many datagrams are looked at in a turn, or handed over although time is up: a flood must not stop who is due."""
OVERTIME_S = 0.005
"""Nor must whoever takes them in slowly: so long are they handed over although time is up [s]."""
SILENT_S = 2.0
"""An autopilot's address is kept until it has been silent for so long [s]."""


class Channel(Protocol):
    """A way to the autopilot, and the clock on which waiting is measured."""

    @property
    def now_s(self) -> float:
        """Time [s]; never goes back."""
        ...

    def wait(self, until_s: float) -> Iterator[bytes]:
        """What arrives until ``until_s`` [s], as it arrives."""
        ...

    def accept(self) -> None:
        """The datagram handed out last is the autopilot's."""
        ...

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        """Send a packet of that kind; ``safe`` goes with a set-point: heading and thrust, see :data:`SAFE`."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Receiver(Protocol):
    """What can be waited for, on this system's monotonic clock."""

    def fileno(self) -> int:
        """Handle."""
        ...

    def receive(self) -> bytes | None:
        """What has arrived, None where nothing has."""
        ...


def arrivals(receiver: Receiver, until_s: float) -> Iterator[bytes]:
    """What arrives until ``until_s`` [s], as it arrives; and what is there then, within bounds."""
    # The bounds begin once time is seen to be up: who was stopped meanwhile still takes in what came in the meantime.
    left_over, end_s = TURN_MAX, math.inf
    while left_over:
        datagram = receiver.receive()
        if datagram is not None:
            yield datagram
        now_s = time.monotonic()
        if now_s >= until_s:
            left_over, end_s = left_over - 1, min(end_s, now_s + OVERTIME_S)
            if datagram is None or now_s >= end_s:
                return
        elif datagram is None and not select.select([receiver], [], [], until_s - now_s)[0]:
            return


def udp_address(link: str) -> tuple[str, int]:
    """Host and port at which to listen, from ``udp:PORT`` or ``udp:HOST:PORT``."""
    match = re.fullmatch(r"udp:(?:(?P<host>[^:]+):)?(?P<port>\d{1,5})", link)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise CorvidsError(
            f"link {link!r}: must be udp:PORT or udp:HOST:PORT, where to listen (PX4: udp:14540)"
        )
    return match["host"] or "0.0.0.0", int(match["port"])


def listening_socket(link: str) -> socket.socket:
    """A UDP socket that listens at ``link`` and never waits."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listener.bind(udp_address(link))
    except OSError as error:
        listener.close()
        raise CorvidsError(
            f"link {link}: cannot listen there: {error.strerror}; is another program connected?"
        ) from None
    listener.setblocking(False)
    return listener


class UdpChannel:
    """Listens where the autopilot sends, answers where it sends from: the first address that makes sense."""

    def __init__(self, link: str, inherited: socket.socket | None = None) -> None:
        """``inherited``: what another process listened with there, and handed over."""
        self.socket = inherited or listening_socket(link)
        self.strangers = 0
        """Datagrams from other addresses than the autopilot's, and of motion capture, which has a port and a key of its
        own."""
        self._remote: tuple[str, int] | None = None
        self._source: tuple[str, int] | None = None
        self._heard_s = 0.0

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def fileno(self) -> int:
        """What can be waited for."""
        return self.socket.fileno()

    def wait(self, until_s: float) -> Iterator[bytes]:
        return arrivals(self, until_s)

    def receive(self) -> bytes | None:
        """A datagram that has arrived and may be the autopilot's."""
        for _ in range(TURN_MAX):
            try:
                datagram, source = self.socket.recvfrom(BUFFER)
            except OSError:  # nothing there, or a complaint that nobody listens
                return None
            now_s = time.monotonic()
            is_known = self._remote is not None and now_s - self._heard_s < SILENT_S
            if (is_known and source != self._remote) or is_state_packet(datagram):
                self.strangers += 1
                continue
            self._source = source
            return datagram
        return None

    def accept(self) -> None:
        self._remote, self._heard_s = self._source, time.monotonic()

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        if self._remote is not None and packet:
            with contextlib.suppress(OSError):  # lost like any datagram; silence is noticed elsewhere
                self.socket.sendto(packet, self._remote)

    def close(self) -> None:
        self.socket.close()


class KeeperChannel:
    """Goes through the keeper, which owns the link: see :mod:`corvids.deploy.px4.link_keeper`."""

    def __init__(self, keeper: Path, own: Path) -> None:
        self._keeper, self._own = str(keeper), own
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        own.unlink(missing_ok=True)
        self.socket.bind(str(own))
        os.chmod(own, 0o600)
        self.socket.setblocking(False)
        self.send(PACKET)

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def fileno(self) -> int:
        """What can be waited for."""
        return self.socket.fileno()

    def wait(self, until_s: float) -> Iterator[bytes]:
        return arrivals(self, until_s)

    def receive(self) -> bytes | None:
        """A datagram that has arrived."""
        with contextlib.suppress(BlockingIOError):
            return self.socket.recv(BUFFER)
        return None

    def accept(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        frame = kind + (SAFE.pack(*safe) if kind == SETPOINT else b"") + packet
        with contextlib.suppress(OSError):  # a dead keeper is noticed by the autopilot's silence
            self.socket.sendto(frame, self._keeper)

    def close(self) -> None:
        self.socket.close()
        self._own.unlink(missing_ok=True)


def is_orphaned(local: socket.socket, runtime: str | None, is_alone: bool) -> bool:
    """Whether a keeper's runtime has ended; one that never spoke is waited for until the keeper ``is_alone``."""
    return is_alone if runtime is None else not is_taken(local, b"", runtime)


def is_taken(local: socket.socket, frame: bytes, runtime: str) -> bool:
    """Send a frame to a keeper's runtime; whether that is there, if too busy to take it in now."""
    try:
        local.sendto(frame, runtime)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
