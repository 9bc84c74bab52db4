"""The parameter file that `corvids px4-params` writes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from corvids.cli import main
from corvids.commands.px4_params import gps_parameters_of, parameters_of, sih_parameters_of
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle


def read(path: Path) -> dict[str, tuple[float, int]]:
    """Names, values and types, by the columns of QGroundControl's format."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(row[:2] == ["1", "1"] and len(row) == 5 for row in rows)
    return {name: (float(value), int(kind)) for _, _, name, value, kind in rows}


def test_the_file_matches_the_vehicle(tmp_path: Path):
    out = tmp_path / "air.params"
    assert main(["px4-params", "--vehicle", "air", "--out", str(out)]) == 0
    written, air = read(out), load_vehicle("air")
    assert written["CA_ROTOR_COUNT"] == (4, 6)
    # Rotor 0 is front right: x forward, and y to the right in PX4's frame.
    assert written["CA_ROTOR0_PX"][0] == pytest.approx(0.088388)
    assert written["CA_ROTOR0_PY"][0] == pytest.approx(0.088388)
    assert written["CA_ROTOR2_PY"][0] == pytest.approx(-0.088388)
    # 1.5216e-7 / 5.399e-6 = 0.028183 m, positive where the rotor turns counter-clockwise
    assert [round(written[f"CA_ROTOR{i}_KM"][0], 6) for i in range(4)] == [
        0.028183,
        0.028183,
        -0.028183,
        -0.028183,
    ]
    assert written["MC_ROLLRATE_P"] == (air.px4.MC_ROLLRATE_P, 9)
    assert written["THR_MDL_FAC"] == (1.0, 9)
    assert written["MC_AIRMODE"] == (0, 6)
    assert written["MPC_THR_HOVER"][0] == pytest.approx(0.271)
    assert written["COM_OF_LOSS_T"][0] <= 0.2
    assert written["COM_OBL_RC_ACT"] == (4, 6)
    assert written["EKF2_EV_CTRL"] == (11, 6)


def test_by_satellites_the_estimator_is_left_as_it_is(tmp_path: Path):
    names = []
    for options in ([], ["--gnss"]):
        out = tmp_path / f"{len(options)}.params"
        assert main(["px4-params", "--out", str(out), *options]) == 0
        lines = out.read_text().splitlines()
        names.append({line.split("\t")[2] for line in lines if not line.startswith("#")})
    left_out = names[0] - names[1]
    assert left_out and all(name.startswith("EKF2_") for name in left_out)
    assert not [name for name in names[1] if name.startswith("EKF2_")]


def test_a_file_is_for_the_system_that_it_is_made_for(tmp_path: Path):
    out = tmp_path / "air.params"
    assert main(["px4-params", "--out", str(out), "--system", "3"]) == 0
    lines = [line.split("\t") for line in out.read_text().splitlines() if not line.startswith("#")]
    assert {line[0] for line in lines} == {"3"}


