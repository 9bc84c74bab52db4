"""A team's flight gives back what was planted in its load and its cables, or says what it cannot tell."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import team_lab
import torch
from team_lab import POSITION_STD_M, Planted, falcons, fly, planted

from corvids.calibration.readers.team_record import TeamRecord, columns_of
from corvids.calibration.team.calibration import calibrate_team
from corvids.calibration.team.model import late
from corvids.calibration.team.parameters import TeamUnknowns
from corvids.calibration.team.pieces import cut_team
from corvids.cli import main
from corvids.controllers.packing import leaves
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import each_drone
from corvids.team import load_team, save_team

FILE = falcons(1)


def flown(elastic: bool, seconds: float = 14.0, seed: int = 3) -> tuple[Planted, TeamRecord]:
    truth = planted(FILE, np.random.default_rng(seed), elastic)
    (record,) = fly([truth], seconds, seed)
    return truth, record


@pytest.fixture(scope="module")
def elastic() -> tuple[Planted, TeamRecord]:
    return flown(elastic=True)


def test_an_elastic_cable_is_recovered(elastic: tuple[Planted, TeamRecord]):
    """The load is weighed: the cable's fit takes its mass as the file has it."""
    truth, record = elastic
    weighed = dataclasses.replace(FILE, load=dataclasses.replace(FILE.load, mass_kg=truth.team.load.mass_kg))
    figures = calibrate_team(weighed, record, "cable").figures
    for name, value, within in (
        ("axial_stiffness_n", truth.team.cable.axial_stiffness_n, 0.10),
        ("damping_time_s", truth.team.cable.damping_time_s, 0.20),
        ("cable_length1_m", truth.team.members[0].rigging.cable_length_m, 0.005),
    ):
        found = figures[name]
        assert found.identified and found.value is not None and found.std is not None, (name, found)
        assert found.value == pytest.approx(value, rel=within), (name, found, value)
        assert abs(found.value - value) < 4.0 * found.std, (name, found, value)


def test_a_slung_load_is_recovered(
    elastic: tuple[Planted, TeamRecord],
):
    truth, record = elastic
    told = calibrate_team(FILE, record, "load")
    assert told.fit is not None and max(
        told.fit.noise[f"drone 1 place {axis}"] for axis in "xyz"
    ) == pytest.approx(POSITION_STD_M, rel=0.5), "the fit has not come to rest"
    found, load = told.figures, truth.team.load
    expected = {"mass_kg": load.mass_kg}
    expected |= dict(zip(("inertia_x_kgm2", "inertia_y_kgm2"), load.inertia_kgm2, strict=False))
    for axis, place in zip("xyz", load.center_of_mass_m, strict=True):
        expected[f"center_of_mass_{axis}_m"] = place
    for name, value in expected.items():
        figure = found[name]
        assert figure.identified and figure.value is not None and figure.std is not None, (name, figure)
        close = (
            pytest.approx(value, abs=0.003) if name.startswith("center") else pytest.approx(value, rel=0.1)
        )
        assert figure.value == close, (name, figure, value)
    assert found["mass_kg"].value == pytest.approx(load.mass_kg, rel=0.03)


def test_attitudes_are_smoothed_no_further_than_drones_shake(elastic: tuple[Planted, TeamRecord]):
    """3 Hz. Cubics over 60 ms to each side would leave 0.7 % less of it, and of the forces that a drone leans into."""
    record = elastic[1]
    time_s, values = record.drones[0].time_s, record.drones[0].values.copy()
    half_rad = 0.05 * np.sin(2.0 * np.pi * 3.0 * time_s)
    values[:, 3:] = np.stack((np.cos(half_rad), np.sin(half_rad), 0.0 * half_rad, 0.0 * half_rad), -1)
    shaken = dataclasses.replace(record, drones=(dataclasses.replace(record.drones[0], values=values),))
    pieces = cut_team(shaken, FILE)
    at = pieces.start_s[:, None] + pieces.dt_s * np.arange(pieces.quat_wb.shape[2])
    expected = np.sin(0.05 * np.sin(2.0 * np.pi * 3.0 * at))
    np.testing.assert_allclose(pieces.quat_wb[0, ..., 1], expected, atol=0.002 * 0.05)


def test_gusts_move_no_figure(monkeypatch: pytest.MonkeyPatch):
    """Of 1.5 m/s, lasting a second: a load's mass and centre stay as they are, each piece having a wind of its own."""
    monkeypatch.setattr(team_lab, "WIND_STD_MPS", 1.5)
    truth, record = flown(elastic=True, seconds=12.0, seed=5)
    found, load = calibrate_team(FILE, record, "load").figures, truth.team.load
    assert found["mass_kg"].value == pytest.approx(load.mass_kg, rel=0.01)
    for axis, place_m in zip("xyz", load.center_of_mass_m, strict=True):
        assert found[f"center_of_mass_{axis}_m"].value == pytest.approx(place_m, abs=0.0005)


