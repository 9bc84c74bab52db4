"""The tasks as Isaac Lab environments: its own checks, and that they are the tasks that train natively."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.episodes.randomization import NO_RANDOMIZATION
from corvids.envs.tasks import TASKS, TEAM_TASKS
from corvids.training.presets import preset

pytestmark = pytest.mark.isaac
WORLDS = 32


def isaac_lab_checks() -> ModuleType:
    """What Isaac Lab checks its own environments with; its wheel has it beside its sources."""
    package = importlib.util.find_spec("isaaclab")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "source/isaaclab_tasks/test/env_test_utils.py"
    spec = importlib.util.spec_from_file_location("env_test_utils", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "task",
    ["Corvids-Juggle-v0", pytest.param("Corvids-Hover-v0", marks=pytest.mark.slow), "Corvids-Track-v0"],
)
def test_isaac_labs_own_check_passes(task: str):
    """Random actions for 20 steps, as Isaac Lab's tests of its own environments do, and nothing that is not finite."""
    from isaaclab.sim import SimulationContext

    import corvids.envs.isaac.gym_tasks  # noqa: F401

    SimulationContext.clear_instance()  # another test's: there is one in a process
    isaac_lab_checks()._check_random_actions(task, "cpu", WORLDS, num_steps=20)


def test_gymnasiums_own_check_passes():
    from gymnasium.utils.env_checker import check_env

    from corvids.envs.isaac.one_world import OneWorld

    env = OneWorld(EnvConfig(task="hover", vehicle="x500", episode_s=0.1))
    check_env(env, skip_render_check=True)
    env.reset(seed=1)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]
    env.close()


def test_everything_drawn_follows_from_the_seed_of_a_reset():
    from corvids.envs.isaac.task_env import open_environment

    lab = open_environment(EnvConfig(task="hover", vehicle="x500"), WORLDS).lab
    seen = []
    for seed in (5, 6, 5):
        lab.reset(seed=seed)
        for _ in range(3):
            lab.step(torch.zeros(WORLDS, 4))
        seen.append(lab.obs_buf["policy"].clone())
    assert torch.equal(seen[0], seen[2])
    assert (seen[0] - seen[1]).abs().max() > 0.1


def test_what_is_registered_is_what_the_presets_train_in():
    from corvids.envs.isaac.gym_tasks import CONFIGS

    assert {task: preset(task, "full").env for task in CONFIGS} == CONFIGS
    assert set(CONFIGS) == {*TASKS, *TEAM_TASKS}


def test_an_episode_is_the_native_one():
    """Nothing drawn but the starts, the same seed and actions: observations, rewards and ends agree for 0.4 s."""
    from corvids.envs.isaac.task_env import open_environment

    config = EnvConfig(task="hover", vehicle="x500", randomization=NO_RANDOMIZATION)
    native = Environment(config, WORLDS, seed=3, compile_kernels=False)
    isaac = open_environment(config, WORLDS, seed=3, compile_kernels=True)
    actions = 0.3 * torch.randn((20, WORLDS, 4), generator=torch.Generator().manual_seed(0))
    for action in actions:
        ours, reward, done, _ = native.step(action)
        theirs, their_reward, their_done, _ = isaac.step(action)
        assert torch.equal(done, their_done)
        torch.testing.assert_close(their_reward, reward, atol=2e-3, rtol=0.0)
        for group in ours:
            torch.testing.assert_close(theirs[group], ours[group], atol=0.02, rtol=0.0)
    moved = native.simulator.state[:3, :WORLDS, 0]
    assert moved.std() > 0.1
    gym_obs = isaac.lab.obs_buf["policy"]
    assert isaac.lab.observation_space.contains(gym_obs.numpy())
    assert isaac.lab.single_action_space.shape == (4,)