def test_a_file_that_is_there_stays(tmp_path: Path, capsys):
    out = tmp_path / "air.params"
    out.write_text("mine")
    assert main(["px4-params", "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["px4-params", "--out", str(out), "--force"]) == 0
    assert out.read_text() != "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["air.params"], "nothing half-written is left"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gnss", "--sih", "--tracked"], "--gnss: has no motion capture"),
        (["--system", "0"], "MAVLink system 0: must be 1 to 255"),
        (["--vehicle", "airr"], "did you mean air?"),
        (["--ev-delay-ms", "900"], "must be 0 to 300"),
        (["--loss-action", "6"], "must be 4 (land) or 5 (hold)"),
        (["--out", "nowhere/x.params"], "does not exist"),
        (["--out", "x.txt"], "must end in .params"),
        (["--link", "udp:nowhere"], "udp:PORT"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["px4-params", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["air", "x500", "crazyflie", "px4_sih"])
def test_every_vehicle_has_its_parameters(name: str):
    parameters = parameters_of(load_vehicle(name))
    assert all(isinstance(value, (int, float)) for value in parameters.values())
    assert len(parameters) == 51
    assert parameters["EKF2_EVP_NOISE"] == 0.01, (
        "PX4's own least, 0.1 m, would have motion capture hardly count"
    )


def test_with_gps_motion_capture_has_no_say():
    air = load_vehicle("air")
    parameters = gps_parameters_of(air, std_m=1.2, delay_ms=100.0)
    assert (parameters["EKF2_EV_CTRL"], parameters["EKF2_GPS_CTRL"], parameters["EKF2_HGT_REF"]) == (0, 7, 1)
    assert (parameters["EKF2_GPS_DELAY"], parameters["EKF2_GPS_P_NOISE"]) == (100.0, 1.2)
    assert gps_parameters_of(air, std_m=0.001, delay_ms=0.0)["EKF2_GPS_P_NOISE"] == 0.01, "PX4 takes no less"
    assert parameters_of(air).items() - parameters.items() == {("EKF2_EV_CTRL", 11), ("EKF2_HGT_REF", 3)}


def test_px4_simulates_the_vehicle(tmp_path: Path):
    out = tmp_path / "air.params"
    assert main(["px4-params", "--vehicle", "air", "--sih", "--out", str(out)]) == 0
    written = {name: value for name, (value, _) in read(out).items()}
    assert written["SIH_MASS"] == 1.0975
    assert (written["SIH_IXX"], written["SIH_IYY"], written["SIH_IZZ"]) == (0.00529, 0.005624, 0.007805)
    # 5.399e-6 · 1356.6² = 9.936 N, 1.5216e-7 · 1356.6² = 0.2800 N m
    assert written["SIH_T_MAX"] == pytest.approx(9.936, abs=1e-3)
    assert written["SIH_Q_MAX"] == pytest.approx(0.2800, abs=1e-4)
    assert written["SIH_L_ROLL"] == written["SIH_L_PITCH"] == pytest.approx(0.088388)
    assert written["SIH_T_TAU"] == pytest.approx(0.0272)
    assert written["THR_MDL_FAC"] == 0.0, "SIH's thrust is linear in the command"
    # 1.7 m/s² and 0.14 rad/s at 250 Hz are 1.1 and 0.09 at the estimator's 100 Hz; PX4 takes 1.0 and 0.1 at most.
    estimator = {name: value for name, value in written.items() if name.startswith("EKF2_")}
    assert estimator == {"EKF2_ACC_NOISE": 1.0, "EKF2_GYR_NOISE": 0.1}, "its position comes from GPS"


def test_a_tracked_simulation_lives_on_motion_capture_alone(tmp_path: Path, capsys):
    out = tmp_path / "air.params"
    assert main(["px4-params", "--vehicle", "air", "--sih", "--tracked", "--out", str(out)]) == 0
    written = {name: value for name, (value, _) in read(out).items()}
    assert (written["EKF2_GPS_CTRL"], written["EKF2_EV_CTRL"], written["EKF2_HGT_REF"]) == (0, 11, 3)
    assert written["EKF2_BARO_CTRL"] == 0, "its heights are above the sea"
    assert written["EKF2_DELAY_MAX"] == 100.0, "nothing else has to be waited for"
    assert written["SIH_MASS"] == 1.0975
    assert main(["px4-params", "--tracked", "--out", str(tmp_path / "b.params")]) == 2
    assert "--tracked: is for --sih" in capsys.readouterr().err


def test_px4s_own_vehicle_comes_back():
    """The file px4_sih states SIH's defaults, so nothing may change."""
    sih = sih_parameters_of(load_vehicle("px4_sih"))
    assert sih["SIH_MASS"] == 1.0
    assert (sih["SIH_T_MAX"], sih["SIH_Q_MAX"]) == pytest.approx((5.0, 0.1))
    assert (sih["SIH_L_ROLL"], sih["SIH_KDV"], sih["SIH_T_TAU"]) == pytest.approx((0.2, 1.0, 0.05))


def test_a_lopsided_vehicle_is_refused():
    air = load_vehicle("air")
    first, second, _, last = air.rotors.position_b_m
    places = (first, second, (0.12, 0.08, 0.0), last)
    lopsided = dataclasses.replace(air, rotors=dataclasses.replace(air.rotors, position_b_m=places))
    with pytest.raises(CorvidsError, match="must be PX4's X"):
        sih_parameters_of(lopsided)


def test_other_actions_are_refused():
    with pytest.raises(CorvidsError, match="loss-action"):
        parameters_of(load_vehicle("air"), loss_action=0)
