"""The fit of a rate loop gives back a planted second-order system, integrated by others, and refuses the rest."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from table_lab import AIR, followed, setpoints, table

from corvids.calibration.tables.rate_response import fit_rate_loop, respond
from corvids.cli import main
from corvids.envs.engines.native import NativeEngine
from corvids.envs.plants.conditions import CONDITIONS, draw
from corvids.errors import CorvidsError


@pytest.mark.parametrize(
    ("natural", "damping", "delay_s"), [(30.0, 0.7, 0.0125), (55.0, 0.45, 0.0235), (18.0, 1.2, 0.004)]
)
def test_a_planted_loop_is_recovered(natural: float, damping: float, delay_s: float):
    figures = fit_rate_loop(AIR, followed(3, natural, damping, delay_s)).figures
    part = 1.0 - 2.0 * damping**2
    truth = {
        "bandwidth_radps": natural * math.sqrt(part + math.sqrt(part**2 + 1.0)),
        "damping": damping,
        "delay_s": delay_s,
        "gain": 0.98,
    }
    for name, value in truth.items():
        one = figures[name]
        assert one.identified and one.value is not None and one.std is not None, (name, one)
        assert one.value == pytest.approx(value, rel=0.05, abs=0.001), name
        assert abs(one.value - value) < 4.0 * one.std, name


def test_a_fit_that_steps_beyond_a_short_dead_time_comes_back():
    """A loop by whose numbers the first step once went below zero, where nothing drew the fit back."""
    one = fit_rate_loop(AIR, followed(89, 40.909971, 1.0159511, 0.002)).figures["delay_s"]
    assert one.identified and one.value == pytest.approx(0.002, abs=0.0005), one


def test_error_bars_hold_the_truth_as_often_as_they_say():
    hits = []
    truths = {"damping": 0.7, "gain": 0.98, "bandwidth_radps": 30.0 * math.sqrt(0.02 + math.sqrt(1.0004))}
    for seed in range(20):
        figures = fit_rate_loop(AIR, followed(seed, 30.0, 0.7, 0.0125, noise=0.1)).figures
        for name, value in truths.items():
            one = figures[name]
            assert one.value is not None and one.std is not None, (name, one)
            hits.append(abs(one.value - value) < 1.96 * one.std)
    assert 0.88 < np.mean(hits) <= 1.0


def test_the_response_is_the_solution_of_its_differential_equation():
    """A step at 0.1 s, 7.3 ms late, by an integrator that knows nothing of filters."""
    dt_s, natural, damping, delay_s = 0.004, 40.0, 0.6, 0.0073
    setpoint = np.where(np.arange(100) >= 25, 1.0, 0.0)

    def slope(t, y):
        return [y[1], natural**2 * (float(t >= 0.1 + delay_s) - y[0]) - 2 * damping * natural * y[1]]

    at = dt_s * np.arange(100)
    exact = solve_ivp(slope, (0.0, at[-1]), [0.0, 0.0], t_eval=at, max_step=2e-4, rtol=1e-8, atol=1e-10).y[0]
    found = respond(setpoint, dt_s, np.array([math.log(natural), math.log(damping), delay_s, 1.0, 0.0]))
    np.testing.assert_allclose(found, exact, atol=3e-3)


def test_what_cannot_be_told_is_refused():
    time_s = 0.004 * np.arange(2000)
    rng = np.random.default_rng(0)
    still = table(time_s=time_s, setpoint_radps=np.zeros(2000), rate_radps=rng.normal(0, 0.03, 2000))
    other = table(time_s=time_s, setpoint_radps=setpoints(time_s, 1), rate_radps=setpoints(time_s, 2))
    for given, says in ((still, "spans"), (other, "explains")):
        for figure in fit_rate_loop(AIR, given).figures.values():
            assert not figure.identified and says in figure.reason
    with pytest.raises(CorvidsError, match="200 are needed"):
        fit_rate_loop(AIR, table(**{name: values[:90] for name, values in other.columns.items()}))
    torn = dict(other.columns) | {"time_s": np.where(time_s > 4.0, time_s + 1.0, time_s)}
    with pytest.raises(CorvidsError, match="gap"):
        fit_rate_loop(AIR, table(**torn))


def test_the_command_writes_figures_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = followed(3, 30.0, 0.7, 0.0125)
    rates, figures = tmp_path / "rates.csv", tmp_path / "out.json"
    with rates.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(given.columns)
        writer.writerows(zip(*given.columns.values(), strict=True))
    assert (
        main(["calibrate", "rate-loop", "--vehicle", "air", "--table", str(rates), "--json", str(figures)])
        == 0
    )
    found = json.loads(figures.read_text())["figures"]
    assert found["delay_s"]["identified"] and found["delay_s"]["value"] == pytest.approx(0.0125, abs=0.001)
    assert "Body rate after its setpoint" in figures.with_suffix(".html").read_text()
    assert "bandwidth_radps" in capsys.readouterr().out


@pytest.mark.slow
def test_the_simulated_loop_has_the_bandwidth_that_sines_show():
    """Nine vehicles in the native simulator: eight follow a sine of roll rate each, the ninth a sum of many."""
    hertz = np.array([2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0])
    ticks, dt_s = 4000, 0.002
    engine = NativeEngine(AIR, 9, dtype=torch.float64, compile_kernels=False, with_ball=False)
    trials = draw(CONDITIONS["nominal"], AIR, 9, 0, place_w_m=(0.0, 0.0, 50.0), with_ball=False)
    engine.reset(trials.start, trials.params)
    time_s = dt_s * np.arange(ticks)
    single = 0.5 * np.sin(2.0 * math.pi * hertz * time_s[:, None])
    wanted = np.column_stack((single, 0.3 * setpoints(time_s, 3)))
    followed_radps = np.empty((ticks, 9))
    for tick in range(ticks):
        followed_radps[tick] = engine.state.omega_b[:, 0]
        rates = np.zeros((9, 3))
        rates[:, 0] = wanted[tick]
        engine.step(np.full(9, AIR.weight_n), rates)
    late = slice(ticks // 4, None)
    carrier = np.exp(-2j * math.pi * hertz * time_s[late, None])
    gain = np.abs((followed_radps[late, :8] * carrier).sum(axis=0) / (wanted[late, :8] * carrier).sum(axis=0))
    assert gain[0] > 0.9 and gain[-1] < 0.6
    shown = 2.0 * math.pi * np.interp(-math.sqrt(0.5) * gain[0], -gain, hertz)
    one = fit_rate_loop(
        AIR, table(time_s=time_s, setpoint_radps=wanted[:, 8], rate_radps=followed_radps[:, 8])
    ).figures["bandwidth_radps"]
    print(f"\nbandwidth by sines {shown:.1f} rad/s, by the fit {one.value:.1f} ± {one.std:.2g} rad/s")
    assert one.identified and one.value == pytest.approx(shown, rel=0.1)
