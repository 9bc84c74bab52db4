"""The environment of teams: whose rows are whose, what a drone does not see, what ends, and what a reset touches."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Vec3
from corvids.envs.environment import EnvConfig
from corvids.envs.episodes.randomization import NO_RANDOMIZATION, Randomization
from corvids.envs.mdp.carry_config import EXACT_CARRY, CarryConfig
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.envs.team_environment import STEADY_YAW_RAD, TeamEnvironment
from corvids.team import load_team

pytestmark = pytest.mark.usefixtures("one_thread")

CALM = dataclasses.replace(NO_RANDOMIZATION, wild_share=0.0)
WORLDS = 5
"""Of 16 rows: 11 are padding."""


def make(worlds: int = WORLDS, seed: int = 0, **fields) -> TeamEnvironment:
    given = {"control_hz": 100, "randomization": CALM, "carry": EXACT_CARRY, **fields}
    return TeamEnvironment(EnvConfig(task="carry", **given), worlds, seed=seed, compile_kernels=False)


def nothing(env: TeamEnvironment) -> torch.Tensor:
    return torch.zeros(env.worlds * env.drones, env.action_size)


def test_every_drone_of_every_world_has_a_row():
    env = make()
    observations, rewards, done, extras = env.step(nothing(env))
    rows = WORLDS * 3
    assert {name: len(group) for name, group in observations.items()} == {"actor": rows, "critic": rows}
    assert rewards.shape == done.shape == extras["time_outs"].shape == (rows,)
    # Row d·worlds + w is drone d of world w: after the errors, it sees the way from its point of attachment to itself,
    # in a frame that begins with the direction of that point.
    world, truth = env.simulator.world, env.simulator.truth
    body, load, cable = world.motion.body, world.load.body, truth.drones.cable
    seen = observations["actor"][:, 18:21].reshape(3, WORLDS, 3)
    along = body.pos_w - load.pos_w - load.quat_wb.rotate(cable.load_point_b)
    x, y, z = (part[:WORLDS].t() for part in along)
    points = env.task.facts()[:, :3]
    arms = load.quat_wb.rotate(Vec3(*(points - points.mean(0) + torch.tensor([0.01, 0.0, 0.0])).t()[:, None]))
    angle = torch.atan2(arms.y, arms.x)[:WORLDS].t()
    cos, sin = torch.cos(angle), torch.sin(angle)
    expected = torch.stack((cos * x + sin * y, cos * y - sin * x, z), dim=-1)
    torch.testing.assert_close(seen, expected, rtol=0.0, atol=0.02)


def test_no_drone_sees_another_and_the_critic_sees_all():
    pictures = []
    for shift in (0.0, 0.3):
        env = make()
        env.simulator.motion[:SENSED, 2] += shift  # drone 2, wherever it is and goes
        env.simulator.history[:, :SENSED, :, 2] += shift
        pictures.append(env._look())
    calm, moved = ({name: group.reshape(3, WORLDS, -1) for name, group in one.items()} for one in pictures)
    assert torch.equal(calm["actor"][:2], moved["actor"][:2])
    assert not torch.equal(calm["actor"][2], moved["actor"][2])
    features = calm["actor"].shape[-1]
    for drone in range(3):
        assert not torch.equal(calm["critic"][drone, :, features:], moved["critic"][drone, :, features:])


SENSED = 6
"""Position and velocity."""


def test_doing_nothing_holds_the_load():
    """In half a second a hanging load moves centimetres, and sinks by what inner loops leave of the cables' pull."""
    env = make(carry=dataclasses.replace(EXACT_CARRY, guided=False))
    start = map_leaves(torch.clone, env.simulator.world.load.body.pos_w)
    for _ in range(50):
        _, _, done, _ = env.step(nothing(env))
        assert not done.any()
    moved = torch.stack(tuple(env.simulator.world.load.body.pos_w - start))[:, :WORLDS, 0].norm(dim=0)
    team = load_team("falcon3")
    whole_kg = team.load.mass_kg + sum(member.vehicle.body.mass_kg for member in team.members)
    sinking_mps2 = (1.0 - CANCELLED_PART) * team.load.mass_kg / whole_kg * 9.80665
    assert moved.max() < 0.1 + 0.5 * sinking_mps2 * 0.5**2
    assert env.simulator.world.motion.tension_n[:WORLDS].min() > 1.0


def test_a_crash_of_one_ends_its_world_for_all_and_a_time_limit_says_so():
    env = make(episode_s=0.05)
    env.simulator.world.motion.body.pos_w.z[1, 2] = 0.02
    _, rewards, done, extras = env.step(nothing(env))
    ended = done.reshape(3, WORLDS)
    assert ended[:, 1].all() and not ended[:, [0, 2, 3, 4]].any()
    assert not extras["time_outs"].any()
    assert rewards.reshape(3, WORLDS)[:, 1].max() < -1.0
    assert extras["log"]["failed"].tolist() == [1.0]
    for _ in range(4):
        _, _, done, extras = env.step(nothing(env))
    ended = done.reshape(3, WORLDS)
    assert ended[:, [0, 2, 3, 4]].all() and not ended[:, 1].any()  # world 1 began later
    assert torch.equal(extras["time_outs"], done.float())


def test_a_reset_touches_its_world_alone():
    env = make(randomization=Randomization())
    parts = {name: getattr(env._at, name) for name in ("path", "load_state", "sensors", "delay_steps")}
    before = {name: part.clone() for name, part in parts.items()}
    motion, params = env.simulator.motion.clone(), env.simulator.drone_params.clone()
    env._reset(torch.tensor([3]))
    others = [0, 1, 2, 4]
    for name, was in before.items():
        assert torch.equal(parts[name][:, others], was[:, others]), name
        assert not torch.equal(parts[name][:, 3], was[:, 3]), name
    for now, was in ((env.simulator.motion, motion), (env.simulator.drone_params, params)):
        assert torch.equal(now[..., others], was[..., others])
        assert not torch.equal(now[..., 3], was[..., 3])
    assert env.steps.reshape(3, WORLDS)[:, 3].tolist() == [0, 0, 0]


