"""What an OptiTrack server says over NatNet 3.0 to 4.x, as far as poses and markers go: bytes in, numbers out.

A message has an identifier and a length, both u16; all is little-endian. A frame holds, in this order: its number;
named sets of markers; markers without a name (an older form); rigid bodies; skeletons; from 4.1 on assets; labelled
markers; force plates; devices; time stamps. Each of these sections begins with a count and, from 4.1 on, its length.
Positions are metres, attitudes x, y, z, w, in the axes that the server streams, with y or z up. Time stamps are ticks
of the server's fast clock, whose rate the server states when a client connects; echo requests compare it with ours.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from corvids.deploy.mocap.state_packet import BodyPose, PacketError, Point
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple

CONNECT, SERVER_INFO, FRAME, ECHO_REQUEST, ECHO_ANSWER = 0, 1, 7, 12, 13
"""Identifiers of messages."""
COMMAND_PORT, DATA_PORT, GROUP = 1510, 1511, "239.255.42.99"
"""Where a server listens and sends unless it is set up otherwise."""
_HEAD = struct.Struct("<HH")
_RIGID_BODY = struct.Struct("<i3f4ffh")
_MARKER = struct.Struct("<i3ffhf")
_OCCLUDED, _HAS_MODEL = 0x01, 0x08
_TRACKED = 0x01


class Server(NamedTuple):
    """What a server says of itself."""

    version: tuple[int, int]
    """Of NatNet."""
    ticks_hz: int
    """Rate of its fast clock."""


class NatNetFrame(NamedTuple):
    """One frame, in the server's axes."""

    number: int
    bodies: tuple[BodyPose, ...]
    """Those that are tracked."""
    markers: tuple[Point, ...]
    """Those that belong to no rigid body; labels are the server's, modulo 2¹⁶."""
    exposed_ticks: int
    """Middle of the exposure; 0 where the server does not know it."""
    sent_ticks: int


def connect_request() -> bytes:
    """What makes a server tell of itself and, in unicast, send frames."""
    body = b"Ping".ljust(256, b"\0") + bytes((4, 1, 0, 0)) + bytes((4, 1, 0, 0))
    return _HEAD.pack(CONNECT, len(body)) + body


def echo_request(now_ns: int) -> bytes:
    """What a server answers with its own time."""
    return _HEAD.pack(ECHO_REQUEST, 8) + struct.pack("<Q", now_ns)


def message_of(datagram: bytes) -> int | None:
    """Identifier of a message; None where it is none."""
    if len(datagram) < _HEAD.size or _HEAD.unpack_from(datagram)[1] > len(datagram) - _HEAD.size:
        return None
    return _HEAD.unpack_from(datagram)[0]


def decode_echo(datagram: bytes) -> tuple[int, int]:
    """When we asked [ns, ours] and when the server heard it [ticks]."""
    try:
        asked_ns, ticks = struct.unpack_from("<QQ", datagram, _HEAD.size)
    except struct.error:
        raise PacketError("no answer to an echo request") from None
    return asked_ns, ticks


def decode_server(datagram: bytes) -> Server:
    """A server's answer to :func:`connect_request`."""
    try:
        major, minor = struct.unpack_from("<BB", datagram, _HEAD.size + 260)
        (ticks_hz,) = struct.unpack_from("<Q", datagram, _HEAD.size + 264)
    except struct.error:
        raise PacketError("a server of NatNet before 3.0, or none") from None
    if major < 3 or not 0 < ticks_hz < 1 << 40:
        raise PacketError(f"NatNet {major}.{minor}: must be 3.0 or later")
    return Server((major, minor), ticks_hz)


def decode_frame(datagram: bytes, version: tuple[int, int]) -> NatNetFrame:
    """A frame of a server that speaks ``version``; raises :class:`PacketError` for anything else."""
    if message_of(datagram) != FRAME:
        raise PacketError("no frame")
    try:
        return _frame(_Cursor(datagram, with_sizes=version >= (4, 1)), version)
    except struct.error:
        raise PacketError("a frame that ends too early, or of another version") from None


class _Cursor:
    """Reads on and on; what is not there raises :class:`struct.error`, before anything is allocated for it."""

    def __init__(self, data: bytes, with_sizes: bool) -> None:
        self._data, self._at, self._with_sizes = data, _HEAD.size, with_sizes

    def take(self, layout: struct.Struct) -> tuple:
        values = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return values

    def number(self) -> int:
        return self.take(_U32)[0]

    def section(self) -> int:
        """Items in a section that begins here."""
        count = self.number()
        if self._with_sizes:
            self.number()
        return count

    def skip(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise struct.error
        self._at += size

    def skip_text(self) -> None:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise struct.error
        self._at = end + 1

    def many(self, count: int, layout: struct.Struct) -> list[tuple]:
        if count * layout.size > len(self._data) - self._at:
            raise struct.error
        return [self.take(layout) for _ in range(count)]


_U32, _U64, _F64, _VECTOR = (struct.Struct(f"<{code}") for code in ("I", "Q", "d", "3f"))


def _frame(cursor: _Cursor, version: tuple[int, int]) -> NatNetFrame:
    number = cursor.number()
    for _ in range(cursor.section()):
        cursor.skip_text()
        cursor.skip(12 * cursor.number())
    nameless = cursor.many(cursor.section(), _VECTOR)
    bodies = tuple(
        BodyPose(body, _finite(x, y, z), _unit(qw, qx, qy, qz), error)
        for body, x, y, z, qx, qy, qz, qw, error, flags in cursor.many(cursor.section(), _RIGID_BODY)
        if flags & _TRACKED
    )
    for _ in range(cursor.section()):  # skeletons
        cursor.number()
        cursor.skip(_RIGID_BODY.size * cursor.number())
    if version >= (4, 1):
        for _ in range(cursor.section()):  # assets
            cursor.number()
            cursor.skip(_RIGID_BODY.size * cursor.number())
            cursor.skip(_MARKER.size * cursor.number())
    labelled = cursor.many(cursor.section(), _MARKER)
    for _ in range(2):  # force plates, devices
        for _ in range(cursor.section()):
            cursor.number()
            for _ in range(cursor.number()):
                cursor.skip(4 * cursor.number())
    cursor.skip(8)
    cursor.take(_F64)
    (exposed,), _, (sent,) = (cursor.take(_U64) for _ in range(3))
    markers = tuple(
        Point(label & 0xFFFF, _finite(x, y, z))
        for label, x, y, z, _, flags, _ in labelled
        if not flags & (_OCCLUDED | _HAS_MODEL)
    )
    if not labelled:
        markers = tuple(Point(0, _finite(*place)) for place in nameless)
    return NatNetFrame(number, bodies, markers, exposed, sent)


def _finite(x: float, y: float, z: float) -> Triple:
    if not math.isfinite(x + y + z):
        raise PacketError("a place that is no number")
    return x, y, z


def _unit(w: float, x: float, y: float, z: float) -> Quaternion:
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not 0.9 < norm < 1.1:
        raise PacketError("an attitude that is none")
    return w / norm, x / norm, y / norm, z / norm
