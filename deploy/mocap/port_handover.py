"""A UDP port that passes from one process to the next without being closed: what arrives meanwhile is not lost.

A keeper outlives its runtime, and guides its vehicle by motion capture until that has disarmed. It offers the ports at
which the autopilot and motion capture arrive to whoever comes next, who would otherwise find them taken. Only processes
of the same user are believed, on either side.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable

from corvids.deploy.px4.channels import udp_address
from corvids.errors import CorvidsError

ANSWER_S = 2.0
"""How long the process that has the port may take to answer [s]."""
TAKEN, BUSY = b"T", b"B"
CAN_PASS = hasattr(socket, "SO_PEERCRED") and hasattr(socket, "send_fds")
"""Whether this system has what is needed: Linux has."""


PORTS_MAX = 4
"""Ports that pass at once."""


class PortOffer:
    """Offers ``port``, which listens at ``where``, to the next process, and with it ``others`` that go together."""

    def __init__(self, where: str, port: socket.socket, *others: socket.socket) -> None:
        self._ports = (port, *others)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):  # somebody squats on the name: then nobody takes over
            self.socket.bind(_name_of(where))
            self.socket.listen(1)

    def pass_on(self, is_free: Callable[[], bool]) -> bool:
        """Answer whoever asks for the port: hand it over if it ``is_free`` then; whether that was done."""
        try:
            asking, _ = self.socket.accept()
        except OSError:  # nobody does
            return False
        with asking, contextlib.suppress(OSError):
            if not _is_ours(asking):
                return False
            if is_free():
                self.close()  # the name is the next one's from now on
                socket.send_fds(asking, [TAKEN], [port.fileno() for port in self._ports])
                return True
            asking.send(BUSY)
        return False

    def close(self) -> None:
        """Offer it no longer."""
        self.socket.close()


def take_over(where: str) -> socket.socket | None:
    """The socket that listens at ``where``, from a process that offers it; None where none does."""
    return take_over_all(where)[0]


def take_over_all(where: str, *others: str) -> list[socket.socket | None]:
    """The same, and whichever of ``others`` the process that offers ``where`` hands over with it, in that order."""
    wanted: dict[str, socket.socket | None] = dict.fromkeys((where, *others))
    said, handles = _answer(where) if CAN_PASS else (b"", [])
    if said == BUSY:
        raise CorvidsError(f"link {where}: another flight listens there, and goes on: end it first")
    for handle in handles:
        port = socket.socket(fileno=handle)
        address = port.getsockname()[:2] if port.type is socket.SOCK_DGRAM else None
        name = next((one for one in wanted if udp_address(one) == address and wanted[one] is None), None)
        if name is None:
            port.close()
        else:
            port.setblocking(False)
            wanted[name] = port
    return list(wanted.values())


def _answer(where: str) -> tuple[bytes, list[int]]:
    """What a process that offers ``where`` answers, and the handles that it sends; nothing where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(ANSWER_S)
        try:
            asking.connect(_name_of(where))
            if not _is_ours(asking):
                return b"", []
            said, handles, *_ = socket.recv_fds(asking, 1, PORTS_MAX)
        except OSError:
            return b"", []
    return said, handles


def _name_of(where: str) -> str:
    """A name without a file, which lives in the same network as the port."""
    host, port = udp_address(where)
    return f"\0corvids-port-{host}-{port}"


def _is_ours(other: socket.socket) -> bool:
    """Whether a process of this user's is at the other end."""
    credentials = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user == os.getuid()
