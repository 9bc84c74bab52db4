"""The pilot does what the training environment did, and flies on when signals or the policy fail."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import policy_lab
import pytest
import torch

from corvids.deploy.graph import GraphFailure
from corvids.deploy.pilot import Pilot, PilotConfig
from corvids.envs import environment
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.sensors import sensing
from corvids.envs.tasks.juggle import Juggle
from corvids.errors import CorvidsError
from corvids.training.checkpoint import load_checkpoint
from corvids.training.policy_module import Actor

COMMAND = np.array([0.0, 0.0, 1.0, 0.6])


class Said(NamedTuple):
    """Readings."""

    stamp_s: np.ndarray
    pos_w: np.ndarray
    vel_w: np.ndarray
    quat_wb: np.ndarray
    omega_b: np.ndarray
    ball_stamp_s: np.ndarray
    ball_pos_w: np.ndarray


def said(now_s: float, rows: int = 1, balls: int = 1) -> Said:
    """Level at 1 m, seen 20 ms ago; a ball half a metre above, seen 30 ms ago."""
    return Said(
        np.full(rows, now_s - 0.02),
        np.tile((0.0, 0.0, 1.0), (rows, 1)),
        np.zeros((rows, 3)),
        np.tile((1.0, 0.0, 0.0, 0.0), (rows, 1)),
        np.zeros((rows, 3)),
        np.full((rows, balls), now_s - 0.03),
        np.tile((0.0, 0.0, 1.5), (rows, balls, 1)),
    )


class Tap:
    """Records what the training environment's sensing measured and what it told the policy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.balls: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.taken: list[torch.Tensor] = []
        self.estimate_age_s = torch.zeros(0)
        self.signals: Any = None
        sense, ball_filter, choose = environment.sense, sensing.ball_filter, sensing._choose

        def tap_sense(history, newest, sample_s, tick_s, params, state, *rest):
            self.balls.clear()
            self.taken.clear()
            after, self.signals = sense(history, newest, sample_s, tick_s, params, state, *rest)
            self.estimate_age_s = after.estimate_age_s
            return after, self.signals

        def tap_filter(estimate, measured, elapsed_s, config):
            self.balls.append((torch.cat(tuple(measured), dim=1), elapsed_s))
            return ball_filter(estimate, measured, elapsed_s, config)

        def tap_choose(taken, updated, estimate):
            self.taken.append(taken)
            return choose(taken, updated, estimate)

        monkeypatch.setattr(environment, "sense", tap_sense)
        monkeypatch.setattr(sensing, "ball_filter", tap_filter)
        monkeypatch.setattr(sensing, "_choose", tap_choose)

    def readings(self, now_s: float, rows: int) -> Said:
        """The last tick's signals as a plant would hand them over, the newest measurement first."""
        signals = self.signals

        def columns(part) -> np.ndarray:
            return torch.cat(tuple(part), dim=1)[:rows].double().numpy()

        stamps, positions = [], []
        stamp_s = now_s - self.estimate_age_s[:rows, 0].double().numpy()
        for (measured, elapsed_s), taken in zip(reversed(self.balls), reversed(self.taken), strict=True):
            took = taken[:rows, 0].numpy()
            stamps.append(np.where(took, stamp_s, np.nan))
            positions.append(measured[:rows].double().numpy())
            stamp_s = np.where(took, stamp_s - elapsed_s[:rows, 0].numpy(), stamp_s)
        return Said(
            now_s - signals.vehicle_age_s[:rows, 0].double().numpy(),
            columns(signals.pos_w), columns(signals.vel_w), columns(signals.quat_wb), columns(signals.omega_b),
            np.stack(stamps, axis=1), np.stack(positions, axis=1),
        )  # fmt: skip


