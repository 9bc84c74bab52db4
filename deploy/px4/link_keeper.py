"""The small process that owns the link while flying, and outlives the runtime.

It passes packets both ways, and acts on late set-points as :mod:`corvids.deploy.px4.keeping` has it. Should this
process die too, PX4's own COM_OF_LOSS_T acts.

It answers when PX4 asks for the time, and with motion capture it also hands the vehicle's pose on to PX4, which could
neither hold nor land without. Once its runtime has ended and nothing needs keeping, whoever asks gets its link; while
the vehicle is in the air by motion capture, only the next flight's keeper does, with both ports.

Run as ``python -m corvids.deploy.px4.link_keeper udp:14540 SOCKET``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from functools import partial
from itertools import islice
from pathlib import Path

from pymavlink.dialects.v20 import common

from corvids.deploy.mocap.port_handover import CAN_PASS, PortOffer, take_over_all
from corvids.deploy.mocap.relay import MocapConfig, MocapRelay, account, mocap_config, tell
from corvids.deploy.mocap.state_packet import is_state_packet, sent_s
from corvids.deploy.mocap.state_port import StatePort
from corvids.deploy.mocap.state_stream import StateReceiver
from corvids.deploy.px4.channels import (
    BUFFER,
    ENGAGE,
    HOLDS,
    PACKET,
    RELEASE,
    SAFE,
    SETPOINT,
    TURN_MAX,
    UdpChannel,
    is_orphaned,
)
from corvids.deploy.px4.framing import VERSION_2, packet_size
from corvids.deploy.px4.keeping import KeeperConfig, Level, StreamWatch
from corvids.deploy.px4.links import check_link, is_serial, open_link
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.serial_link import SerialChannel
from corvids.errors import CorvidsError

PENDING_MAX = 1000
"""Datagrams kept for a runtime that is busy: about a second of them; then the oldest are dropped."""
TELL_S = 0.1
"""How often the runtime is told that its set-points do not count [s]: of what is pending too long the oldest is
dropped."""
STALE_S = 0.05
"""Motion capture older than this is not handed to a runtime that has not fetched it."""
BEHIND = 60
"""So many datagrams are pending where the runtime is behind by more than a tenth of a second."""
PASSING = frozenset(
    (
        common.MAVLINK_MSG_ID_ODOMETRY,
        common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION,
        common.MAVLINK_MSG_ID_ATTITUDE_TARGET,
        common.MAVLINK_MSG_ID_HIGHRES_IMU,
    )
)
COMPONENT = 192
"""MAVLink component of the keeper (MAV_COMP_ID_ONBOARD_COMPUTER2)."""


class Keeper:
    """What it does with packets: no sockets, no clock."""

    def __init__(self, peer: Peer, config: KeeperConfig | None = None) -> None:
        self.peer, self.stream = peer, StreamWatch(config)
        self.dropped = 0
        """Set-points that came while PX4 was asked to hold, or were no set-points."""
        self._told_s = -1e9

    def from_runtime(self, frame: bytes, now_s: float) -> bytes | None:
        """A frame of the runtime's; what of it goes to the autopilot."""
        kind, rest = frame[:1], frame[1:]
        if kind == PACKET:
            return rest or None
        if kind == ENGAGE:
            self.stream.engage(rest)
        elif kind == RELEASE:
            self.stream.release()
        elif kind == SETPOINT and len(rest) > SAFE.size:
            if self.stream.setpoint(Level(*SAFE.unpack_from(rest)), now_s):
                return rest[SAFE.size :]
            self.dropped += 1
        else:
            self.dropped += 1
        return None

    def watch(self, now_s: float) -> list[bytes]:
        """To be called every few milliseconds; what to send to the autopilot now."""
        level, request = self.stream.watch(now_s, self.peer.reader.autopilot)
        out = []
        told = self.peer.tell_time(now_s)
        if told is not None:
            out.append(told)
        if level is not None:
            out.append(self.peer.level(level.thrust, level.yaw_ned_rad, now_s))
        if request is not None:
            out.append(self.peer.request(request))
        return out

    def to_runtime(self, now_s: float) -> bytes | None:
        """What to tell the runtime now."""
        news = self.stream.news() if now_s - self._told_s >= TELL_S else None
        self._told_s = self._told_s if news is None else now_s
        return news

    def has_nothing_to_keep(self, now_s: float, guides: bool = False) -> bool:
        """Whether nobody would miss it; see :meth:`corvids.deploy.px4.keeping.StreamWatch.has_nothing_to_keep`."""
        return self.stream.has_nothing_to_keep(now_s, self.peer.reader.autopilot, guides)


