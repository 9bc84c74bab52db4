"""The plant's clock, messages and commands, on an engine whose motion is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.deploy import runtime
from corvids.envs.engines.engine import TICK_S, Contacts, State
from corvids.envs.plants.conditions import CONDITIONS, Trials, draw
from corvids.envs.plants.hits import Referee
from corvids.envs.plants.plant import Plant
from corvids.envs.plants.recording import Recorder
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")


class Glider:
    """Everything moves along +x at 1 m/s (vehicle) and 2 m/s (ball), so that positions tell the time."""

    dt_s = TICK_S

    def __init__(self, worlds: int) -> None:
        self.worlds = worlds
        self.ticks = 0
        self.commands: list[tuple[np.ndarray, np.ndarray]] = []
        self.retired = np.zeros(worlds, dtype=bool)

    def reset(self, state: State, params) -> None:
        self.start = state

    def step(self, thrust_n, rate_b_radps) -> None:
        self.ticks += 1
        self.commands.append((thrust_n.copy(), rate_b_radps.copy()))

    def step_motors(self, command) -> None:
        raise AssertionError("a plant flies through the rate loop")

    def retire(self, done) -> None:
        self.retired |= done

    @property
    def state(self) -> State:
        along = np.array([self.ticks * TICK_S, 0.0, 0.0])
        return self.start._replace(
            pos_w=self.start.pos_w + along, ball_pos_w=self.start.ball_pos_w + 2.0 * along
        )

    @property
    def specific_force_w(self):
        return np.zeros((self.worlds, 3))

    @property
    def motors(self):
        return np.zeros((self.worlds, 4))

    @property
    def contacts(self) -> Contacts:
        nothing = np.zeros(self.worlds, dtype=np.int64)
        return Contacts(nothing, np.zeros((self.worlds, 3)), nothing)


def trials(worlds: int, condition: str = "nominal", **sensors) -> Trials:
    """With a ball that moves as :class:`Glider` lets it, from before the beginning."""
    drawn = draw(CONDITIONS[condition], AIR, worlds, 3)
    start = drawn.start._replace(ball_vel_w=np.tile((2.0, 0.0, 0.0), (worlds, 1)))
    return drawn._replace(start=start, sensors=drawn.sensors._replace(**sensors))


def delayed(drawn: Trials, vehicle_s: float, ball_s: float) -> Trials:
    sensors, ones = drawn.sensors, np.ones(len(drawn.sensors.clock_error_s))
    return drawn._replace(
        sensors=sensors._replace(
            vehicle=sensors.vehicle._replace(delay_s=vehicle_s * ones),
            ball=sensors.ball._replace(delay_s=ball_s * ones),
        )
    )


def test_readings_are_what_was_true_at_their_stamps():
    plant = Plant(Glider(5), delayed(trials(5), 0.030, 0.050), seed=0)
    readings = plant.receive(0.5)
    assert plant.now_s == pytest.approx(0.5)
    np.testing.assert_allclose(readings.pos_w[:, 0], readings.stamp_s, atol=1e-12)  # x [m] = t [s]
    np.testing.assert_allclose(readings.ball_pos_w[:, :, 0], 2.0 * readings.ball_stamp_s, atol=1e-12)


def test_messages_arrive_once_late_and_at_their_rates():
    plant = Plant(Glider(4), delayed(trials(4), 0.030, 0.050), seed=0)
    stamps, ages = [[] for _ in range(4)], []
    for tick in range(1, 101):
        readings = plant.receive(0.02 * tick)
        ages.append(plant.now_s - readings.stamp_s)
        for world in range(4):
            fresh = readings.ball_stamp_s[world][~np.isnan(readings.ball_stamp_s[world])]
            assert np.all(fresh <= plant.now_s - 0.050 + 1e-9)
            stamps[world] += fresh.tolist()
    ages = np.array(ages)
    assert ages.min() >= 0.030 - 1e-9
    assert ages.max() <= 0.030 + 1.0 / 250.0 + 1e-9
    for world in range(4):
        np.testing.assert_allclose(np.diff(stamps[world]), 1.0 / 120.0, atol=1e-9)  # none lost, none twice
        assert len(stamps[world]) == pytest.approx(2.0 * 120.0, abs=1.0)


def test_the_vehicle_is_known_before_it_moves_and_the_ball_before_it_is_let_go():
    """The vehicle hovered, a hand carried the ball as fast as it then flies: one measurement of it has arrived."""
    plant = Plant(Glider(30), delayed(trials(30), 0.060, 0.060), seed=0)
    readings = plant.receive(0.0)
    np.testing.assert_allclose(readings.pos_w, np.tile((0.0, 0.0, 1.0), (30, 1)))
    assert np.all(readings.stamp_s <= -0.060)
    assert readings.ball_stamp_s.shape == (30, 1)
    assert np.all(readings.ball_stamp_s <= -0.060)
    assert np.all(readings.ball_stamp_s > -0.060 - 1.0 / 120.0)
    np.testing.assert_allclose(readings.ball_pos_w[..., 0], 2.0 * readings.ball_stamp_s, atol=1e-12)


def test_a_ball_from_nowhere_is_first_seen_its_delay_after_the_release():
    drawn = delayed(trials(30, is_seen_held=np.zeros(30)), 0.060, 0.060)
    plant = Plant(Glider(30), drawn, seed=0)
    assert plant.receive(0.058).ball_stamp_s.shape == (30, 0)
    stamps = plant.receive(0.070).ball_stamp_s[:, 0]
    assert np.all(stamps >= 0.0)
    assert np.all(stamps <= 1.0 / 120.0)


def test_noise_has_the_spread_of_the_condition():
    drawn = delayed(trials(2000, "noisy"), 0.02, 0.02)
    readings = Plant(Glider(2000), drawn, seed=1).receive(0.1)
    offset = readings.pos_w - np.stack(
        (readings.stamp_s, 0 * readings.stamp_s, 0 * readings.stamp_s + 1.0), axis=1
    )
    assert offset.std() == pytest.approx(0.002, rel=0.05)
    assert readings.vel_w.std() == pytest.approx(0.03, rel=0.05)
    assert readings.omega_b.std() == pytest.approx(0.02, rel=0.05)
    tilt = 2.0 * readings.quat_wb[:, 1:]  # small rotation vector
    assert tilt.std() == pytest.approx(np.radians(0.3), rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(readings.quat_wb, axis=1), 1.0)
    ball = readings.ball_pos_w[:, 0, 0] - 2.0 * readings.ball_stamp_s[:, 0]
    assert np.nanstd(ball) == pytest.approx(0.003, rel=0.05)


def test_one_ball_measurement_in_a_hundred_is_lost():
    plant = Plant(Glider(200), trials(200, "noisy"), seed=0)
    arrived = sum(np.sum(~np.isnan(plant.receive(0.1 * i).ball_stamp_s)) for i in range(1, 51))
    lost = 1.0 - arrived / (200 * (120 * 5.0 + 0.5))  # at first one has arrived; half a period on average
    assert lost == pytest.approx(0.01, abs=0.002)


def test_stamps_carry_the_error_of_the_clock_and_biases_stay():
    bias = np.array([[0.01, 0.0, 0.0]])
    drawn = trials(1, clock_error_s=np.array([0.002]), pos_bias_w_m=bias, ball_bias_w_m=-bias)
    readings = Plant(Glider(1), drawn, seed=0).receive(0.2)
    np.testing.assert_allclose(readings.pos_w[:, 0], readings.stamp_s - 0.002 + 0.01, atol=1e-12)
    np.testing.assert_allclose(
        readings.ball_pos_w[:, :, 0], 2.0 * (readings.ball_stamp_s - 0.002) - 0.01, atol=1e-12
    )


@pytest.mark.parametrize("latency_ticks", [0, 5])
def test_a_command_takes_effect_after_its_latency(latency_ticks: int):
    glider = Glider(2)
    plant = Plant(glider, trials(2), seed=0, command_latency_s=latency_ticks * TICK_S)
    plant.receive(0.02)
    plant.send(np.array([3.0, 4.0]), np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]))
    plant.receive(0.04)
    first_new = next(i for i, (thrust, _) in enumerate(glider.commands) if thrust[0] == 3.0)
    assert first_new == 10 + latency_ticks
    np.testing.assert_allclose(glider.commands[0][0], AIR.weight_n)  # hovering until then
    np.testing.assert_allclose(glider.commands[-1][1][1], (0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    ("thrust", "rates", "complaint"),
    [
        (np.array([1.0]), np.zeros((2, 3)), r"thrust of shape \(1,\): must be \(2,\)"),
        (np.ones(2), np.zeros((2, 4)), r"body rates of shape \(2, 4\)"),
        (np.array([1.0, np.nan]), np.zeros((2, 3)), "thrust at 0.000 s: not a finite number"),
    ],
)
def test_a_command_that_cannot_be_flown_is_refused(thrust, rates, complaint):
    plant = Plant(Glider(2), trials(2), seed=0)
    with pytest.raises(CorvidsError, match=complaint):
        plant.send(thrust, rates)


def test_trials_that_are_over_are_no_longer_simulated():
    drawn = trials(2)
    # World 1's ball starts below the racket: dropped at once. World 0 ends by time.
    ball = drawn.start.ball_pos_w.copy()
    ball[1, 2] = 0.5
    drawn = drawn._replace(start=drawn.start._replace(ball_pos_w=ball))
    glider = Glider(2)
    referee = Referee(drawn.params, 2, place_w_m=np.array((0.0, 0.0, 1.0)), max_hits=5, seconds=0.1)
    plant = Plant(glider, drawn, seed=0, referee=referee)
    plant.receive(0.05)
    assert glider.retired.tolist() == [False, True]
    plant.receive(1.0)
    assert referee.verdict.end == ["time", "dropped"]
    np.testing.assert_allclose(referee.verdict.seconds, [0.1, TICK_S])
    assert glider.ticks == 50  # 0.1 s, although the clock has gone on
    assert plant.now_s == pytest.approx(1.0)


def test_a_recording_samples_evenly():
    recorder = Recorder(world=1, rate_hz=50.0)
    Plant(Glider(2), trials(2), seed=0, recorder=recorder).receive(1.0)
    recording = recorder.recording
    np.testing.assert_allclose(np.diff(recording.time_s), 0.02, atol=1e-12)
    np.testing.assert_allclose(recording.pos_w[:, 0], recording.time_s, atol=1e-12)


def test_the_same_seed_is_the_same_flight():
    def fly(seed: int):
        plant = Plant(Glider(3), trials(3, "noisy"), seed=seed)
        return [plant.receive(0.02 * i) for i in range(10)][-1]

    for a, b in zip(fly(4), fly(4), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(fly(4).pos_w, fly(5).pos_w)


def test_a_plant_fits_what_the_runtime_asks_for():
    plant: runtime.Plant = Plant(Glider(1), trials(1), seed=0)
    readings = plant.receive(0.02)
    for name in ("stamp_s", "pos_w", "vel_w", "quat_wb", "omega_b", "ball_stamp_s", "ball_pos_w"):
        assert getattr(readings, name).dtype == np.float64
