"""A million hostile datagrams: no exception, no stall, no growth, and the true vehicle is still heard."""

from __future__ import annotations

import gc
import random
import resource
import struct
import time

import pytest
from pymavlink.dialects.v20 import common
from standin import Standin
from test_mavlink_peer import connected

from corvids.deploy.px4.link_keeper import Keeper
from corvids.deploy.px4.mavlink_peer import PeerConfig

KEY = bytes(range(32))
NUMBERS = (0, 1, -1, 127, 255, 65535, 2**31, 2**32 - 1, 2**63, float("nan"), float("inf"), 1e38, -1e38)


def forged(rng: random.Random) -> bytes:
    """A well-formed packet of the vehicle's own kind, with absurd numbers in it where they fit."""
    px4 = Standin()
    px4.mav.seq = rng.randrange(256)
    message = rng.choice((px4.odometry, px4.attitude, px4.position, px4.imu))(rng.uniform(50.0, 1e6))
    decoded = common.MAVLink(None).parse_buffer(message)
    (parsed,) = decoded or []
    for name in rng.sample(parsed.fieldnames, 2):
        before = getattr(parsed, name)
        setattr(
            parsed,
            name,
            [rng.choice(NUMBERS)] * len(before) if isinstance(before, list) else rng.choice(NUMBERS),
        )
    try:
        return px4.pack(parsed)
    except (common.MAVError, ValueError, OverflowError, TypeError, struct.error):
        return message


def fuzz(count: int, key: bytes | None) -> None:
    rng, px4 = random.Random(7), Standin(key=key)
    peer = connected(px4, PeerConfig(key=key))
    keeper = Keeper(peer)
    seeds = [forged(rng) for _ in range(500)] + [px4.heartbeat(), px4.battery(50), px4.landed(False)]
    longest_s, grown_from_kb = 0.0, 0
    gc.freeze()  # as a flight does: what a test run has loaded is not looked through
    for index in range(count):
        if index == count // 10:
            grown_from_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        datagram = bytearray(rng.choice(seeds))
        kind = index % 4
        if kind == 0:
            datagram = bytearray(rng.randbytes(rng.randrange(300)))
        elif kind == 1:
            del datagram[rng.randrange(len(datagram)) :]
        elif kind == 2:
            datagram[rng.randrange(len(datagram))] ^= 1 << rng.randrange(8)
        began_s = time.thread_time()
        peer.take_in(bytes(datagram), 200.0 + 1e-4 * index)
        keeper.from_runtime(bytes(datagram), 200.0)
        longest_s = max(longest_s, time.thread_time() - began_s)
    gc.unfreeze()
    assert longest_s < 0.02
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_from_kb < 8192
    now_s = 200.0 + 1e-4 * count + 1.0
    for _ in range(2):  # one of them may look like a repetition
        peer.take_in(px4.heartbeat(), now_s)
    assert peer.reader.autopilot.heard_s == now_s


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "signed"])
def test_hostile_datagrams(key: bytes | None):
    fuzz(3000, key)


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "signed"])
def test_a_million_hostile_datagrams(key: bytes | None):
    fuzz(500_000, key)
