"""What `corvids doctor` says of healthy and unhealthy vehicles."""

from __future__ import annotations

import json
import math
import socket
import time
from pathlib import Path

import pytest
from doctor_lab import VEHICLE, Talk, healthy, table, verdicts
from pymavlink.dialects.v20 import common

from corvids.cli import main
from corvids.commands.doctor import diagnose, listen
from corvids.commands.px4_params import parameters_of, sih_parameters_of
from corvids.deploy.px4.mavlink_peer import STREAMS_HZ, PeerConfig
from corvids.vehicle import load_vehicle


def test_a_healthy_vehicle_is_go():
    found = verdicts(healthy())
    assert "no-go" not in found.values(), found
    assert found["time synchronisation"] == "go"
    assert found["ODOMETRY"] == "go"
    assert found["parameters"] == "go"
    assert found["place on the globe"] == "warn", "it was told none, so it cannot hold"


def test_every_stream_that_is_asked_for_has_its_rate_and_its_age():
    channel = Talk(healthy())
    channel.late_s = 0.03
    lines = table(channel)
    assert {common.mavlink_map[number].msgname for number in STREAMS_HZ} <= set(lines)
    for name, rate in (("ODOMETRY", "100 Hz, asked for 125 Hz"), ("HIGHRES_IMU", "50 Hz, asked for 50 Hz")):
        found, late = lines[name].found.split("; ")
        assert found == rate
        assert late in {f"{ms} ms old as it arrives" for ms in (29, 30, 31)}, (
            "an echo here takes a step there alone"
        )
    assert lines["BATTERY_STATUS"].found == "2 Hz, asked for 2 Hz", "it has no stamp"
    assert {lines[name].verdict for name in ("ODOMETRY", "ATTITUDE_QUATERNION", "CURRENT_MODE")} == {"go"}
    assert lines["ATTITUDE_TARGET"].verdict == "go", (
        "it comes in flight at the latest, and nothing lives on it"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ATTITUDE_QUATERNION", "MAV_*_RATE"),
        ("HIGHRES_IMU", "inner loop"),
        ("CURRENT_MODE", "second late"),
        ("EXTENDED_SYS_STATE", "on the ground"),
        ("BATTERY_STATUS", "low battery"),
    ],
)
def test_a_stream_that_does_not_come_is_warned_of(name: str, said: str):
    channel = Talk(healthy())
    channel.silent = {name}
    line = table(channel)[name]
    assert (line.verdict, line.found[:4]) == ("warn", "0 Hz")
    assert said in line.fix


def test_streams_that_come_too_late_are_warned_of():
    channel = Talk(healthy())
    channel.late_s = 0.07
    lines = table(channel)
    assert {lines[name].verdict for name in ("ODOMETRY", "ATTITUDE_QUATERNION", "HIGHRES_IMU")} == {"warn"}
    assert "60 ms" in lines["ODOMETRY"].fix


@pytest.mark.parametrize(
    ("date_off_s", "verdict", "said"),
    [(0.0, "go", "0.0 s from PX4's"), (-90.0, "warn", "90.0 s from PX4's"), (None, "go", "no date")],
)
def test_the_dates_of_both_are_compared(date_off_s: float | None, verdict: str, said: str):
    channel = Talk(healthy())
    channel.date_off_s = date_off_s
    line = table(channel)["clock"]
    assert line.verdict == verdict
    assert said in line.found


def test_a_clock_that_is_set_meanwhile_is_warned_of(monkeypatch: pytest.MonkeyPatch):
    """As NTP does just after start; stamps by PTP, and those of packets that are signed, would leap with it."""
    channel, wanted = Talk(healthy()), parameters_of(VEHICLE)
    peer = listen(channel, PeerConfig(), wanted, 4.0)
    true_s = time.time
    monkeypatch.setattr(time, "time", lambda: true_s() + 0.3)
    lines = {line.check: line for line in diagnose(peer, VEHICLE, wanted, channel.now_s, 4.0)}
    assert lines["clock"].verdict == "warn"
    assert "leapt by 0.3" in lines["clock"].found


