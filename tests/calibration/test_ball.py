"""A ball's trajectory gives back what was planted: drag, radius, restitution over the racket, the racket's normal."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from ball_lab import Planted, juggle
from scipy.spatial.transform import Rotation

from corvids.calibration.ball.calibration import BallCalibration, calibrate_ball
from corvids.cli import main
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle

WEIGHTLESS_KG = 1e-9
"""The planted vehicle is not moved by the ball."""


def vehicle(planted: Planted) -> Vehicle:
    air = load_vehicle("air")
    assert air.racket is not None
    return dataclasses.replace(
        air, racket=dataclasses.replace(air.racket, sweet_radius_m=planted.sweet_radius_m)
    )


def fit(planted: Planted, seed: int) -> BallCalibration:
    return calibrate_ball(vehicle(planted), juggle(planted, seed), WEIGHTLESS_KG)


def truths(planted: Planted) -> dict[str, float]:
    return {
        "ball_drag_per_m": planted.drag_per_m,
        "ball_radius_m": planted.radius_m,
        "racket_restitution": planted.sweet,
        "racket_restitution_rim": planted.rim,
        "racket_tilt_x_rad": planted.tilt_rad[0],
        "racket_tilt_y_rad": planted.tilt_rad[1],
    }


def test_a_planted_ball_and_racket_are_recovered():
    planted = Planted()
    found = fit(planted, 0)
    assert len(found.hits) >= 36 and found.hits.others == 0
    for name, truth in truths(planted).items():
        figure = found.figures[name]
        assert figure.identified and figure.value is not None and figure.std is not None, (name, figure)
        assert abs(figure.value - truth) < 4.0 * figure.std, (name, figure, truth)
    assert found.figures["racket_restitution"].value == pytest.approx(planted.sweet, rel=0.02)
    assert found.figures["ball_drag_per_m"].value == pytest.approx(planted.drag_per_m, rel=0.2)
    assert found.normal_b is not None
    assert np.degrees(np.arccos(found.normal_b @ planted.normal_b)) < 0.3
    inner = [ring.mean for ring in found.rings if ring.outer_m <= planted.sweet_radius_m]
    assert inner == pytest.approx([planted.sweet] * len(inner), abs=0.03)


def test_a_drop_on_a_racket_at_rest_gives_restitution_but_no_place():
    """From 1.2 m onto a racket whose place was not recorded: e = √(h₁/h₀) of each bounce, without drag."""
    rebound, height, time_s = 0.8, 1.2, 0.0
    rows = []
    speed = 0.0
    for _ in range(12):
        flight = (speed + np.sqrt(speed**2 + 2 * 9.80665 * height)) / 9.80665
        for t in np.arange(0.0, flight, 0.004):
            rows.append((time_s + t, height + speed * t - 0.5 * 9.80665 * t * t))
        speed = rebound * np.sqrt(speed**2 + 2 * 9.80665 * height)
        time_s, height = time_s + flight, 0.0
        if speed < 1.0:
            break
    times, heights = np.array(rows).T
    from corvids.calibration.readers.ball_record import ball_record
    from corvids.calibration.readers.csv_table import Table

    columns = {"time_s": times, "ball_x_m": 0.0 * times, "ball_y_m": 0.0 * times, "ball_z_m": heights}
    found = calibrate_ball(load_vehicle("air"), ball_record(Table("drop", "0" * 64, columns)), 0.05)
    assert found.restitutions == pytest.approx([rebound] * len(found.restitutions), abs=0.005)
    refused = found.figures["ball_radius_m"]
    assert not refused.identified and "pose" in refused.reason


def test_a_recording_whose_z_is_not_vertical_says_by_how_much():
    """The world turned by 1.5° about x and -1° about y: so leans the vertical, seen from the recording."""
    record = juggle(Planted(), 0, hits=16)
    lean = np.radians([1.5, -1.0])
    turn = Rotation.from_rotvec([*lean, 0.0])
    ball = dataclasses.replace(record.ball_w, values=turn.apply(record.ball_w.values))
    flights = calibrate_ball(
        vehicle(Planted()), dataclasses.replace(record, ball_w=ball, pose=None), WEIGHTLESS_KG
    ).figures
    # Straight up stays within 1.5° of what the recording calls up, so a fall looks as it did, but for its lean.
    for axis, truth in zip("xy", lean, strict=True):
        figure = flights[f"frame_lean_{axis}_rad"]
        assert figure.identified and figure.value is not None and figure.std is not None
        assert abs(figure.value - truth) < max(4.0 * figure.std, 0.0005), (axis, figure, truth)
    # Nor does it change what is told of the ball: a lean that was left out passed for drag.
    upright = calibrate_ball(
        vehicle(Planted()), dataclasses.replace(record, pose=None), WEIGHTLESS_KG
    ).figures["ball_drag_per_m"]
    assert flights["ball_drag_per_m"].value == pytest.approx(upright.value, rel=0.01)


@pytest.mark.slow
def test_medians_and_coverage_over_many_recordings():
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in truths(Planted())}
    angles = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        planted = Planted(
            drag_per_m=rng.uniform(0.02, 0.15),
            sweet=rng.uniform(0.7, 0.88),
            rim=rng.uniform(0.5, 0.7),
            tilt_rad=(rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02)),
        )
        found = fit(planted, seed)
        for name, truth in truths(planted).items():
            figure = found.figures[name]
            if figure.identified and figure.value is not None and figure.std is not None:
                errors[name].append((figure.value - truth, figure.std))
        if found.normal_b is not None:
            angles.append(float(np.degrees(np.arccos(np.clip(found.normal_b @ planted.normal_b, -1.0, 1.0)))))
    print()
    for name, pairs in errors.items():
        error, std = np.array(pairs).T
        inside = np.mean(np.abs(error) < 1.96 * std)
        print(
            f"{name:24} {len(pairs)} of 40, median |error| {np.median(np.abs(error)):.3g}, in 95 %: {inside:.0%}"
        )
    print(f"racket normal: median error {np.median(angles):.3f}°")
    assert np.median(angles) < 0.2
    assert np.median([abs(e) for e, _ in errors["racket_restitution"]]) < 0.008


def write_csv(path: Path, planted: Planted, scale: float = 1.0) -> None:
    record = juggle(planted, 1, hits=12)
    assert record.pose is not None
    names = ["time_s", "bx", "by", "bz"] + [f"vehicle_{axis}_m" for axis in "xyz"]
    names += [f"vehicle_q{axis}" for axis in "wxyz"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for time_s, ball, pose in zip(
            record.ball_w.time_s, record.ball_w.values, record.pose.values, strict=True
        ):
            writer.writerow([time_s, *(scale * ball), *pose])


MAPPING = "\n".join(f'ball_{axis}_m = {{ column = "b{axis}", unit = "{{unit}}" }}' for axis in "xyz")


def test_the_command_reads_a_mapped_table_and_writes_the_racket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    log, mapping, out = tmp_path / "log.csv", tmp_path / "map.toml", tmp_path / "new.toml"
    write_csv(log, Planted(), scale=1000.0)
    mapping.write_text(MAPPING.replace("{unit}", "mm"))
    words = ["calibrate", "ball", "--log", str(log), "--mapping", str(mapping), "--vehicle", "air"]
    figures = tmp_path / "out.json"
    assert main([*words, "--out", str(out), "--json", str(figures)]) == 0
    new = load_vehicle(out)
    assert "sha256" in new.provenance["racket.restitution"].source
    assert json.loads(figures.read_text())["hits"] >= 9
    assert out.with_suffix(".html").exists()
    mapping.write_text(MAPPING.replace("{unit}", "m"))
    capsys.readouterr()
    assert main([*words, "--json", str(figures), "--force"]) == 2
    assert "say its unit in the mapping" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("time_s,ball_x_m,ball_y_m,ball_z_m\n", "has no rows"),
        ("time_s,ball_x_m,ball_y_m,ball_zz_m\n0,0,0,0\n", "did you mean ball_zz_m"),
        ("time_s,ball_x_m,ball_y_m,ball_z_m\n0,nan,0,0\nx,1,2,3\n", "no trajectory"),
        (
            "time_s,ball_x_m,ball_y_m,ball_z_m\n" + "".join(f"{0.01 * k},0,0,1\n" for k in range(200)),
            "not by about",
        ),
    ],
)
def test_tables_without_a_flight_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
):
    log = tmp_path / "log.csv"
    log.write_text(content)
    assert main(["calibrate", "ball", "--log", str(log), "--vehicle", "air"]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()
    assert len(complaint) == 1 and says in complaint[0]


def test_a_quaternion_that_is_none_is_refused():
    from corvids.calibration.readers.ball_record import POSE, ball_record
    from corvids.calibration.readers.csv_table import Table

    columns = {name: np.zeros(9) for name in ("ball_x_m", "ball_y_m", "ball_z_m", *POSE)}
    with pytest.raises(CorvidsError, match="unit quaternion"):
        ball_record(Table("log", "0" * 64, columns | {"time_s": np.arange(9.0)}))
