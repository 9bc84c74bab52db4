"""Servers of other makers' streams, written field by field from their public descriptions; a room for a flight."""

from __future__ import annotations

import math
import struct

Vector = tuple[float, float, float]


def rotated_about(axis: int, angle_rad: float, vector: Vector) -> Vector:
    """By the elementary rotation matrix about x, y or z."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    x, y, z = vector
    return (
        (x, c * y - s * z, s * y + c * z),
        (c * x + s * z, y, -s * x + c * z),
        (c * x - s * y, s * x + c * y, z),
    )[axis]


class NatNetServer:
    """Sends what Motive sends; ``ticks_hz`` and a clock of its own."""

    def __init__(self, version: tuple[int, int] = (3, 1), ticks_hz: int = 10_000_000) -> None:
        self.version, self.ticks_hz, self.number = version, ticks_hz, 0
        self.ahead_s = 77.0

    def ticks(self, ours_s: float) -> int:
        return round((ours_s + self.ahead_s) * self.ticks_hz)

    def answer(self, request: bytes, now_s: float) -> bytes | None:
        kind, size = struct.unpack_from("<HH", request)
        if kind == 0:
            body = b"Motive".ljust(256, b"\0") + bytes((3, 1, 0, 0)) + bytes((*self.version, 0, 0))
            body += struct.pack("<QH?4B", self.ticks_hz, 1511, True, 239, 255, 42, 99)
            return struct.pack("<HH", 1, len(body)) + body
        if kind == 12 and size == 8:
            return struct.pack("<HHQQ", 13, 16, struct.unpack_from("<Q", request, 4)[0], self.ticks(now_s))
        return None

    def section(self, items: list[bytes]) -> bytes:
        content = b"".join(items)
        length = struct.pack("<I", len(content)) if self.version >= (4, 1) else b""
        return struct.pack("<I", len(items)) + length + content

    def frame(
        self,
        taken_s: float,
        sent_s: float,
        bodies: list[tuple[int, Vector, tuple[float, float, float, float], bool]],
        markers: list[tuple[int, Vector, int]],
        nameless: list[Vector] | None = None,
        *,
        crowded: bool = False,
    ) -> bytes:
        """Attitudes x, y, z, w; a marker is a label, a place and its flags. ``crowded``: with everything else, too."""
        self.number += 1
        place = struct.pack("<3f", 9.0, 9.0, 9.0)
        rigid = [
            struct.pack("<i3f4ffh", number, *pos, *quat, 0.0004, int(is_tracked))
            for number, pos, quat, is_tracked in bodies
        ]
        bone = struct.pack("<i3f4ffh", 5, 9.0, 9.0, 9.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1)
        labelled = [
            struct.pack("<i3ffhf", label, *pos, 0.012, flags, 0.0003) for label, pos, flags in markers
        ]
        channel = struct.pack("<i2f", 2, 1.0, 2.0)
        device = struct.pack("<ii", 3, 2) + 2 * channel
        more = crowded
        body = struct.pack("<i", self.number)
        body += self.section([b"all\0" + struct.pack("<i", 2) + 2 * place] if more else [])
        body += self.section([struct.pack("<3f", *pos) for pos in nameless or []])
        body += self.section(rigid)
        body += self.section([struct.pack("<ii", 1, 2) + 2 * bone] if more else [])
        if self.version >= (4, 1):
            asset = struct.pack("<ii", 8, 1) + bone + struct.pack("<i", 1)
            asset += struct.pack("<i3ffhf", 1, 9.0, 9.0, 9.0, 0.01, 0, 0.0)
            body += self.section([asset] if more else [])
        body += self.section(labelled)
        body += self.section([device] if more else [])
        body += self.section([device] if more else [])
        body += struct.pack("<iid", 0, 0, taken_s)
        body += struct.pack("<QQQ", self.ticks(taken_s), self.ticks(taken_s + 0.002), self.ticks(sent_s))
        if self.version >= (4, 0):
            body += struct.pack("<II", 0, 0)
        body += struct.pack("<hI", 0, 0)
        return struct.pack("<HH", 7, len(body)) + body


def vicon_datagram(number: int, objects: list[tuple[str, Vector, Vector]], size: int = 512) -> bytes:
    """Names, places [m] and Euler angles [rad], padded to a block as the Tracker does."""
    body = struct.pack("<IB", number, len(objects))
    for name, (x, y, z), angles in objects:
        body += struct.pack("<BH", 0, 72) + name.encode().ljust(24, b"\0")
        body += struct.pack("<3d", 1e3 * x, 1e3 * y, 1e3 * z) + struct.pack("<3d", *angles)
    return body.ljust(size, b"\0")
