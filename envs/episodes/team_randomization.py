"""Domain randomization of a team: every member as a vehicle of its own, cables, load, and how that is sensed."""

from __future__ import annotations

import torch

from corvids.controllers.packing import leaf_names, leaves, pack
from corvids.envs.episodes.randomization import Draws, Randomization
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.physics.team_world import TeamParams
from corvids.envs.sensors.load_sensing import LoadSensorParams


class TeamDraws(Draws):
    """Draws packed parameters and sensors for worlds about to start an episode."""

    def __init__(
        self,
        config: Randomization,
        carry: CarryConfig,
        nominal: TeamParams,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        super().__init__(config, nominal.drones, device, generator)
        self._carry = carry
        self._load = torch.stack([leaf.reshape(-1) for leaf in leaves(nominal.load)]).to(
            device, torch.float32
        )
        self._load_names = leaf_names(nominal.load)
        self._drones = len(next(leaves(nominal.drones)).reshape(-1))

    def team(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Packed parameters of ``count`` worlds' drones and cables (·, count, drones), and loads (·, count, 1)."""
        carry, drones = self._carry, self._drones
        members = self.params(count)
        load = self._load[:, None].repeat(1, count, 1)
        load[self._at("mass_kg", 1)] *= self.uniform(carry.load_mass_factor, 1, count, 1)
        load[self._at("inertia_kgm2.x", 3)] *= self.uniform(carry.load_inertia_factor, 1, count, 1)
        # Places on the load are relative to its centre of mass.
        shift = self.uniform(carry.load_center_m, 3, count, 1)
        for field in ("center_b_m.x", "pose_point_b_m.x"):
            load[self._at(field, 3)] -= shift
        points = self._rows("cable.load_point_b.x", 3)
        members[points] += self.uniform(carry.attachment_m, 3, count, drones) - shift
        members[self._rows("cable.length_m", 1)] += self.uniform(carry.cable_length_m, 1, count, drones)
        # Stiffness and damping lie side by side.
        members[self._rows("cable.stiffness_npm", 2)] *= self.uniform(
            carry.cable_stiffness_factor, 1, count, drones
        )
        wind = members[self._rows("wind_w.x", 3)]
        load[self._at("wind_w.x", 3)] = wind[..., :1]
        return members, load

    def load_sensors(self, count: int) -> torch.Tensor:
        """Packed :class:`LoadSensorParams` of ``count`` worlds, (·, count, drones)."""
        config, carry, shape = self.config, self._carry, (count, self._drones)
        scale = self.uniform(config.noise_factor, *shape)
        drawn = LoadSensorParams(
            delay_s=self.uniform(carry.load_delay_s, *shape),
            period_s=self.uniform(carry.load_period_s, *shape),
            pos_std_m=scale * carry.load_pos_std_m,
            attitude_std_rad=scale * carry.load_attitude_std_rad,
        )
        return pack(drawn)

    def _at(self, first: str, count: int) -> slice:
        start = self._load_names.index(first)
        return slice(start, start + count)