def test_it_does_what_the_training_environment_does(monkeypatch, path, file):
    """The same measurements, late, noisy and partly lost, lead to the same commands: for 0.8 s, bounces included."""
    tap, rows = Tap(monkeypatch), 24
    config = dataclasses.replace(policy_lab.still(EnvConfig()), physics_hz=200, rate_loop_hz=200)
    env = Environment(config, rows, seed=3, compile_kernels=False)
    actor = Actor(load_checkpoint(path.parent / "run"), Juggle.MIRRORS)
    pilot = Pilot(file, rows)
    going, compared, measured = np.ones(rows, bool), 0, 0
    limits = file.contract.limits
    with torch.inference_mode():
        for tick in range(40):
            now_s = tick * env.tick_s
            readings = tap.readings(now_s, rows)
            measured += int(np.isfinite(readings.ball_stamp_s).sum())
            task_command = env._at.command[:4, :rows, 0].t().double().numpy()
            action = actor(env.observations["actor"])
            thrust_n, rates = env.action.command(env.action.squash(action))
            decision = pilot.decide(readings, now_s, task_command)
            flies = env.flies.numpy()
            np.testing.assert_array_equal(decision.by_policy[going], flies[going])
            both = going & flies
            np.testing.assert_allclose(
                decision.thrust_n[both],
                thrust_n[:, 0].numpy()[both],
                rtol=0,
                atol=1e-4 * limits.thrust_n[1],
            )
            np.testing.assert_allclose(
                decision.rate_b_radps[both],
                rates.numpy()[both],
                rtol=0,
                atol=1e-4 * max(limits.rate_max_radps),
            )
            compared += int(both.sum())
            _, _, done, _ = env.step(action)
            going &= ~done.numpy()
    assert compared > 20 * rows, "episodes were too short to say anything"
    assert measured > compared, "more than one measurement a tick"


def test_until_all_signals_are_there_the_fallback_hovers(file):
    pilot = Pilot(file)
    nothing = Said(*(np.full_like(array, np.nan) for array in said(0.0)))
    decision = pilot.decide(nothing, 0.0, COMMAND)
    assert not decision.by_policy[0]
    np.testing.assert_allclose(decision.thrust_n, file.contract.limits.hover_thrust_n)
    np.testing.assert_array_equal(decision.rate_b_radps, 0.0)
    no_ball = said(0.02, balls=0)
    assert not pilot.decide(no_ball, 0.02, COMMAND).by_policy[0]
    assert pilot.decide(said(0.04), 0.04, COMMAND).by_policy[0]
    assert pilot.decide(said(0.06, balls=0), 0.06, COMMAND).by_policy[0], "the ball's estimate lasts a while"


def test_the_fallback_holds_the_commanded_place(file):
    pilot = Pilot(file)
    ahead = pilot.decide(said(0.0, balls=0), 0.0, COMMAND + np.array((1.0, 0.0, 0.0, 0.0)))
    assert ahead.rate_b_radps[0, 1] > 1.0, "pitches towards +x"


@pytest.mark.parametrize("field", ["stamp_s", "pos_w", "vel_w", "quat_wb", "omega_b"])
def test_one_number_that_is_missing_is_enough(file, field):
    pilot = Pilot(file, rows=2)
    bad = said(0.0, rows=2)
    getattr(bad, field)[1, ...] = np.nan if field == "stamp_s" else getattr(bad, field)[1]
    if field != "stamp_s":
        getattr(bad, field)[1, -1] = np.inf
    decision = pilot.decide(bad, 0.0, COMMAND)
    assert decision.by_policy.tolist() == [True, False]
    assert np.isfinite(decision.thrust_n).all() and np.isfinite(decision.rate_b_radps).all()


@pytest.mark.parametrize(("age_s", "flown"), [(0.24, True), (0.26, False), (-0.01, True), (-0.03, False)])
def test_a_vehicle_state_may_be_neither_too_old_nor_from_the_future(file, age_s, flown):
    readings = said(1.0)._replace(stamp_s=np.array([1.0 - age_s]))
    assert Pilot(file).decide(readings, 1.0, COMMAND).by_policy[0] == flown


