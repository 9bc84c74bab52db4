"""What is read from a ULog file, in which units and frames, what is repaired, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ulog_lab import flight_topics, ulog

from corvids.calibration.flight.segments import cut
from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.record import FlightRecord
from corvids.calibration.readers.ulog import read_ulog
from corvids.errors import CorvidsError


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "flight.ulg"
    path.write_bytes(content)
    return path


def read(tmp_path: Path, content: bytes) -> FlightRecord:
    return px4_flight(read_ulog(written(tmp_path, content)))


def test_frames_and_units_are_ours(tmp_path: Path):
    """A rest in FRD feels -9.81 along z, which is +9.81 in FLU; north is ENU's y, down is -z; level stays level."""
    topics = flight_topics()
    topics["vehicle_local_position"][1].update(
        vx=np.full(750, 1.0), vy=np.full(750, 2.0), vz=np.full(750, 3.0)
    )
    record = read(tmp_path, ulog(topics))
    assert record.accel_b.values[:, 2].mean() == pytest.approx(9.81, abs=0.05)
    assert record.vel_w is not None and record.quat_wb is not None and record.command is not None
    np.testing.assert_allclose(record.vel_w.values[0], [2.0, 1.0, -3.0])
    # Heading north is a quarter turn from ENU's x axis: (cos 45°, 0, 0, sin 45°).
    np.testing.assert_allclose(record.quat_wb.values[0], [0.5**0.5, 0.0, 0.0, 0.5**0.5], atol=1e-7)
    sign = [1.0, -1.0, -1.0]
    raw = topics["sensor_combined"][1]["gyro_rad"].astype(np.float32)
    np.testing.assert_allclose(record.gyro_b.values, raw * sign, rtol=1e-6)
    assert record.command.values.shape == (750, 4)


def test_a_versioned_topic_is_the_same_topic(tmp_path: Path):
    topics = flight_topics()
    topics["vehicle_attitude_v1"] = topics.pop("vehicle_attitude")
    assert read(tmp_path, ulog(topics)).quat_wb is not None


def test_pulse_widths_become_commands(tmp_path: Path):
    """PX4 1.12 and earlier: 900 µs is off, PWM_MAIN_MIN to PWM_MAIN_MAX is 0 to 1: 1500 of 1000..2000 is 0.5."""
    topics = flight_topics()
    del topics["actuator_motors"]
    time = topics["sensor_combined"][1]["timestamp"]
    output = np.where(
        np.arange(len(time))[:, None] < 100, 900.0, 1500.0 + 10.0 * (np.arange(len(time)) % 2)[:, None]
    )
    fields = {"timestamp": time, "output": np.concatenate((np.tile(output, 4), np.zeros((len(time), 12))), 1)}
    topics["actuator_outputs"] = ([("float[16]", "output")], fields)
    command = read(tmp_path, ulog(topics, {"PWM_MAIN_MIN": 1000.0, "PWM_MAIN_MAX": 2000.0})).command
    assert command is not None
    assert (command.values[:100] == 0.0).all()
    np.testing.assert_allclose(command.values[100:102, 0], [0.5, 0.51])


def test_the_answer_in_a_simulated_log_is_not_read(tmp_path: Path):
    raw = read_ulog(written(tmp_path, ulog(flight_topics(), {"SIH_MASS": 1.0, "THR_MDL_FAC": 0.0})))
    assert set(raw.parameters) == {"THR_MDL_FAC"}


def test_two_time_stamps_far_apart_are_no_crash(tmp_path: Path):
    """Found by the fuzzer: the median of an even number of time stamps may be near none of them."""
    topics = flight_topics()
    fields, arrays = topics["sensor_combined"]
    few = {name: array[:2] for name, array in arrays.items()}
    topics["sensor_combined"] = (fields, few | {"timestamp": np.array([1_000_000, 10**12])})
    with pytest.raises(CorvidsError, match="samples of the gyroscope"):
        read(tmp_path, ulog(topics))


def test_repairs_are_made_and_reported():
    time = np.array([0, 10, 20, 20, 30, 40, 10**12, 50, 60, 70, 80, 200], dtype=np.uint64) * 1000
    values = np.arange(12.0)[:, None].copy()
    values[1] = np.nan
    channel, findings = clean("gyro_b", "t", "rad/s", time, values, 0)
    assert channel is not None
    np.testing.assert_allclose(channel.time_s, [0.0, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.2])
    text = " | ".join(one.text for one in findings)
    assert "not finite" in text and "damaged time stamp" in text and "repeat" in text and "1 gaps" in text


