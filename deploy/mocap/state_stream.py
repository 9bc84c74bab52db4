"""Both ends of a state stream, without sockets or clock: datagrams in, frames out, and the other way round.

The receiver trusts one sender at a time. With a key it believes only what is signed, and a sender that starts anew only
once that has echoed a fresh ping: so a recording of an old stream is worth nothing.
"""

from __future__ import annotations

import dataclasses
import enum
import random
from collections.abc import Callable
from typing import NamedTuple, Protocol

from corvids.deploy.clock_offset import ClockOffset
from corvids.deploy.mocap.arrival_clock import ArrivalClock
from corvids.deploy.mocap.state_packet import (
    KEY_SIZE,
    BodyPose,
    Kind,
    Packet,
    PacketError,
    Point,
    UnsignedError,
    decode,
    encode,
)
from corvids.deploy.mocap.stream_timing import StreamCounters, StreamTiming
from corvids.deploy.px4.state import VehicleState
from corvids.errors import CorvidsError

FUTURE_MAX_S = 0.02
"""A stamp further ahead of our clock is no stamp."""
AGE_MAX_S = 1.0
"""One further behind it neither."""
SILENT_S = 1.0
"""A sender that is silent for so long may be replaced by another."""
PING_S, PINGS = 0.1, 10
"""How often a ping is sent [s], and how many are remembered."""
ECHO_S = 3.0
"""Without an echo for so long, clocks are compared by arrivals [s]."""


class Clock(enum.Enum):
    """On which clock the sender stamps."""

    ECHO = "echo"
    """One of its own, compared by pings; by arrivals as long as it answers none."""
    SHARED = "shared"
    """One that is the same here: both machines' clocks are kept together by PTP, or both ends are on one machine."""


class StateSink(Protocol):
    """Who takes in what the keeper hands on of motion capture."""

    @property
    def state(self) -> VehicleState:
        """What PX4 said, corrected by what was seen; the same object all the time."""
        ...

    def hear(self, said: VehicleState) -> None:
        """PX4's newest state."""
        ...

    def take_in(self, datagram: bytes, now_s: float) -> None:
        """A packet of a state stream, received at ``now_s`` [s]."""
        ...


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """How a stream is received."""

    key: bytes | None = None
    """Secret of 32 bytes: only what is signed with it counts."""
    clock: Clock = Clock.ECHO
    shared_ahead_s: float = 0.0
    """With a shared clock: how far it is ahead of the clock of ``now_s``."""
    least_s: float = 0.002
    """How long a packet is on its way at least, cameras included, where that cannot be measured."""

    def __post_init__(self) -> None:
        check_key(self.key)


class Frame(NamedTuple):
    """What was seen at one moment."""

    stamp_s: float
    """When, on our clock."""
    arrived_s: float
    poses: tuple[BodyPose, ...]
    points: tuple[Point, ...]


