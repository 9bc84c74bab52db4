"""A log's rows: sensors at their time, commands from then on, noise of the size that is said."""

from __future__ import annotations

from typing import Any

import numpy as np

from corvids.envs.engines.engine import State
from corvids.envs.plants.flight_log import COLUMNS, NOISE, FlightLog

DT_S = 0.002


class Counter:
    """An engine in which every number tells the tick: the n-th tick has the motor commands n/1000."""

    dt_s = DT_S

    def __init__(self) -> None:
        self.ticks = 0

    @property
    def motors(self) -> np.ndarray:
        return np.full((2, 4), 1e-3 * self.ticks)

    @property
    def specific_force_w(self) -> np.ndarray:
        return np.tile([0.0, 0.0, 9.81], (2, 1))

    @property
    def state(self) -> State:
        zero = np.zeros((2, 3))
        about_y = np.tile([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0], (2, 1))  # body x points down
        rates = zero + 0.01 * self.ticks
        return State(
            zero, rates + np.array([[0.0], [1.0]]), about_y, rates, np.zeros((2, 4)), zero, zero, zero
        )


def flown(ticks: int) -> FlightLog:
    engine: Any = Counter()
    log = FlightLog(engine)
    for tick in range(ticks + 1):
        engine.ticks = tick
        log.watch(DT_S * tick, engine.state, np.zeros(2, np.int64))
    return log


def test_a_row_holds_sensors_at_its_time_and_the_commands_that_follow():
    columns = flown(10).columns(1, None)
    assert tuple(columns) == COLUMNS
    tick = np.arange(1, 10)  # the start has felt nothing, and the last command is not known
    np.testing.assert_allclose(columns["time_s"], DT_S * tick)
    np.testing.assert_allclose(columns["gyro_y_radps"], 0.01 * tick)
    np.testing.assert_allclose(columns["vel_x_mps"], 1.0 + 0.01 * tick)
    np.testing.assert_allclose(columns["motor4_1"], 1e-3 * (tick + 1))
    np.testing.assert_allclose(
        columns["accel_x_mps2"], -9.81
    )  # held up along world z, which is -x of the body
    np.testing.assert_allclose(columns["accel_z_mps2"], 0.0, atol=1e-12)


def test_noise_has_the_size_that_is_said_and_leaves_commands_alone():
    log = flown(20_000)
    exact, noisy = log.columns(0, None), log.columns(0, np.random.default_rng(0))
    error = {name: noisy[name] - exact[name] for name in COLUMNS}
    halved = error["gyro_x_radps"][: 2 * (len(error["gyro_x_radps"]) // 2)].reshape(-1, 2).mean(axis=1)
    assert abs(halved.std() / NOISE["gyro"] - 1.0) < 0.03
    assert abs(error["accel_z_mps2"].std() / (np.sqrt(2.0) * NOISE["accel"]) - 1.0) < 0.03
    assert abs(error["vel_y_mps"].std() / NOISE["velocity"] - 1.0) < 0.3
    assert abs(2.0 * error["quat_x_1"].std() / NOISE["attitude"] - 1.0) < 0.5
    wander = error["vel_y_mps"]
    lagged = np.mean(wander[:-250] * wander[250:]) / np.mean(wander**2)
    assert abs(lagged - np.exp(-1.0)) < 0.2  # half a second later
    np.testing.assert_array_equal(error["motor1_1"], 0.0)
    np.testing.assert_allclose(sum(noisy[f"quat_{part}_1"] ** 2 for part in "wxyz"), 1.0, rtol=1e-6)
