"""A team's training: rows of drones through PPO, into a checkpoint that is read back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from runs import read_checkpoint, uncompiled

from corvids.commands.train import train
from corvids.controllers.packing import leaves
from corvids.envs import team_environment, team_simulator
from corvids.envs.compiled import kernels
from corvids.envs.physics.team_nominal import team_params
from corvids.errors import CorvidsError
from corvids.training.checkpoint import load_checkpoint
from corvids.training.checks import check_config
from corvids.training.config import NetworkConfig, PpoConfig, TrainConfig
from corvids.training.member_actors import MemberMLP
from corvids.training.policy_module import TeamPolicyModule
from corvids.training.presets import preset
from corvids.training.runner import Runner
from corvids.training.vec_env import RslVecEnv


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    uncompiled(monkeypatch)
    for module in (kernels, team_simulator):
        monkeypatch.setattr(module, "compiled", lambda function, enabled=True: function)
        monkeypatch.setattr(module, "on_tiles", lambda device, enabled=True: False)


def tiny(name: str = "quick") -> TrainConfig:
    """Two batches of three teams."""
    return dataclasses.replace(
        preset("carry", name),
        network=NetworkConfig(actor=(16,), critic=(16,), mirrored=False),
        ppo=PpoConfig(steps=3, epochs=1, minibatches=1),
        worlds=3,
        iterations=2,
    )


def test_a_run_learns_from_every_drone_and_is_read_back(tmp_path: Path):
    config = tiny()
    train(config, tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config == config
    assert checkpoint.iterations == 2
    state = read_checkpoint(tmp_path)
    counted = state["actor_state_dict"]["obs_normalizer.count"]
    assert int(counted) == 2 * 3 * 3 * 3  # batches, steps, worlds, drones
    critic = state["critic_state_dict"]["obs_normalizer._mean"].shape[-1]
    assert critic > checkpoint.actor["obs_normalizer._mean"].shape[-1]  # it is told the truth besides
    assert torch.isfinite(checkpoint.actor["mlp.0.weight"]).all()


def test_critics_of_independent_learners_see_what_actors_see_and_learn(tmp_path: Path):
    config = tiny()
    config = dataclasses.replace(
        config, network=dataclasses.replace(config.network, critic_sees="observation")
    )
    before = config.iterations
    train(dataclasses.replace(config, iterations=1), tmp_path / "first")
    train(config, tmp_path / "both")
    first, both = (read_checkpoint(tmp_path / name)["critic_state_dict"] for name in ("first", "both"))
    assert before == 2
    seen = load_checkpoint(tmp_path / "both").actor["obs_normalizer._mean"].shape[-1]
    assert both["mlp.0.weight"].shape == (16, seen)
    assert not torch.equal(first["mlp.0.weight"], both["mlp.0.weight"])


def test_members_may_have_actors_of_their_own_in_one_file(tmp_path: Path):
    config = tiny()
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, actors="own"))
    train(config, tmp_path)
    actor = TeamPolicyModule.of_team(load_checkpoint(tmp_path)).actor
    assert isinstance(actor.mlp, MemberMLP) and len(actor.mlp.each) == 3
    env = team_environment.TeamEnvironment(config.env, 2)
    seen = env.observations["actor"]
    facts = env.task.facts()
    torch.testing.assert_close(seen[:, slice(*env.task.OWN_PLACE)], facts.repeat_interleave(2, 0)[:, :3])
    # Rows of a member are what its own network says, and change with it alone.
    before = actor(seen)
    networks = [
        [part for part in one.children() if isinstance(part, torch.nn.Linear)] for one in actor.mlp.each
    ]
    with torch.no_grad():
        networks[1][-1].bias.add_(1.0)
    changed = actor(seen) - before
    torch.testing.assert_close(changed, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])[:, None].expand(-1, 5))
    # Learning moved all three, apart.
    firsts = [first.weight for first, *_ in networks]
    assert not torch.equal(firsts[0], firsts[1]) and not torch.equal(firsts[1], firsts[2])


def test_members_that_nothing_tells_apart_share_their_actor(tmp_path: Path):
    config = dataclasses.replace(tiny(), teams=("falcon3", "falcon4"))
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, actors="own"))
    with pytest.raises(CorvidsError, match="'own': several teams cannot have them"):
        train(config, tmp_path)


def test_the_critic_learns_alone_at_first(tmp_path: Path):
    config = tiny()
    last = f"mlp.{2 * len(config.network.actor)}.weight"
    states = []
    for alone in (1, 2):
        ppo = dataclasses.replace(config.ppo, critic_first=alone)
        train(dataclasses.replace(config, ppo=ppo), tmp_path / str(alone))
        states.append(read_checkpoint(tmp_path / str(alone)))
    actors = [state["actor_state_dict"][last].abs().max() for state in states]
    assert actors[0] > 0.0 and actors[1] == 0.0
    critics = [state["critic_state_dict"]["mlp.0.weight"] for state in states]
    assert torch.isfinite(critics[1]).all()
    fresh = tmp_path / "fresh"
    train(dataclasses.replace(config, iterations=0), fresh)
    assert not torch.equal(critics[1], read_checkpoint(fresh)["critic_state_dict"]["mlp.0.weight"])


def test_learning_begins_from_the_law_and_from_nothing_without_one(tmp_path: Path):
    for guided in (True, False):
        config = tiny()
        env = dataclasses.replace(config.env, carry=dataclasses.replace(config.env.carry, guided=guided))
        config = dataclasses.replace(config, env=env)
        world = RslVecEnv(team_environment.TeamEnvironment(env, 3))
        actor = Runner(world, config, tmp_path / str(guided), "cpu").alg.actor
        said = actor(world.get_observations())
        assert said.shape == (9, 5)
        assert (said.abs().max() == 0.0) == guided


def test_a_run_of_no_batches_holds_the_law_alone(tmp_path: Path):
    train(dataclasses.replace(tiny(), iterations=0), tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.iterations == 0
    last = max(int(name.split(".")[1]) for name in checkpoint.actor if name.startswith("mlp."))
    assert checkpoint.actor[f"mlp.{last}.weight"].abs().max() == 0.0
    assert checkpoint.actor["mlp.0.weight"].abs().max() > 0.0


def test_the_published_conditions_are_exact_and_pay_at_most_five_a_second():
    config = dataclasses.replace(tiny("zeng"), iterations=1)
    check_config(config)
    env = team_environment.TeamEnvironment(config.env, 3)
    nominal = team_params(env.team, env.simulator.dt_s)
    for drawn, exact in zip(leaves(env.simulator.truth), leaves(nominal), strict=True):
        torch.testing.assert_close(drawn[:3], exact.float().expand(3, -1), rtol=1e-6, atol=1e-7)
    _, rewards, done, _ = env.step(torch.zeros(9, 5))
    assert not done.any()
    assert rewards.min() > 0.01 and rewards.max() <= 0.05
    assert env.steps_max == 2000


def test_a_mirrored_network_is_refused_for_a_team(tmp_path: Path):
    config = dataclasses.replace(tiny(), network=NetworkConfig(actor=(16,), critic=(16,), mirrored=True))
    with pytest.raises(CorvidsError, match=r"'carry': .* train with --config.network.no-mirrored"):
        train(config, tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("load_period_s", (0.002, 0.01), "carry.load_period_s .* at least 0.005 s"),
        ("tilt_rad", 2.0, r"env.carry.tilt_rad = 2.0 is out of range"),
        ("load_delay_s", (0.04, 0.01), "env.carry.load_delay_s .* wrong way round"),
    ],
)
def test_what_cannot_be_sensed_is_refused(field: str, value, message: str):
    config = tiny()
    carry = dataclasses.replace(config.env.carry, **{field: value})
    with pytest.raises(CorvidsError, match=message):
        check_config(dataclasses.replace(config, env=dataclasses.replace(config.env, carry=carry)))


def test_a_rate_loop_slower_than_the_physics_is_refused():
    config = tiny()
    env = dataclasses.replace(config.env, rate_loop_hz=250)
    with pytest.raises(CorvidsError, match=r"env\.rate_loop_hz = 250 must be physics_hz, 500, for a team"):
        check_config(dataclasses.replace(config, env=env))
