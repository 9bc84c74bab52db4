"""The packets of the state stream: poses and marker positions, measured elsewhere, over UDP to the vehicle.

The layout is documented in docs/state-protocol.md: a header, poses, points, a CRC, and with a key a signature.
Everything is little-endian and in SI units, world ENU, body FLU.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import math
import struct
import zlib
from typing import NamedTuple

from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple

MAGIC, VERSION = b"CRVS", 1
HEADER = struct.Struct("<4sBBBBIIQQ")
"""Magic, version, kind, number of poses, of points, session, sequence, stamp and time of sending [ns, sender's]."""
POSE = struct.Struct("<HH7f")
"""Body, standard deviation of a coordinate [0.1 mm], position [m], attitude (w, x, y, z)."""
POINT = struct.Struct("<HH3f")
"""Marker (0: no label), standard deviation likewise, position [m]."""
CRC = struct.Struct("<I")
SIGNATURE_SIZE = 16
KEY_SIZE = 32
DATAGRAM_MAX = 1472
"""What fits one Ethernet frame without being split [bytes]."""
DISTANCE_MAX_M = 1000.0
"""No room is larger."""
_STD_UNIT_M = 1e-4


class Kind(enum.IntEnum):
    """What a packet is."""

    STATE = 1
    """Poses and points that were seen at one moment."""
    PING = 2
    """From the receiver: asks for an echo. Its stamp is the receiver's time, its sequence a random number."""
    PONG = 3
    """The echo: stamp and sequence of the ping, with the sender's own time."""


class BodyPose(NamedTuple):
    """Where a rigid body is."""

    body: int
    """Its number in the motion capture system, 1 to 65535."""
    pos_w_m: Triple
    quat_wb: Quaternion
    """Rotates body into world, scalar first; length one."""
    std_m: float = 0.0
    """Standard deviation of a coordinate; 0 where it is not known."""


class Point(NamedTuple):
    """Where a marker is."""

    marker: int
    """Its label, 1 to 65535; 0 for none."""
    pos_w_m: Triple
    std_m: float = 0.0


class Packet(NamedTuple):
    """One datagram."""

    kind: Kind
    session: int
    """Drawn at random whenever a sender starts, 32 bits."""
    sequence: int
    """Counts the states of a session, 32 bits."""
    stamp_ns: int
    """When the pictures were taken, on the sender's clock."""
    sent_ns: int
    """When it was sent, on the sender's clock."""
    poses: tuple[BodyPose, ...] = ()
    points: tuple[Point, ...] = ()


class PacketError(ValueError):
    """A datagram that is not a packet."""


class UnsignedError(PacketError):
    """A packet without the signature that a key demands."""


def encode(packet: Packet, key: bytes | None = None) -> bytes:
    """The datagram of a packet, signed if there is a ``key``; raises :class:`PacketError` for what does not fit."""
    try:
        parts = [
            HEADER.pack(MAGIC, VERSION, packet.kind, len(packet.poses), len(packet.points), *packet[1:5])
        ]
        for pose in packet.poses:
            parts.append(POSE.pack(pose.body, _coded(pose.std_m), *pose.pos_w_m, *pose.quat_wb))
        for point in packet.points:
            parts.append(POINT.pack(point.marker, _coded(point.std_m), *point.pos_w_m))
    except (struct.error, OverflowError) as error:
        raise PacketError(f"does not fit a packet: {error}") from None
    body = b"".join(parts)
    datagram = body + CRC.pack(zlib.crc32(body))
    if key is not None:
        datagram += _signature(datagram, key)
    if len(datagram) > DATAGRAM_MAX:
        raise PacketError(f"{len(datagram)} bytes do not fit a datagram: {DATAGRAM_MAX} do")
    return datagram


def decode(datagram: bytes, key: bytes | None = None) -> Packet:
    """The packet in a datagram; raises :class:`PacketError` for anything else.

    With a ``key`` the signature must be right; without, it is not looked at.
    """
    size = len(datagram)
    if size < HEADER.size + CRC.size or datagram[:4] != MAGIC:
        raise PacketError("no packet")
    _, version, kind, n_poses, n_points, session, sequence, stamp_ns, sent_ns = HEADER.unpack_from(datagram)
    if version != VERSION:
        raise PacketError(f"version {version}")
    end = HEADER.size + n_poses * POSE.size + n_points * POINT.size
    if size not in (end + CRC.size, end + CRC.size + SIGNATURE_SIZE) or size > DATAGRAM_MAX:
        raise PacketError("not as long as it says")
    if zlib.crc32(datagram[:end]) != CRC.unpack_from(datagram, end)[0]:
        raise PacketError("wrong checksum")
    if key is not None:
        signed = end + CRC.size
        if not hmac.compare_digest(_signature(datagram[:signed], key), datagram[signed:]):
            raise UnsignedError("not signed with the key")
    try:
        kind = Kind(kind)
    except ValueError:
        raise PacketError(f"kind {kind}") from None
    first_point = HEADER.size + n_poses * POSE.size
    poses = tuple(_pose(datagram, at) for at in range(HEADER.size, first_point, POSE.size))
    points = tuple(_point(datagram, at) for at in range(first_point, end, POINT.size))
    return Packet(kind, session, sequence, stamp_ns, sent_ns, poses, points)


def is_state_packet(datagram: bytes) -> bool:
    """Whether a datagram is meant to be one, and not MAVLink."""
    return datagram[:4] == MAGIC


def sent_s(datagram: bytes) -> float:
    """When a packet was sent, on its sender's clock [s]; it is whole."""
    return 1e-9 * HEADER.unpack_from(datagram)[8]


def _signature(signed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)[:SIGNATURE_SIZE]


def _coded(std_m: float) -> int:
    return round(min(max(std_m / _STD_UNIT_M, 0.0), 65535.0)) if math.isfinite(std_m) else 0


def _pose(datagram: bytes, at: int) -> BodyPose:
    body, std, x, y, z, *quat = POSE.unpack_from(datagram, at)
    norm = math.hypot(*quat)
    if not (body and 0.9 < norm < 1.1):
        raise PacketError("no pose")
    w, i, j, k = (component / norm for component in quat)
    return BodyPose(body, _place(x, y, z), (w, i, j, k), std * _STD_UNIT_M)


def _point(datagram: bytes, at: int) -> Point:
    marker, std, x, y, z = POINT.unpack_from(datagram, at)
    return Point(marker, _place(x, y, z), std * _STD_UNIT_M)


def _place(x: float, y: float, z: float) -> Triple:
    if not (abs(x) <= DISTANCE_MAX_M and abs(y) <= DISTANCE_MAX_M and abs(z) <= DISTANCE_MAX_M):
        raise PacketError("no place in a room")
    return x, y, z
