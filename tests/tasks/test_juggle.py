"""Juggling is scored as arithmetic says, so that neither dribbling nor ducking nor dropping pays."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from flight_truth import integrated
from scenes import AIR, TICK_S, command, draws, inputs, number, params, vec, world

from corvids.controllers.packing import leaves, map_leaves, unpack
from corvids.envs.mdp.ball_features import fallen
from corvids.envs.mdp.features import GRAVITY_MPS2
from corvids.envs.mdp.task import Score
from corvids.envs.physics.ball import Ball
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.physics.world import World
from corvids.envs.tasks.juggle import APEX_M, APEX_RANGE_M, MEMORY_S, PLACE_STEP_M, Episode, Juggle

JUGGLE = Juggle(AIR)
REACH_M = 0.055 + 0.04
"""Height of a ball's centre over the vehicle when it lies on the racket of `air`."""
PLACE, APEX = (0.5, -0.5, 1.5), 0.8
WANTED = command(*PLACE, APEX)
WORTH = math.sqrt(8.0 * APEX / GRAVITY_MPS2) / 0.7
"""What a hit to the commanded apex, 0.808 s of flight in vacuum, is worth against one of the usual 0.7 s."""
PERFECT = 0.3 + WORTH * (0.6 + 0.8 + 0.5 + 0.3 + 0.3)
"""Kept up; and counted, its apex (near and far), where it comes down (near and far), and where the vehicle is."""
DRAG = BallConfig().drag_per_m


def speed_for(rise_m: float, drag: float = DRAG) -> float:
    """With quadratic drag k, v² = (g/k)·(e^(2kh) - 1) rises by h."""
    squared = GRAVITY_MPS2 / drag * math.expm1(2.0 * drag * rise_m) if drag else 2.0 * GRAVITY_MPS2 * rise_m
    return math.sqrt(squared)


def scene(
    ball: tuple[float, float, float] = (0.5, -0.5, 2.0),
    leaves_at: tuple[float, float, float] | None = None,
    pos: tuple[float, float, float] = PLACE,
    offset_m: float = 0.0,
    **body,
) -> World:
    """The vehicle at its place, the ball above it; hit within the tick if the ball ``leaves_at`` a velocity."""
    state = world(pos, **body)
    state = state._replace(ball=Ball(vec(*ball), vec(0.0, 0.0, 0.0), vec(0.0, 0.0, 0.0)))
    if leaves_at is None:
        return state
    at = vec(pos[0] + offset_m, pos[1], pos[2] + REACH_M)
    return state._replace(
        impact=state.impact._replace(
            racket_count=number(1.0), pos_w=at, vel_after_w=vec(*leaves_at), offset_m=number(offset_m)
        )
    )


def score(state: World, since_hit_s: float = 0.7, ball: BallConfig | None = None) -> Score:
    before = Episode(*(number(value) for value in (since_hit_s, 5.0)))
    return JUGGLE.score(state, params(ball), WANTED, before, TICK_S)


def reward(state: World, since_hit_s: float = 0.7) -> float:
    return float(score(state, since_hit_s).reward)


# --- Hits ----------------------------------------------------------------------------------------------------------


def test_a_perfect_hit_earns_every_part():
    result = score(scene(leaves_at=(0.0, 0.0, speed_for(APEX))))
    assert float(result.reward) == pytest.approx(PERFECT + TICK_S * 1.0, abs=1e-4)
    assert [float(value) for value in result.episode] == pytest.approx([TICK_S, 6.0], abs=1e-6)
    assert not result.failed.any()


