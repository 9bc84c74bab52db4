"""A UDP port at which a state stream arrives, and from which its sender is pinged."""

from __future__ import annotations

import contextlib
import re
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from corvids.deploy.mocap.state_packet import KEY_SIZE
from corvids.deploy.mocap.state_stream import Frame, StateReceiver
from corvids.deploy.px4.channels import BUFFER, TURN_MAX, listening_socket
from corvids.errors import CorvidsError


class StatePort:
    """Listens; hands out frames."""

    def __init__(
        self,
        where: str,
        receiver: StateReceiver,
        inherited: Callable[[str], socket.socket | None] | None = None,
    ) -> None:
        """``where``: ``udp:PORT`` or ``udp:HOST:PORT``; ``inherited`` gives what another process listens with there."""
        self.receiver = receiver
        self.socket = (inherited(where) if inherited else None) or listening_socket(where)
        self._sender: tuple[str, int] | None = None

    def frames(self, now_s: float) -> Iterator[Frame]:
        """What has arrived by ``now_s`` [s], :data:`TURN_MAX` datagrams at most; pings the sender when that is due."""
        receiver = self.receiver
        for _ in range(TURN_MAX):
            try:
                datagram, source = self.socket.recvfrom(BUFFER)
            except OSError:  # nothing there, or a complaint that nobody listens
                break
            heard = receiver.heard
            frame = receiver.take_in(datagram, now_s)
            if receiver.heard > heard:
                self._sender = source
            if frame is not None:
                yield frame
        if self._sender is not None and (ping := receiver.ping(now_s)) is not None:
            with contextlib.suppress(OSError):  # lost like any datagram
                self.socket.sendto(ping, self._sender)

    def wait(self, seconds: float) -> None:
        """Until something arrives, or that time is over."""
        select.select([self.socket], [], [], max(0.0, seconds))

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def read_key(path: Path) -> bytes:
    """The key in a file of 64 hexadecimal digits."""
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "is no text"
        raise CorvidsError(
            f"key file {path}: {said}; it must hold {2 * KEY_SIZE} hexadecimal digits"
        ) from None
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * KEY_SIZE}}}", text):
        raise CorvidsError(
            f"key file {path}: must hold {2 * KEY_SIZE} hexadecimal digits (openssl rand -hex 32)"
        )
    return bytes.fromhex(text)
