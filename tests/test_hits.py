"""A hit is a rise of the ball by 0.3 m after an impact on the racket; nothing else scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvids.envs.engines.engine import Contacts, State
from corvids.envs.plants.conditions import condition_named, draw
from corvids.envs.plants.hits import RISE_MIN_M, HitCounter, Referee
from corvids.vehicle import load_vehicle

G = 9.80665
DT_S = 0.002


def bounce(counter: HitCounter, rise_m: float, impact_z: float = 1.1) -> list[float]:
    """One ballistic arc from an impact at ``impact_z`` and back; returns the apexes that were reported."""
    speed = np.sqrt(2.0 * G * rise_m)
    apexes = []
    for tick in range(int(2.0 * speed / G / DT_S)):
        time_s = tick * DT_S
        z = impact_z + speed * time_s - 0.5 * G * time_s**2
        struck = np.array([1 if tick == 0 else 0])
        _, passed, apex = counter.update(struck, np.array([impact_z]), np.array([z]))
        apexes += [float(a) for a in apex[passed]]
    return apexes


@given(st.lists(st.floats(0.01, 1.5), max_size=8))
def test_arcs_count_by_their_height_alone(rises: list[float]):
    counter = HitCounter(1)
    clear = [
        rise for rise in rises if abs(rise - RISE_MIN_M) > 1e-4
    ]  # the top of an arc lies between two ticks
    apexes = [apex for rise in clear for apex in bounce(counter, rise)]
    high = [rise for rise in clear if rise > RISE_MIN_M]
    assert counter.hits[0] == len(high)
    np.testing.assert_allclose(apexes, high, atol=1e-4)


@given(st.lists(st.tuples(st.floats(-0.1, 0.299), st.booleans()), min_size=1, max_size=200))
def test_dribbling_never_scores(heights: list[tuple[float, bool]]):
    """However often the racket is touched, a ball that stays within 0.3 m of each point of impact is worth nothing."""
    counter, impact_z = HitCounter(1), 1.0
    for height, struck in heights:
        if struck:
            impact_z = 1.0
        counter.update(np.array([int(struck)]), np.array([impact_z]), np.array([1.0 + height]))
    assert counter.hits[0] == 0


@given(st.lists(st.floats(0.0, 0.29), min_size=2, max_size=50))
def test_ducking_never_scores(sinks: list[float]):
    """A vehicle that sinks away under a ball that hardly rises: each impact is lower, and no height over it counts."""
    counter, floor = HitCounter(1), 2.0
    for sink in sinks:
        counter.update(np.array([1]), np.array([floor]), np.array([floor]))
        counter.update(np.array([0]), np.array([0.0]), np.array([floor + 0.05]))
        floor -= sink  # the next impact is this much lower
        counter.update(np.array([0]), np.array([0.0]), np.array([floor]))
    assert counter.hits[0] == 0


def test_one_impact_scores_once_however_long_the_ball_stays_up():
    counter = HitCounter(1)
    counter.update(np.array([1]), np.array([1.0]), np.array([1.0]))
    for z in (1.2, 1.5, 1.2, 1.5, 1.9, 1.2):
        counter.update(np.array([0]), np.array([0.0]), np.array([z]))
    assert counter.hits[0] == 1


def test_a_ball_that_was_never_struck_scores_nothing():
    counter = HitCounter(1)
    for z in (1.0, 1.5, 2.0):
        counter.update(np.array([0]), np.array([0.0]), np.array([z]))
    assert counter.hits[0] == 0


def test_worlds_are_counted_apart():
    together, apart = HitCounter(2), [HitCounter(1), HitCounter(1)]
    rng = np.random.default_rng(0)
    for _ in range(500):
        struck, z = rng.integers(0, 10, 2) == 0, rng.uniform(1.0, 1.8, 2)
        together.update(struck.astype(int), np.array([1.1, 1.2]), z)
        for i, one in enumerate(apart):
            one.update(struck[i : i + 1].astype(int), np.array([1.1 + 0.1 * i]), z[i : i + 1])
    assert together.hits.tolist() == [int(one.hits[0]) for one in apart]
    assert together.hits.min() > 0


class Game:
    """A referee of one trial, and the state that it is shown: hovering at (0, 0, 1), ball at 1.5 m."""

    def __init__(self, **limits) -> None:
        trials = draw(condition_named("nominal"), load_vehicle("air"), 1, 0)
        self.referee = Referee(
            trials.params,
            1,
            place_w_m=np.array((0.0, 0.0, 1.0)),
            **{"max_hits": 10, "seconds": 5.0, **limits},
        )
        self.state = trials.start

    def tick(self, now_s: float, struck: bool = False, **changes) -> None:
        state: State = self.state._replace(**{name: np.array([value]) for name, value in changes.items()})
        contacts = Contacts(np.array([int(struck)]), np.array([[0.0, 0.0, 1.1]]), np.array([0]))
        self.referee.judge(now_s, state, contacts)

    @property
    def end(self):
        return self.referee.verdict.end[0]


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"ball_pos_w": (0.0, 0.0, 0.76)}, None),  # the racket's centre is at 1.055 m
        ({"ball_pos_w": (0.0, 0.0, 0.75)}, "dropped"),
        ({"ball_pos_w": (0.0, 0.0, 0.35), "pos_w": (0.0, 0.0, 0.5)}, None),
        ({"ball_pos_w": (0.0, 0.0, 0.04), "pos_w": (0.0, 0.0, 0.2)}, "dropped"),  # on the ground
        ({"pos_w": (0.0, 0.0, 0.1)}, "crashed"),  # lands with its centre of mass 0.1 m up
        ({"quat_wb": (np.cos(0.78), np.sin(0.78), 0.0, 0.0)}, None),  # tilted by 89.4°
        ({"quat_wb": (np.cos(0.79), np.sin(0.79), 0.0, 0.0)}, "crashed"),  # by 90.5°
        ({"omega_b": (np.nan, 0.0, 0.0)}, "crashed"),
    ],
)
def test_why_a_trial_ends(changes, end):
    game = Game()
    game.tick(0.1, **changes)
    assert game.end == end


def test_time_and_hits_end_a_trial_too():
    game = Game(seconds=1.0)
    game.tick(0.998)
    assert game.end is None
    game.tick(1.0)
    assert game.end == "time"

    game = Game(max_hits=2)
    for hit in range(3):
        game.tick(hit + 0.1, struck=True, ball_pos_w=(0.0, 0.0, 1.1))
        game.tick(hit + 0.2, ball_pos_w=(0.0, 0.0, 1.45))
    assert (game.end, int(game.referee.hits[0])) == ("max_hits", 2)
    assert game.referee.verdict.seconds[0] == 1.2


def test_what_is_recorded_of_a_counted_hit():
    game = Game()
    game.tick(0.1, struck=True, pos_w=(0.03, 0.04, 1.0), ball_pos_w=(0.0, 0.0, 1.1))  # 5 cm off
    game.tick(0.2, ball_pos_w=(0.0, 0.0, 1.3))
    game.tick(0.3, ball_pos_w=(0.0, 0.0, 1.7))
    game.tick(0.4, ball_pos_w=(0.0, 0.0, 1.5))
    game.tick(0.5, struck=True, ball_pos_w=(0.0, 0.0, 1.1))  # does not rise enough to count
    game.tick(0.6, ball_pos_w=(0.0, 0.0, 1.2))
    verdict = game.referee.verdict
    np.testing.assert_allclose(verdict.place_errors_m[0], [0.05])
    np.testing.assert_allclose(verdict.apexes_m[0], [0.6])
    assert verdict.hit_times_s[0] == [0.1]
