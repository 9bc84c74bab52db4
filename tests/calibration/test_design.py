"""Experiment design: information against dense algebra, choices by hand-made information, limits kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from flight_lab import fly

from corvids.calibration.flight.fit import BIASES, LOCAL_STD
from corvids.calibration.flight.model import CHANNELS, LOCALS, compare, row_channels
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import cut
from corvids.calibration.planning.design import MARGIN, TARGETS, design
from corvids.calibration.planning.information import flight_information, names_of, prior_information
from corvids.calibration.planning.manoeuvres import BLOCK_S, MANOEUVRES, Room
from corvids.calibration.readers.csv_flight import flight_of, read_csv_flight
from corvids.calibration.readers.csv_table import Table
from corvids.envs.plants.flight_log import COLUMNS, NOISE, WANDER_S
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
AIRFRAME = Airframe(AIR)
ROOM = Room((1.8, 1.8, 1.3), 3.0, 0.7)


def information(**stds: float) -> np.ndarray:
    """Independent information of some unknowns."""
    names = names_of(AIRFRAME)
    matrix = np.zeros((len(names), len(names)))
    for name, std in stds.items():
        matrix[names.index(name), names.index(name)] = std**-2.0
    return matrix


def test_each_figure_is_paid_by_the_manoeuvre_that_tells_it():
    """One block of each: steps tell thrust to 0.2 %, waves roll to 0.5 %; circles tell nothing that is wanted."""
    offered = {
        "circles": information(damping_x_1ps=0.1),
        "steps": information(log_accel_max=0.002),
        "waves": information(log_roll=0.005),
    }
    wanted = ("accel_max_mps2", "roll_accel_max_radps2")
    found = design(AIRFRAME, prior_information(AIRFRAME), offered, wanted, most=20)
    assert found.manoeuvres == ("steps", "waves")
    for name, manoeuvre, std in (
        ("accel_max_mps2", "steps", 0.002),
        ("roll_accel_max_radps2", "waves", 0.005),
    ):
        one = found.expected[name]
        assert one.paid_by == manoeuvre and one.is_met
        assert one.std == pytest.approx(std * one.value, rel=1e-3)
        assert one.target == pytest.approx(TARGETS[name] * one.value)
        assert one.std_without > 0.9 * one.value  # the prior: a factor of e


def test_a_manoeuvre_is_repeated_until_the_target_is_met_or_time_is_up():
    """Drag to 10 % of its value in each block: n blocks reach 10 %/sqrt(n), and half of 5 % takes 16."""
    drag = AIRFRAME.start().drag_1ps
    offered = {"dash": information(drag_1ps=0.1 * drag)}
    for most, count in ((40, math.ceil((0.1 / (MARGIN * TARGETS["drag_per_mass_1ps"])) ** 2)), (7, 7)):
        found = design(AIRFRAME, prior_information(AIRFRAME), offered, ("drag_per_mass_1ps",), most)
        assert found.manoeuvres == ("dash",) * count
        one = found.expected["drag_per_mass_1ps"]
        assert one.std == pytest.approx(0.1 * drag / math.sqrt(count), rel=1e-3)
        assert one.is_met == (count >= 4)


def test_what_tells_nothing_is_not_flown():
    found = design(
        AIRFRAME,
        prior_information(AIRFRAME),
        {"circles": information(damping_x_1ps=0.1)},
        ("motor_tau_s",),
        9,
    )
    assert found.manoeuvres == () and not found.expected["motor_tau_s"].is_met
    assert found.expected["motor_tau_s"].paid_by == ""


@pytest.mark.parametrize("name", list(MANOEUVRES))
def test_a_manoeuvre_begins_and_ends_at_rest_and_moves_as_it_says(name: str):
    time_s = np.arange(round(100 * BLOCK_S) + 1) / 100.0
    one = MANOEUVRES[name](time_s, 1.0, ROOM, AIR)
    for part in one:
        np.testing.assert_allclose(part[[0, -1]], 0.0, atol=2e-3)
        assert np.isfinite(part).all()
    assert (np.abs(one.place_w_m) <= ROOM.reach_m).all()
    assert (np.abs(one.rate_b_radps) <= AIR.limits.rate_max_radps).all()
    travelled = np.cumsum(0.5 * (one.vel_w_mps[1:] + one.vel_w_mps[:-1]), axis=0) / 100.0
    np.testing.assert_allclose(travelled, one.place_w_m[1:], atol=0.01)
    half = MANOEUVRES[name](time_s, 0.5, ROOM, AIR)
    sizes = [max(float(np.abs(part).max()) for part in which[1:]) for which in (half, one)]
    assert 0.0 < sizes[0] < sizes[1]


@pytest.fixture(scope="module")
def pieces():
    """The shortest flight with a piece in it, with noise."""
    return cut(fly([AIR], 1.6, np.zeros(1), seed=5)[0])


def test_information_is_that_of_generalized_least_squares(pieces):
    """One piece: stack unknowns and initial state, with the dense covariance of every signal; invert; compare."""
    piece = pieces.take(slice(0, 1))
    found = compare(
        AIRFRAME, piece, AIRFRAME.start(), AIRFRAME.free(), torch.zeros(1, LOCALS, dtype=torch.float64)
    )
    free, rows = len(AIRFRAME.free()), row_channels(piece)
    slopes = np.zeros((rows[-1].stop, free + len(BIASES) + LOCALS))
    slopes[:, :free], slopes[:, -LOCALS:] = found.by_global[0].numpy(), found.by_local[0].numpy()
    weight = np.zeros((rows[-1].stop, rows[-1].stop))
    for index, (channel, span) in enumerate(zip(CHANNELS, rows, strict=True)):
        signal, count = channel.split()[0], span.stop - span.start
        if index < len(BIASES):
            slopes[span, free + index] = 1.0
            weight[span, span] = np.eye(count) / NOISE[signal] ** 2  # at 250 Hz, as the piece is
        else:
            lag = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
            weight[span, span] = np.linalg.inv(NOISE[signal] ** 2 * np.exp(-0.04 * lag / WANDER_S))
    whole = slopes.T @ weight @ slopes
    whole[-LOCALS:, -LOCALS:] += np.diag(LOCAL_STD**-2.0)
    prior = prior_information(AIRFRAME)
    whole[:-LOCALS, :-LOCALS] += prior
    expected = np.linalg.inv(whole)[:-LOCALS, :-LOCALS]
    bound = np.linalg.inv(flight_information(AIRFRAME, piece)[0] + prior)
    np.testing.assert_allclose(np.diag(bound), np.diag(expected), rtol=1e-6)


def csv_log(seconds: float = 2.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time_s = 7.0 + 0.004 * np.arange(round(seconds / 0.004))
    log = {name: rng.normal(0.0, 0.02, len(time_s)) for name in COLUMNS}
    log |= {f"motor{rotor}_1": log[f"motor{rotor}_1"] + 0.5 for rotor in (1, 2, 3, 4)}
    log |= {"time_s": time_s, "accel_z_mps2": log["accel_z_mps2"] + 9.81}
    return (
        log | {"quat_w_1": np.ones(len(time_s))} | {f"quat_{axis}_1": np.zeros(len(time_s)) for axis in "xyz"}
    )


def test_a_csv_log_is_a_flight_record():
    log = csv_log()
    log["vel_x_mps"][::2] = np.nan  # half as fast as the others: an empty cell is no fault
    log["vel_y_mps"][::2] = log["vel_z_mps"][::2] = np.nan
    record = flight_of(Table("log.csv", "ab", log))
    assert record.findings == () and record.sha256 == "ab"
    np.testing.assert_allclose(record.gyro_b.time_s, log["time_s"] - 7.0, atol=1e-6)
    assert record.command is not None and record.vel_w is not None and record.quat_wb is not None
    np.testing.assert_array_equal(record.command.values[:, 2], log["motor3_1"])
    assert record.vel_w.interval_s == pytest.approx(0.008)
    assert len(cut(record)) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"accel_z_mps2": 1.0 + 0.01 * np.sin(np.arange(500.0))}, "looks like g"),
        ({"motor2_1": 55.0}, "must be 0..1"),
        ({"quat_w_1": 0.5}, "must be 1"),
        ({"gyro_y_radps": 0.0}, "y axis is constant"),
    ],
)
def test_csv_logs_that_cannot_be_are_refused(tmp_path, change: dict, says: str):
    log = csv_log()
    path = tmp_path / "log.csv"
    for name, value in change.items():
        log[name] = np.broadcast_to(value, (500,))
    lines = [",".join(log), *(",".join(map(str, row)) for row in zip(*log.values(), strict=True))]
    path.write_text("\n".join(lines))
    with pytest.raises(CorvidsError, match=says):
        read_csv_flight(path)
