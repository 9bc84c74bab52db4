"""Teams that learn at once: whose rows are whose, and that each is what it is alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from corvids.envs.environment import EnvConfig
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.several_teams import SeveralTeams
from corvids.envs.team_environment import TeamEnvironment

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = EnvConfig(
    task="carry", control_hz=100, episode_s=0.05, randomization=Randomization(command_delay_s=(0.0, 0.008))
)
TEAMS, WORLDS = ("falcon3", "falcon5"), 3


def alone(index: int, seed: int = 4) -> TeamEnvironment:
    config = dataclasses.replace(CONFIG, carry=CarryConfig(team=TEAMS[index]))
    return TeamEnvironment(config, WORLDS, seed=seed + index, compile_kernels=False)


def test_each_team_flies_as_it_does_alone_and_is_seen_in_its_rows():
    together = SeveralTeams(CONFIG, TEAMS, WORLDS, seed=4, compile_kernels=False)
    each = [alone(index) for index in range(2)]
    rows = [WORLDS * env.drones for env in each]
    assert len(together.observations["actor"]) == len(together.steps) == sum(rows) == 24
    generator = torch.Generator().manual_seed(0)
    for _ in range(7):  # over the end of the first episodes
        action = 0.3 * torch.randn((sum(rows), 5), generator=generator)
        seen, rewards, done, extras = together.step(action)
        parts = [env.step(part) for env, part in zip(each, action.split(rows), strict=True)]
        torch.testing.assert_close(seen["actor"], torch.cat([part[0]["actor"] for part in parts]))
        torch.testing.assert_close(rewards, torch.cat([part[1] for part in parts]))
        assert torch.equal(done, torch.cat([part[2] for part in parts]))
        assert torch.equal(extras["time_outs"], torch.cat([part[3]["time_outs"] for part in parts]))
        ended = sum(len(part[3]["log"]["failed"]) for part in parts if "log" in part[3])
        assert ended == (len(extras["log"]["failed"]) if "log" in extras else 0)
    assert together.steps[:9].tolist() == each[0].steps.tolist()


def test_critics_of_small_teams_are_told_nothing_of_members_that_are_not_there():
    together = SeveralTeams(CONFIG, TEAMS, WORLDS, seed=4, compile_kernels=False)
    each = [alone(index) for index in range(2)]
    own = each[0].observations["actor"].shape[1]
    wide, narrow = together.observations["critic"], each[0].observations["critic"]
    torch.testing.assert_close(wide[9:], each[1].observations["critic"])
    of_members = wide[:9, own : own + 14 * 5].reshape(9, 14, 5)
    assert (of_members[:, :, 3:] == 0.0).all()
    torch.testing.assert_close(of_members[:, :, :3].flatten(1), narrow[:, own : own + 14 * 3])
    torch.testing.assert_close(wide[:9, own + 14 * 5 :], narrow[:, own + 14 * 3 :])


def test_a_new_seed_decides_for_all_teams():
    pictures = []
    for seed in (7, 7, 8):
        env = SeveralTeams(CONFIG, TEAMS, WORLDS, seed=1, compile_kernels=False)
        env.reseed(seed)
        for _ in range(6):
            env.step(torch.zeros(24, 5))
        pictures.append(env.observations["critic"])
    assert torch.equal(pictures[0], pictures[1])
    for rows in (slice(0, 9), slice(9, 24)):
        assert not torch.equal(pictures[1][rows], pictures[2][rows])
