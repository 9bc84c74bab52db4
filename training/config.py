"""Configuration of a training run, and its presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import torch

from corvids.envs.environment import EnvConfig
from corvids.envs.mdp.mirrors import CTBR, SAME, Signs
from corvids.training.member_actors import MemberModel, Members
from corvids.training.mirrored_mlp import MirroredModel


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Actor and critic networks."""

    actor: tuple[int, ...] = (128, 128)
    """Hidden layers of the actor."""
    critic: tuple[int, ...] = (128, 128)
    """Hidden layers of the critic."""
    activation: Literal["elu", "relu", "tanh"] = "elu"
    """Activation function."""
    mirrored: bool = True
    """Whether both networks do in a mirror what the mirror shows; right for vehicles that are symmetric."""
    actors: Literal["shared", "own"] = "shared"
    """Whether the members of a team share one actor, or each has its own; the policy file is one all the same."""
    critic_sees: Literal["truth", "observation"] = "truth"
    """What the critic sees: the truth (of a team, of its whole world, as in MAPPO), or what its actor sees and no more,
    as independent learners."""
    noise_std: float = 0.25
    """Initial standard deviation of the exploration noise on the raw action."""
    noise_std_min: float = 0.08
    """Below this it is not let fall: without a floor it collapsed, and learning with it, within 600 batches."""


SETTLES_FROM = 0.4
"""Part of a training after which steps become smaller, if they do."""


@dataclasses.dataclass(frozen=True)
class PpoConfig:
    """Proximal policy optimization (Schulman et al. 2017), as rsl_rl implements it."""

    steps: int = 24
    """Actions per world in one batch."""
    hold_steps: int = 1
    """Control steps that each action stands for while learning. Where what it adds is smooth, more of them make a batch
    of the same size tell of a longer time."""
    epochs: int = 4
    """Passes over each batch."""
    minibatches: int = 4
    """Parts that a batch is split into."""
    learning_rate: float = 1e-3
    """Initial learning rate; then adapted to the KL target."""
    desired_kl: float = 0.01
    """KL divergence per update that the learning rate is adapted to."""
    desired_kl_last: float = 0.0
    """What that falls to, evenly on a logarithmic scale, from :data:`SETTLES_FROM` of the training to its end: smaller
    and smaller steps average out what is noise. 0: it stays."""
    clip: float = 0.2
    """Clipping range of the probability ratio."""
    discount: float = 0.995
    """Discount per action."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    entropy: float = 0.002
    """Weight of the entropy bonus."""
    value_weight: float = 1.0
    """Weight of the value loss."""
    grad_norm_max: float = 1.0
    """Gradient clipping."""
    critic_first: int = 0
    """Batches at the start from which the critic learns alone. A network that only corrects a law is otherwise led away
    from it by a critic that knows nothing yet."""
    mixed_precision: bool = True
    """Learn with products in bfloat16 where the machine has instructions for them: half again as fast."""

    def desired_kl_at(self, part: float) -> float:
        """KL target after that part (0..1) of a training."""
        if self.desired_kl_last == 0.0:
            return self.desired_kl
        settled = min(1.0, max(0.0, part - SETTLES_FROM) / (1.0 - SETTLES_FROM))
        return self.desired_kl * (self.desired_kl_last / self.desired_kl) ** settled


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    env: EnvConfig = dataclasses.field(default_factory=EnvConfig)
    """The environment."""
    sim: Literal["native", "isaac"] = "native"
    """Who integrates its bodies: the native simulator, or Isaac Lab."""
    network: NetworkConfig = NetworkConfig()
    """The networks."""
    ppo: PpoConfig = PpoConfig()
    """The algorithm."""
    worlds: int = 2048
    """Parallel worlds in each process (of every team, where there are several)."""
    teams: tuple[str, ...] = ()
    """Teams that learn at once, if more than env.carry.team is to: names or paths of team files."""
    iterations: int = 800
    """Batches to learn from."""
    save_every: int = 25
    """Batches between checkpoints."""
    seed: int = 0
    """Seed of everything that is drawn."""


def multiplies_bfloat16(device: str) -> bool:
    """Whether a device has instructions for products of bfloat16, without which they are slower than float32's."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu.get_capabilities().get("avx512_bf16", False)


def rsl_rl_config(
    config: TrainConfig,
    device: str,
    mirrors: Mapping[str, tuple[Signs, ...]],
    members: Members | None = None,
) -> dict[str, Any]:
    """The same in rsl_rl's terms (a dict, as its runner wants it).

    ``mirrors``: an environment's. ``members``: a team's, where each has an actor of its own.
    """
    network, ppo = config.network, config.ppo
    judged = "critic" if network.critic_sees == "truth" else "actor"

    def model(hidden: tuple[int, ...], group: str, outputs: tuple[Signs, ...]) -> dict[str, Any]:
        kind: dict[str, Any] = {"class_name": "MLPModel"}
        if network.mirrored:
            kind = {"class_name": MirroredModel, "inputs": mirrors[group], "outputs": outputs}
        return {
            **kind,
            "hidden_dims": list(hidden),
            "activation": network.activation,
            "obs_normalization": True,
        }

    return {
        "num_steps_per_env": ppo.steps,
        "save_interval": config.save_every,
        "check_for_nan": False,
        "obs_groups": {"actor": ["actor"], "critic": [judged]},
        "actor": {
            **model(network.actor, "actor", CTBR),
            **({} if members is None else {"class_name": MemberModel, **members._asdict()}),
            "distribution_cfg": {
                "class_name": "GaussianDistribution",
                "init_std": network.noise_std,
                "std_type": "log",
                "std_range": (network.noise_std_min, 1.0),
            },
        },
        "critic": model(network.critic, judged, (SAME,)),
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": ppo.epochs,
            "num_mini_batches": ppo.minibatches,
            "clip_param": ppo.clip,
            "gamma": ppo.discount,
            "lam": ppo.gae_lambda,
            "value_loss_coef": ppo.value_weight,
            "entropy_coef": ppo.entropy,
            "learning_rate": ppo.learning_rate,
            "max_grad_norm": ppo.grad_norm_max,
            "schedule": "adaptive",
            "desired_kl": ppo.desired_kl,
            "use_mixed_precision": ppo.mixed_precision and multiplies_bfloat16(device),
            "rnd_cfg": None,
            "symmetry_cfg": None,
        },
    }