def run(link: str, socket_path: Path, config: PeerConfig, mocap: MocapConfig | None = None) -> None:
    """Keep the link until the runtime is gone and nothing needs keeping."""
    channel, port = _ports(link, mocap)
    is_udp = isinstance(channel, UdpChannel)
    offers = [PortOffer(link, channel.socket)] if CAN_PASS and is_udp else []
    if offers and is_udp and port and mocap:
        offers.append(PortOffer(mocap.where, port.socket, channel.socket))
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket_path.unlink(missing_ok=True)
    local.bind(str(socket_path))
    os.chmod(socket_path, 0o600)
    local.setblocking(False)
    keeper = Keeper(Peer(config, time.time()))
    relay = MocapRelay(mocap.vehicle if mocap else 0, keeper.peer)
    handles = [channel, local, *([port.socket] if port else [])]
    runtime: str | None = None
    pending: deque[bytes] = deque(maxlen=PENDING_MAX)
    heard_s = time.monotonic()
    try:
        while True:
            select.select(handles, [], [], 0.001 if pending else 0.005)
            now_s = time.monotonic()
            for frame in port.frames(now_s) if port else ():
                to_px4, to_runtime = relay.relay(frame, now_s)
                if to_px4 is not None:
                    channel.send(PACKET, to_px4)
                if runtime is not None:
                    pending.append(to_runtime)
            for datagram in islice(iter(channel.receive, None), TURN_MAX):
                received = keeper.peer.counters.received
                keeper.peer.take_in(datagram, now_s)
                if keeper.peer.counters.received > received:
                    channel.accept()
                if runtime is not None and datagram[:1] != HOLDS:  # that is the keeper's alone to say
                    pending.append(datagram)
            hand_over(pending, local, runtime, now_s)
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, runtime = local.recvfrom(BUFFER)
                    heard_s = now_s
                    packet = keeper.from_runtime(frame, now_s)
                    if packet is not None:
                        channel.send(PACKET, packet)
            for packet in keeper.watch(now_s):
                channel.send(PACKET, packet)
            told = keeper.to_runtime(now_s)
            if told is not None and runtime is not None:
                pending.append(told)
            is_idle = keeper.has_nothing_to_keep(now_s, guides=port is not None)
            is_alone = now_s - heard_s > keeper.stream.config.linger_s
            if is_idle and is_alone:
                return
            # The link alone goes once nothing needs keeping; with motion capture, guiding the vehicle goes with it.
            for offer, is_free in zip(offers, (is_idle, keeper.has_nothing_to_keep(now_s)), strict=False):
                if offer.pass_on(partial(_is_over, is_free, local, runtime, is_alone)):
                    return
    finally:
        for offer in offers:
            offer.close()
        if port:
            port.close()
        local.close()
        channel.close()
        socket_path.unlink(missing_ok=True)
        if port:
            tell(account(port.receiver, relay.seen))


def _is_over(is_free: bool, local: socket.socket, runtime: str | None, is_alone: bool) -> bool:
    """Whether what ``is_free`` is wanted by no runtime either."""
    return is_free and is_orphaned(local, runtime, is_alone)


def _ports(link: str, mocap: MocapConfig | None) -> tuple[UdpChannel | SerialChannel, StatePort | None]:
    """The link, and where motion capture arrives; from a keeper that has them and whose flight is over."""
    if mocap is None:
        return open_link(link), None
    check_link(link)
    others = [] if is_serial(link) else [link]
    seen, *linked = take_over_all(mocap.where, *others)
    with contextlib.ExitStack() as opened:
        channel = opened.enter_context(contextlib.closing(open_link(link, *linked)))
        port = StatePort(mocap.where, StateReceiver(mocap.stream), lambda _: seen)
        opened.pop_all()
    return channel, port


def hand_over(pending: deque[bytes], local: socket.socket, runtime: str | None, now_s: float) -> None:
    """Send what is pending to the runtime, as far as it takes it now: the system queues ten datagrams, no more.

    What has become old meanwhile, and is followed by newer of its kind, is left out: a runtime that is always busy
    would fly by ever older states.
    """
    try:
        while pending and runtime is not None:
            is_behind = len(pending) > BEHIND and is_passing_state(pending[0])
            if not (is_behind or (is_state_packet(pending[0]) and sent_s(pending[0]) < now_s - STALE_S)):
                local.sendto(pending[0], runtime)
            pending.popleft()
    except BlockingIOError:
        pass
    except OSError:  # it is gone
        pending.clear()


def is_passing_state(datagram: bytes) -> bool:
    """Whether it holds one MAVLink 2 packet and nothing else, of a kind that comes many times a second."""
    if len(datagram) < 12 or datagram[0] != VERSION_2 or packet_size(datagram) != len(datagram):
        return False
    return int.from_bytes(datagram[7:10], "little") in PASSING


def main(argv: list[str]) -> int:
    """Keys come in the environment, as 64 hex digits: CORVIDS_MAVLINK_KEY and CORVIDS_MOCAP_KEY."""
    parser = argparse.ArgumentParser(prog="python -m corvids.deploy.px4.link_keeper")
    parser.add_argument("link", help="where the autopilot sends: udp:14540, serial:/dev/ttyAMA0:921600")
    parser.add_argument("socket", type=Path, help="the runtime's way here")
    parser.add_argument("system", type=int, nargs="?", default=1, help="MAVLink system of the vehicle")
    parser.add_argument("--mocap", help="where motion capture arrives: udp:14600")
    parser.add_argument("--vehicle", type=int, default=1, help="number of the vehicle in it")
    parser.add_argument("--ptp", action="store_true", help="its clock is this system's, by PTP")
    parser.add_argument("--least-ms", type=float, default=2.0, help="least time that it is on its way")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runtime
    try:
        key, mocap = _key("CORVIDS_MAVLINK_KEY"), None
        if options.mocap:
            mocap = mocap_config(
                options.mocap,
                options.vehicle,
                _key("CORVIDS_MOCAP_KEY"),
                is_ptp=options.ptp,
                least_ms=options.least_ms,
                ahead_s=time.time() - time.monotonic(),
            )
        run(options.link, options.socket, PeerConfig(options.system, COMPONENT, key, link_id=2), mocap)
    except (CorvidsError, ValueError) as error:
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    return 0


def _key(name: str) -> bytes | None:
    return bytes.fromhex(os.environ[name]) if os.environ.get(name) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