def test_a_hit_that_is_too_high_and_lands_aside_earns_what_arithmetic_says():
    """Rise 1 m for 0.8 m commanded: an error of a quarter. It comes down 2·v/g·0.2 m/s aside, struck 3 cm off centre
    by a vehicle that is 10 cm north of its place."""
    up = speed_for(1.0)
    north = (PLACE[0], PLACE[1] + 0.1, PLACE[2])
    result = score(scene(leaves_at=(0.2, 0.0, up), pos=north, offset_m=0.03))
    missed_m = math.hypot(0.03 + 0.2 * 2 * up / GRAVITY_MPS2, 0.1)
    kept_up = 0.3 - 0.3 * missed_m
    quality = (
        0.6 * math.exp(-0.0625 * 60) + 0.8 * 0.75
        + 0.5 * math.exp(-(missed_m**2) * 40) + 0.3 * (1 - missed_m)
        + 0.3 * math.exp(-0.01 * 40) - 0.2 * 0.03 / 0.05
    )  # fmt: skip
    running = 1.0 - 2.0 * 0.1
    assert float(result.reward) == pytest.approx(kept_up + WORTH * quality + TICK_S * running, abs=1e-4)


def test_nothing_pays_more_per_second_than_the_commanded_apex():
    """Hit upon hit, from just counted to far too high; lower ones come sooner."""
    rises = [0.31 + 0.01 * step for step in range(120)]
    rates = [
        reward(scene(leaves_at=(0.0, 0.0, speed_for(rise)))) * GRAVITY_MPS2 / (2.0 * speed_for(rise))
        for rise in rises
    ]
    assert rises[rates.index(max(rates))] == pytest.approx(APEX, abs=0.03)
    # From far away, too, it pays to come nearer.
    assert all(low < high for low, high in itertools.pairwise(rates[10 : rates.index(max(rates)) : 5]))


@pytest.mark.parametrize(("rise_m", "is_counted"), [(0.299, False), (0.301, True)])
def test_a_hit_counts_from_a_rise_of_thirty_centimetres(rise_m: float, is_counted: bool):
    result = score(scene(leaves_at=(0.0, 0.0, speed_for(rise_m))))
    assert float(result.episode.hits) == 5.0 + is_counted


def test_dribbling_costs_a_point_each_time():
    dribble = score(scene(leaves_at=(0.0, 0.0, speed_for(APEX))), since_hit_s=0.28)
    assert float(dribble.reward) == pytest.approx(0.3 - 1.0 + TICK_S, abs=1e-4)
    assert float(dribble.episode.hits) == 5.0
    assert float(dribble.episode.since_hit_s) == pytest.approx(TICK_S)  # the interval starts anew


def test_a_touch_that_only_keeps_the_ball_up_is_worth_little_and_less_where_it_flies_away():
    low = score(scene(leaves_at=(0.0, 0.0, speed_for(0.05))))
    assert float(low.reward) == pytest.approx(0.05 + TICK_S, abs=1e-4)
    assert float(low.episode.hits) == 5.0
    back_s = 2.0 * speed_for(0.05) / GRAVITY_MPS2
    away = score(scene(leaves_at=(2.0, 0.0, speed_for(0.05))))
    assert float(away.reward) == pytest.approx(0.05 - 0.3 * 2.0 * back_s + TICK_S, abs=1e-4)


@pytest.mark.parametrize("after_mps", [1.5, 0.0, -1.0])
def test_ducking_does_not_count_however_far_the_racket_falls_below_the_ball(after_mps: float):
    """The vehicle drops away at 3 m/s, so the ball is soon far above the racket; but above the point of impact it
    rises 11 cm (1.5 m/s), or not at all."""
    ducked = score(scene(ball=(0.5, -0.5, 2.9), leaves_at=(0.0, 0.0, after_mps), vel=(0.0, 0.0, -3.0)))
    rise = max(after_mps, 0.0) ** 2 / (2 * GRAVITY_MPS2)
    assert float(ducked.reward) == pytest.approx(rise + TICK_S, abs=1e-3)
    assert float(ducked.episode.hits) == 5.0


def test_no_hit_earns_no_event_and_the_interval_grows():
    result = score(scene(), since_hit_s=0.4)
    assert float(result.reward) == pytest.approx(TICK_S, abs=1e-6)
    assert float(result.episode.since_hit_s) == pytest.approx(0.42)
    assert float(result.episode.hits) == 5.0


