"""From a policy's action to a command of acceleration and body rates (ACCBR)."""

from __future__ import annotations

import torch

from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.member_frame import meant
from corvids.envs.physics.inner_loop import ACCBR

ACCBR_ACTIONS = len(ACCBR)
"""Numbers in an action: acceleration along the world's axes, roll and pitch rate."""
GUIDANCE = ACCBR_ACTIONS + 5
"""Numbers that a law says."""
CORRECTION = 0.03
"""What a network's action is multiplied by where a law guides."""


class AccbrAction:
    """The map from unbounded actions to bounded commands: tanh times the limits. Its operations are exported.

    Where a law guides, a network's action is added to the law's, scaled down: it begins as a small correction.
    """

    def __init__(self, config: CarryConfig) -> None:
        self._share = CORRECTION if config.guided else 1.0
        self._most = (config.accel_max_mps2,) * 3 + (config.rate_max_radps,) * 2

    def squash(self, action: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Bounded action, (n, 5), each within -1..1: what the history of past actions holds.

        ``guidance`` (n, :data:`GUIDANCE`): what the law wants, and where the x axis of the frame in which a network
        corrects it (:mod:`corvids.envs.mdp.member_frame`) points, in the world and as the drone sees it, and which part
        of the correction counts.
        """
        wanted, x_w, x_own, part = guidance.split((ACCBR_ACTIONS, 2, 2, 1), dim=-1)
        return torch.tanh(wanted + meant(x_w, x_own, action) * (part * self._share))

    def command(self, squashed: torch.Tensor) -> torch.Tensor:
        """Acceleration [m/s², world] and roll and pitch rate [rad/s], (n, 5), of a squashed action (n, 5)."""
        return squashed * torch.tensor(self._most, dtype=squashed.dtype, device=squashed.device)
