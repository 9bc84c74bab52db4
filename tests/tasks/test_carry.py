"""Carrying: what is good, what ends, and what the facts of a team are."""

from __future__ import annotations

import math

import pytest
import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.episodes.team_randomization import TeamDraws
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.team_task import Actions
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import TeamParams, TeamWorld
from corvids.envs.tasks.carry import Carry
from corvids.team import load_team

FALCON3 = load_team("falcon3")
TICK_S = 0.01


def draws(**ranges) -> TeamDraws:
    generator = torch.Generator().manual_seed(0)
    nominal = team_params(FALCON3, 0.002)
    return TeamDraws(Randomization(**ranges), CarryConfig(), nominal, torch.device("cpu"), generator)


def scene(reward: str = "own") -> tuple[Carry, TeamWorld, TeamParams, list[torch.Tensor]]:
    """One world that hangs calmly, and a standing goal at its load's pose."""
    task = Carry(FALCON3, CarryConfig(reward=reward, moving_share=0.0))  # type: ignore[arg-type]
    drawn, truth = draws(), team_params(FALCON3, 0.002)
    truth = map_leaves(lambda leaf: leaf.float(), truth)
    path = task.draw_path(drawn, 1)
    world = task.draw_start(drawn, truth, path, torch.zeros(1, 1))
    rows = list(path[:, :, None].unbind(0))
    body = world.load.body
    place = body.pos_w + body.quat_wb.rotate(truth.load.pose_point_b_m)
    rows[:6] = [*place, torch.zeros(1, 1), torch.zeros(1, 1), body.quat_wb.yaw()]
    return task, world, truth, rows


def still(drones: int = 3) -> Actions:
    zero = (torch.zeros(1, drones),) * 5
    return Actions(zero, zero)


def score(task, world, truth, path, actions=None):
    episode = map_leaves(lambda value: torch.full((1, 1), value), task.EPISODE)
    return task.score(world, truth, tuple(path), actions or still(), episode, TICK_S)


@pytest.mark.parametrize("reward", ["own", "zeng"])
def test_nearer_is_better_in_place_and_in_angle(reward: str):
    task, world, truth, path = scene(reward)
    for row, sizes in ((0, (0.0, 0.02, 0.1, 0.5, 2.0)), (5, (0.0, 0.02, 0.1, 0.5, 2.0))):
        rewards = []
        for size in sizes:
            off = list(path)
            off[row] = path[row] + size
            result = score(task, world, truth, off)
            assert not result.failed.any()
            rewards.append(result.reward.mean().item())
        assert rewards == sorted(rewards, reverse=True) and rewards[0] > rewards[-1]


def test_the_published_reward_is_the_sum_that_was_published():
    """A metre and half a radian off, rotors at a third of full thrust, nothing commanded."""
    task, world, truth, path = scene("zeng")
    path[0], path[5] = path[0] + 1.0, path[5] + 0.5
    rotors = world.drive.rotors._replace(
        **{name: torch.full((1, 3), (1 / 3) ** 0.5) for name in ("r1", "r2", "r3", "r4")}
    )
    world = world._replace(drive=world.drive._replace(rotors=rotors))
    # Level drones: thrust lines fall straight down, and miss the load's centre by as much as the drones do.
    rel = world.motion.body.pos_w - world.load.body.pos_w
    washed = torch.hypot(rel.x, rel.y).min().item()
    expected = (
        1.5 * math.exp(-1.5) + 1.5 * math.exp(-0.75) + 0.5 + 0.5 + 0.5 * math.exp(-1 / 3)
        + 0.5 * (1 - math.exp(-3 * washed))
    )  # fmt: skip
    result = score(task, world, truth, path)
    assert result.reward.flatten().tolist() == pytest.approx([TICK_S * expected] * 3, rel=1e-5)
    # Commands of (1 m/s², 0.2 rad/s) by one drone where there was none: both brackets shrink, by a third of the norms.
    one = torch.tensor([[1.0, 0.0, 0.0]])
    zero = torch.zeros(1, 3)
    actions = Actions((one / 6.0, zero, zero, one * 0.1, zero), still().last)
    less = 0.5 * (1 - math.exp(-(1.0 + 0.04) / 9)) + 0.5 * (1 - math.exp(-0.2 / 3))
    changed = score(task, world, truth, path, actions)
    assert changed.reward[0, 0].item() == pytest.approx(TICK_S * (expected - less), rel=1e-4)


