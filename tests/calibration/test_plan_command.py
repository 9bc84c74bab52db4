"""``corvids calibrate plan`` and ``corvids fly --setpoints``: mistakes in one line; and the loop closed, slowly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from flight_lab import truths
from mystery import mystery

from corvids.calibration.planning.design import Design, Expected
from corvids.cli import main
from corvids.commands.calibrating.plan_making import Plan
from corvids.commands.calibrating.plan_report import write_plan_report
from corvids.deploy.setpoints import COLUMNS, FlightLimits, Span, make_setpoints, read_setpoints, to_bytes
from corvids.vehicle import load_vehicle, save_vehicle

PLAN = ["calibrate", "plan", "--vehicle", "air"]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--want", "motor_tau"], "did you mean motor_tau_s?"),
        (["--low", "0", "0", "0.5", "--high", "0.5", "2", "3"], "along x: leave a metre at least"),
        (["--low", "-2", "-2", "0"], "stay 0.2 m above the ground"),
        (["--speed", "0"], "--speed 0: must be from"),
        (["--tilt-deg", "nan"], "must be finite"),
        (["--seconds", "3"], "must be from 15 to 1200 s"),
        (["--out", "plan.toml"], "must end in .json"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], more: list[str], says: str
):
    assert main([*PLAN, *more]) == 2
    assert says in last_line(capsys)


def hover_file(path: Path, seconds: float = 0.1) -> Path:
    samples = np.zeros((round(100 * seconds), len(COLUMNS)))
    samples[:, 2] = 1.5
    limits = FlightLimits((-1.0, -1.0, 0.5), (1.0, 1.0, 2.5), 2.0, 0.6)
    path.write_bytes(to_bytes(make_setpoints("air", 100.0, limits, (), samples)))
    return path


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--plant", "px4"], "in simulation only: native, mujoco"),
        (["--vehicle", "x500"], "was made for the vehicle 'air', not for 'x500'"),
        (["--condition", "windy"], "no condition is called 'windy'"),
        (["--record", "log.ulg"], "must end in .csv"),
    ],
)
def test_a_flight_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
):
    words = ["fly", "--setpoints", str(hover_file(tmp_path / "plan.json")), "--vehicle", "air"]
    assert main([*words, *more]) == 2
    assert says in last_line(capsys)


def test_a_flight_is_logged_and_its_log_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log, figures = tmp_path / "log.csv", tmp_path / "out.json"
    words = [
        "fly",
        "--setpoints",
        str(hover_file(tmp_path / "plan.json", 0.3)),
        "--vehicle",
        "air",
        "--record",
        str(log),
    ]
    assert main(words) == 0
    assert "0.3 s flown, at most 0.0" in capsys.readouterr().out
    logged = np.genfromtxt(log, delimiter=",", names=True)
    assert len(logged) == 149 and logged["time_s"][0] == 0.002
    assert np.abs(logged["setpoint_x_radps"]).max() < 0.01 and logged["motor1_1"].min() > 0.3
    assert main(words) == 2 and "--force" in last_line(capsys)
    assert main(["calibrate", "fit", "--vehicle", "air", "--log", str(log), "--json", str(figures)]) == 0
    groups = json.loads(figures.read_text())["groups"]
    assert all("0 s of unbroken free flight" in one["reason"] for one in groups.values())


def test_the_page_of_a_plan_says_what_is_flown_and_what_it_tells(tmp_path: Path):
    setpoints = read_setpoints(hover_file(tmp_path / "plan.json", 8.0))
    setpoints = dataclasses.replace(setpoints, manoeuvres=(Span("dash along x", 1.0, 7.0),))
    expected = {"motor_tau_s": Expected(0.027, 0.0001, 0.0005, "dash along x", 0.002)}
    design = Design(("dash along x",), expected)
    page = tmp_path / "plan.html"
    write_plan_report(page, Plan(setpoints, design, {"dash along x": 0.7}, ("thrust steps",)))
    text = page.read_text()
    assert text.count("<svg") == 2 and "NaN" not in text
    for said in ("dash along x", "70 %", "1.0 s", "7.0 s", "motor_tau_s", "0.37 %", "1.9 %", "7.4 % without"):
        assert said in text, said
    assert "thrust steps" in text.split("Left out")[1]


def test_a_page_that_is_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "plan.html"
    page.write_text("mine")
    assert main([*PLAN, "--out", str(tmp_path / "plan.json")]) == 2
    assert "plan.html: is there already" in last_line(capsys) and page.read_text() == "mine"


@pytest.mark.slow
def test_a_flown_plan_tells_what_it_promised(tmp_path: Path):
    """Planned for the file's vehicle, flown in MuJoCo by one that is 20 to 30 % off, fitted from the noisy log."""
    plan, promised, truth, log, out, found = (
        tmp_path / name
        for name in ("plan.json", "promised.json", "truth.toml", "log.csv", "new.toml", "found.json")
    )
    flown = mystery(load_vehicle("air"))
    save_vehicle(flown, truth)
    assert main([*PLAN, "--out", str(plan), "--json", str(promised)]) == 0
    limits = read_setpoints(plan).limits
    assert limits.speed_mps == 3.0
    fly = ["fly", "--setpoints", str(plan), "--vehicle", "air", "--truth", str(truth), "--record", str(log)]
    assert main(fly) == 0  # nobody had to be called back
    assert (
        main(
            [
                "calibrate",
                "fit",
                "--vehicle",
                "air",
                "--log",
                str(log),
                "--out",
                str(out),
                "--json",
                str(found),
            ]
        )
        == 0
    )
    expected, groups = json.loads(promised.read_text())["expected"], json.loads(found.read_text())["groups"]
    print()
    for name, value in truths(flown).items():
        one, promise = groups[name], expected[name]
        error, std, bound = one["value"] / value - 1.0, one["std"] / value, promise["std"] / promise["value"]
        print(f"{name:24} error {error:+.3%}, standard deviation {std:.3%}, promised {bound:.3%}")
        assert one["identified"] and abs(one["value"] - value) < 3.0 * one["std"]
        assert abs(error) < promise["target"] / promise["value"] * 2.0
        assert 0.6 * bound < std < 2.5 * bound
    assert load_vehicle(out).rotors.thrust_coeff_ns2prad2 == pytest.approx(
        flown.rotors.thrust_coeff_ns2prad2, rel=0.01
    )
