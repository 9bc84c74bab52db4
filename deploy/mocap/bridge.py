"""From a motion capture system's own stream to a state stream, without sockets: datagrams in, datagrams out."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping

from corvids.deploy.clock_offset import ClockOffset
from corvids.deploy.mocap import natnet, vicon
from corvids.deploy.mocap.arrival_clock import ArrivalClock
from corvids.deploy.mocap.state_packet import BodyPose, PacketError, Point
from corvids.deploy.mocap.state_stream import StateSender
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple
from corvids.errors import CorvidsError

ECHO_S, CONNECT_S, SILENT_S = 0.1, 1.0, 3.0
"""How often a NatNet server is asked for an echo, and for its properties until it answers; after so long a silence it
is asked for them again [s]."""
POSES_MAX, POINTS_MAX = 12, 64
"""More do not fit a datagram; the first are sent."""
STAMP_MAX_S = 1e9
"""Our clock counts from about this computer's start, which is no 30 years ago. Where stamps are to be dates, the sender
makes them that afterwards."""


class Up(enum.Enum):
    """Which axis points up where the stream comes from."""

    Y = "y"
    Z = "z"

    def vector(self, vector: Triple) -> Triple:
        """A vector, z up."""
        x, y, z = vector
        return (x, -z, y) if self is Up.Y else vector

    def quat(self, quat: Quaternion) -> Quaternion:
        """An attitude, z up in the room and on the body."""
        w, x, y, z = quat
        a, b, c = self.vector((x, y, z))
        return w, a, b, c


@dataclasses.dataclass
class Tally:
    """What became of what arrived."""

    frames: int = 0
    """Sent on."""
    malformed: int = 0
    unsynchronised: int = 0
    """Frames that came before the clocks were compared, or whose time cannot be."""
    empty: int = 0
    """Frames in which nothing was seen."""


class NatNetBridge:
    """Follows one NatNet server."""

    def __init__(self, sender: StateSender, up: Up = Up.Y) -> None:
        self.tally = Tally()
        self.server: natnet.Server | None = None
        self.clock = ClockOffset()
        self._sender, self._up = sender, up
        self._asked_s = self._heard_s = -math.inf

    def requests(self, now_s: float) -> list[bytes]:
        """What to send to the server's command port now."""
        if now_s - self._heard_s > SILENT_S:
            self.server = None
        every_s = CONNECT_S if self.server is None else ECHO_S
        if now_s - self._asked_s < every_s:
            return []
        self._asked_s = now_s
        if self.server is None:
            return [natnet.connect_request()]
        return [natnet.echo_request(round(1e9 * now_s))]

    def take_in(self, datagram: bytes, now_s: float) -> bytes | None:
        """A datagram of the server's; what to send on. Nothing in it raises."""
        self._heard_s = now_s
        try:
            kind = natnet.message_of(datagram)
            if kind == natnet.SERVER_INFO:
                self.server = natnet.decode_server(datagram)
                return None
            if kind == natnet.ECHO_ANSWER and self.server:
                asked_ns, ticks = natnet.decode_echo(datagram)
                self.clock.take_in(1e-9 * asked_ns, ticks / self.server.ticks_hz, now_s)
                return None
            if kind != natnet.FRAME or self.server is None:
                return None
            frame = natnet.decode_frame(datagram, self.server.version)
            if not self.clock.is_known or not frame.exposed_ticks:
                self.tally.unsynchronised += 1
                return None
            stamp_s = self.clock.ours_s(frame.exposed_ticks / self.server.ticks_hz)
            bodies = [
                body._replace(pos_w_m=self._up.vector(body.pos_w_m), quat_wb=self._up.quat(body.quat_wb))
                for body in frame.bodies
                if 0 < body.body < 1 << 16
            ]
            points = [marker._replace(pos_w_m=self._up.vector(marker.pos_w_m)) for marker in frame.markers]
            return _sent(self._sender, self.tally, stamp_s, now_s, bodies, points)
        except PacketError:
            self.tally.malformed += 1
            return None


class ViconBridge:
    """Follows one Vicon Tracker; a ball is an object, too, whose attitude does not matter."""

    def __init__(
        self, sender: StateSender, bodies: Mapping[str, int], rate_hz: float, least_s: float = 0.005
    ) -> None:
        """``bodies``: numbers by the objects' names; ``least_s``: from exposure to arrival, at least."""
        if not (
            0.0 < rate_hz <= 2000.0 and bodies and all(0 < number < 1 << 16 for number in bodies.values())
        ):
            raise CorvidsError(
                "a Vicon stream needs its frame rate, and a number from 1 to 65535 for each object"
            )
        self.tally = Tally()
        self.clock = ArrivalClock(least_s)
        self._sender, self._bodies, self._rate_hz = sender, dict(bodies), rate_hz
        self._last: dict[str, Triple] = {}

    def take_in(self, datagram: bytes, now_s: float) -> bytes | None:
        """A datagram of the Tracker's; what to send on. Nothing in it raises."""
        try:
            frame = vicon.decode_frame(datagram)
            remote_s = frame.number / self._rate_hz
            self.clock.take_in(remote_s, now_s)
            bodies = [
                BodyPose(self._bodies[one.name], one.pos_w_m, one.quat_wb)
                for one in frame.objects
                if one.name in self._bodies and self._is_seen(one)
            ]
            return _sent(self._sender, self.tally, self.clock.ours_s(remote_s), now_s, bodies, [])
        except PacketError:
            self.tally.malformed += 1
            return None

    def _is_seen(self, one: vicon.ViconObject) -> bool:
        """Whether it moved, if only by the noise: what is lost does not."""
        last = self._last.get(one.name)
        self._last[one.name] = one.pos_w_m
        return one.pos_w_m not in (last, (0.0, 0.0, 0.0))


def _sent(
    sender: StateSender,
    tally: Tally,
    stamp_s: float,
    now_s: float,
    bodies: list[BodyPose],
    points: list[Point],
) -> bytes | None:
    if not (bodies or points):
        tally.empty += 1
        return None
    if not 0.0 < stamp_s < STAMP_MAX_S:
        tally.unsynchronised += 1
        return None
    datagram = sender.state(
        round(1e9 * stamp_s), round(1e9 * now_s), tuple(bodies[:POSES_MAX]), tuple(points[:POINTS_MAX])
    )
    tally.frames += 1
    return datagram
