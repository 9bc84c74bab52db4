"""The small process that owns the link while flying, and outlives the runtime.

It passes packets both ways, and acts on late set-points as :mod:`corvids.deploy.keeping` has it. Should this process
die too, PX4's own COM_OF_LOSS_T acts.

Run as ``python -m corvids.deploy.link_keeper udp:14540 SOCKET``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

from corvids.deploy.channels import BUFFER, ENGAGE, PACKET, RELEASE, SAFE, SETPOINT, UdpChannel
from corvids.deploy.keeping import KeeperConfig, Level, StreamWatch
from corvids.deploy.mavlink_peer import Peer, PeerConfig
from corvids.errors import CorvidsError

PENDING_MAX = 1000
"""Datagrams kept for a runtime that is busy: about a second of them; then the oldest are dropped."""
COMPONENT = 192
"""MAVLink component of the keeper (MAV_COMP_ID_ONBOARD_COMPUTER2)."""


class Keeper:
    """What it does with packets: no sockets, no clock."""

    def __init__(self, peer: Peer, config: KeeperConfig | None = None) -> None:
        self.peer, self.stream = peer, StreamWatch(config)
        self.dropped = 0
        """Set-points that came while PX4 was asked to hold, or were no set-points."""

    def from_runtime(self, frame: bytes, now_s: float) -> bytes | None:
        """A frame of the runtime's; what of it goes to the autopilot."""
        kind, rest = frame[:1], frame[1:]
        if kind == PACKET:
            return rest or None
        if kind == ENGAGE:
            self.stream.engage()
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
        if level is not None:
            out.append(self.peer.level(level.thrust, level.yaw_ned_rad, now_s))
        if request is not None:
            out.append(self.peer.request(request))
        return out

    def has_nothing_to_keep(self, now_s: float) -> bool:
        """Whether nobody would miss it."""
        return self.stream.has_nothing_to_keep(now_s, self.peer.reader.autopilot)


def run(link: str, socket_path: Path, config: PeerConfig) -> None:
    """Keep the link until the runtime is gone and nothing needs keeping."""
    channel = UdpChannel(link)
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket_path.unlink(missing_ok=True)
    local.bind(str(socket_path))
    os.chmod(socket_path, 0o600)
    local.setblocking(False)
    keeper = Keeper(Peer(config, time.time()))
    runtime: str | None = None
    pending: deque[bytes] = deque(maxlen=PENDING_MAX)
    heard_s = time.monotonic()
    try:
        while True:
            select.select([channel.socket, local], [], [], 0.001 if pending else 0.005)
            now_s = time.monotonic()
            while (datagram := channel.receive()) is not None:
                received = keeper.peer.counters.received
                keeper.peer.take_in(datagram, now_s)
                if keeper.peer.counters.received > received:
                    channel.accept()
                if runtime is not None:
                    pending.append(datagram)
            hand_over(pending, local, runtime)
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, runtime = local.recvfrom(BUFFER)
                    heard_s = now_s
                    packet = keeper.from_runtime(frame, now_s)
                    if packet is not None:
                        channel.send(PACKET, packet)
            for packet in keeper.watch(now_s):
                channel.send(PACKET, packet)
            if keeper.has_nothing_to_keep(now_s) and now_s - heard_s > keeper.stream.config.linger_s:
                return
    finally:
        local.close()
        channel.close()
        socket_path.unlink(missing_ok=True)


def hand_over(pending: deque[bytes], local: socket.socket, runtime: str | None) -> None:
    """Send what is pending to the runtime, as far as it takes it now: the system queues ten datagrams, no more."""
    try:
        while pending and runtime is not None:
            local.sendto(pending[0], runtime)
            pending.popleft()
    except BlockingIOError:
        pass
    except OSError:  # it is gone
        pending.clear()


def main(argv: list[str]) -> int:
    """``LINK SOCKET [SYSTEM]``; a key comes in the environment variable CORVIDS_MAVLINK_KEY, as 64 hex digits."""
    if len(argv) not in (2, 3):
        print("usage: python -m corvids.deploy.link_keeper udp:14540 SOCKET [SYSTEM]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runtime
    try:
        key = os.environ.get("CORVIDS_MAVLINK_KEY")
        config = PeerConfig(
            int(argv[2]) if len(argv) == 3 else 1, COMPONENT, bytes.fromhex(key) if key else None, link_id=2
        )
        run(argv[0], Path(argv[1]), config)
    except (CorvidsError, ValueError) as error:
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