def test_it_says_whether_processors_may_be_kept_awake(monkeypatch: pytest.MonkeyPatch):
    channel, wanted = Talk(healthy(), 100.0), parameters_of(VEHICLE)
    peer = listen(channel, PeerConfig(), wanted, 4.0)
    for may, said in ((True, "kept from it in flight"), (False, "cannot be kept from it")):
        monkeypatch.setattr("corvids.commands.doctor.can_stay_awake", lambda may=may: may)
        lines = {line.check: line for line in diagnose(peer, VEHICLE, wanted, channel.now_s, 4.0)}
        line = lines["processor's sleep"]
        assert (line.found, line.verdict, bool(line.fix)) == (said, "go", not may)


def test_a_vehicle_that_sends_no_odometry_gets_its_table(monkeypatch: pytest.MonkeyPatch):
    """Its state is known from two other messages."""
    px4 = healthy()
    monkeypatch.setattr(px4, "odometry", lambda now_s: px4.position(now_s) + px4.attitude(now_s))
    found = verdicts(px4)
    assert found["ODOMETRY"] == "no-go"
    assert found["vehicle state"] == "go"
    assert "place" not in found


def test_what_is_wrong_is_named():
    px4 = healthy()
    px4.parameters["COM_OF_LOSS_T"] = (1.0, common.MAV_PARAM_TYPE_REAL32)
    px4.parameters["MC_ROLLRATE_P"] = (0.3, common.MAV_PARAM_TYPE_REAL32)
    px4.parameters["EKF2_EV_DELAY"] = (15.0, common.MAV_PARAM_TYPE_REAL32)
    del px4.parameters["IMU_GYRO_CUTOFF"]
    px4.status = common.MAV_STATE_CRITICAL
    found = verdicts(px4, odometry_hz=30.0)
    assert {name for name, verdict in found.items() if verdict == "no-go"} == {
        "COM_OF_LOSS_T",
        "MC_ROLLRATE_P",
        "parameters",
        "ODOMETRY",
        "autopilot",
    }
    assert found["EKF2_EV_DELAY"] == found["IMU_GYRO_CUTOFF"] == "warn"


def test_parameters_that_nobody_knows_are_no_go():
    found = verdicts(px4 := healthy(), wanted={**parameters_of(VEHICLE), "CA_FOREIGN": 1, "MC_FOREIGN": 1.0})
    assert found["CA_FOREIGN"] == found["MC_FOREIGN"] == found["parameters"] == "no-go"
    px4.parameters.clear()
    found = verdicts(px4)
    assert found["COM_OF_LOSS_T"] == found["MC_ROLLRATE_P"] == found["parameters"] == "no-go"
    assert found["EKF2_EV_DELAY"] == found["MPC_THR_HOVER"] == found["EKF2_EV_CTRL"] == "no-go"
    assert found["IMU_GYRO_CUTOFF"] == "warn"


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("EKF2_EV_CTRL", 0, "no-go"),  # motion capture is not fused
        ("EKF2_EV_CTRL", 0b0011, "no-go"),  # nor its heading
        ("EKF2_EV_CTRL", 0b1111, "warn"),  # more than is asked for
        ("EKF2_EV_DELAY", 300.0, "no-go"),
        ("EKF2_EV_DELAY", 21.0, "no-go"),
        ("EKF2_EV_DELAY", 19.0, "warn"),
        ("MPC_THR_HOVER", 0.8, "no-go"),  # PX4's own HOLD would begin with a leap
        ("MPC_THR_HOVER", 0.37, "no-go"),  # 0.5 is wanted
        ("MPC_THR_HOVER", 0.38, "warn"),
        ("MPC_THR_HOVER", math.nan, "no-go"),
    ],
)
def test_what_px4_itself_flies_by_may_differ_a_little(name: str, value: float, verdict: str):
    found = verdicts(healthy({**parameters_of(VEHICLE), name: value}))
    assert found[name] == found["parameters"] == verdict


