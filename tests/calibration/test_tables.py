"""Fits of tables — thrust, motor, latency — give back what was planted, and refuse what a table cannot tell."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from table_lab import AIR, bench, motor_log, table, wandering

from corvids.calibration.readers.csv_table import Table
from corvids.calibration.tables.latency import fit_latency
from corvids.calibration.tables.motor_response import fit_motor
from corvids.calibration.tables.thrust_bench import fit_thrust
from corvids.cli import main
from corvids.vehicle import load_vehicle


def inside(figure, truth: float, stds: float = 4.0) -> bool:
    assert figure.identified, figure
    return abs(figure.value - truth) < stds * figure.std


def test_thrust_curve_and_battery_are_recovered():
    found = fit_thrust(AIR, bench(0))
    assert inside(found.figures["thrust_max_n"], 8.0) and found.figures[
        "thrust_max_n"
    ].value == pytest.approx(8.0, rel=0.01)
    assert inside(found.figures["thrust_curve"], 0.7)
    assert inside(found.figures["thrust_loss"], 0.18)
    coefficient, _ = found.estimates["rotors.thrust_coeff_ns2prad2"]
    assert coefficient * AIR.rotors.speed_max_radps**2 == pytest.approx(8.0, rel=0.01)


def test_thrust_error_bars_hold_the_truth_as_often_as_they_say():
    hits = []
    for seed in range(60):
        figures = fit_thrust(AIR, bench(seed)).figures
        truth = {"thrust_max_n": 8.0, "thrust_curve": 0.7, "thrust_loss": 0.18}
        hits += [inside(figures[name], value, 1.96) for name, value in truth.items()]
    assert 0.88 < np.mean(hits) <= 1.0


def test_a_narrow_bench_refuses_the_curve_and_one_voltage_refuses_the_battery():
    command = np.linspace(0.5, 0.6, 30)
    found = fit_thrust(AIR, table(command_1=command, thrust_n=8.0 * command))
    assert not found.figures["thrust_curve"].identified and "span" in found.figures["thrust_curve"].reason
    assert not found.figures["thrust_loss"].identified
    assert not found.estimates


def test_a_motors_time_constants_and_dead_time_are_recovered():
    found = fit_motor(AIR, motor_log(0))
    for name, truth in {"tau_rise_s": 0.028, "tau_fall_s": 0.045}.items():
        assert found.figures[name].value == pytest.approx(truth, rel=0.03), (name, found.figures[name])
        assert inside(found.figures[name], truth, 5.0)
    assert inside(found.figures["dead_time_s"], 0.006, 2.0)
    assert found.figures["dead_time_s"].value == pytest.approx(0.006, abs=0.001)
    assert set(found.estimates) == {"rotors.tau_rise_s", "rotors.tau_fall_s"}


def test_a_motor_that_is_not_moved_is_refused():
    count = 300
    still = table(
        time_s=0.004 * np.arange(count), command_1=np.full(count, 0.5), speed_radps=np.full(count, 600.0)
    )
    assert "spans" in fit_motor(AIR, still).figures["tau_rise_s"].reason


@pytest.mark.parametrize("delay_s", [0.0234, -0.0081, 0.1507])
def test_a_delay_is_found_far_below_the_sampling_interval(delay_s: float):
    figure = fit_latency(AIR, wandering(3, delay_s)).figures["delay_s"]
    assert figure.identified and figure.value == pytest.approx(delay_s, abs=0.0005)
    assert inside(figure, delay_s, 5.0)


def test_signals_that_have_nothing_in_common_show_no_delay():
    one, other = wandering(1, 0.0), wandering(2, 0.0)
    columns = dict(one.columns) | {"second_1": other.columns["second_1"]}
    figure = fit_latency(AIR, table(**columns)).figures["delay_s"]
    assert not figure.identified and "correlate" in figure.reason


def written(path: Path, given: Table) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(given.columns)
        writer.writerows(zip(*given.columns.values(), strict=True))
    return path


def test_the_command_writes_vehicle_figures_and_page(tmp_path: Path):
    bench_csv, out, figures = (
        written(tmp_path / "bench.csv", bench(0)),
        tmp_path / "new.toml",
        tmp_path / "out.json",
    )
    words = ["calibrate", "thrust", "--vehicle", "air", "--table", str(bench_csv)]
    assert main([*words, "--out", str(out), "--json", str(figures)]) == 0
    assert json.loads(figures.read_text())["figures"]["thrust_curve"]["identified"]
    assert load_vehicle(out).provenance["rotors.thrust_curve"].std is not None
    assert out.with_suffix(".html").exists()


def test_percent_is_asked_for_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = bench(0)
    percent = table(command_1=100.0 * given.columns["command_1"], thrust_n=given.columns["thrust_n"])
    bench_csv = written(tmp_path / "bench.csv", percent)
    assert main(["calibrate", "thrust", "--vehicle", "air", "--table", str(bench_csv)]) == 2
    assert 'unit = "%"' in capsys.readouterr().err