def test_an_impact_on_the_airframe_is_no_hit():
    state = scene()
    state = state._replace(
        impact=state.impact._replace(other_count=number(1.0), vel_after_w=vec(0.0, 0.0, 4.0))
    )
    assert float(score(state).episode.hits) == 5.0


# --- Running reward and failure ------------------------------------------------------------------------------------


def test_missing_the_coming_ball_costs_by_how_far_it_will_pass():
    """1.225 m over the racket, falling at 2 m/s: down after (√(4 + 2g·1.225) - 2)/g = 0.336 s."""
    height, fall = GRAVITY_MPS2 * 0.5**2 / 2, 2.0
    until_s = (math.sqrt(fall**2 + 2 * GRAVITY_MPS2 * height) - fall) / GRAVITY_MPS2
    over = (PLACE[0], PLACE[1], PLACE[2] + REACH_M + height)
    state = scene(ball=over, vel=(0.0, -0.3, 0.0))
    falling = state._replace(ball=state.ball._replace(vel_w=vec(0.4, 0.0, -fall)))
    rising = state._replace(ball=state.ball._replace(vel_w=vec(0.4, 0.0, fall)))
    assert reward(rising) == pytest.approx(TICK_S, abs=1e-6)
    assert reward(falling) == pytest.approx(TICK_S - 4.0 * 0.5 * until_s * TICK_S, abs=1e-6)


def test_a_ball_lost_nearby_costs_less_than_one_lost_far_away():
    costs = [-reward(scene(ball=(PLACE[0] + aside, PLACE[1], 1.0))) for aside in (0.0, 0.2, 0.6, 0.9)]
    calm = [TICK_S * (1.0 - 0.4 * aside) for aside in (0.0, 0.2, 0.6, 0.9)]
    lost = [cost + kept for cost, kept in zip(costs, calm, strict=True)]
    assert lost == pytest.approx([3.0, 4.2, 6.6, 6.6], abs=1e-4)


def test_turning_away_costs():
    plain, turned = reward(scene()), reward(scene(roll_pitch_yaw=(0.0, 0.0, 0.3)))
    assert turned - plain == pytest.approx(-0.5 * 0.3 * TICK_S)
    assert reward(scene(roll_pitch_yaw=(0.0, 0.0, -0.3))) == pytest.approx(turned)


def test_spinning_and_straying_cost():
    assert reward(scene(omega=(1.0, -2.0, 0.5))) - reward(scene()) == pytest.approx(-0.008 * 5.25 * TICK_S)
    away = scene(ball=(0.8, -0.1, 2.0))  # momentarily at its highest; the ball is 0.5 m from over the place
    assert reward(away) - reward(scene()) == pytest.approx(-0.4 * 0.5 * TICK_S, abs=1e-6)
    strayed = scene(pos=(0.5, -0.5, 1.9), ball=(0.5, -0.5, 2.5))
    assert reward(strayed) - reward(scene()) == pytest.approx(-2.0 * 0.4 * TICK_S, abs=1e-6)


def low_ball(above_racket_m: float) -> tuple[float, float, float]:
    return PLACE[0], PLACE[1], PLACE[2] + REACH_M + above_racket_m


@pytest.mark.parametrize(
    ("state", "is_over"),
    [
        (scene(ball=low_ball(-0.29)), False),
        (scene(ball=low_ball(-0.31)), True),
        (scene(ball=low_ball(3.9)), False),
        (scene(ball=low_ball(4.1)), True),
        (scene(ball=(5.6, -0.5, 2.0)), True),
        (scene(pos=(0.5, -0.5, 5.6), ball=(0.5, -0.5, 6.0)), True),
        (scene(pos=(0.5, -0.5, 0.14), ball=(0.5, -0.5, 2.0)), True),
        (scene(roll_pitch_yaw=(1.5, 0.0, 0.0)), False),
        (scene(roll_pitch_yaw=(1.6, 0.0, 0.0)), True),  # 92°
    ],
)
def test_an_episode_ends_when_the_ball_is_lost_or_the_vehicle_is(state: World, is_over: bool):
    result = score(state)
    assert bool(result.failed) == is_over
    assert (float(result.reward) < -2.9) == is_over