class StateReceiver:
    """Takes in datagrams, and asks for echoes."""

    def __init__(self, config: StreamConfig | None = None, rng: random.Random | None = None) -> None:
        """``rng`` draws the pings' numbers; with a key they must not be guessed."""
        self.config = config or StreamConfig()
        self.counters, self.timing = StreamCounters(), StreamTiming()
        self.heard = 0
        """Packets that the stream's own sender may have sent: whoever they came from is to be pinged."""
        self._rng = rng or random.SystemRandom()
        self._pings: dict[int, float] = {}
        self._pinged_s = self._newest_s = self._accepted_s = self._echoed_s = float("-inf")
        self._session: int | None = None
        self._confirmed: int | None = None
        self._sequence = 0
        self._start_clocks()

    def _start_clocks(self) -> None:
        self.offset, self.arrivals = ClockOffset(), ArrivalClock(self.config.least_s)
        self._echoed_s = float("-inf")

    def take_in(self, datagram: bytes, now_s: float) -> Frame | None:
        """A datagram received at ``now_s`` [s]; the frame in it, if it is to be used. Nothing in it raises."""
        try:
            packet = decode(datagram, self.config.key)
        except UnsignedError:
            self.counters.unsigned += 1
            return None
        except PacketError:
            self.counters.malformed += 1
            return None
        if packet.kind is Kind.PONG:
            self._take_echo(packet, now_s)
            return None
        if packet.kind is not Kind.STATE:
            self.counters.malformed += 1
            return None
        return self._take_state(packet, now_s)

    def ping(self, now_s: float) -> bytes | None:
        """The ping that is due, if one is."""
        if now_s - self._pinged_s < PING_S or self.config.clock is not Clock.ECHO:
            return None
        self._pinged_s = now_s
        nonce = self._rng.getrandbits(32)
        self._pings[nonce] = now_s
        while len(self._pings) > PINGS:
            del self._pings[next(iter(self._pings))]
        return encode(Packet(Kind.PING, 0, nonce, int(1e9 * now_s), int(1e9 * now_s)), self.config.key)

    def _take_echo(self, packet: Packet, now_s: float) -> None:
        sent_s = self._pings.pop(packet.sequence, None)
        if sent_s is None or packet.stamp_ns != int(1e9 * sent_s):
            self.counters.malformed += 1
            return
        self._confirmed = packet.session
        self.heard += 1
        if self._session in (None, packet.session):
            self.offset.take_in(sent_s, 1e-9 * packet.sent_ns, now_s)
            self._echoed_s = now_s

    def _take_state(self, packet: Packet, now_s: float) -> Frame | None:
        counters = self.counters
        if packet.session != self._session:
            if self._session is not None and now_s - self._accepted_s < SILENT_S:
                counters.foreign += 1
                return None
            is_proven = packet.session == self._confirmed or self.config.clock is not Clock.ECHO
            if self.config.key is not None and not is_proven:
                counters.unconfirmed += 1
                self.heard += 1
                return None
            self._follow(packet)
        elif self.config.key is None and now_s - self._accepted_s > SILENT_S:
            # Whoever can forge a packet could otherwise lock the sender out by one sequence number far ahead.
            self._sequence = (packet.sequence - 1) & 0xFFFFFFFF
        ahead = (packet.sequence - self._sequence) & 0xFFFFFFFF
        if not 0 < ahead < 0x80000000:
            counters.repeated += 1
            return None
        counters.lost += ahead - 1
        self._sequence = packet.sequence
        self.heard += 1
        stamp_s = self._stamp_s(packet, now_s)
        if not (now_s - AGE_MAX_S <= stamp_s <= now_s + FUTURE_MAX_S and stamp_s > self._newest_s):
            counters.ill_timed += 1
            return None
        self._newest_s, self._accepted_s = stamp_s, now_s
        counters.accepted += 1
        self.timing.take_in(stamp_s, now_s)
        return Frame(stamp_s, now_s, packet.poses, packet.points)

    def _follow(self, packet: Packet) -> None:
        """Follow another sender; what was learnt of its clock by a first echo is kept."""
        if self._session is not None or packet.session != self._confirmed:
            self._start_clocks()
        self._session, self._sequence = packet.session, (packet.sequence - 1) & 0xFFFFFFFF
        self._newest_s = float("-inf")

    def _stamp_s(self, packet: Packet, now_s: float) -> float:
        remote_s = 1e-9 * packet.stamp_ns
        if self.config.clock is Clock.SHARED:
            return remote_s - self.config.shared_ahead_s
        self.arrivals.take_in(remote_s, now_s)
        if self.offset.is_known and now_s - self._echoed_s < ECHO_S:
            return self.offset.ours_s(remote_s)
        return self.arrivals.ours_s(remote_s)


class StateSender:
    """Numbers and signs what is sent, and answers pings."""

    def __init__(
        self,
        key: bytes | None = None,
        session: int | None = None,
        ahead_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """``session``: drawn at random where it is not given; ``ahead_ns`` says how far the clock that it stamps by is
        ahead of the one that its caller goes by [ns], asked each time: one that keeps dates may be set anew."""
        check_key(key)
        self.key, self._ahead_ns = key, ahead_ns
        self.session = random.SystemRandom().getrandbits(32) if session is None else session
        self.sent = self.answered = self.ignored = 0
        """States, echoes, and datagrams that were no pings."""

    def state(
        self, stamp_ns: int, now_ns: int, poses: tuple[BodyPose, ...] = (), points: tuple[Point, ...] = ()
    ) -> bytes:
        """The datagram of what was seen at ``stamp_ns``, on the clock of ``now_ns``."""
        self.sent += 1
        sequence, ahead_ns = self.sent & 0xFFFFFFFF, self._ahead_ns()
        times_ns = stamp_ns + ahead_ns, now_ns + ahead_ns
        return encode(Packet(Kind.STATE, self.session, sequence, *times_ns, poses, points), self.key)

    def answer(self, datagram: bytes, now_ns: int) -> bytes | None:
        """The echo of a ping; nothing for anything else."""
        try:
            packet = decode(datagram, self.key)
        except PacketError:
            packet = None
        if packet is None or packet.kind is not Kind.PING or packet.poses or packet.points:
            self.ignored += 1
            return None
        self.answered += 1
        now_ns += self._ahead_ns()
        echo = Packet(Kind.PONG, self.session, packet.sequence, packet.stamp_ns, now_ns)
        return encode(echo, self.key)


def check_key(key: bytes | None) -> None:
    """Refuse a key of the wrong length."""
    if key is not None and len(key) != KEY_SIZE:
        raise CorvidsError(f"key of the state stream: {len(key)} bytes, must be {KEY_SIZE}")
