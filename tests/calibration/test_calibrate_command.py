"""``corvids calibrate fit`` as a user meets it: files written whole or not at all, mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ulog_lab import flight_topics, ulog

from corvids.cli import main

DISARMED = ulog(flight_topics(seconds=2.0, command=-1.0))
"""Motors that never turn."""


def words(tmp_path: Path, *more: str, vehicle: str = "air") -> list[str]:
    log = tmp_path / "flight.ulg"
    if not log.exists():
        log.write_bytes(DISARMED)
    return ["calibrate", "fit", "--log", str(log), "--vehicle", vehicle, *more]


def test_a_log_without_flight_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, figures = tmp_path / "new.toml", tmp_path / "out.json"
    assert main(words(tmp_path, "--out", str(out), "--json", str(figures))) == 0
    groups = json.loads(figures.read_text())["groups"]
    assert len(groups) == 6
    for group in groups.values():
        assert group["value"] is None and group["std"] is None and not group["identified"]
        assert "the motors never turned" in group["reason"]
    assert not out.exists() and out.with_suffix(".html").exists()
    assert "motor_tau_s" in capsys.readouterr().out


def test_nothing_is_replaced_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures = tmp_path / "out.json"
    figures.write_text("mine")
    assert main(words(tmp_path, "--json", str(figures))) == 2
    assert figures.read_text() == "mine" and "--force" in capsys.readouterr().err
    assert main(words(tmp_path, "--json", str(figures), "--force")) == 0
    assert json.loads(figures.read_text())["vehicle"] == "air"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--log", "missing.ulg"], "missing.ulg: cannot be read"),
        (["--out", "vehicle.yaml"], "must end in .toml"),
        (["--what", "everything"], "what"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
):
    figures = tmp_path / "out.json"
    assert main(words(tmp_path, "--json", str(figures), *more)) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("corvids: ") and says in complaint
    assert not figures.exists()


def test_an_unknown_vehicle_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(words(tmp_path, vehicle="airr")) == 2
    assert "did you mean air" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"), [(["calibrate", "fit"], "--vehicle"), (["calibrate", "fti"], "did you mean fit?")]
)
def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str], argv: list[str], says: str):
    assert main(argv) == 2
    assert says in capsys.readouterr().err