def test_the_score_is_a_number_where_nothing_has_happened_yet_and_where_all_is_zero():
    """At rest at the origin there is nothing to normalise by; 0/0 would end a training."""
    zero = map_leaves(lambda leaf: 0.0 * leaf, scene())
    zero = zero._replace(body=zero.body._replace(quat_wb=scene().body.quat_wb))
    for state in (scene(), zero):
        assert all(torch.isfinite(leaf).all() for leaf in leaves(tuple(score(state))))


# --- Commands, starts, observations --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_commands_stay_in_the_share_of_their_range(share: float):
    drawing, count = draws(command_share=share), 3000
    first = JUGGLE.draw_command(drawing, None, count)
    low, high = (APEX_M + share * (end - APEX_M) for end in APEX_RANGE_M)
    assert first.shape == (4, count)
    assert low - 1e-6 <= float(first[3].min()) <= low + 0.01 * share + 1e-6
    assert high - 0.01 * share - 1e-6 <= float(first[3].max()) <= high + 1e-6
    second = JUGGLE.draw_command(drawing, first, count)
    step = (second - first)[:3].abs().amax(dim=1)
    assert (step <= PLACE_STEP_M * share + 1e-5).all()
    assert (step[:2] >= 0.99 * PLACE_STEP_M * share).all()
    command_now = first
    for _ in range(40):
        command_now = JUGGLE.draw_command(drawing, command_now, count)
    assert command_now[2].min() >= 0.8
    assert command_now[2].max() <= 2.5


def test_an_episode_starts_with_the_ball_over_a_hovering_vehicle():
    drawing, count = draws(), 3000
    severity = (torch.arange(count) < 1500).float()
    wanted = JUGGLE.draw_command(drawing, None, count)
    start = JUGGLE.draw_start(drawing, unpack(drawing.params(count)[..., 0], params()), wanted, severity)
    assert {leaf.shape for leaf in leaves(start)} == {(count,)}
    above_m = start.ball.pos_w.z - start.body.pos_w.z - REACH_M
    aside_m = torch.hypot(start.ball.pos_w.x - start.body.pos_w.x, start.ball.pos_w.y - start.body.pos_w.y)
    speed = torch.hypot(start.ball.vel_w.x, start.ball.vel_w.y)
    assert above_m.min() >= 0.3
    assert 0.35 < float(aside_m.max()) <= 0.4
    assert 0.9 < float(speed.max()) <= 1.0
    assert 0.055 < float(aside_m[1500:].max()) <= 0.06
    assert float((aside_m[:1500] < 0.2).float().mean()) == pytest.approx(
        0.25, abs=0.04
    )  # uniform over the disc
    assert torch.stack(tuple(start.body.pos_w - type(start.body.pos_w)(*wanted[:3]))).abs().max() <= 0.15
    lift = sum(4 * [float(start.rotors.r1[0]) ** 2 * AIR.max_thrust_n / 4])
    assert lift == pytest.approx(AIR.weight_n, rel=1e-5)


