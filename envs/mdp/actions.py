"""From a policy's action to a command of collective thrust and body rates (CTBR)."""

from __future__ import annotations

import torch

from corvids.vehicle import Vehicle

ACTIONS = 4
"""Numbers in an action: collective thrust and three body rates."""
RATE_SHARE = 0.4
"""Slope of the rate curve at no action, as part of the limit."""


class CtbrAction:
    """The map from unbounded actions to commands within the vehicle file's limits. Its operations are exported.

    An action is squashed by tanh. Thrust is hover at 0, nothing at -1, the limit at +1, linear on each side. Rates
    follow an "expo" curve as on a pilot's sticks, c · a + (1 - c) · a³ of their limit with c = :data:`RATE_SHARE`: fine
    about the middle, where a juggling vehicle lives, and yet everything the vehicle can do at the ends.
    """

    def __init__(self, vehicle: Vehicle) -> None:
        self._hover_n = vehicle.weight_n
        self._above_n = vehicle.limits.thrust_max_n - vehicle.weight_n
        self._rate_max = vehicle.limits.rate_max_radps

    def squash(self, action: torch.Tensor) -> torch.Tensor:
        """Bounded action, (n, 4), each within -1..1: what the history of past actions holds."""
        return torch.tanh(action)

    def command(self, squashed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Collective thrust [N], (n, 1), and body rates [rad/s, FLU], (n, 3), of a squashed action (n, 4)."""
        lift = squashed[:, :1]
        thrust_n = self._hover_n * (1.0 + lift) + (self._above_n - self._hover_n) * lift.relu()
        rate_max = torch.tensor(self._rate_max, dtype=squashed.dtype, device=squashed.device)
        turn = squashed[:, 1:]
        return thrust_n, turn * (RATE_SHARE + (1.0 - RATE_SHARE) * turn.square()) * rate_max
