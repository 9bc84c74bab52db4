"""A keeper whose flight is over gives its ports to whoever comes next; one that still keeps something does not."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standin import AUTO, LOITER, Standin

from corvids.deploy.mocap.port_handover import CAN_PASS, take_over, take_over_all
from corvids.deploy.px4.channels import PACKET, KeeperChannel, UdpChannel
from corvids.errors import CorvidsError

pytestmark = pytest.mark.skipif(not CAN_PASS, reason="this system passes no sockets between processes")
START_S = 240.0


def free_links(count: int) -> list[str]:
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    links = [f"udp:127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return links


@contextmanager
def keeper_of(folder: Path, link: str, *options: str) -> Iterator[tuple[subprocess.Popen, KeeperChannel]]:
    """A keeper that runs, and a runtime that has spoken to it."""
    where = folder / "keeper"
    command = [sys.executable, "-m", "corvids.deploy.px4.link_keeper", link, str(where), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + START_S
        while not where.exists() and time.monotonic() < end_s and process.poll() is None:
            time.sleep(0.01)
        yield process, KeeperChannel(where, folder / "runtime")
    finally:
        process.kill()
        process.wait()


def is_heard(runtime: KeeperChannel, px4: socket.socket, link: str, datagram: bytes) -> None:
    """Let the keeper hear PX4, and wait until its runtime has."""
    host, port = link.split(":")[1:]
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        px4.sendto(datagram, (host, int(port)))
        runtime.send(PACKET)
        if any(heard == datagram for heard in runtime.wait(time.monotonic() + 0.05)):
            return
    raise AssertionError("the keeper passes nothing on")


def handed_over(where: str, *others: str) -> list[socket.socket | None]:
    """Once the keeper has noticed that its runtime is gone."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            return take_over_all(where, *others)
        except CorvidsError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.02)


def test_after_a_flight_the_next_tool_gets_the_link_and_the_keeper_ends(tmp_path: Path):
    (link,) = free_links(1)
    standin = Standin()
    with keeper_of(tmp_path, link) as (process, runtime), socket.socket(type=socket.SOCK_DGRAM) as px4:
        is_heard(runtime, px4, link, standin.heartbeat())
        with pytest.raises(CorvidsError, match="another flight listens there, and goes on"):
            take_over(link)
        runtime.close()
        (taken,) = handed_over(link)
        assert taken
        assert process.wait(START_S) == 0, "at once, not after lingering"
        channel = UdpChannel(link, taken)
        px4.sendto(b"next", taken.getsockname())
        while next(channel.wait(time.monotonic() + START_S)) != b"next":
            pass
        channel.close()


def test_a_vehicle_in_the_air_by_motion_capture_is_left_only_to_who_guides_it(tmp_path: Path):
    link, mocap = free_links(2)
    standin = Standin()
    standin.armed, standin.main, standin.sub = True, AUTO, LOITER
    with (
        keeper_of(tmp_path, link, "--mocap", mocap) as (process, runtime),
        socket.socket(type=socket.SOCK_DGRAM) as px4,
    ):
        is_heard(runtime, px4, link, standin.heartbeat())
        runtime.close()
        with pytest.raises(CorvidsError, match="another flight listens there"):
            take_over(link)
        ports = handed_over(mocap, link)
        assert process.wait(START_S) == 0
        assert [port and f"udp:127.0.0.1:{port.getsockname()[1]}" for port in ports] == [mocap, link]
        for port in ports:
            assert port
            port.close()
