"""Ways to the autopilot: addresses, strangers, and floods."""

from __future__ import annotations

import select
import socket
import time
from itertools import islice
from typing import Any

import pytest

from corvids.deploy.mocap.state_packet import BodyPose, Kind, Packet, encode
from corvids.deploy.mocap.state_port import StatePort
from corvids.deploy.mocap.state_stream import StateReceiver
from corvids.deploy.px4.channels import PACKET, TURN_MAX, UdpChannel, arrivals, udp_address
from corvids.errors import CorvidsError


@pytest.mark.parametrize("link", ["udp:", "udp:99999", "tcp:14540", "udp:a:b", "14540"])
def test_a_link_that_is_none_is_refused(link: str):
    with pytest.raises(CorvidsError, match="must be udp:PORT"):
        udp_address(link)


def test_addresses():
    assert udp_address("udp:14540") == ("0.0.0.0", 14540)
    assert udp_address("udp:127.0.0.1:14550") == ("127.0.0.1", 14550)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_port_in_use_is_said_plainly():
    port = free_port()
    channel = UdpChannel(f"udp:127.0.0.1:{port}")
    with pytest.raises(CorvidsError, match="cannot listen there"):
        UdpChannel(f"udp:127.0.0.1:{port}")
    channel.close()


def test_strangers_are_not_heard_while_the_autopilot_is():
    port = free_port()
    channel = UdpChannel(f"udp:127.0.0.1:{port}")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as px4,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        px4.sendto(b"one", ("127.0.0.1", port))
        assert next(channel.wait(time.monotonic() + 60.0)) == b"one"
        channel.accept()
        stranger.sendto(b"two", ("127.0.0.1", port))
        px4.sendto(b"three", ("127.0.0.1", port))
        assert next(channel.wait(time.monotonic() + 60.0)) == b"three"
        assert channel.strangers == 1
        channel.send(PACKET, b"answer")
        px4.settimeout(60.0)
        assert px4.recv(100) == b"answer"
    channel.close()


def test_motion_capture_does_not_come_by_the_autopilots_port():
    """It has a port of its own, with a key: here everybody could forge it."""
    port = free_port()
    channel = UdpChannel(f"udp:127.0.0.1:{port}")
    forged = encode(Packet(Kind.STATE, 1, 1, 0, 0, (BodyPose(1, (9.0, 9.0, 9.0), (1.0, 0.0, 0.0, 0.0)),), ()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as px4:
        for datagram in (b"CRVS", forged, b"one"):
            px4.sendto(datagram, ("127.0.0.1", port))
        assert next(channel.wait(time.monotonic() + 60.0)) == b"one"
    assert channel.strangers == 2
    channel.close()


class Flood:
    """Of what it is said to be, without end."""

    def fileno(self) -> int:
        raise AssertionError("nobody waits where there is always something")

    def receive(self) -> bytes:
        return b"again"


def test_a_flood_does_not_stop_who_is_due():
    assert 0 < len([*islice(arrivals(Flood(), time.monotonic()), 10_000)]) <= TURN_MAX
    port = StatePort(f"udp:127.0.0.1:{free_port()}", StateReceiver())
    channel = UdpChannel(f"udp:127.0.0.1:{free_port()}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for flooded in (port, channel):
            for _ in range(2 * TURN_MAX):
                stranger.sendto(b"CRVS", flooded.socket.getsockname())
        assert [*port.frames(1.0)] == []
        assert port.receiver.counters.malformed == TURN_MAX
        assert channel.receive() is None
        assert channel.strangers == TURN_MAX
    port.close()
    channel.close()


def test_who_takes_in_slowly_is_not_late_for_long():
    began_s = time.monotonic()
    for _ in arrivals(Flood(), began_s + 0.05):
        time.sleep(0.01)
    assert 0.05 <= time.monotonic() - began_s < 0.5, (
        "not two seconds, as all that may be handed over would take"
    )


def test_who_was_stopped_takes_in_what_came_meanwhile(monkeypatch: pytest.MonkeyPatch):
    """Else it would decide on a state of before, with the newest one in its socket."""
    channel = UdpChannel(f"udp:127.0.0.1:{free_port()}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as px4:
        px4.connect(channel.socket.getsockname())
        wait = select.select

        def stopped(*arguments: Any) -> Any:
            for number in range(12):
                px4.send(bytes([number]))
            time.sleep(0.05)
            return wait(*arguments)

        monkeypatch.setattr("corvids.deploy.px4.channels.select.select", stopped)
        heard = [*channel.wait(time.monotonic() + 0.01)]
    assert heard == [bytes([number]) for number in range(12)]
    channel.close()
