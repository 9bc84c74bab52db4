"""Ctrl-C while a flight's record is written: what was begun is done, and the Ctrl-C is not forgotten."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcap.reader import make_reader
from supervisor_lab import DT_S, Scene, make_supervisor

from corvids.deploy import flight_record
from corvids.deploy.deferral import deferrable
from corvids.deploy.flight_record import FlightRecord

TICKS = 3


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises an exception, as it does in a terminal, also where these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def topics_in(path: Path) -> list[str]:
    with open(path, "rb") as file:
        return [channel.topic for _, channel, _ in make_reader(file).iter_messages()]


@pytest.mark.parametrize("chunk_bytes", [1, flight_record.CHUNK_BYTES])
def test_wherever_it_falls_the_record_is_whole(chunk_bytes: int, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(
        flight_record, "CHUNK_BYTES", chunk_bytes
    )  # 1: every message goes to the file at once
    scene, supervisor = Scene(), make_supervisor()
    told = []
    for _ in range(TICKS):
        scene.now_s += DT_S
        seen = scene.see()
        told.append((seen, supervisor.tick(seen)))
    lengths = []
    for event in itertools.count(1, 7):
        path, ticks, left = tmp_path / f"{event}.mcap", 0, event

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                press()

        with contextlib.suppress(KeyboardInterrupt):
            with deferrable() as whole, contextlib.closing(FlightRecord(path, None, whole)) as record:
                sys.setprofile(count)
                try:
                    for tick in told:
                        record.watch(*tick)
                        ticks += 1
                finally:
                    sys.setprofile(None)
            break  # writing has not so many events
        topics = topics_in(path) if path.exists() else []  # a record of nothing is thrown away
        lengths.append(topics.count("seen"))
        assert topics.count("verdict") == lengths[-1] >= ticks
    assert {*lengths} >= {*range(TICKS + 1)}, "it fell before, between and after them"


def test_it_falls_into_the_end_of_a_record(tmp_path: Path, monkeypatch):
    """As a second one does, of somebody impatient."""
    with (
        pytest.raises(KeyboardInterrupt),
        deferrable() as whole,
        contextlib.closing(FlightRecord(tmp_path / "flight.mcap", None, whole)) as record,
    ):
        finish = record._writer.finish
        monkeypatch.setattr(record._writer, "finish", lambda: (press(), finish(), press()))
        record.note_mocap(0.0, {"rate_hz": 100.0})
    assert [path.name for path in tmp_path.iterdir()] == ["flight.mcap"]


def test_outside_it_acts_at_once_and_afterwards_as_before():
    handler = signal.getsignal(signal.SIGINT)
    reached = []
    with pytest.raises(KeyboardInterrupt), deferrable() as whole:
        with whole:
            reached.append("inside")
        press()
        reached.append("not at once")
    with deferrable() as whole:
        with pytest.raises(KeyboardInterrupt), whole:
            press()
            reached.append("to its end")
        with whole:
            reached.append("once")
    assert reached == ["inside", "to its end", "once"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_who_ignores_it_goes_on_doing_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferrable() as whole, whole:
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_are_left_alone():
    done = []

    def write() -> None:
        with deferrable() as whole, whole:
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