def test_a_ball_out_of_sight_is_lost_and_then_found_afresh(file):
    pilot = Pilot(file)
    assert pilot.ball is not None
    pilot.decide(said(0.0), 0.0, COMMAND)
    assert pilot.decide(said(0.4, balls=0), 0.4, COMMAND).by_policy[0]
    assert not pilot.decide(said(0.6, balls=0), 0.6, COMMAND).by_policy[0]
    assert np.isnan(pilot.ball.stamp_s[0])
    elsewhere = said(9.0)
    elsewhere.ball_pos_w[...] = (2.0, 1.0, 3.0)
    assert pilot.decide(elsewhere, 9.0, COMMAND).by_policy[0]
    np.testing.assert_allclose(pilot.ball.pos_w[0], (2.0, 1.0, 3.0), atol=1e-3)
    np.testing.assert_allclose(pilot.ball.vel_w[0], 0.0, atol=1e-3)


def test_the_policy_starts_afresh_after_the_fallback(file):
    pilot = Pilot(file)
    first = pilot.decide(said(0.0), 0.0, COMMAND).thrust_n.copy()
    pilot.decide(said(0.02), 0.02, COMMAND)
    pilot.decide(said(0.04)._replace(pos_w=np.full((1, 3), np.nan)), 0.04, COMMAND)
    for state in pilot.policy.states.values():
        np.testing.assert_array_equal(state, 0.0)
    pilot.reset()
    np.testing.assert_array_equal(pilot.decide(said(0.0), 0.0, COMMAND).thrust_n, first)


def test_measurements_are_taken_in_by_the_time_at_which_they_were_taken(file):
    """Shuffled within readings: the same. Late ones, older than what was taken in already, and repeats: dropped."""
    times, rng = np.linspace(0.0, 0.04, 6), np.random.default_rng(0)
    balls = np.stack((0.1 * times, 0 * times, 1.5 - 4.9 * times**2), axis=1) + rng.normal(0, 0.003, (6, 3))
    in_order, shuffled = Pilot(file), Pilot(file)
    assert in_order.ball is not None and shuffled.ball is not None
    for first in (0, 3):
        part = slice(first, first + 3)
        in_order.ball.take_in(times[None, part], balls[None, part])
        mixed = [first + 2, first, first + 1]
        shuffled.ball.take_in(times[None, mixed], balls[None, mixed])
        shuffled.ball.take_in(times[None, [0, first + 2]], balls[None, [4, 5]] + 1.0)
    np.testing.assert_array_equal(in_order.ball.pos_w, shuffled.ball.pos_w)
    np.testing.assert_array_equal(in_order.ball.states["estimate"], shuffled.ball.states["estimate"])
    assert shuffled.ball.stamp_s[0] == times[-1]


def test_an_absurd_measurement_does_not_stay(file):
    pilot = Pilot(file)
    assert pilot.ball is not None
    for tick, height in enumerate((1.5, 1e38, 1.5, 1.5, 1.5)):
        readings = said(0.02 * tick)
        readings.ball_pos_w[...] = (0.0, 0.0, height)
        pilot.decide(readings, 0.02 * tick, COMMAND)
    assert pilot.decide(said(0.1), 0.1, COMMAND).by_policy[0]
    assert np.isfinite(pilot.ball.states["estimate"]).all() and abs(pilot.ball.pos_w[0, 2] - 1.5) < 0.2


def test_a_rehearsal_changes_nothing(monkeypatch, file):
    """Of two pilots that are told the same, with gaps, one rehearses before every decision; that runs its policy."""
    rng, ran = np.random.default_rng(0), []
    one, other, flew_all = Pilot(file, 2), Pilot(file, 2), False
    run = other.policy._graph.run
    monkeypatch.setattr(other.policy._graph, "run", lambda: (ran.append(tick), run()))
    for tick in range(200):
        now_s = 0.025 * tick
        readings = said(now_s, rows=2, balls=int(rng.integers(0, 2)))
        readings.pos_w[...] += 0.1 * rng.normal(size=(2, 3))
        readings.ball_pos_w[...] += 0.1 * rng.normal(size=readings.ball_pos_w.shape)
        if rng.uniform() < 0.1:
            readings.vel_w[int(rng.integers(0, 2)), 0] = np.nan
        # What a flight is told of the ball while it waits may be newer by far than its last decision.
        balls_s, balls_w = np.full((2, 1), now_s - 0.0005), np.tile((0.0, 0.0, 1.4), (2, 1, 1))
        for pilot in (one, other):
            assert pilot.ball is not None
            pilot.ball.take_in(balls_s, balls_w)
        before = len(ran)
        other.rehearse()
        is_rehearsed = len(ran) > before
        expected, decision = one.decide(readings, now_s, COMMAND), other.decide(readings, now_s, COMMAND)
        np.testing.assert_array_equal(decision.by_policy, expected.by_policy)
        np.testing.assert_array_equal(decision.thrust_n, expected.thrust_n)
        np.testing.assert_array_equal(decision.rate_b_radps, expected.rate_b_radps)
        assert one.ball is not None and other.ball is not None
        np.testing.assert_array_equal(other.ball.stamp_s, one.ball.stamp_s)
        for had, has in ((one.policy.states, other.policy.states), (one.ball.states, other.ball.states)):
            for name, state in had.items():
                np.testing.assert_array_equal(has[name], state)
        assert is_rehearsed == flew_all
        flew_all = expected.by_policy.all()
    assert 250 < len(ran) < 400


