"""The small process that owns the link while flying, and outlives the runtime.

It passes packets both ways. When set-points are late it sends level attitude and hover thrust in their place; when they
stay away it asks PX4 to hold, or to land where it does not, and from then on it lets no set-point through until the
operator engages anew: PX4 would go back to OFFBOARD by itself as soon as a stream resumes. Should PX4 do neither, or
this process die too, PX4's own COM_OF_LOSS_T acts.

Run as ``python -m corvids.deploy.link_keeper udp:14540 SOCKET``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

from corvids.deploy.channels import BUFFER, ENGAGE, PACKET, RELEASE, SAFE, SETPOINT, UdpChannel
from corvids.deploy.checks import Mode
from corvids.deploy.mavlink_peer import Peer, PeerConfig
from corvids.deploy.supervisor import Request
from corvids.errors import CorvidsError

PENDING_MAX = 1000
"""Datagrams kept for a runtime that is busy: about a second of them; then the oldest are dropped."""
COMPONENT = 192
"""MAVLink component of the keeper (MAV_COMP_ID_ONBOARD_COMPUTER2)."""
HEARTBEAT_LATE_S = 1.5
"""PX4 tells its mode once a second: so long [s] it may be in OFFBOARD without the keeper knowing."""


@dataclasses.dataclass(frozen=True)
class KeeperConfig:
    """When the keeper acts."""

    stale_s: float = 0.04
    """Set-points older than this are replaced."""
    hold_s: float = 0.2
    """Older than this, PX4 is asked to hold."""
    every_s: float = 0.02
    """Time between the keeper's own set-points."""
    ask_every_s: float = 0.25
    """Time between its requests."""
    land_s: float = 1.5
    """PX4 that does not hold so long after it was asked to is asked to land: it holds only where it knows its place on
    the globe. Its mode is heard once a second."""
    silent_s: float = 4.5
    """PX4 that does neither for so long is left to its own failsafe: nothing is sent any more."""
    linger_s: float = 5.0
    """A keeper that has nothing to keep ends so long after the runtime was last heard."""
    gone_s: float = 60.0
    """Nothing is left to keep of an autopilot that has not been heard for so long."""


class Keeping(enum.Enum):
    """What the keeper is doing."""

    IDLE = "idle"
    """Nobody streams: packets pass."""
    RELAYING = "relaying"
    """Set-points come and pass."""
    LEVELLING = "levelling"
    """They are late: level and hover instead."""
    HOLDING = "holding"
    """They stayed away: PX4 is asked to hold, or else to land; set-points are dropped until the operator engages."""


class Keeper:
    """The keeper's mind: no sockets, no clock."""

    def __init__(self, peer: Peer, config: KeeperConfig | None = None) -> None:
        self.peer, self.config = peer, config or KeeperConfig()
        self.keeping = Keeping.IDLE
        self.dropped = 0
        """Set-points that came while PX4 was asked to hold, or were no set-points."""
        self._safe = (0.0, 0.0)
        self._setpoint_s = self._own_s = self._asked_s = self._holding_s = -1e9

    def from_runtime(self, frame: bytes, now_s: float) -> bytes | None:
        """A frame of the runtime's; what of it goes to the autopilot."""
        kind, rest = frame[:1], frame[1:]
        if kind == PACKET:
            return rest or None
        if kind == ENGAGE or (kind == RELEASE and self.keeping is not Keeping.HOLDING):
            self.keeping = Keeping.IDLE
        elif kind == SETPOINT and self.keeping is not Keeping.HOLDING and len(rest) > SAFE.size:
            yaw_ned_rad, thrust = SAFE.unpack_from(rest)
            self._safe, self._setpoint_s = (yaw_ned_rad, thrust), now_s
            self.keeping = Keeping.RELAYING
            return rest[SAFE.size :]
        else:
            self.dropped += kind != RELEASE
        return None

    def watch(self, now_s: float) -> list[bytes]:
        """To be called every few milliseconds; what to send to the autopilot now."""
        if self.keeping is Keeping.IDLE:
            return []
        config, age_s = self.config, now_s - self._setpoint_s
        if self.keeping is not Keeping.HOLDING:
            if age_s <= config.stale_s:
                return []
            self.keeping, self._holding_s = Keeping.LEVELLING, now_s
            if age_s > config.hold_s:
                self.keeping = Keeping.HOLDING
        is_offboard = self.peer.reader.autopilot.mode is Mode.OFFBOARD
        if not is_offboard and age_s > config.hold_s + HEARTBEAT_LATE_S:
            return []
        waited_s = now_s - self._holding_s
        if waited_s > config.silent_s:
            return []
        out = []
        if now_s - self._own_s >= config.every_s:
            self._own_s = now_s
            yaw_ned_rad, thrust = self._safe
            out.append(self.peer.level(thrust, yaw_ned_rad, now_s))
        # Whoever flies in another mode is not disturbed.
        if self.keeping is Keeping.HOLDING and is_offboard and now_s - self._asked_s >= config.ask_every_s:
            self._asked_s = now_s
            out.append(self.peer.request(Request.HOLD if waited_s <= config.land_s else Request.LAND))
        return out

    def has_nothing_to_keep(self, now_s: float) -> bool:
        """Whether nobody would miss it."""
        autopilot = self.peer.reader.autopilot
        is_gone = not now_s - autopilot.heard_s <= self.config.gone_s
        return self.keeping is Keeping.IDLE or autopilot.mode is not Mode.OFFBOARD or is_gone


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
            if keeper.has_nothing_to_keep(now_s) and now_s - heard_s > keeper.config.linger_s:
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
