"""What a Vicon Tracker sends as its UDP object stream: bytes in, numbers out.

A datagram holds a frame number (u32), a number of items (u8), and the items, each with an identifier (u8, 0 for an
object), a length (u16, 72) and that many bytes: a name of 24 bytes, padded with zeros, position x, y, z [mm] and Euler
angles x, y, z [rad], as f64, little-endian. The attitude is the turn about x, then about the new y, then about the new
z. There is no time stamp: the frame number over the frame rate is one. An object that is lost stays where it was, or
goes to the origin.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from corvids.deploy.mocap.state_packet import PacketError
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple

PORT = 51001
"""Where it sends unless it is set up otherwise."""
OBJECT = 0
_FRAME = struct.Struct("<IB")
_ITEM = struct.Struct("<BH")
_OBJECT = struct.Struct("<24s6d")


class ViconObject(NamedTuple):
    """One object."""

    name: str
    pos_w_m: Triple
    quat_wb: Quaternion


class ViconFrame(NamedTuple):
    """One frame."""

    number: int
    objects: tuple[ViconObject, ...]


def decode_frame(datagram: bytes) -> ViconFrame:
    """The frame in a datagram; raises :class:`PacketError` for anything else."""
    try:
        number, count = _FRAME.unpack_from(datagram)
        objects, at = [], _FRAME.size
        for _ in range(count):
            kind, size = _ITEM.unpack_from(datagram, at)
            at += _ITEM.size
            if kind == OBJECT:
                if size != _OBJECT.size:
                    raise PacketError(f"an object of {size} bytes, must be {_OBJECT.size}")
                objects.append(_object(*_OBJECT.unpack_from(datagram, at)))
            at += size
    except struct.error:
        raise PacketError("a frame that ends too early") from None
    if at > len(datagram) or not objects:
        raise PacketError("no objects")
    return ViconFrame(number, tuple(objects))


def quat_of_euler_xyz(x_rad: float, y_rad: float, z_rad: float) -> Quaternion:
    """The turn about x, then about the new y, then about the new z: q = qx ⊗ qy ⊗ qz, scalar first."""
    (a, b), (c, d), (e, f) = (
        (math.cos(0.5 * angle), math.sin(0.5 * angle)) for angle in (x_rad, y_rad, z_rad)
    )
    return (
        a * c * e - b * d * f,
        b * c * e + a * d * f,
        a * d * e - b * c * f,
        a * c * f + b * d * e,
    )


def _object(
    name: bytes, x_mm: float, y_mm: float, z_mm: float, a_rad: float, b_rad: float, c_rad: float
) -> ViconObject:
    if not math.isfinite(x_mm + y_mm + z_mm + a_rad + b_rad + c_rad):
        raise PacketError("a pose that is no number")
    text = name.split(b"\0", 1)[0].decode("utf-8", "replace")
    return ViconObject(text, (1e-3 * x_mm, 1e-3 * y_mm, 1e-3 * z_mm), quat_of_euler_xyz(a_rad, b_rad, c_rad))