def test_the_memory_is_a_running_mean_of_what_is_constantly_off():
    """A ball whose apex is 10 cm too high, a vehicle 5 cm east: after n ticks 1 - (1 - dt/T)ⁿ of it is remembered."""
    up = 2.0
    given = inputs(
        1, 4,
        pos_w=torch.tensor([[0.05, 0.0, 1.5]], dtype=torch.float64),
        ball_pos_w=torch.tensor([[0.0, 0.0, 1.5 + REACH_M + 0.6 + 0.1 - up * up / (2 * GRAVITY_MPS2)]]).double(),
        ball_vel_w=torch.tensor([[0.3, 0.0, up]], dtype=torch.float64),
        command=torch.tensor([[0.0, 0.0, 1.5, 0.6]], dtype=torch.float64),
    )  # fmt: skip
    memory = torch.zeros(1, JUGGLE.MEMORY, dtype=torch.float64)
    for _ in range(50):
        memory = JUGGLE.remember(given, memory, TICK_S)
    share = 1.0 - (1.0 - TICK_S / MEMORY_S) ** 50
    assert memory[0].tolist() == pytest.approx([0.1 * share, 0.05 * share, 0.0, 0.0], abs=1e-6)


def test_what_is_observed_does_not_depend_on_how_old_the_signals_are():
    """Signals of 60 ms ago, told their age, are the observation of now: level vehicles that drift, and balls."""
    memory, actions = torch.zeros(8, JUGGLE.MEMORY).double(), torch.zeros(8, 12).double()
    age = torch.full((8, 1), 0.06).double()
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double().expand(8, 4)
    now = inputs(8, 4, omega_b=torch.zeros(8, 3).double(), quat_wb=level)
    ball, ball_vel = fallen(now.ball_pos_w, now.ball_vel_w, -age)
    then = now._replace(
        pos_w=now.pos_w - now.vel_w * age,
        ball_pos_w=ball,
        ball_vel_w=ball_vel,
        vehicle_age_s=age,
        ball_age_s=age,
    )
    fresh, old = JUGGLE.observe(now, memory, actions), JUGGLE.observe(then, memory, actions)
    differing = ((old - fresh).abs().amax(dim=0) > 0.03).nonzero()[:, 0]
    assert len(differing) == 2  # the two ages themselves
    assert (old - fresh)[:, differing].flatten().tolist() == pytest.approx([0.06 * 20.0] * 16)


def test_the_observation_says_where_and_when_the_ball_comes_down():
    """Where and when scipy's integrator says: 1.225 m over the racket's reach, moving east at 0.2 m/s."""
    height = GRAVITY_MPS2 * 0.5**2 / 2
    zero = torch.zeros(1, 3, dtype=torch.float64)
    place = torch.tensor([[1.0, 2.0, 1.5]], dtype=torch.float64)
    given = inputs(
        1, 4, pos_w=place, vel_w=zero, omega_b=zero,
        quat_wb=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double(),
        ball_pos_w=place + torch.tensor([[0.0, 0.0, REACH_M + height]]).double(),
        ball_vel_w=torch.tensor([[0.2, 0.0, 0.0]]).double(),
        command=torch.cat((place, number(height)), dim=1),
    )  # fmt: skip
    seen = JUGGLE.observe(given, torch.zeros(1, JUGGLE.MEMORY).double(), torch.zeros(1, 12).double())[0]
    until, landing, coasting, wanted = (
        seen[25] / 2.0,
        seen[26:28] / 4.0,
        seen[28:30] / 4.0,
        seen[32:35] * 10.0,
    )
    until_s, aside_m, down_mps = integrated(0.0, 0.0, height, 0.2)
    assert float(until) == pytest.approx(until_s, abs=1e-4)
    assert landing.tolist() == pytest.approx([aside_m, 0.0], abs=1e-3)
    assert coasting.tolist() == pytest.approx([aside_m, 0.0], abs=1e-3)  # the vehicle stands still
    # What a level vehicle is to do: six times the way over time squared, and hold its weight.
    assert wanted.tolist() == pytest.approx([6.0 * aside_m / until_s**2, 0.0, GRAVITY_MPS2], abs=0.03)
    assert down_mps == pytest.approx(math.sqrt(2.0 * GRAVITY_MPS2 * height))
    assert float(seen[35]) * 2.0 == pytest.approx(0.0, abs=1e-6)  # it comes down as fast as it is to leave