@pytest.mark.slow
def test_a_cable_that_hardly_stretches_has_a_length_and_no_stiffness():
    truth, record = flown(elastic=False)
    figures = calibrate_team(FILE, record, "cable").figures
    for name in ("axial_stiffness_n", "damping_time_s"):
        assert not figures[name].identified and "stretches" in figures[name].reason, figures[name]
    length = figures["cable_length1_m"]
    assert length.identified
    assert length.value == pytest.approx(truth.team.members[0].rigging.cable_length_m, abs=0.003)


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_fit_simulates_at_the_truth_is_the_true_team(count: int):
    """Half of a cable's mass rides where the cable is fixed: 1 cm aside moves the load's centre by 0.25 mm."""
    file = falcons(count)
    team = planted(file, np.random.default_rng(17)).team
    unknowns, theta = TeamUnknowns(file), {}
    for axis, name in enumerate("xyz"):
        theta[f"log_inertia_{name}"] = np.log(team.load.inertia_kgm2[axis] / file.load.inertia_kgm2[axis])
        theta[f"center_{name}_m"] = team.load.center_of_mass_m[axis]
        for index, (true, known) in enumerate(zip(team.members, file.members, strict=True), 1):
            off_m = true.rigging.load_point_m[axis] - known.rigging.load_point_m[axis]
            theta[f"hook_{name}{index}_m"] = off_m
            theta[f"length{index}_m"] = true.rigging.cable_length_m
    theta["log_mass"] = np.log(team.load.mass_kg / file.load.mass_kg)
    theta["log_stiffness"] = np.log(team.cable.axial_stiffness_n / file.cable.axial_stiffness_n)
    theta["log_damping"] = np.log(team.cable.damping_time_s / file.cable.damping_time_s)
    numbers = torch.tensor([[theta.get(name, 0.0) for name in unknowns.names]], dtype=torch.float64)
    found, truth = unknowns.physics(numbers, 0.002), team_params(team, 0.002)

    def close(one, other) -> None:
        for a, b in zip(leaves((one,)), leaves((other,)), strict=True):
            np.testing.assert_allclose(float(a), float(b), rtol=1e-9, atol=1e-12)

    for field in ("mass_kg", "inertia_kgm2", "center_b_m", "pose_point_b_m"):  # air drag is the file's
        close(getattr(found.load, field), getattr(truth.load, field))
    for one, other in zip(found.drones, each_drone(truth.drones), strict=True):
        close(one.drone.cable, other.cable)
        close(one.drone.vehicle.mass_kg, other.vehicle.mass_kg)


def test_thrust_that_comes_late_keeps_its_size():
    """6 Hz, 4 ms late. A line through thrust now and its slope would be 1 % too large: √(1 + (ω·Δt)²)."""
    spare, steps, dt_s, late_s = 18, 600, 1.0 / 600.0, 0.004
    time_s = dt_s * (np.arange(-spare, steps + spare) + 0.5)
    thrust_n = torch.as_tensor(np.sin(2.0 * np.pi * 6.0 * time_s))[None]
    seen = late(thrust_n, spare, late_s / dt_s)[0].numpy()
    expected = np.sin(2.0 * np.pi * 6.0 * (time_s[spare:-spare] - late_s))
    np.testing.assert_allclose(seen, expected, atol=1e-3)


def written(path: Path, record: TeamRecord, seconds: float) -> Path:
    """The recording as a table."""
    channels = [record.load, record.drones[0], record.motors[0]]
    values = np.concatenate([one.values for one in channels], -1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns_of(1))
        for time_s, row in zip(record.load.time_s, values, strict=True):
            if time_s < seconds:
                writer.writerow([time_s, *row])
    return path


def test_the_command_writes_a_team_file_with_error_bars(tmp_path: Path, elastic: tuple[Planted, TeamRecord]):
    log, out, figures = tmp_path / "log.csv", tmp_path / "new.toml", tmp_path / "out.json"
    written(log, elastic[1], 11.0)
    words = ["calibrate", "cable", "--team", "falcon1", "--log", str(log), "--out", str(out)]
    assert main([*words, "--json", str(figures)]) == 0
    new = load_team(out)
    said = json.loads(figures.read_text())
    seen, unseen = said["fit"]["rms"], said["fit"]["rms_left_out"]
    assert all(seen[name] < unseen[name] < 1.5 * seen[name] for name in seen), (seen, unseen)
    assert new.cable.axial_stiffness_n == said["figures"]["axial_stiffness_n"]["value"]
    origin = new.provenance["cable.axial_stiffness_n"]
    assert (
        origin.std == said["figures"]["axial_stiffness_n"]["std"]
        and said["log"]["sha256"][:12] in origin.source
    )
    assert new.load == FILE.load and new.members[0].vehicle == FILE.members[0].vehicle
    assert out.with_suffix(".html").exists()
    assert main(words) == 2  # nothing is replaced without --force


def test_a_load_that_stands_is_refused_by_name(tmp_path: Path, elastic: tuple[Planted, TeamRecord]):
    """Motors at rest carry nothing."""
    record = elastic[1]
    idle = dataclasses.replace(record.motors[0], values=np.zeros_like(record.motors[0].values))
    found = calibrate_team(FILE, dataclasses.replace(record, motors=(idle,)), "load")
    assert found.fit is None and not found.estimates
    assert all("off the ground" in one.reason for one in found.figures.values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text.replace("drone1_qw", "drone1_q0"), "has no column 'drone1_qw'"),
        (lambda text: text.splitlines()[0] + "\n" + "0," * 18 + "0\n", "0 has 1 samples|has 1 samples"),
    ],
    ids=["empty", "other names", "one row"],
)
def test_a_bad_table_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], elastic: tuple[Planted, TeamRecord], change, says: str
):
    log = written(tmp_path / "log.csv", elastic[1], 1.0)
    log.write_text(change(log.read_text()))
    figures = tmp_path / "out.json"
    assert main(["calibrate", "load", "--team", "falcon1", "--log", str(log), "--json", str(figures)]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()
    assert len(complaint) == 1 and any(one in complaint[0] for one in says.split("|")), complaint
    assert not figures.exists()


@pytest.mark.parametrize("name", ["falcon1", "falcon3"])
def test_a_team_file_is_read_back_as_it_was_written(tmp_path: Path, name: str):
    team = load_team(name)
    save_team(team, ["falcon"] * len(team.members), tmp_path / "team.toml")
    read = load_team(tmp_path / "team.toml")
    assert read == team and read.provenance == team.provenance
