"""A UDP port that passes from one process to the next without being closed: what arrives meanwhile is not lost.

A keeper guides its vehicle by motion capture until that has disarmed, longer than the runtime lives. It offers the port
at which motion capture arrives to whoever comes to fly the same vehicle, who would otherwise find it taken. Only
processes of the same user are believed, on either side.
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


class PortOffer:
    """Offers ``port``, which listens at ``where``, to the next process."""

    def __init__(self, where: str, port: socket.socket) -> None:
        self._port = port
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
                socket.send_fds(asking, [TAKEN], [self._port.fileno()])
                return True
            asking.send(BUSY)
        return False

    def close(self) -> None:
        """Offer it no longer."""
        self.socket.close()


def take_over(where: str) -> socket.socket | None:
    """The socket that listens at ``where``, from a process that offers it; None where none does."""
    if not CAN_PASS:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(ANSWER_S)
        try:
            asking.connect(_name_of(where))
            if not _is_ours(asking):
                return None
            said, handles, *_ = socket.recv_fds(asking, 1, 1)
        except OSError:
            return None
    if said == BUSY:
        raise CorvidsError(f"link {where}: another flight listens there, and goes on: end it first")
    for handle in handles:
        port = socket.socket(fileno=handle)
        if port.type is socket.SOCK_DGRAM and port.getsockname()[:2] == udp_address(where):
            port.setblocking(False)
            return port
        port.close()
    return None


def _name_of(where: str) -> str:
    """A name without a file, which lives in the same network as the port."""
    host, port = udp_address(where)
    return f"\0corvids-port-{host}-{port}"


def _is_ours(other: socket.socket) -> bool:
    """Whether a process of this user's is at the other end."""
    credentials = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user == os.getuid()
