"""A team as PettingZoo sees it: its API test, and what it hands over is the training environment's."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("pettingzoo", reason="the extra marl is not installed")

from pettingzoo.test import parallel_api_test, parallel_seed_test

from corvids.envs.pettingzoo_env import ParallelTeam
from corvids.envs.team_environment import TeamEnvironment
from corvids.training.presets import preset

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = preset("carry", "quick").env


def make(seed: int = 0, **fields: Any) -> ParallelTeam:
    return ParallelTeam(dataclasses.replace(CONFIG, **fields), seed=seed, compile_kernels=False)


@pytest.mark.filterwarnings("error")
def test_it_passes_pettingzoos_own_tests():
    view = make(episode_s=0.2)
    parallel_api_test(view, num_cycles=25)  # one episode and what is beyond its end
    assert view.agents == []
    parallel_seed_test(lambda: make(episode_s=0.2), num_cycles=5)


def test_agents_get_the_rows_of_the_training_environment():
    view, env = make(seed=3), TeamEnvironment(CONFIG, 1, seed=3, compile_kernels=False)
    seen, _ = view.reset()
    random = np.random.default_rng(0)
    for _ in range(5):
        rows = env.observations["actor"].numpy()
        assert list(seen) == ["drone_0", "drone_1", "drone_2"]
        assert all(np.array_equal(seen[agent], row) for agent, row in zip(seen, rows, strict=True))
        assert np.array_equal(view.state(), env.observations["critic"][:, rows.shape[1] :].flatten().numpy())
        actions = random.normal(size=(3, 5)).astype(np.float32)
        seen, rewards, ended, _, _ = view.step(dict(zip(view.agents, actions, strict=True)))
        _, expected, done, _ = env.step(torch.from_numpy(actions))
        assert list(rewards.values()) == expected.tolist()
        assert list(ended.values()) == done.tolist() == [False] * 3


def test_an_episode_ends_for_all_with_its_last_observation_and_begins_anew_elsewhere():
    view = make(episode_s=0.03)
    first, _ = view.reset()
    seen = first
    for tick in range(3):
        assert len(view.agents) == 3
        seen, _, ended, over, _ = view.step({agent: np.zeros(5, np.float32) for agent in view.agents})
        assert set(over.values()) == {tick == 2}
        assert not any(ended.values())
    assert view.agents == []
    height = float(view._env.simulator.load[2, 0, 0])
    assert np.allclose(
        seen["drone_0"][:3], first["drone_0"][:3], atol=0.05
    )  # where it was 0.03 s ago, nearly
    again, _ = view.reset()
    assert view.agents == view.possible_agents
    assert not np.allclose(again["drone_0"][:3], seen["drone_0"][:3], atol=0.05)
    assert view._env.simulator.load[2, 0, 0] != height
    view._env.simulator.load[2, 0, 0] = 0.02
    _, rewards, ended, over, _ = view.step({agent: np.zeros(5, np.float32) for agent in view.agents})
    assert set(ended.values()) == {True} and not any(over.values())
    assert max(rewards.values()) < -1.0
