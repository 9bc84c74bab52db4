"""A flight's record, read back."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from mcap.reader import make_reader
from supervisor_lab import DT_S, Scene, make_supervisor

from corvids.deploy.flight_record import FlightRecord
from corvids.errors import CorvidsError


def test_a_record_holds_every_tick_and_every_decision(tmp_path: Path):
    scene, supervisor, record = Scene(), make_supervisor(), FlightRecord(tmp_path / "flight.mcap")
    for _ in range(5):
        scene.now_s += DT_S
        seen = scene.see()
        record.watch(seen, supervisor.tick(seen))
    assert not (tmp_path / "flight.mcap").exists(), "a record that is not finished is not taken for one"
    record.close()
    with open(tmp_path / "flight.mcap", "rb") as file:
        messages = [
            (c.topic, m.log_time, json.loads(m.data)) for _, c, m in make_reader(file).iter_messages()
        ]
    seen = [content for topic, _, content in messages if topic == "seen"]
    assert len(seen) == 5
    assert seen[0]["autopilot"]["mode"] == "HOLD"
    assert seen[0]["load_stamp_s"] is None
    decisions = [content for topic, _, content in messages if topic == "decision"]
    assert decisions[0]["before"] == "DISCONNECTED"
    assert decisions[0]["reason"] == "the autopilot is heard"
    assert messages[0][1] == pytest.approx(100.02e9)
    assert record.dropped == 0


def test_what_failed_to_start_leaves_the_last_flights_record_alone(tmp_path: Path):
    (tmp_path / "flight.mcap").write_bytes(b"the last flight")
    FlightRecord(tmp_path / "flight.mcap").close()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the last flight"]


def test_no_flight_costs_the_record_of_another(tmp_path: Path):
    """Not one that never armed, nor two that ended in the same second, as after a clock was set back."""
    path, ended_s = tmp_path / "flight.mcap", 1.7e9
    for turn in range(4):
        record = FlightRecord(path)
        record.note_mocap(0.0, {"turn": turn})
        record.close()
        assert read(path) == [turn], "the newest has the name"
        os.utime(path, (ended_s, ended_s))
    named = time.strftime("flight-%Y-%m-%dT%H-%M-%S", time.localtime(ended_s))
    assert {file.name for file in tmp_path.iterdir()} == {
        "flight.mcap", f"{named}.mcap", f"{named}-2.mcap", f"{named}-3.mcap"
    }  # fmt: skip
    assert [read(tmp_path / f"{named}{end}.mcap") for end in ("", "-2", "-3")] == [[0], [1], [2]]


def read(path: Path) -> list[float]:
    """The figures ``turn`` in a record."""
    with open(path, "rb") as file:
        return [json.loads(message.data)["turn"] for *_, message in make_reader(file).iter_messages("mocap")]


def test_a_record_that_no_disk_takes_is_said_and_kept_as_far_as_it_goes(tmp_path: Path, monkeypatch):
    record = FlightRecord(tmp_path / "flight.mcap")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record._writer, "finish", full_disk)
    with pytest.raises(CorvidsError, match=r"flight\.mcap: cannot be finished: No space left.*\.part"):
        record.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path):
    for path in (tmp_path / "flight.txt", tmp_path / "nowhere" / "flight.mcap"):
        with pytest.raises(CorvidsError, match="flight"):
            FlightRecord(path)
