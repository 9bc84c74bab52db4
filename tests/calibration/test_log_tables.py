"""What fits of tables read of a flight log: hover over voltage, ESCs' speeds, rates, late estimates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from table_lab import FOLLOWED_GAIN, followed, motor_log
from ulog_lab import Topic, flight_topics, ulog

from corvids.calibration.readers.log_tables import latency_table
from corvids.calibration.readers.ulog import read_ulog
from corvids.cli import main
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
BEGIN_US = 1_000_000


def stamps(time_s: np.ndarray) -> np.ndarray:
    return BEGIN_US + np.round(1e6 * time_s).astype(np.int64)


def told(tmp_path: Path, topics: dict[str, Topic], *words: str) -> dict:
    """Figures that a command tells of a log with these topics."""
    log, figures = tmp_path / "flight.ulg", tmp_path / "out.json"
    log.write_bytes(ulog(topics))
    action, *options = words
    given = ["--vehicle", "air", "--log", str(log), "--json", str(figures), "--force"]
    assert main(["calibrate", action, *given, *options]) == 0
    return json.loads(figures.read_text())["figures"]


def test_a_rate_loop_is_told_by_a_flight_log(tmp_path: Path):
    table = followed(3, 30.0, 0.7, 0.012)
    time_us = stamps(table.columns["time_s"])
    topics = flight_topics(seconds=20.0)
    topics["sensor_combined"][1]["gyro_rad"][:, 1] = table.columns["rate_radps"][: len(time_us)]
    wanted = {"timestamp": time_us, "pitch": table.columns["setpoint_radps"]}
    topics["vehicle_rates_setpoint"] = ([("float", "pitch")], wanted)
    found = told(tmp_path, topics, "rate-loop", "--axis", "pitch")
    assert found["delay_s"]["value"] == pytest.approx(0.012, abs=0.001)
    assert found["gain"]["value"] == pytest.approx(FOLLOWED_GAIN, abs=0.01)
    assert found["bandwidth_radps"]["value"] == pytest.approx(
        30.0 * np.sqrt(0.02 + np.sqrt(1.0004)), rel=0.05
    )


def test_a_motor_is_told_by_its_esc_at_a_slower_clock_of_its_own(tmp_path: Path):
    table = motor_log(5)
    topics = flight_topics(seconds=20.0)
    control = topics["actuator_motors"][1]["control"]
    control[:, 2] = table.columns["command_1"]
    late = slice(3, None, 3)  # every third speed, half a millisecond after the command's own stamp
    esc_us = stamps(table.columns["time_s"][late])
    rpm = table.columns["speed_radps"][late] * 60.0 / (2.0 * np.pi)
    name = "esc[2].esc_rpm"
    topics["esc_status"] = ([("float", name)], {"timestamp": esc_us, name: rpm})
    found = told(tmp_path, topics, "motor", "--motor", "3")
    assert found["tau_rise_s"]["value"] == pytest.approx(0.028, rel=0.05)
    assert found["tau_fall_s"]["value"] == pytest.approx(0.045, rel=0.05)
    assert found["dead_time_s"]["value"] == pytest.approx(0.006, abs=0.001)


def test_hover_on_a_battery_that_empties_tells_what_it_loses_and_no_more(tmp_path: Path):
    """Thrust stays the weight; the command rises as the file's own curve, with a loss of 15 %, needs."""
    seconds, loss, curve, battery = 60.0, 0.15, AIR.rotors.thrust_curve, AIR.battery
    assert battery is not None
    topics = flight_topics(seconds)
    arrays = topics["actuator_motors"][1]
    spent = np.linspace(0.1, 0.9, len(arrays["timestamp"]))
    share = 0.25 / (1.0 - loss * spent)  # of full thrust on a full battery, a quarter of which is the weight
    hover = (-(1.0 - curve) + np.sqrt((1.0 - curve) ** 2 + 4.0 * curve * share)) / (2.0 * curve)
    arrays["control"][:, :4] = hover[:, None]
    volts = battery.voltage_full_v - spent * (battery.voltage_full_v - battery.voltage_empty_v)
    voltage = {"timestamp": arrays["timestamp"][::50], "voltage_v": volts[::50]}
    topics["battery_status"] = ([("float", "voltage_v")], voltage)
    found = told(tmp_path, topics, "thrust")
    one = found["thrust_loss"]
    assert one["identified"] and abs(one["value"] - loss) < 3.0 * one["std"] < 0.1
    assert not found["thrust_max_n"]["identified"] and "span" in found["thrust_max_n"]["reason"]


def test_an_attitude_that_comes_late_is_told(tmp_path: Path):
    topics = flight_topics(seconds=20.0)
    late_s, hertz = 0.011, np.array([0.7, 1.9, 3.1])
    arrays = topics["sensor_combined"][1]
    time_s = 1e-6 * (arrays["timestamp"] - BEGIN_US)

    def angle(t: np.ndarray) -> np.ndarray:
        return (0.3 * np.sin(2.0 * np.pi * hertz * t[:, None]) / (2.0 * np.pi * hertz)).sum(axis=-1)

    arrays["gyro_rad"][:, 0] += (0.3 * np.cos(2.0 * np.pi * hertz * time_s[:, None])).sum(axis=-1)
    half = 0.5 * angle(time_s - late_s)
    zero = np.zeros(len(half))
    topics["vehicle_attitude"][1]["q"] = np.column_stack((np.cos(half), np.sin(half), zero, zero))
    found = told(tmp_path, topics, "latency")
    assert found["delay_s"]["identified"] and found["delay_s"]["value"] == pytest.approx(late_s, abs=0.001)


def test_a_velocity_that_comes_late_is_told(tmp_path: Path):
    """Level and facing north, so that what is felt along the body's x is gained northwards: the second axis of ENU."""
    topics, late_s = flight_topics(seconds=20.0), 0.1
    arrays, vel = topics["sensor_combined"][1], topics["vehicle_local_position"][1]
    time_s = 1e-6 * (arrays["timestamp"] - BEGIN_US)
    turning_radps = 2.0 * np.pi * np.array([0.4, 0.9, 1.3])
    arrays["accelerometer_m_s2"][:, 0] += (0.5 * turning_radps * np.cos(time_s[:, None] * turning_radps)).sum(
        -1
    )
    vel["vx"] += (0.5 * np.sin((time_s - late_s)[:, None] * turning_radps)).sum(-1)
    found = told(tmp_path, topics, "latency", "--signals", "velocity", "--axis", "pitch")
    assert found["delay_s"]["identified"] and found["delay_s"]["value"] == pytest.approx(late_s, abs=0.005)


def test_what_a_log_does_not_have_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = tmp_path / "flight.ulg"
    log.write_bytes(ulog(flight_topics()))
    given = ["--vehicle", "air", "--log", str(log)]
    for words, says in (
        (["rate-loop"], "has no rate set-points: log vehicle_rates_setpoint (roll)"),
        (["motor"], "has no speeds of the motors: log esc_status (esc[0].esc_rpm)"),
        (["motor", "--motor", "7"], "--motor 7: must be 1 to 4"),
        (["latency", "--table", str(log)], "either a --table of measurements or a flight --log"),
    ):
        assert main(["calibrate", words[0], *given, *words[1:]]) == 2
        assert says in capsys.readouterr().err
    del (topics := flight_topics())["vehicle_attitude"]
    log.write_bytes(ulog(topics))
    with pytest.raises(CorvidsError, match="has no attitudes"):
        latency_table(read_ulog(log), "velocity", "roll")
