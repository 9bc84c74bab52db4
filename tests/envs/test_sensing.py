"""Sensing is a queue of messages: which arrive, when, in which order, and how old they are said to be.

The queue is written out here, message by message: a sensor takes a sample every period and each arrives a delay later.
What :func:`sense` computes without any queue must be what reading that queue at every control tick gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from statistics import NormalDist

import pytest
import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL, BallEstimate, BallFilterConfig
from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.sensors import sensing
from corvids.envs.sensors.sensing import BALL_SLOTS, NOISE_ROWS, SensorParams, SensorState, Signals, sense

SAMPLE_S, TICK_S, SLOTS, ROWS = 0.004, 0.02, 32, 16
WORLDS, TICKS = 40, 40
ALWAYS_TAKEN = -8.0
"""No normal number of these tests lies below this."""
Truth = Callable[[float], torch.Tensor]


def uniform(low: float, high: float, *shape: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, dtype=torch.float64, generator=random)


def sensors(worlds: int = WORLDS, **given: float | torch.Tensor) -> SensorParams:
    """Exact sensors whose delays and periods differ from world to world; ``given`` replaces."""
    drawn = {
        "vehicle_delay_s": uniform(0.0, 0.08, worlds, 1, seed=1),
        "vehicle_period_s": uniform(0.003, 0.03, worlds, 1, seed=2),
        "ball_delay_s": uniform(0.0, 0.07, worlds, 1, seed=3),
        "ball_period_s": uniform(TICK_S / BALL_SLOTS + 1e-4, 0.012, worlds, 1, seed=4),
        "drop_quantile": ALWAYS_TAKEN,
    }
    values = {**dict.fromkeys(SensorParams._fields, 0.0), **drawn, **given}
    filled = {name: torch.as_tensor(v, dtype=torch.float64).expand(worlds, 1) for name, v in values.items()}
    return SensorParams(**filled)


class Queue:
    """Messages of one sensor of one world; at time 0 the newest that has arrived is ``age_s`` old."""

    def __init__(self, delay_s: torch.Tensor, period_s: torch.Tensor, age_s: torch.Tensor) -> None:
        self.delay_s, self.period_s, self.first_s = float(delay_s), float(period_s), -float(age_s)

    def arrived(self, now_s: float) -> list[float]:
        """Stamps of all that have arrived by now, oldest first."""
        stamps = []
        while (stamp := self.first_s + len(stamps) * self.period_s) + self.delay_s <= now_s + 1e-12:
            stamps.append(stamp)
        return stamps


class Bench:
    """Sensors of many worlds looking at one truth, read at every control tick."""

    def __init__(
        self,
        truth: Truth,
        params: SensorParams,
        since_s: float = -10.0,
        hand_vel_w: torch.Tensor | None = None,
    ) -> None:
        """The episode begins at ``since_s``; a hand with ``hand_vel_w`` (3, worlds, 1) held the ball before."""
        self.truth, self.params = truth, params
        worlds = len(params.ball_delay_s)
        vehicle_phase, ball_phase = uniform(0.0, 1.0, 2, worlds, 1, seed=5)
        vehicle_age = params.vehicle_delay_s + vehicle_phase * params.vehicle_period_s
        ball_age = params.ball_delay_s + ball_phase * params.ball_period_s
        self.vehicle = [
            Queue(*one)
            for one in zip(params.vehicle_delay_s, params.vehicle_period_s, vehicle_age, strict=True)
        ]
        self.ball = [
            Queue(*one) for one in zip(params.ball_delay_s, params.ball_period_s, ball_age, strict=True)
        ]
        unknown = map_leaves(lambda leaf: torch.full((worlds, 1), leaf, dtype=torch.float64), UNKNOWN_BALL)
        since_start = torch.full((worlds, 1), -since_s - TICK_S, dtype=torch.float64)
        hand = torch.zeros(3, worlds, 1, dtype=torch.float64) if hand_vel_w is None else hand_vel_w
        # A tick before the first look, the sample that will have arrived by then is yet to come.
        before_s = ball_age + params.ball_period_s - TICK_S
        self.state = SensorState(vehicle_age - TICK_S, before_s, before_s, unknown, since_start, Vec3(*hand))
        self.tick = 0

    def look(self, noise: torch.Tensor | None = None, with_ball: bool = True) -> tuple[float, Signals]:
        """Time [s] and signals at the next control tick."""
        worlds = len(self.params.ball_delay_s)
        if noise is None:
            noise = torch.zeros(NOISE_ROWS, worlds, 1, dtype=torch.float64)
        newest = round(self.tick * TICK_S / SAMPLE_S)
        history = torch.empty(SLOTS, ROWS, worlds, 1, dtype=torch.float64)
        for sample in range(newest - SLOTS + 1, newest + 1):
            history[sample % SLOTS] = self.truth(sample * SAMPLE_S)
        self.state, signals = sense(
            history, torch.tensor(newest % SLOTS), SAMPLE_S, TICK_S, self.params, self.state, noise,
            BallFilterConfig(), with_ball,
        )  # fmt: skip
        self.tick += 1
        return (self.tick - 1) * TICK_S, signals


def linear(worlds: int = WORLDS) -> Truth:
    """Everything moves evenly, differently in each world, but for the attitude; the ball's height is the time."""
    start, slope = uniform(-1.0, 1.0, 2, ROWS, worlds, 1, seed=6)
    start[6:10] = torch.nn.functional.normalize(start[6:10], dim=0)
    slope[6:10], start[15], slope[15] = 0.0, 0.0, 1.0
    return lambda time_s: start + slope * time_s


