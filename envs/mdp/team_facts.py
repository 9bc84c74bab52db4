"""What a drone knows of its team without a radio: told once, before flight."""

from __future__ import annotations

import torch

from corvids.envs.physics.team_nominal import lumped_load
from corvids.team import Team

FACTS = (
    "own_x_m", "own_y_m", "own_z_m", "mean_x_m", "mean_y_m", "mean_z_m", "spread_xx_m2", "spread_xy_m2",
    "spread_yy_m2", "members", "load_kg", "cable_m", "center_x_m", "center_y_m", "center_z_m",
)  # fmt: skip
"""Own point of attachment, mean and second moments of all of them, how many carry what, the own cable's length, and the
load's centre of mass, cables included."""


def team_facts(team: Team) -> torch.Tensor:
    """The facts (:data:`FACTS`) of every member, (drones, f); places on the load are relative to its pose point."""
    points = torch.tensor([member.rigging.load_point_m for member in team.members])
    lengths = torch.tensor([[member.rigging.cable_length_m] for member in team.members])
    x, y, _ = points.t()
    spread = torch.stack(((x * x).mean(), (x * y).mean(), (y * y).mean()))
    carried = torch.tensor([float(len(team.members)), team.load.mass_kg])
    shared = torch.cat((points.mean(0), spread, carried))
    center = torch.tensor(lumped_load(team).center_m).expand(len(points), -1)
    return torch.cat((points, shared.expand(len(points), -1), lengths, center), dim=1)
