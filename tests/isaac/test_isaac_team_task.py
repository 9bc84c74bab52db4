"""Carrying as an Isaac Lab environment of many agents: its own checks, and that it is the task that trains natively."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import dataclasses

import pytest
import torch
from test_isaac_tasks import isaac_lab_checks

from corvids.envs.compiled import kernels
from corvids.envs.episodes.randomization import NO_RANDOMIZATION
from corvids.envs.team_environment import TeamEnvironment
from corvids.training.presets import preset

pytestmark = pytest.mark.isaac
WORLDS = 16
FULL = preset("carry", "full").env


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of compiling does not pay for twenty steps."""
    monkeypatch.setattr(kernels, "compiled", lambda function, enabled=True: function)
    monkeypatch.setattr(kernels, "on_tiles", lambda device, enabled=True: False)
    # By name: where there is no Isaac Lab it cannot be imported, and this is skipped.
    monkeypatch.setattr("corvids.envs.isaac.team_simulator.fused", lambda function, device, enabled: function)


def test_isaac_labs_own_check_of_many_agents_passes():
    from isaaclab.sim import SimulationContext
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    import corvids.envs.isaac.gym_tasks  # noqa: F401

    SimulationContext.clear_instance()
    agents = load_cfg_from_registry("Corvids-Carry-v0", "env_cfg_entry_point").possible_agents
    assert agents == ["drone0", "drone1", "drone2"]  # of what is for one agent the check says nothing
    isaac_lab_checks()._check_random_actions(
        "Corvids-Carry-v0", "cpu", WORLDS, num_steps=10, multi_agent=True
    )


def test_an_episode_is_the_native_one():
    """Nothing drawn but the starts, the same seed and actions: what is seen, rewarded and ended agrees for 0.2 s."""
    from corvids.envs.isaac.team_task_env import open_team_environment

    config = dataclasses.replace(FULL, randomization=dataclasses.replace(NO_RANDOMIZATION, wild_share=0.0))
    native = TeamEnvironment(config, WORLDS, seed=3, compile_kernels=False)
    isaac = open_team_environment(config, WORLDS, seed=3)
    start = native.simulator.load[:3].clone()
    actions = 0.5 * torch.randn((20, 3 * WORLDS, 5), generator=torch.Generator().manual_seed(0))
    for action in actions:
        ours, reward, done, _ = native.step(action)
        theirs, their_reward, their_done, _ = isaac.step(action)
        assert torch.equal(done, their_done)
        torch.testing.assert_close(their_reward, reward, atol=2e-3, rtol=0.0)
        for group in ours:
            torch.testing.assert_close(theirs[group], ours[group], atol=0.03, rtol=0.0)
    assert (native.simulator.load[:3] - start).abs().max() > 0.02
    lab = isaac.lab
    assert torch.equal(lab.obs_dict["drone1"], isaac.observations["actor"][WORLDS : 2 * WORLDS])
    assert lab.state().shape == (WORLDS, lab.cfg.state_space)
    assert all(space.shape == (5,) for space in lab.action_spaces.values())