def test_of_a_reset_clock_the_longest_stretch_is_kept():
    time = np.concatenate((np.arange(0, 50), np.arange(10, 110))).astype(np.uint64) * 1000
    channel, findings = clean("gyro_b", "t", "rad/s", time, np.arange(150.0)[:, None], 0)
    assert channel is not None
    assert channel.values[0, 0] == 50.0 and len(channel.time_s) == 100
    assert "reset of the clock" in findings[0].text


def test_no_piece_of_flight_spans_a_gap(tmp_path: Path):
    topics = flight_topics(seconds=12.0)
    time = topics["sensor_combined"][1]["timestamp"]
    keep = (time < 6_000_000) | (time > 6_300_000)
    fields, arrays = topics["sensor_combined"]
    topics["sensor_combined"] = (fields, {name: array[keep] for name, array in arrays.items()})
    pieces = cut(read(tmp_path, ulog(topics)))
    assert len(pieces) == 10  # 5.0 s less the lead, then 6.7 s less lead and tail
    ends = pieces.start_s + 1.0
    # The log begins at 1 s; the gap is from 5.0 to 5.3 s of its own time.
    assert not ((pieces.start_s - pieces.lead * pieces.dt_s < 5.0) & (ends > 5.0)).any()


def changed(change: Callable[[dict], None]) -> bytes:
    topics = flight_topics()
    change(topics)
    return ulog(topics)


def stuck(topics: dict) -> None:
    topics["sensor_combined"][1]["gyro_rad"][:, 1] = 0.25


def in_g(topics: dict) -> None:
    topics["sensor_combined"][1]["accelerometer_m_s2"] /= 9.81


def six_motors(topics: dict) -> None:
    topics["actuator_motors"][1]["control"][:, 4:6] = 0.5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"time,gyro\n0,1\n", "is no ULog file"),
        (ulog({}), "none of the topics|damaged"),
        (ulog(flight_topics())[:40], "none of the topics|damaged"),
        (changed(lambda topics: topics.pop("sensor_combined")), "sensor_combined"),
        (changed(stuck), "constant at 0.25"),
        (changed(in_g), "looks like g"),
        (changed(six_motors), "drives 6 motors"),
    ],
    ids=["empty", "text", "no data", "cut short", "no sensors", "stuck", "in g", "hexacopter"],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str):
    path = written(tmp_path, content)
    with pytest.raises(CorvidsError, match=says) as refused:
        px4_flight(read_ulog(path))
    assert "flight.ulg" in str(refused.value) and "\n" not in str(refused.value)


def test_a_truncated_log_is_read_as_far_as_it_goes(tmp_path: Path):
    whole = ulog(flight_topics())
    record = read(tmp_path, whole[: len(whole) * 2 // 3])
    assert 1.0 < record.duration_s < 2.5
    assert any("middle of a message" in one.text for one in record.findings)
    assert not any("middle of a message" in one.text for one in read(tmp_path, whole).findings)


def test_damaged_logs_neither_crash_nor_hang(tmp_path: Path):
    """Bytes flipped, removed and repeated at random: a record or one line, nothing else."""
    rng = np.random.default_rng(1)
    whole = np.frombuffer(ulog(flight_topics(seconds=1.0)), np.uint8)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(40):
        data = whole.copy()
        for _ in range(rng.integers(1, 20)):
            place = int(rng.integers(0, min(len(data), 2000) if rng.random() < 0.5 else len(data)))
            kind = rng.integers(0, 3)
            if kind == 0:
                data[place] = rng.integers(0, 256)
            elif kind == 1:
                data = np.delete(data, slice(place, place + int(rng.integers(1, 50))))
            else:
                data = np.insert(data, place, data[place : place + int(rng.integers(1, 50))])
            if len(data) < 100:
                break
        try:
            cut(read(tmp_path, data.tobytes()))
            outcomes["read"] += 1
        except CorvidsError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert outcomes["read"] and outcomes["refused"]


@pytest.mark.parametrize(
    ("simulated", "every", "lag_std_ms"),
    [(False, 1, 0.0), (True, 1, 4.0 / 12.0**0.5), (False, 5, 20.0 / 12.0**0.5)],
    ids=["all commands", "a simulator's steps", "every fifth command"],
)
def test_a_lag_is_as_uncertain_as_when_commands_took_effect(
    tmp_path: Path, simulated: bool, every: int, lag_std_ms: float
):
    path = tmp_path / "flight.ulg"
    path.write_bytes(ulog(flight_topics(seconds=3.0)))
    record = px4_flight(read_ulog(path))
    command = record.command
    assert command is not None and not record.simulated
    sparse = dataclasses.replace(command, time_s=command.time_s[::every], values=command.values[::every])
    pieces = cut(dataclasses.replace(record, command=sparse, simulated=simulated))
    assert len(pieces) and pieces.lag_std_s == pytest.approx(1e-3 * lag_std_ms, rel=1e-6)
