"""The stages of a team's policy file as torch modules on rows: the load's filter and ACCBR's inner loop."""

from __future__ import annotations

import torch

from corvids.controllers.force_compensation import (
    AccelerationCommand,
    CompensationGains,
    CompensationState,
    compensate,
)
from corvids.controllers.load_filter import UNKNOWN_LOAD, LoadFilterConfig, load_filter
from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Quat, Vec3


class LoadFilterModule(torch.nn.Module):
    """The load's filter: ``estimate`` (n, 13) holds the leaves of ``LoadEstimate`` in order."""

    def __init__(self, config: LoadFilterConfig) -> None:
        super().__init__()
        self._config = config

    def forward(
        self,
        measured_pos_w: torch.Tensor,
        measured_quat_wb: torch.Tensor,
        elapsed_s: torch.Tensor,
        estimate: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Position, velocity, attitude and angular velocity at the measurement, and the estimate after it."""
        columns = iter(estimate.split(1, dim=1))
        before = map_leaves(lambda _: next(columns), UNKNOWN_LOAD)
        pos_w, quat_wb = Vec3(*measured_pos_w.split(1, dim=1)), Quat(*measured_quat_wb.split(1, dim=1))
        after = load_filter(before, pos_w, quat_wb, elapsed_s, self._config)
        parts = [torch.cat(tuple(part), dim=1) for part in after]
        return (*parts, torch.cat(parts, dim=1))


class InnerLoopModule(torch.nn.Module):
    """The inner loop: ``loop`` (n, 4) holds the leaves of ``CompensationState`` in order."""

    def __init__(self, gains: CompensationGains) -> None:
        super().__init__()
        self._gains = gains

    def forward(
        self,
        accel_w_mps2: torch.Tensor,
        turn_b_radps: torch.Tensor,
        accelerometer_b: torch.Tensor,
        quat_wb: torch.Tensor,
        loop: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Thrust (n, 1) and body rates (n, 3) to command, and the loop's memory after this step."""
        thrust_n, *outside = loop.split(1, dim=1)
        roll, pitch = turn_b_radps.split(1, dim=1)
        command = AccelerationCommand(
            Vec3(*accel_w_mps2.split(1, dim=1)), Vec3(roll, pitch, torch.zeros_like(roll))
        )
        felt_b, quat = Vec3(*accelerometer_b.split(1, dim=1)), Quat(*quat_wb.split(1, dim=1))
        state, order = compensate(
            CompensationState(thrust_n, Vec3(*outside)), command, felt_b, quat, self._gains
        )
        rates = torch.cat(tuple(order.rate_b), dim=1)
        return order.thrust_n, rates, torch.cat(tuple(leaves(state)), dim=1)