def test_a_policy_that_fails_is_replaced_at_once(monkeypatch, file):
    pilot = Pilot(file)
    assert pilot.decide(said(0.0), 0.0, COMMAND).by_policy[0]
    pilot.policy.states["memory"][:] = np.nan
    decision = pilot.decide(said(0.02), 0.02, COMMAND)
    assert not decision.by_policy[0] and np.isfinite(decision.thrust_n).all()
    assert pilot.decide(said(0.04), 0.04, COMMAND).by_policy[0], "it forgot what was not a number"

    def fail(inputs):
        raise GraphFailure("out of memory")

    monkeypatch.setattr(pilot.policy, "advance", fail)
    decision = pilot.decide(said(0.06), 0.06, COMMAND)
    assert not decision.by_policy[0]
    np.testing.assert_allclose(decision.thrust_n, file.contract.limits.hover_thrust_n, rtol=0.05)


def test_a_node_that_fails_inside_onnx_runtime_is_a_policy_that_fails(monkeypatch, file):
    """It says so with a plain RuntimeError, which is none of its own exceptions."""

    class Broken:
        def run_with_iobinding(self, binding):
            raise RuntimeError("Non-zero status code returned while running Reshape node")

    pilot = Pilot(file)
    monkeypatch.setattr(pilot.policy._graph, "_session", Broken())
    decision = pilot.decide(said(0.0), 0.0, COMMAND)
    assert not decision.by_policy[0]
    np.testing.assert_allclose(decision.thrust_n, file.contract.limits.hover_thrust_n, rtol=0.05)


def test_a_filter_that_fails_takes_nothing_in_until_the_ball_is_lost(monkeypatch, file):
    pilot = Pilot(file)
    assert pilot.decide(said(0.02), 0.02, COMMAND).by_policy[0]
    assert pilot.ball is not None

    def fail():
        raise GraphFailure("out of memory")

    monkeypatch.setattr(pilot.ball._graph, "run", fail)
    assert pilot.decide(said(0.04), 0.04, COMMAND).by_policy[0]
    late_s = 0.06 + pilot.config.ball_age_max_s
    decision = pilot.decide(said(late_s), late_s, COMMAND)
    assert not decision.by_policy[0]
    np.testing.assert_allclose(decision.thrust_n, file.contract.limits.hover_thrust_n, rtol=0.05)


def test_task_commands_are_checked(file):
    pilot = Pilot(file, rows=2)
    with pytest.raises(
        CorvidsError, match=r"task command of shape \(3,\): must be \(place_x_w_m, .*apex_m\)"
    ):
        pilot.decide(said(0.0, rows=2), 0.0, COMMAND[:3])
    one_bad = np.tile(COMMAND, (2, 1))
    one_bad[0, 3] = np.nan
    assert pilot.decide(said(0.0, rows=2), 0.0, one_bad).by_policy.tolist() == [False, True]


def test_limits_on_age_can_be_set(file):
    strict = Pilot(file, config=PilotConfig(vehicle_age_max_s=0.01))
    assert not strict.decide(said(0.0), 0.0, COMMAND).by_policy[0]
