"""The parameter file that `corvids px4-params` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from corvids.cli import main
from corvids.commands.px4_params import parameters_of
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
        (["--vehicle", "airr"], "did you mean air?"),
        (["--ev-delay-ms", "900"], "must be 0 to 300"),
        (["--loss-action", "6"], "must be 4 (land) or 5 (hold)"),
        (["--out", "nowhere/x.params"], "does not exist"),
        (["--out", "x.txt"], "must end in .params"),
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
    assert len(parameters) == 49


def test_other_actions_are_refused():
    with pytest.raises(CorvidsError, match="loss-action"):
        parameters_of(load_vehicle("air"), loss_action=0)
