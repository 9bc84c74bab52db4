"""The state stream's packets: the documented bytes, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import random
import re
import struct
import zlib
from pathlib import Path

import pytest

from corvids.deploy.mocap.state_packet import (
    BodyPose,
    Kind,
    Packet,
    PacketError,
    Point,
    UnsignedError,
    decode,
    encode,
)

KEY = bytes(range(32))
PACKET = Packet(
    Kind.STATE,
    0xDEADBEEF,
    7,
    1_000_000_001,
    1_000_500_000,
    (BodyPose(3, (1.0, -2.0, 0.5), (0.5, 0.5, -0.5, 0.5), 2e-4),),
    (Point(0, (0.25, 0.5, 2.0)), Point(9, (0.0, 0.0, 1.0), 1e-3)),
)


def by_hand() -> bytes:
    """The packet above, field by field, from the table in docs/state-protocol.md."""
    body = b"CRVS" + bytes([1, 1, 1, 2])
    body += struct.pack("<I", 0xDEADBEEF) + struct.pack("<I", 7)
    body += struct.pack("<Q", 1_000_000_001) + struct.pack("<Q", 1_000_500_000)
    body += struct.pack("<H", 3) + struct.pack("<H", 2)
    body += struct.pack("<fff", 1.0, -2.0, 0.5) + struct.pack("<ffff", 0.5, 0.5, -0.5, 0.5)
    body += struct.pack("<HHfff", 0, 0, 0.25, 0.5, 2.0)
    body += struct.pack("<HHfff", 9, 10, 0.0, 0.0, 1.0)
    return body + struct.pack("<I", zlib.crc32(body))


def test_the_bytes_are_those_of_the_document():
    assert encode(PACKET) == by_hand()
    assert len(by_hand()) == 32 + 32 + 2 * 16 + 4
    signed = by_hand() + hmac.new(KEY, by_hand(), hashlib.sha256).digest()[:16]
    assert encode(PACKET, KEY) == signed


def test_the_document_states_these_sizes():
    text = (Path(__file__).resolve().parents[2] / "docs/state-protocol.md").read_text("utf-8")
    for name, size in (("Header", 32), ("Pose", 32), ("Point", 16), ("CRC", 4), ("Signature", 16)):
        assert re.search(rf"{name}[^|\n]*, {size} bytes", text), name


def test_what_was_encoded_is_decoded():
    assert decode(encode(PACKET)) == PACKET
    assert decode(encode(PACKET, KEY), KEY) == PACKET
    assert decode(encode(PACKET, KEY)) == PACKET, "without a key, signatures are not looked at"


def test_a_key_refuses_what_is_not_signed_with_it():
    for datagram in (encode(PACKET), encode(PACKET, bytes(32))):
        with pytest.raises(UnsignedError):
            decode(datagram, KEY)


@pytest.mark.parametrize("key", [None, KEY])
def test_every_changed_bit_is_noticed(key: bytes | None):
    datagram = encode(PACKET, key)
    for bit in range(8 * len(datagram)):
        changed = bytearray(datagram)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PacketError):
            decode(bytes(changed), key)


def test_every_other_length_is_refused():
    datagram = encode(PACKET)
    for size in range(len(datagram)):
        with pytest.raises(PacketError):
            decode(datagram[:size])
    with pytest.raises(PacketError):
        decode(datagram + b"x")


@pytest.mark.parametrize(
    "pose",
    [
        BodyPose(1, (float("nan"), 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
        BodyPose(1, (0.0, 1e9, 0.0), (1.0, 0.0, 0.0, 0.0)),
        BodyPose(1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        BodyPose(1, (0.0, 0.0, 0.0), (float("inf"), 0.0, 0.0, 0.0)),
        BodyPose(0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
    ],
)
def test_what_cannot_be_is_refused_though_its_checksum_is_right(pose: BodyPose):
    with pytest.raises(PacketError):
        decode(encode(PACKET._replace(poses=(pose,))))


def test_what_does_not_fit_is_not_sent():
    with pytest.raises(PacketError, match="does not fit"):
        encode(PACKET._replace(points=(Point(70000, (0.0, 0.0, 0.0)),)))
    with pytest.raises(PacketError, match="do not fit a datagram"):
        encode(PACKET._replace(points=(Point(0, (0.0, 0.0, 0.0)),) * 100))


def test_noise_is_no_packet():
    rng = random.Random(1)
    for _ in range(2000):
        with pytest.raises(PacketError):
            decode((b"CRVS" if rng.random() < 0.5 else b"") + rng.randbytes(rng.randrange(200)), KEY)