def test_restless_commands_cost():
    task, world, truth, path = scene()
    calm = score(task, world, truth, path).reward
    jump = Actions(((torch.full((1, 3), 0.5)),) * 5, still().last)
    assert (score(task, world, truth, path, jump).reward < calm - 1e-3).all()


def moved(world: TeamWorld, drone: int, pos: Vec3) -> TeamWorld:
    body = world.motion.body
    keep = torch.arange(3)[None] != drone
    place = Vec3(*(torch.where(keep, old, new) for old, new in zip(body.pos_w, pos, strict=True)))
    return world._replace(motion=world.motion._replace(body=body._replace(pos_w=place)))


@pytest.mark.parametrize("case", ["ground", "load on ground", "upside down", "far", "close"])
def test_a_crash_ends_the_episode_and_costs(case: str):
    task, world, truth, path = scene()
    assert not score(task, world, truth, path).failed.any()
    body, load = world.motion.body, world.load.body
    if case == "ground":
        world = moved(world, 1, body.pos_w._replace(z=torch.full((1, 3), 0.05)))
    elif case == "load on ground":
        low = load.pos_w._replace(z=torch.full((1, 1), 0.05))
        world = world._replace(load=world.load._replace(body=load._replace(pos_w=low)))
    elif case == "upside down":
        over = Quat(
            *(torch.tensor([[w, w, over]]) for w, over in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.0)))
        )
        world = world._replace(motion=world.motion._replace(body=body._replace(quat_wb=over)))
    elif case == "far":
        path[0] = path[0] + 5.6
    else:
        world = moved(world, 1, Vec3(*(part[:, :1] + 0.2 for part in body.pos_w)))
    result = score(task, world, truth, path)
    assert result.failed.all()
    assert (result.reward < -1.0).all()


def test_facts_are_own_pooled_and_shared():
    facts = dict(zip(Carry.FACTS, Carry(FALCON3, CarryConfig()).facts().t().tolist(), strict=True))
    assert facts["own_x_m"] == pytest.approx([0.27, 0.27, -0.27])
    assert facts["mean_x_m"] == pytest.approx([0.09] * 3)
    assert facts["spread_xx_m2"] == pytest.approx([0.27**2] * 3)
    assert facts["spread_yy_m2"] == pytest.approx([2 / 3 * 0.22**2] * 3)
    assert facts["spread_xy_m2"] == pytest.approx([0.0] * 3, abs=1e-7)
    assert facts["members"] == [3.0] * 3 and facts["load_kg"] == pytest.approx([1.4] * 3)
    assert facts["cable_m"] == [1.0] * 3


def test_goals_stay_within_their_range():
    task = Carry(FALCON3, CarryConfig())
    path = task.draw_path(draws(), 4000)
    for row, low, high in ((0, -1, 1), (1, -1, 1), (2, 0.5, 1.5), (3, -0.786, 0.786), (5, -3.15, 3.15)):
        assert low <= path[row].min() < low + 0.1 and high - 0.1 < path[row].max() <= high
    assert (path[6:12].norm(dim=0) > 0.0).float().mean() == pytest.approx(0.3, abs=0.03)


def test_starts_hang_from_cables_that_are_taut_and_apart():
    task, drawn = Carry(FALCON3, CarryConfig()), draws()
    count = 500
    truth = map_leaves(lambda leaf: leaf.float().expand(count, -1), team_params(FALCON3, 0.002))
    path = task.draw_path(drawn, count)
    for severity, least in ((0.0, 0.999), (1.0, 0.895)):
        world = task.draw_start(drawn, truth, path, torch.full((count, 1), severity))
        body, load, cable = world.motion.body, world.load.body, truth.drones.cable
        start = load.pos_w + load.quat_wb.rotate(cable.load_point_b)
        length = (body.pos_w + body.quat_wb.rotate(cable.drone_point_b) - start).norm()
        assert least < length.min() and length.max() < 1.001
    assert load.vel_w.norm().max() > 1.0
