"""How Isaac Lab's own scripts are to learn our tasks with rsl_rl: the presets ``full``, in its terms.

Named by :mod:`corvids.envs.isaac.gym_tasks` when it registers the tasks. Networks are plain: what mirrors them, and
what silences a network that corrects a law, are `corvids train`'s own; so is holding actions, and the same time is
discounted by the same here, where every control step has an action of its own.
"""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

from typing import Any

from isaaclab_rl.rsl_rl import RslRlMLPModelCfg, RslRlOnPolicyRunnerCfg, RslRlPpoAlgorithmCfg

from corvids.envs.tasks import TEAM_TASKS
from corvids.training.config import PpoConfig
from corvids.training.presets import preset


def juggle_agent() -> RslRlOnPolicyRunnerCfg:
    """For ``Corvids-Juggle-v0``."""
    return _agent("juggle")


def hover_agent() -> RslRlOnPolicyRunnerCfg:
    """For ``Corvids-Hover-v0``."""
    return _agent("hover")


def track_agent() -> RslRlOnPolicyRunnerCfg:
    """For ``Corvids-Track-v0``."""
    return _agent("track")


def carry_agent() -> RslRlOnPolicyRunnerCfg:
    """For ``Corvids-Carry-v0``, which Isaac Lab's scripts for rsl_rl take as one agent with all drones' actions."""
    return _agent("carry")


def _agent(task: str) -> RslRlOnPolicyRunnerCfg:
    config = preset(task, "full")
    network, ppo = config.network, config.ppo
    noise = RslRlMLPModelCfg.GaussianDistributionCfg(
        init_std=network.noise_std, std_type="log", std_range=(network.noise_std_min, 1.0)
    )
    return RslRlOnPolicyRunnerCfg(
        seed=config.seed,
        device="cpu",
        num_steps_per_env=ppo.steps * ppo.hold_steps,
        max_iterations=config.iterations,
        save_interval=config.save_every,
        experiment_name=f"corvids_{task}",
        obs_groups={"actor": ["policy"], "critic": ["policy" if task in TEAM_TASKS else "critic"]},
        actor=_network(network.actor, network.activation, noise),
        critic=_network(network.critic, network.activation, None),
        algorithm=_algorithm(ppo),
    )


def _network(hidden: tuple[int, ...], activation: str, noise: Any) -> RslRlMLPModelCfg:
    return RslRlMLPModelCfg(
        hidden_dims=list(hidden), activation=activation, obs_normalization=True, distribution_cfg=noise
    )


def _algorithm(ppo: PpoConfig) -> RslRlPpoAlgorithmCfg:
    return RslRlPpoAlgorithmCfg(
        num_learning_epochs=ppo.epochs,
        num_mini_batches=ppo.minibatches,
        learning_rate=ppo.learning_rate,
        schedule="adaptive",
        gamma=ppo.discount ** (1.0 / ppo.hold_steps),
        lam=ppo.gae_lambda ** (1.0 / ppo.hold_steps),
        entropy_coef=ppo.entropy,
        desired_kl=ppo.desired_kl,
        max_grad_norm=ppo.grad_norm_max,
        value_loss_coef=ppo.value_weight,
        use_clipped_value_loss=True,
        clip_param=ppo.clip,
    )
