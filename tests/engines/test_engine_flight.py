"""A plant from end to end: sensors, a hand-written controller, an engine, a referee."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.envs.plants.conditions import APEX_M, CONDITIONS, PLACE_W_M, draw
from corvids.envs.plants.hits import Referee
from corvids.envs.plants.plant import Plant

PLACE = np.array(PLACE_W_M)


def fly(lab, kind: str, condition: str, worlds: int, seconds: float, place_w=PLACE):
    """Hold ``place_w`` at 50 Hz on what the sensors say; the verdict, and the engine."""
    trials = draw(CONDITIONS[condition], lab.air, worlds, 3)
    engine = lab.make(kind, lab.air, worlds)
    referee = Referee(trials.params, worlds, place_w_m=PLACE, max_hits=100, seconds=60.0)
    plant = Plant(engine, trials, seed=0, referee=referee)
    for tick in range(round(seconds * 50)):
        readings = plant.receive(0.02 * tick)
        plant.send(*lab.hover(readings, place_w, lab.air.body.mass_kg))
    plant.receive(seconds)
    return referee.verdict, engine


@pytest.mark.parametrize("kind", ["native", "mujoco"])
def test_a_still_racket_bounces_the_ball_once_high_enough(lab, kind: str):
    """0.6 m times (e − (1+e)·m/(M+m))² = 0.745²: 0.333 m by momentum alone, a little less with drag. Then no more."""
    verdict, _ = fly(lab, kind, "nominal", 2, 1.2)
    assert verdict.hits.tolist() == [1, 1]
    assert verdict.end == [None, None]
    for world in range(2):
        assert verdict.apexes_m[world][0] == pytest.approx(0.745**2 * APEX_M, abs=0.02)
        assert verdict.place_errors_m[world][0] < 0.01
        assert verdict.hit_times_s[world][0] == pytest.approx(np.sqrt(2.0 * APEX_M / 9.80665), abs=0.01)


@pytest.mark.parametrize("kind", ["native", "mujoco"])
def test_a_noisy_plant_can_be_flown(lab, kind: str):
    """Late and noisy state, a vehicle up to 10 % off its file: the place is still held to half a metre."""
    verdict, engine = fly(lab, kind, "noisy", 8, 1.0)
    flying = [end is None for end in verdict.end]
    assert sum(flying) >= 6  # a racket that stands still may lose the ball
    error = np.linalg.norm(engine.state.pos_w[flying] - PLACE, axis=1)
    assert error.max() < 0.5
    assert error.max() > 1e-3  # it is noisy


def test_a_ball_thrown_past_the_racket_is_dropped(lab):
    verdict, _ = fly(lab, "mujoco", "throws", 12, 0.9)
    assert verdict.end.count("dropped") >= 6
    assert verdict.hits.max() <= 1


@pytest.mark.parametrize("kind", ["native", "mujoco"])
def test_flying_into_the_ground_is_a_crash(lab, kind: str):
    """A vehicle sent below the ground falls faster than the ball that is over it, and gets there first."""
    verdict, _ = fly(lab, kind, "nominal", 1, 1.0, place_w=np.array([0.0, 0.0, -3.0]))
    assert verdict.end == ["crashed"]
    assert verdict.seconds[0] < 1.0
