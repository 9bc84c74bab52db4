"""Parameters of a PX4 over MAVLink: each is asked for, or sent, until PX4 says what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pymavlink.dialects.v20 import common

from corvids.deploy.px4.channels import PACKET, Channel
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.errors import CorvidsError

AT_ONCE = 5
"""Parameters that are sent before listening again; PX4 saves them meanwhile."""
LISTEN_S = 0.05
"""How long to listen for answers [s]."""
SAVING_S, ASK_AGAIN_S = 1.0, 0.5
"""PX4 says that it will save, and has saved so long after; how often it is asked until it does [s]."""


def load_parameters(
    channel: Channel, peer: Peer, parameters: Mapping[str, int | float], seconds: float
) -> list[str]:
    """Set ``parameters`` (whole numbers are PX4's INT32); the names of those that PX4 did not take in time.

    Raises :class:`CorvidsError` where PX4 says that it is armed. Its heartbeat, which tells, comes once a second: it is
    asked for before every :data:`AT_ONCE`, and without a new one nothing is set. To one that arms meanwhile go those
    that were under way, at most.
    """
    missing, end_s, turn, heard = [*parameters], channel.now_s + seconds, 0, 0

    def heartbeats() -> int:
        return peer.arrivals.get("HEARTBEAT", 0)

    while missing and channel.now_s < end_s:
        exchange(channel, peer, LISTEN_S)
        missing = [name for name in missing if not _agrees(peer.parameters.get(name), parameters[name])]
        asked = heartbeats()
        channel.send(PACKET, peer.ask_heartbeat())
        exchange(channel, peer, LISTEN_S, until=lambda asked=asked: heartbeats() > asked)
        if peer.reader.autopilot.armed:
            raise CorvidsError("PX4 is armed: its parameters are not touched; disarm it first")
        if heartbeats() > heard:
            heard = heartbeats()
            for name in (missing * 2)[turn % max(len(missing), 1) :][: min(AT_ONCE, len(missing))]:
                channel.send(PACKET, peer.set_parameter(name, parameters[name]))
            turn += AT_ONCE
    return missing


def read_parameters(channel: Channel, peer: Peer, names: Iterable[str], seconds: float) -> dict[str, float]:
    """What PX4 says of the parameters ``names`` within ``seconds``: those of which it says nothing are missing."""
    wanted, end_s = [*names], channel.now_s + seconds
    while channel.now_s < end_s and (missing := [name for name in wanted if name not in peer.parameters]):
        exchange(channel, peer, LISTEN_S)
        if peer.counters.received:
            for name in missing[:AT_ONCE]:
                channel.send(PACKET, peer.ask_parameter(name))
    return {name: peer.parameters[name] for name in wanted if name in peer.parameters}


def save_parameters(channel: Channel, peer: Peer, seconds: float) -> bool:
    """Have PX4 write its parameters to its storage now; whether it did within ``seconds``.

    By itself it does so some seconds after they were set; started anew before that, it comes up with a part of them.
    """
    end_s, asked_s = channel.now_s + seconds, float("-inf")
    peer.messages.pop("COMMAND_ACK", None)
    while channel.now_s < end_s:
        if channel.now_s - asked_s >= ASK_AGAIN_S:
            asked_s = channel.now_s
            channel.send(PACKET, peer.save())
        exchange(channel, peer, LISTEN_S)
        answer = peer.messages.get("COMMAND_ACK")
        if answer is None or answer.command != common.MAV_CMD_PREFLIGHT_STORAGE:
            continue
        if answer.result == common.MAV_RESULT_ACCEPTED:
            exchange(channel, peer, SAVING_S)
            return True
    return False


def exchange(channel: Channel, peer: Peer, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Take in what arrives within ``seconds``, or ``until`` that holds; then send what keeps the link alive."""
    for datagram in channel.wait(channel.now_s + seconds):
        received = peer.counters.received
        peer.take_in(datagram, channel.now_s)
        if peer.counters.received > received:
            channel.accept()
        if until():
            break
    for packet in peer.housekeeping(channel.now_s):
        channel.send(PACKET, packet)


def _agrees(found: float | None, wanted: float) -> bool:
    """Whether PX4 has it, as exactly as it can: PX4's numbers have 24 bits."""
    return found is not None and abs(found - wanted) <= 1e-6 * max(abs(wanted), 1e-3)