def at(truth: Truth, stamps: list[float]) -> torch.Tensor:
    """What is true in world i at ``stamps[i]``, (16, worlds)."""
    return torch.stack([truth(stamp)[:, world, 0] for world, stamp in enumerate(stamps)], dim=1)


class Recorder:
    """Stands in for the ball filter and keeps what it is given: ``taken[world]`` holds (stamp, elapsed) pairs.

    The estimate that it returns counts measurements in ``rejected``; whether sensing kept it shows at the next call.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, worlds: int = WORLDS) -> None:
        self.taken: list[list[tuple[float, float]]] = [[] for _ in range(worlds)]
        self.measured: list[torch.Tensor] = []
        self._offered: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        monkeypatch.setattr(sensing, "ball_filter", self)

    def __call__(self, estimate: BallEstimate, measured: Vec3, elapsed_s, config) -> BallEstimate:
        self.settle(estimate)
        self.measured.append(torch.stack(tuple(measured))[..., 0])
        self._offered = (estimate.rejected, measured.z, elapsed_s)
        known = torch.ones_like(estimate.pos_var)
        return estimate._replace(pos_w=measured, pos_var=known, rejected=estimate.rejected + 1.0)

    def settle(self, estimate: BallEstimate) -> None:
        """File the last offer for the worlds whose count it has raised."""
        if self._offered is None:
            return
        count, stamp, elapsed_s = self._offered
        for world in (estimate.rejected > count)[:, 0].nonzero()[:, 0].tolist():
            self.taken[world].append((float(stamp[world]), float(elapsed_s[world])))
        self._offered = None


# --- Time ----------------------------------------------------------------------------------------------------------


def test_the_vehicle_is_seen_as_the_newest_message_that_has_arrived_says():
    truth, params = linear(), sensors()
    bench = Bench(truth, params)
    for _ in range(TICKS):
        now_s, signals = bench.look()
        stamps = [queue.arrived(now_s)[-1] for queue in bench.vehicle]
        then = at(truth, stamps)
        age_s = signals.vehicle_age_s[:, 0]
        torch.testing.assert_close(
            age_s, now_s - torch.tensor(stamps, dtype=torch.float64), atol=1e-9, rtol=0
        )
        seen = torch.cat((*signals.pos_w, *signals.vel_w, *signals.quat_wb, *signals.omega_b), dim=1).t()
        torch.testing.assert_close(seen, then[:13], atol=1e-9, rtol=0)


def test_a_message_is_at_least_its_delay_old_and_less_than_a_period_more():
    params = sensors()
    bench = Bench(linear(), params)
    for _ in range(TICKS):
        _, signals = bench.look()
        for age_s, delay_s, period_s in (
            (signals.vehicle_age_s, params.vehicle_delay_s, params.vehicle_period_s),
            (bench.state.ball_age_s, params.ball_delay_s, params.ball_period_s),
        ):
            assert (age_s >= delay_s - 1e-9).all()
            assert (age_s < delay_s + period_s + 1e-9).all()


def test_each_ball_message_reaches_the_filter_once_in_order_and_none_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
):
    recorder, bench = Recorder(monkeypatch), Bench(linear(), sensors())
    for _ in range(TICKS):
        now_s, signals = bench.look()
        recorder.settle(bench.state.estimate)
        for world, queue in enumerate(bench.ball):
            expected = queue.arrived(now_s)
            assert [stamp for stamp, _ in recorder.taken[world]] == pytest.approx(expected, abs=1e-9)
            assert float(signals.ball_age_s[world]) == pytest.approx(now_s - expected[-1], abs=1e-9)
    assert min(len(taken) for taken in recorder.taken) > TICKS  # more than one a tick


def test_before_its_release_the_ball_is_seen_in_the_hand_that_throws_it(monkeypatch: pytest.MonkeyPatch):
    """The simulator remembers nothing of before the episode; the hand moved as the ball did when it was let go."""
    moving = linear()
    recorder = Recorder(monkeypatch)
    hand = moving(1.0) - moving(0.0)
    bench = Bench(lambda time_s: moving(max(time_s, 0.0)), sensors(), since_s=0.0, hand_vel_w=hand[13:])
    ticks = 8
    for _ in range(ticks):
        bench.look()
        recorder.settle(bench.state.estimate)
    for taken, queue in zip(recorder.taken, bench.ball, strict=True):
        stamps = queue.arrived((ticks - 1) * TICK_S)
        assert stamps[0] < 0.0
        assert [stamp for stamp, _ in taken] == pytest.approx(stamps, abs=1e-9)


@pytest.mark.parametrize("clock_error_s", [0.0, -0.003])
def test_the_times_that_the_filter_is_told_add_up_over_lost_messages(
    monkeypatch: pytest.MonkeyPatch, clock_error_s: float
):
    recorder, bench = Recorder(monkeypatch), Bench(linear(), sensors(clock_error_s=clock_error_s))
    expected: list[list[float]] = [[] for _ in range(WORLDS)]
    for tick in range(TICKS):
        is_lost = tick % 3 == 1 or 10 < tick < 15
        noise = torch.full(
            (NOISE_ROWS, WORLDS, 1), ALWAYS_TAKEN - 1.0 if is_lost else 0.0, dtype=torch.float64
        )
        now_s, _ = bench.look(noise)
        recorder.settle(bench.state.estimate)
        for stamps, queue in zip(expected, bench.ball, strict=True):
            stamps += (
                []
                if is_lost
                else [s for s in queue.arrived(now_s) if tick == 0 or s + queue.delay_s > now_s - TICK_S]
            )
    for taken, stamps in zip(recorder.taken, expected, strict=True):
        assert [stamp for stamp, _ in taken] == pytest.approx(stamps, abs=1e-9)
        assert taken[0][1] == 0.0  # before the first measurement no time has passed
        steps = [later - earlier for earlier, later in itertools.pairwise(stamps)]
        assert [elapsed_s for _, elapsed_s in taken[1:]] == pytest.approx(steps, abs=1e-9)
        assert max(steps) > 4 * TICK_S  # the gap is in it


def test_an_error_of_the_clocks_shows_in_every_reported_age_and_nowhere_else():
    exact, wrong = (Bench(linear(), sensors(clock_error_s=error_s)) for error_s in (0.0, 0.0025))
    for _ in range(10):
        signals, shifted = exact.look()[1], wrong.look()[1]
        torch.testing.assert_close(shifted.vehicle_age_s, signals.vehicle_age_s + 0.0025, atol=1e-12, rtol=0)
        torch.testing.assert_close(shifted.pos_w, signals.pos_w, atol=0, rtol=0)
        torch.testing.assert_close(shifted.ball_age_s, signals.ball_age_s + 0.0025, atol=1e-12, rtol=0)


def test_a_turning_vehicle_is_seen_at_the_attitude_of_the_stamp():
    """At 6 rad/s, the fastest that `air` is commanded, interpolating between samples 4 ms apart errs by µrad."""
    worlds, rate = 20, 6.0
    quiet = torch.zeros(ROWS, worlds, 1, dtype=torch.float64)

    def truth(time_s: float) -> torch.Tensor:
        now = quiet.clone()
        now[6], now[8] = math.cos(rate * time_s / 2), math.sin(rate * time_s / 2)
        return now

    bench = Bench(truth, sensors(worlds))
    for _ in range(20):
        now_s, signals = bench.look()
        angle = 2.0 * torch.atan2(signals.quat_wb.y, signals.quat_wb.w)
        wanted = rate * (now_s - signals.vehicle_age_s)
        assert (torch.remainder(angle - wanted + math.pi, 2 * math.pi) - math.pi).abs().max() < 5e-6


# --- Noise and loss ------------------------------------------------------------------------------------------------


def test_noise_has_the_stated_deviations_and_each_number_is_used_once(monkeypatch: pytest.MonkeyPatch):
    vehicle = {"pos_std_m": 0.002, "vel_std_mps": 0.03, "rate_std_radps": 0.02, "attitude_std_rad": 0.005}
    stds = {**vehicle, "ball_std_m": 0.003}
    worlds, ticks = 2000, 10
    still = linear(worlds)(0.0)
    bench, recorder = Bench(lambda _: still, sensors(worlds, **stds)), Recorder(monkeypatch, worlds)
    random, rows = torch.Generator().manual_seed(7), []
    for _ in range(ticks):
        recorder.measured.clear()
        _, s = bench.look(torch.randn(NOISE_ROWS, worlds, 1, dtype=torch.float64, generator=random))
        turn = Quat(*still[6:10]).conjugate().multiply(s.quat_wb)
        turn_b = torch.cat((turn.x, turn.y, turn.z), dim=1) * (2.0 * turn.w.sign())
        errors = (
            torch.cat((*s.pos_w, *s.vel_w, *s.omega_b), dim=1).t()
            - still[[0, 1, 2, 3, 4, 5, 10, 11, 12], :, 0]
        )
        balls = torch.cat([measured - still[13:16, :, 0] for measured in recorder.measured])
        rows.append(torch.cat((errors, turn_b.t(), balls)))
    noise = torch.cat(rows, dim=1)
    expected = [std for std in vehicle.values() for _ in "xyz"]
    expected += [stds["ball_std_m"]] * (3 * BALL_SLOTS)
    count = worlds * ticks
    # A standard deviation from n numbers is itself known to 1/√(2n), a correlation to 1/√n.
    assert noise.std(dim=1).tolist() == pytest.approx(expected, rel=5.0 / math.sqrt(2 * count))
    assert (torch.corrcoef(noise) - torch.eye(len(noise))).abs().max() < 5.0 / math.sqrt(count)
    assert (noise.mean(dim=1) / torch.tensor(expected)).abs().max() < 5.0 / math.sqrt(count)


def test_the_stated_share_of_ball_measurements_is_lost(monkeypatch: pytest.MonkeyPatch):
    worlds, ticks, rate = 500, 12, 0.3
    recorder = Recorder(monkeypatch, worlds)
    bench = Bench(linear(worlds), sensors(worlds, drop_quantile=NormalDist().inv_cdf(rate)))
    random = torch.Generator().manual_seed(8)
    for _ in range(ticks):
        bench.look(torch.randn(NOISE_ROWS, worlds, 1, dtype=torch.float64, generator=random))
    recorder.settle(bench.state.estimate)
    sent = sum(len(queue.arrived((ticks - 1) * TICK_S)) for queue in bench.ball)
    lost = 1.0 - sum(map(len, recorder.taken)) / sent
    assert lost == pytest.approx(rate, abs=5.0 * math.sqrt(rate * (1 - rate) / sent))


def test_a_task_without_a_ball_sees_the_same_vehicle_and_no_ball():
    with_ball, without = Bench(linear(), sensors()), Bench(linear(), sensors())
    for _ in range(5):
        signals, bare = with_ball.look()[1], without.look(with_ball=False)[1]
        torch.testing.assert_close(tuple(bare[:5]), tuple(signals[:5]), atol=0, rtol=0)
        for component in (*bare.ball_pos_w, *bare.ball_vel_w, bare.ball_age_s):
            assert not component.any()
