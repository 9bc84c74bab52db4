"""A million hostile datagrams at the state stream's port: no exception, no stall, no growth, the true sender heard."""

from __future__ import annotations

import gc
import random
import resource
import time
import zlib

import pytest

from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_packet import CRC, SIGNATURE_SIZE, BodyPose, Kind, Packet, Point, encode
from corvids.deploy.mocap.state_stream import StateReceiver, StateSender, StreamConfig

KEY = bytes(range(32))
POSE = BodyPose(1, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0))
NUMBERS = (0, 1, 2**31, 2**32 - 1)
STAMPS = (0, 1, 200_000_000_000, 2**63, 2**64 - 1)
PLACES = (0.0, 1e-40, 1.0, -999.0, 1e9, 1e38, float("inf"), float("nan"))


def forged(rng: random.Random, key: bytes | None) -> bytes:
    """A packet with a right checksum, and with absurd numbers in it."""
    choices = PLACES if rng.random() < 0.5 else PLACES[:4]

    def place() -> tuple[float, float, float]:
        return rng.choice(choices), rng.choice(choices), rng.choice(choices)

    points = tuple(Point(rng.randrange(65536), place()) for _ in range(rng.randrange(30)))
    kind, session = rng.choice(list(Kind)), rng.choice((1, 2, rng.getrandbits(32)))
    stamps = (rng.choice(STAMPS), rng.choice(STAMPS))
    poses = (POSE._replace(pos_w_m=place()),) * rng.randrange(3)
    return encode(Packet(kind, session, rng.choice(NUMBERS), *stamps, poses, points), key)


def sealed(datagram: bytearray, size: int) -> bytes:
    """With the checksum of what it holds now, ``size`` bytes of which come before it."""
    datagram[size : size + CRC.size] = CRC.pack(zlib.crc32(bytes(datagram[:size])))
    return bytes(datagram)


def hostile(rng: random.Random, index: int, seeds: list[bytes], is_signed: bool) -> bytes:
    datagram = bytearray(rng.choice(seeds))
    kind = index % 5
    if kind == 0:
        return rng.randbytes(rng.randrange(300))
    if kind == 1:
        return bytes(datagram[: rng.randrange(len(datagram))])
    if kind == 2:
        datagram[rng.randrange(len(datagram))] ^= 1 << rng.randrange(8)
        return bytes(datagram)
    if kind == 3:
        end = len(datagram) - CRC.size - (SIGNATURE_SIZE if is_signed else 0)
        datagram[rng.randrange(6, end)] = rng.randrange(256)
        return sealed(datagram, end)
    return bytes(datagram)


def fuzz(count: int, key: bytes | None) -> None:
    rng = random.Random(11)
    sender = StateSender(key, session=1)
    receiver = StateReceiver(StreamConfig(key=key), random.Random(12))
    behind = MocapInput(vehicle=1, ball=0)  # takes in whatever a receiver without a key lets through
    seeds = [forged(rng, key if index % 2 else None) for index in range(300)]
    now_s = 200.0
    grown_from_kb, longest_s = 0, 0.0
    gc.freeze()  # as a flight does: what a test run has loaded is not looked through
    for index in range(count):
        if index == count // 10:
            grown_from_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        now_s += 1e-4
        datagram = hostile(rng, index, seeds, is_signed=key is not None)
        began_s = time.thread_time()
        receiver.take_in(datagram, now_s)
        if key is None:
            behind.take_in(datagram, now_s)
        receiver.ping(now_s)
        longest_s = max(longest_s, time.thread_time() - began_s)
    gc.unfreeze()
    assert longest_s < 0.02
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_from_kb < 8192
    if key is not None:
        assert receiver.counters.unsigned > count // 10
        assert receiver.counters.accepted == 0
    now_s += 2.0
    accepted = receiver.counters.accepted
    for _ in range(100):
        now_s += 0.01
        receiver.take_in(sender.state(int(1e9 * now_s), int(1e9 * now_s), (POSE,)), now_s + 0.001)
        ping = receiver.ping(now_s + 0.001)
        if ping:
            echo = sender.answer(ping, int(1e9 * (now_s + 0.0015)))
            assert echo is not None
            receiver.take_in(echo, now_s + 0.002)
    assert receiver.counters.accepted > accepted + 80


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "signed"])
def test_hostile_datagrams(key: bytes | None):
    fuzz(5000, key)


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "signed"])
def test_a_million_hostile_datagrams(key: bytes | None):
    fuzz(500_000, key)