def test_worlds_are_drawn_apart_and_masses_with_their_load():
    env = make(randomization=Randomization(), carry=CarryConfig())
    truth = env.simulator.truth
    mass = truth.drones.vehicle.mass_kg[:WORLDS]
    assert len(mass.unique()) == mass.numel()
    assert truth.load.mass_kg[:WORLDS].std() > 0.0
    # Attachments are relative to a centre of mass that is drawn: what the pose point loses, they lose too.
    cable, load = truth.drones.cable, truth.load
    middle = cable.load_point_b.z - load.pose_point_b_m.z
    assert middle[:WORLDS].sub(0.06).abs().max() < 0.006
    assert (truth.drones.wind_w.x == truth.load.wind_w.x).all()


def test_a_world_has_one_wind_and_it_is_gusty():
    env = make(
        worlds=200, randomization=dataclasses.replace(CALM, wind_mps=(1.0, 1.0), gust_std_mps=(0.5, 0.5))
    )
    samples = []
    for _ in range(400):
        env._blow()
        samples.append(torch.stack(tuple(env.simulator.truth.load.wind_w))[:, :200, 0].clone())
    truth = env.simulator.truth
    for load, drones in zip(truth.load.wind_w, truth.drones.wind_w, strict=True):
        assert torch.equal(load.expand(-1, 3), drones)
    late = torch.stack(samples[200:])
    assert late.mean((0, 2)).tolist() == pytest.approx([1.0, 1.0, 0.0], abs=0.1)
    assert late.std((0, 2)).tolist() == pytest.approx([0.5, 0.5, 0.5], rel=0.1)


def test_a_member_that_is_lost_has_no_thrust_from_then_on_and_may_fall():
    """Some take their cable along; that they fall and tumble ends no episode."""
    carry = dataclasses.replace(EXACT_CARRY, lost_share=0.75)
    env = make(worlds=40, carry=carry, episode_s=2.5)
    whole = env.simulator.truth.drones.vehicle.thrust_max_n.r1[:40].clone()
    ended = torch.zeros(40, dtype=torch.bool)
    for _ in range(240):
        _, _, done, _ = env.step(nothing(env))
        ended |= done.reshape(3, 40)[0]
    drones = env.simulator.truth.drones
    thrust = torch.stack(tuple(drones.vehicle.thrust_max_n))[:, :40]
    dead = (thrust == 0.0).all(0)
    assert ((thrust == 0.0).any(0) == dead).all()
    assert torch.equal(drones.vehicle.thrust_max_n.r1[:40][~dead], whole[~dead])
    kept = ~ended
    assert dead[:10].sum() == 0 and (dead[10:].sum(1) <= 1).all()
    assert kept[10:].sum() > 10 and dead[10:][kept[10:]].sum() >= 0.7 * kept[10:].sum()
    cut = drones.cable.attached[:40] == 0.0
    assert (cut <= dead).all() and 0 < cut.sum() < dead.sum()
    lost = dead.any(1) & kept
    path = env._at.path[:, :40, 0]
    assert (path[2, 10:] > 1.9).all() and (path[3:5, 10:] == 0.0).all()
    env._reset(lost.nonzero().squeeze(-1))
    assert (env.simulator.truth.drones.vehicle.thrust_max_n.r1[:40][lost] > 0.0).all()
    assert (env.simulator.truth.drones.cable.attached[:40][lost] == 1.0).all()


def test_one_member_of_a_team_may_be_weak():
    carry = dataclasses.replace(EXACT_CARRY, weak_share=0.5, weak_factor=(0.8, 0.8))
    strong = make(worlds=60)
    env = make(worlds=60, carry=carry)
    full, usual = (
        torch.stack(tuple(one.simulator.truth.drones.vehicle.thrust_max_n))[:, :60] for one in (env, strong)
    )
    part = full / usual
    is_weak = (part - 0.8).abs() < 1e-5
    assert (is_weak | ((part - 1.0).abs() < 1e-5)).all()
    assert (is_weak == is_weak[:1]).all()  # all four rotors of a member
    assert (is_weak[0].sum(1) <= 1).all() and 15 < is_weak[0].sum() < 45


def test_a_new_seed_decides_all_that_is_drawn_from_then_on():
    pictures = []
    for before, seed in ((1, 7), (2, 7), (2, 8)):
        env = make(randomization=Randomization(), carry=CarryConfig(), seed=before)
        env.step(nothing(env))
        env.reseed(seed)
        env.restart(torch.arange(WORLDS), torch.zeros(WORLDS, dtype=torch.bool))
        env.look()
        env.step(nothing(env))
        pictures.append(env.observations["critic"].clone())
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])


def test_a_steady_member_does_not_do_what_its_policy_says_and_the_others_do():
    env = make(carry=dataclasses.replace(CarryConfig(), steady_share=1.0))
    member = env._steady_member.clone()
    calm = env.order(nothing(env)).clone()
    wild = env.order(nothing(env) + 1.0)
    same = (calm == wild).all(0)[:, :WORLDS]
    assert torch.equal(same, torch.arange(3)[:, None] == member)
    path, load = env._at.path, env.simulator.world.load.body.quat_wb.yaw()[:WORLDS, 0]
    assert (path[6:12, :WORLDS] == 0.0).all()
    assert (path[5, :WORLDS, 0] - load).abs().max() <= STEADY_YAW_RAD + 1e-5
