"""A port that passes from one keeper to the next: nothing is lost, and nobody else gets it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corvids.deploy.mocap.port_handover import CAN_PASS, PortOffer, take_over
from corvids.deploy.mocap.relay import tell
from corvids.deploy.px4.channels import listening_socket
from corvids.errors import CorvidsError

needs_passing = pytest.mark.skipif(not CAN_PASS, reason="this system passes no sockets between processes")
KEEPER = """
import functools, sys
from pathlib import Path
from corvids.deploy.px4 import link_keeper
from corvids.deploy.px4.keeping import KeeperConfig

link_keeper.Keeper = functools.partial(link_keeper.Keeper, config=KeeperConfig(linger_s=0.0))
sys.exit(link_keeper.main(sys.argv[1:]))
"""
"""A keeper that does not wait for a runtime."""


def free_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"udp:127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def offered(where: str, port: socket.socket, is_free: bool) -> Iterator[threading.Thread]:
    """Somebody who offers the port until it is gone."""
    offer, is_over = PortOffer(where, port), threading.Event()

    def answer() -> None:
        while not is_over.wait(0.001) and not offer.pass_on(lambda: is_free):
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield thread
    finally:
        is_over.set()
        thread.join()
        offer.close()


@needs_passing
def test_what_arrives_while_the_port_changes_hands_is_not_lost():
    where = free_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, listening_socket(where) as first:
        sender.connect(first.getsockname())
        sender.send(b"before")
        with offered(where, first, is_free=True) as keeper:
            second = take_over(where)
            keeper.join()
        assert second
        sender.send(b"meanwhile")
        first.close()
        sender.send(b"after")
        with offered(where, second, is_free=True), second:
            third = take_over(where)
    assert third, "the name went with the port"
    assert [third.recv(100) for _ in range(3)] == [b"before", b"meanwhile", b"after"]
    with pytest.raises(BlockingIOError):
        third.recv(100)
    third.close()
    assert take_over(where) is None, "nobody has it any more"


@needs_passing
def test_a_flight_that_goes_on_keeps_its_port():
    where = free_address()
    with listening_socket(where) as port, offered(where, port, is_free=False):
        for _ in range(2):
            with pytest.raises(CorvidsError, match=f"link {where}: another flight listens there"):
                take_over(where)


@needs_passing
def test_another_port_than_the_one_asked_for_is_not_taken():
    where, elsewhere = free_address(), free_address()
    with listening_socket(elsewhere) as port, offered(where, port, is_free=True):
        assert take_over(where) is None


@needs_passing
def test_where_the_name_is_taken_nothing_is_offered():
    where = free_address()
    with listening_socket(where) as port, offered(where, port, is_free=False):
        second = PortOffer(where, port)
        assert not second.pass_on(lambda: True)
        second.close()


def test_what_nobody_reads_does_no_harm():
    reader, writer = os.pipe()
    tell("how it fared", writer)
    assert os.read(reader, 100) == b"how it fared\n"
    os.close(reader)
    tell("how it fared", writer)
    os.close(writer)


def test_a_keeper_ends_well_after_its_reader_is_gone(tmp_path: Path):
    reader, writer = os.pipe()
    arguments = [free_address(), str(tmp_path / "keeper"), "--mocap", free_address()]
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    os.close(reader)
    _, said = keeper.communicate(timeout=240.0)
    assert (keeper.returncode, said) == (0, "")
    assert not (tmp_path / "keeper").exists()
