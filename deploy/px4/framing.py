"""Where packets of MAVLink begin and end, in datagrams and in a stream of bytes that loses some."""

from __future__ import annotations

from collections.abc import Iterator

from pymavlink.dialects.v20 import common

VERSION_1, VERSION_2 = 0xFE, 0xFD
"""First byte of a packet."""
SIGNED = 0x01
"""Flag of a packet of version 2 that a signature of 13 bytes follows."""
HEAD = 3
"""So many bytes tell how long a packet is."""


def packet_size(head: bytes | bytearray) -> int | None:
    """How long the packet is [bytes] that begins with ``head``, of 3 bytes at least; None where none begins."""
    if head[0] == VERSION_1:
        return head[1] + 8
    if head[0] == VERSION_2:
        return head[1] + 12 + (13 if head[2] & SIGNED else 0)
    return None


class Framer:
    """Cuts a stream into packets, and finds the next one where some bytes were lost."""

    def __init__(self) -> None:
        self._left = bytearray()

    def take_in(self, piece: bytes) -> Iterator[bytes]:
        """The packets that are whole with ``piece``."""
        left = self._left
        left += piece
        while len(left) >= HEAD:
            size = packet_size(left)
            if size is None:
                del left[:1]
            elif size > len(left):
                return
            elif is_whole(packet := bytes(left[:size])):
                yield packet
                del left[:size]
            else:  # its beginning was none, or its end is missing: a true one may begin within
                del left[:1]


def is_whole(packet: bytes) -> bool:
    """Whether the checksum is right; of kinds of messages that are not known, and could not be read, it never is."""
    is_new = packet[0] == VERSION_2
    message_id = int.from_bytes(packet[7:10], "little") if is_new else packet[5]
    known = common.mavlink_map.get(message_id)
    if known is None:
        return False
    end = (10 if is_new else 6) + packet[1]
    checksum = common.x25crc(packet[1:end] + bytes((known.crc_extra,)))
    return checksum.crc == int.from_bytes(packet[end : end + 2], "little")
