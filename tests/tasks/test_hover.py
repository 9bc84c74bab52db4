"""Hovering is scored as arithmetic says."""

from __future__ import annotations

import math

import pytest
import torch
from scenes import TICK_S, X500, command, draws, inputs, number, params, world

from corvids.controllers.packing import leaves, unpack
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.tasks.hover import MEMORY_S, SETTLED_S, Episode, Hover

HOVER = Hover(X500)
PLACE = (0.0, 0.0, 3.0)


def score(state, time_s: float = 0.0, error_m: float = 0.0):
    return HOVER.score(state, params(), command(*PLACE), Episode(number(time_s), number(error_m)), TICK_S)


def test_standing_still_at_the_place_earns_the_most():
    result = score(world(PLACE))
    assert float(result.reward) == pytest.approx(1.6 * TICK_S, abs=1e-5)
    assert not result.failed.any()


def test_each_deviation_costs_what_arithmetic_says():
    """Half a metre off, turned by 0.2 rad, at 1 m/s, turning at 2 rad/s."""
    state = world((0.3, 0.0, 3.4), vel=(0.0, 1.0, 0.0), roll_pitch_yaw=(0.0, 0.0, 0.2), omega=(0.0, 0.0, 2.0))
    running = 1.0 - 0.4 * 0.5 + 0.6 * math.exp(-4.0) - 0.3 * 0.2 - 0.03 * 4.0 - 0.05 * 1.0
    assert float(score(state).reward) == pytest.approx(running * TICK_S, abs=1e-6)


@pytest.mark.parametrize(
    ("state", "is_over"),
    [
        (world((0.0, 3.9, 3.0)), False),
        (world((0.0, 4.1, 3.0)), True),
        (world((0.0, 0.0, 0.29)), True),
        (world(PLACE, roll_pitch_yaw=(2.0, 0.0, 0.0)), False),
        (world(PLACE, roll_pitch_yaw=(2.2, 0.0, 0.0)), True),  # 126°: beyond 120° it is upside down
    ],
)
def test_an_episode_ends_far_away_upside_down_or_near_the_ground(state, is_over: bool):
    result = score(state)
    assert bool(result.failed) == is_over
    assert (float(result.reward) < -1.9) == is_over


def test_the_logged_error_counts_from_when_the_vehicle_should_have_settled():
    state = world((0.0, 0.4, 3.0))
    early, late = (
        score(state, time_s=SETTLED_S - 0.1, error_m=0.0),
        score(state, time_s=SETTLED_S, error_m=0.2),
    )
    assert float(early.episode.error_m) == 0.0
    assert float(late.episode.error_m) == pytest.approx(0.2 + (0.4 - 0.2) * TICK_S, abs=1e-6)
    assert float(late.episode.time_s) == pytest.approx(SETTLED_S + TICK_S)


def test_commands_wander_by_a_metre_between_two_and_four_metres_of_height():
    drawing, count = draws(vehicle=X500), 2000
    place = HOVER.draw_command(drawing, None, count)
    assert place.shape == (3, count)
    assert place[:2].abs().max() <= 1.0
    for _ in range(30):
        new = HOVER.draw_command(drawing, place, count)
        assert (new - place).abs().max() <= 1.0 + 1e-5
        place = new
    assert place[2].min() >= 2.0
    assert place[2].max() <= 4.0
    assert torch.equal(HOVER.draw_command(draws(vehicle=X500, command_share=0.0), place, count), place)


def test_calm_starts_are_a_tenth_of_wild_ones():
    drawing, count = draws(vehicle=X500), 3000
    severity = (torch.arange(count) < 900).float()
    wanted = HOVER.draw_command(drawing, None, count)
    nominal = world_params(X500, BallConfig(), 0.002, False)
    start = HOVER.draw_start(drawing, unpack(drawing.params(count)[..., 0], nominal), wanted, severity)
    assert {leaf.shape for leaf in leaves(start)} == {(count,)}
    away = torch.stack(tuple(start.body.pos_w)) - wanted[:3]
    assert 0.95 < float(away.abs().max()) <= 1.0
    assert float(away[:, 900:].abs().max()) == pytest.approx(0.1, abs=0.002)
    assert start.body.pos_w.z.min() > 0.9


def test_the_memory_is_a_running_mean_of_the_position_error():
    zero = torch.zeros(1, 3, dtype=torch.float64)
    off = torch.tensor([[0.1, -0.2, 3.0]], dtype=torch.float64)
    given, memory = inputs(1, 3, pos_w=zero, command=off), zero
    for _ in range(30):
        memory = HOVER.remember(given, memory, TICK_S)
    share = 1.0 - (1.0 - TICK_S / MEMORY_S) ** 30
    assert memory[0].tolist() == pytest.approx(
        [0.1 * share, -0.2 * share, 0.5 * share]
    )  # limited to half a metre


def test_the_observation_is_of_now_whatever_the_signals_age():
    now = inputs(6, 3, omega_b=torch.zeros(6, 3).double())
    age = torch.full((6, 1), 0.05, dtype=torch.float64)
    then = now._replace(pos_w=now.pos_w - now.vel_w * age, vehicle_age_s=age)
    memory, actions = torch.zeros(6, 3).double(), torch.zeros(6, 12).double()
    fresh, old = HOVER.observe(now, memory, actions), HOVER.observe(then, memory, actions)
    assert ((old - fresh).abs().amax(dim=0) > 1e-9).nonzero().flatten().tolist() == [18]  # the age itself