def test_parameters_that_are_not_all_known_are_not_simply_go():
    px4 = healthy()
    del px4.parameters["IMU_GYRO_CUTOFF"]
    found = verdicts(px4)
    assert "no-go" not in found.values(), found
    assert found["parameters"] == "warn"


@pytest.mark.parametrize("name", ["COM_OF_LOSS_T", "MC_ROLLRATE_P"])
def test_a_parameter_that_is_not_a_number_does_not_match(name: str):
    px4 = healthy()
    px4.parameters[name] = (math.nan, common.MAV_PARAM_TYPE_REAL32)
    found = verdicts(px4)
    assert found[name] == found["parameters"] == "no-go"


def test_a_simulation_is_held_against_what_was_loaded_into_it():
    """Its thrust is linear, and its position may come from GPS: as a vehicle's it would be no-go."""
    air = load_vehicle("air")
    simulated = sih_parameters_of(air)
    found = verdicts(healthy(simulated), wanted=simulated)
    assert "no-go" not in found.values(), found
    assert verdicts(healthy(simulated), wanted=parameters_of(air))["THR_MDL_FAC"] == "no-go"
    heavier = healthy({**simulated, "SIH_MASS": 2.0})
    assert verdicts(heavier, wanted=simulated)["SIH_MASS"] == "no-go"


def test_a_shorter_loss_time_is_as_good():
    px4 = healthy()
    px4.parameters["COM_OF_LOSS_T"] = (0.1, common.MAV_PARAM_TYPE_REAL32)
    assert "COM_OF_LOSS_T" not in verdicts(px4)


@pytest.mark.parametrize("loss_s", [0.0, -1.0])
def test_a_loss_time_at_which_every_stream_is_lost_is_none(loss_s: float):
    found = verdicts(healthy({**parameters_of(VEHICLE), "COM_OF_LOSS_T": loss_s}))
    assert found["COM_OF_LOSS_T"] == found["parameters"] == "no-go"


@pytest.mark.parametrize(("action", "is_offered"), [(4, True), (5, True), (0, False)])
def test_what_px4_does_without_a_stream_may_be_chosen(action: int, is_offered: bool):
    """As `px4-params --loss-action` does."""
    px4 = healthy({**parameters_of(VEHICLE), "COM_OBL_RC_ACT": action})
    assert (verdicts(px4)["parameters"] == "go") == is_offered


def test_a_vehicle_that_does_not_sign_with_the_key_is_said_to():
    channel, key = Talk(healthy()), bytes(range(32))
    peer = listen(channel, PeerConfig(key=key), parameters_of(VEHICLE), 1.0)
    (line,) = diagnose(peer, VEHICLE, parameters_of(VEHICLE), channel.now_s, 1.0)
    assert (line.check, line.verdict) == ("link", "no-go")
    assert "not signed with the key" in line.fix


def test_nobody_there_is_no_go(tmp_path: Path, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    out = tmp_path / "doctor.json"
    arguments = ["--link", f"udp:127.0.0.1:{port}", "--seconds", "0.1", "--json", str(out)]
    assert main(["doctor", *arguments]) == 3
    assert "PX4 is not heard" in capsys.readouterr().out
    table = json.loads(out.read_text())
    assert table["go"] is False
    assert table["lines"][0]["check"] == "link"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--link", "nonsense"], "must be udp:PORT"),
        (["--link", "serial:/dev/ttyS1:57601"], "must be serial:DEVICE"),
        (["--mavlink-key", "no.key"], "key file no.key: No such file"),
        (["--seconds", "nan"], "--seconds"),
        (["--vehicle", "airr"], "air"),
        (["--tracked"], "--tracked: is for --sih"),
        (["--ev-delay-ms", "400"], "--ev-delay-ms 400.0: must be 0 to 300"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, capsys):
    assert main(["doctor", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
