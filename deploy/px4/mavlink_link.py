"""A PX4 behind MAVLink, as the flight meets it."""

from __future__ import annotations

from collections.abc import Iterator

from corvids.deploy.mocap.state_packet import is_state_packet
from corvids.deploy.mocap.state_stream import StateSink
from corvids.deploy.px4.channels import ENGAGE, HOLDS, PACKET, RELEASE, SETPOINT, Channel
from corvids.deploy.px4.keeping import KeeperNews, Level
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.checks import Autopilot
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.supervisor import Request

HOVER_THRUST = "MPC_THR_HOVER"
"""PX4's parameter for the thrust at which it hovers."""


class MavlinkLink:
    """Packets of ``peer`` over ``channel``; see :class:`corvids.deploy.px4.flight.Link`.

    With motion capture the vehicle's state is PX4's as ``mocap`` corrects it.
    """

    def __init__(self, channel: Channel, peer: Peer, mocap: StateSink | None = None) -> None:
        self._channel, self._peer, self._mocap = channel, peer, mocap
        self._news = KeeperNews()

    @property
    def now_s(self) -> float:
        return self._channel.now_s

    @property
    def state(self) -> VehicleState:
        return self._mocap.state if self._mocap else self._peer.reader.state

    @property
    def autopilot(self) -> Autopilot:
        return self._peer.reader.autopilot

    @property
    def is_kept(self) -> bool:
        return self._news.is_kept

    def wait(self, until_s: float) -> Iterator[None]:
        counters = self._peer.counters
        for datagram in self._channel.wait(until_s):
            if is_state_packet(datagram):
                if self._mocap:
                    self._mocap.take_in(datagram, self.now_s)
                yield
                continue
            if datagram[:1] == HOLDS:
                self._news.hear(datagram)
                continue
            received = counters.received
            self._peer.take_in(datagram, self.now_s)
            if counters.received > received:
                self._channel.accept()
                if self._mocap:
                    self._mocap.hear(self._peer.reader.state)
            yield
        for packet in self._peer.housekeeping(self.now_s):
            self._channel.send(PACKET, packet)

    def engage(self) -> None:
        self._channel.send(ENGAGE, self._news.engage())

    def release(self) -> None:
        self._channel.send(RELEASE)

    def request(self, request: Request) -> None:
        self._channel.send(PACKET, self._peer.request(request))

    def stream(self, thrust: float, rate_b_radps: Triple, level: Level) -> None:
        self._channel.send(SETPOINT, self._peer.rates(thrust, rate_b_radps, self.now_s), level)

    def set_hover_thrust(self, thrust: float) -> bool:
        """See :class:`corvids.deploy.px4.team.TeamLink`."""
        known = self._peer.parameters.get(HOVER_THRUST)
        if known is not None and abs(known - thrust) < 1e-6:
            return True
        self._channel.send(PACKET, self._peer.set_parameter(HOVER_THRUST, thrust))
        return False
