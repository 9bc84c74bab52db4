"""Whether PX4 knows where it is, as `corvids doctor` has it: by motion capture, or by satellites."""

from __future__ import annotations

import math

import pytest
from doctor_lab import BY_FIXES, BY_POSES, UNAIDED, VEHICLE, Talk, healthy, table, verdicts

from corvids.cli import main
from corvids.commands import doctor
from corvids.commands.doctor import NO_GO
from corvids.commands.doctoring.place import Source
from corvids.commands.px4_params import parameters_of, sih_parameters_of, without_estimator


def test_a_place_that_is_known_too_badly_to_juggle_is_said_so():
    px4 = healthy()
    assert "place" not in verdicts(px4), "this PX4 does not say how well it knows its place"
    px4.pos_std_m = 0.0
    assert "place" not in verdicts(px4), "nor this one, which leaves it out"
    px4.pos_std_m = 0.01
    assert verdicts(px4)["place"] == "go"
    px4.pos_std_m = 0.35
    assert verdicts(px4)["place"] == "warn"


def by_satellites(std_m: float, fuses: int | None, is_on_globe: bool = True) -> Talk:
    """A healthy vehicle that lives on a receiver, and is not told how to fuse motion capture."""
    channel = Talk(healthy(without_estimator(parameters_of(VEHICLE))))
    channel.px4.pos_std_m, channel.fuses, channel.is_on_globe = std_m, fuses, is_on_globe
    return channel


@pytest.mark.parametrize(
    ("std_m", "fuses", "is_on_globe", "place", "globe"),
    [
        (0.4, BY_FIXES, True, "warn", "go"),  # as a healthy receiver has it
        (0.02, BY_FIXES, True, "go", "go"),  # RTK
        (0.6, BY_FIXES, True, "warn", "go"),
        (1.1, BY_FIXES, True, "no-go", "go"),
        (10.0, None, True, "no-go", "go"),
        (0.4, None, True, "warn", "go"),  # the link carries no ESTIMATOR_STATUS: nobody knows
        (math.nan, BY_FIXES, True, "warn", "go"),
        (0.01, UNAIDED, False, "no-go", "no-go"),  # indoors, at rest: so sure is PX4 of where it is not
        (0.01, UNAIDED, True, "no-go", "go"),  # there, by the origin that a flight before told it
        (0.4, BY_POSES, True, "no-go", "go"),
        (0.4, None, False, "warn", "no-go"),
    ],
)
def test_who_lives_on_a_receiver_needs_a_fix(
    std_m: float, fuses: int | None, is_on_globe: bool, place: str, globe: str
):
    channel = by_satellites(std_m, fuses, is_on_globe)
    lines = table(channel, without_estimator(parameters_of(VEHICLE)), Source.SATELLITES)
    assert (lines["place"].verdict, lines["place on the globe"].verdict) == (place, globe)
    for check in ("place", "place on the globe"):
        if lines[check].verdict == "no-go":
            assert lines[check].fix == "wait for a fix; see the receiver"
    others = {name for name, line in lines.items() if line.verdict == "no-go"} - {
        "place",
        "place on the globe",
    }
    assert not others


@pytest.mark.parametrize(
    ("std_m", "fuses", "verdict", "said"),
    [
        (10.0, None, "warn", "nothing aids PX4 while doctor runs"),
        (10.0, UNAIDED, "warn", "nothing aids PX4 while doctor runs"),
        (0.01, UNAIDED, "warn", "nothing aids PX4 while doctor runs"),
        (0.01, BY_POSES, "go", ""),
        (0.3, BY_POSES, "warn", "enough to hover"),
        (2.0, BY_POSES, "warn", "too badly to hover"),
    ],
)
def test_motion_capture_does_not_reach_px4_before_the_flight(
    std_m: float, fuses: int | None, verdict: str, said: str
):
    channel = Talk(healthy())
    channel.px4.pos_std_m, channel.fuses = std_m, fuses
    lines = table(channel)
    line = lines["place"]
    assert (line.verdict, said in line.fix) == (verdict, True)
    assert bool(line.fix) == bool(said)
    assert "no-go" not in {line.verdict for line in lines.values()}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--sih", "--tracked"], 0),
        (["--gnss"], NO_GO),
        (["--sih"], NO_GO),
        (["--sih", "--gnss"], NO_GO),
    ],
)
def test_what_is_to_tell_px4_where_it_is_follows_from_the_options(
    options: list[str], code: int, monkeypatch, capsys
):
    """A vehicle that is told nothing: by motion capture it is yet to be, by satellites it will not be."""
    wanted = parameters_of(VEHICLE)
    if "--gnss" in options:
        wanted = without_estimator(wanted)
    if "--sih" in options:
        wanted = sih_parameters_of(VEHICLE, wanted, tracked="--tracked" in options)
    channel = Talk(healthy(wanted))
    channel.px4.pos_std_m, channel.fuses = 0.01, UNAIDED
    monkeypatch.setattr(doctor, "open_link", lambda link: channel)
    assert main(["doctor", "--vehicle", "px4_sih", *options]) == code
    assert ("see the receiver" in capsys.readouterr().out) == bool(code)
