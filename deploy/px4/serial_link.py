"""A serial line to the autopilot: ``serial:/dev/ttyAMA0:921600``, eight bits, no parity, no flow control."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import termios
import time
from collections import deque
from collections.abc import Iterator

from corvids.deploy.px4.channels import BUFFER, arrivals
from corvids.deploy.px4.framing import Framer
from corvids.errors import CorvidsError

BAUD = 921600
"""Where none is given."""
UNSENT_MAX = 512
"""More bytes than that do not wait for a line that is too slow: set-points would grow old."""


def serial_device(link: str) -> tuple[str, int]:
    """Device and baud rate, from ``serial:DEVICE`` or ``serial:DEVICE:BAUD``."""
    match = re.fullmatch(r"serial:(?P<device>/[^:]+)(?::(?P<baud>\d{1,8}))?", link)
    baud = int(match["baud"] or BAUD) if match else 0
    if match is None or not hasattr(termios, f"B{baud}") or baud == 0:
        raise CorvidsError(
            f"link {link!r}: must be serial:DEVICE or serial:DEVICE:BAUD, such as serial:/dev/ttyAMA0:921600, "
            "with a rate that this system has"
        )
    return match["device"], baud


class SerialChannel:
    """A :class:`corvids.deploy.px4.channels.Channel` over a serial line, which is ours alone."""

    def __init__(self, link: str) -> None:
        self._handle = _opened(link)
        self._framer = Framer()
        self._packets: deque[bytes] = deque()
        self._unsent = bytearray()
        self._silent: int | None = None

    def fileno(self) -> int:
        """What can be waited for."""
        return self._handle

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def wait(self, until_s: float) -> Iterator[bytes]:
        return arrivals(self, until_s)

    def receive(self) -> bytes | None:
        """A packet that has arrived."""
        self._flush()
        if not self._packets:
            try:
                piece = os.read(self._handle, BUFFER)
            except BlockingIOError:
                return None
            except OSError:
                piece = b""
            if not piece:
                self._lose()
            self._packets.extend(self._framer.take_in(piece))
        return self._packets.popleft() if self._packets else None

    def accept(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        if len(self._unsent) + len(packet) <= UNSENT_MAX:
            self._unsent += packet
        self._flush()

    def close(self) -> None:
        os.close(self._handle)
        if self._silent is not None:
            os.close(self._silent)

    def _flush(self) -> None:
        with contextlib.suppress(OSError):  # full, or gone: silence is noticed elsewhere
            while self._unsent:
                del self._unsent[: os.write(self._handle, self._unsent)]

    def _lose(self) -> None:
        """The device was unplugged: from now on wait at a pipe through which nothing comes."""
        self._unsent.clear()
        if self._silent is None:
            os.close(self._handle)
            self._handle, self._silent = os.pipe()
            os.set_blocking(self._handle, False)


def _opened(link: str) -> int:
    device, baud = serial_device(link)
    speed = getattr(termios, f"B{baud}")
    try:
        handle = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise CorvidsError(f"link {link}: cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        control = termios.tcgetattr(handle)[6]
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(handle, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])
        termios.tcflush(handle, termios.TCIOFLUSH)
    except BlockingIOError:
        os.close(handle)
        raise CorvidsError(f"link {link}: another program has it") from None
    except (OSError, termios.error) as error:
        os.close(handle)
        raise CorvidsError(f"link {link}: is no serial line: {error.args[-1]}") from None
    return handle
