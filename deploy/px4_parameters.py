"""Loading parameters into a PX4 over MAVLink: each is sent until PX4 says that it has that value."""

from __future__ import annotations

from collections.abc import Mapping

from corvids.deploy.channels import PACKET, Channel
from corvids.deploy.mavlink_peer import Peer

AT_ONCE = 5
"""Parameters that are sent before listening again; PX4 saves them meanwhile."""
LISTEN_S = 0.05
"""How long to listen for answers [s]."""


def load_parameters(
    channel: Channel, peer: Peer, parameters: Mapping[str, int | float], seconds: float
) -> list[str]:
    """Set ``parameters`` (whole numbers are PX4's INT32); the names of those that PX4 did not take in time."""
    missing, end_s, turn = [*parameters], channel.now_s + seconds, 0
    while missing and channel.now_s < end_s:
        for datagram in channel.wait(channel.now_s + LISTEN_S):
            received = peer.counters.received
            peer.take_in(datagram, channel.now_s)
            if peer.counters.received > received:
                channel.accept()
        for packet in peer.housekeeping(channel.now_s):
            channel.send(PACKET, packet)
        missing = [name for name in missing if not _agrees(peer.parameters.get(name), parameters[name])]
        if peer.counters.received:
            for name in (missing * 2)[turn % max(len(missing), 1) :][: min(AT_ONCE, len(missing))]:
                channel.send(PACKET, peer.set_parameter(name, parameters[name]))
            turn += AT_ONCE
    return missing


def _agrees(found: float | None, wanted: float) -> bool:
    """Whether PX4 has it, as exactly as it can: PX4's numbers have 24 bits."""
    return found is not None and abs(found - wanted) <= 1e-6 * max(abs(wanted), 1e-3)
