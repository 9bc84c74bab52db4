"""A serial line that loses bytes and adds some: every packet that is whole comes out, in order, and nothing else."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest
from standin import Standin

from corvids.deploy.px4.channels import PACKET
from corvids.deploy.px4.framing import Framer
from corvids.deploy.px4.links import check_link, open_link
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.serial_link import UNSENT_MAX, SerialChannel, serial_device
from corvids.errors import CorvidsError

KEY = bytes(range(32))


def packets(count: int, key: bytes | None = None) -> list[bytes]:
    """As pymavlink makes them, of several lengths."""
    px4 = Standin(key=key)
    makers = (px4.odometry, px4.attitude, px4.imu, lambda now_s: px4.heartbeat())
    return [makers[index % 4](50.0 + 0.01 * index) for index in range(count)]


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "signed"])
def test_whole_packets_come_out_of_pieces(key: bytes | None):
    sent, rng, framer = packets(200, key), random.Random(1), Framer()
    stream, came = b"".join(sent), []
    while stream:
        size = rng.randrange(1, 300)
        came += framer.take_in(stream[:size])
        stream = stream[size:]
    assert came == sent


def test_one_lost_byte_costs_one_packet_and_noise_costs_none():
    sent, rng, framer = packets(400), random.Random(2), Framer()
    stream, whole = b"", []
    for index, packet in enumerate(sent):
        if index % 3 == 0:
            at = rng.randrange(len(packet))
            stream += packet[:at] + packet[at + 1 :]
        else:
            stream += packet
            whole.append(packet)
        if index % 3 == 1:  # noise, with what looks like beginnings in it
            stream += bytes(rng.choices((0, 0xFD, 0xFE, 9, 255), k=rng.randrange(20)))
    came = [*framer.take_in(stream + bytes(600))]
    assert [packet for packet in came if packet in whole] == whole
    assert len(came) - len(whole) <= 1, "a byte that was lost may have been a zero that is left out anyway"


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The other end of a serial line, and the link's name."""
    other, ours = os.openpty()
    yield other, f"serial:{os.ttyname(ours)}:115200"
    os.close(ours)
    os.close(other)


def read(handle: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(handle, size - len(data))
    return data


def test_both_directions(line: tuple[int, str]):
    other, link = line
    channel = open_link(link)
    assert isinstance(channel, SerialChannel)
    sent = packets(4)
    for packet in sent:
        os.write(other, packet[:20])
        os.write(other, packet[20:])
    came: list[bytes] = []
    deadline_s = time.monotonic() + 30.0
    while len(came) < 4 and time.monotonic() < deadline_s:
        came += channel.wait(time.monotonic() + 0.01)
    assert came == sent
    request = Peer().ask_version()  # every byte as it is: no terminal's translation of line ends, or echo
    for packet in (request, bytes(range(256))):
        channel.send(PACKET, packet)
        assert read(other, len(packet)) == packet
    channel.close()


def test_a_line_that_takes_nothing_keeps_nothing_old(line: tuple[int, str]):
    other, link = line
    channel = open_link(link)
    packet = bytes(200)
    for _ in range(400):
        channel.send(PACKET, packet)
    os.set_blocking(other, False)
    drained = 0
    while True:
        try:
            drained += len(os.read(other, 65536))
        except BlockingIOError:
            break
        channel.send(PACKET)
    assert drained < 400 * len(packet)
    for _ in range(3):
        channel.send(PACKET, packet)
    assert len(os.read(other, 65536)) <= UNSENT_MAX + 3 * len(packet)
    channel.close()


def test_another_program_is_refused_and_the_next_one_is_not(line: tuple[int, str]):
    _, link = line
    channel = open_link(link)
    with pytest.raises(CorvidsError, match="another program has it"):
        open_link(link)
    channel.close()
    open_link(link).close()


def test_an_unplugged_line_is_silent_and_costs_no_time():
    other, ours = os.openpty()
    channel = open_link(f"serial:{os.ttyname(ours)}")
    os.close(ours)
    os.close(other)
    began_s = time.thread_time()
    assert [*channel.wait(time.monotonic() + 0.2)] == []
    channel.send(PACKET, b"anybody?")
    assert [*channel.wait(time.monotonic() + 0.2)] == []
    assert time.thread_time() - began_s < 0.1, "it waits, it does not spin"
    channel.close()


def test_links_by_name(tmp_path):
    assert serial_device("serial:/dev/ttyAMA0") == ("/dev/ttyAMA0", 921600)
    assert serial_device("serial:/dev/ttyS1:57600") == ("/dev/ttyS1", 57600)
    check_link("udp:14540")
    for link in ("serial:ttyS1", "serial:/dev/ttyS1:57601", "serial:/dev/ttyS1:0", "tcp:1", "udp:1:2:3"):
        with pytest.raises(CorvidsError, match="serial:DEVICE"):
            check_link(link)
    with pytest.raises(CorvidsError, match="No such file"):
        open_link("serial:/dev/not-there:57600")
    (tmp_path / "file").write_text("")
    with pytest.raises(CorvidsError, match="is no serial line"):
        open_link(f"serial:{tmp_path / 'file'}:57600")
