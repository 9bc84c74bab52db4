"""Where a goal will be and how it will accelerate, told from its pose, its twist and the poses to come.

Three poses to come and a twist do not say how a goal moves between them. Of all linear estimates, those are taken that
err least on swings of equal acceleration and any frequency up to :data:`BAND_RADPS`; slow ones among them are as good
as polynomials. (Polynomials through the same data are worse than nothing where they matter: they take the jerk of a
swing at 2.7 rad/s for 2.2 times what it is.) On feature tensors of shape ``(n, ·)``; its operations are exported.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.envs.mdp.goal_path import PREVIEWS_S
from corvids.envs.mdp.pose_features import goals_to_come

AHEAD_S = (0.0, 0.1, 0.2, 0.3)
"""Moments on the goal's path."""
BAND_RADPS = 3.5
"""Goals that swing faster are foreseen the worse."""
_RADPS = torch.linspace(0.0, BAND_RADPS, 65, dtype=torch.float64)[1:, None]


def _departure(seconds: torch.Tensor) -> torch.Tensor:
    """How far swings with an acceleration of 1 have departed from uniform motion after ``seconds``, (swings, s)."""
    phase = _RADPS * seconds
    return torch.cat(((1.0 - phase.cos()) / _RADPS**2, (phase - phase.sin()) / _RADPS**2))


def _estimates() -> tuple[torch.Tensor, torch.Tensor]:
    """What departures at :data:`PREVIEWS_S` are multiplied by for those at AHEAD_S, and for accelerations, (3, 4)."""
    known, ahead_s = (torch.tensor(times, dtype=torch.float64) for times in (PREVIEWS_S, AHEAD_S))
    phase = _RADPS * ahead_s
    wanted = torch.cat((_departure(ahead_s), torch.cat((phase.cos(), phase.sin()))), dim=1)
    departures, accels = torch.linalg.lstsq(_departure(known), wanted).solution.split(len(AHEAD_S), dim=1)
    return departures, accels


_DEPARTURES, _ACCELS = _estimates()


class Ahead(NamedTuple):
    """A goal at :data:`AHEAD_S`; all (n, 4, 3)."""

    pos_w: torch.Tensor
    """Place, from the present one [m]."""
    turn_b: torch.Tensor
    """Rotation vector from the present attitude [rad, its axes]."""
    accel_w: torch.Tensor
    """Acceleration [m/s²]."""


def goal_ahead(command: torch.Tensor) -> Ahead:
    """Of a command (n, c) as :data:`corvids.envs.mdp.goal_path.COMMAND`."""
    times, moments = (
        torch.tensor(seconds, dtype=command.dtype, device=command.device)[:, None]
        for seconds in (PREVIEWS_S, AHEAD_S)
    )
    twist = command[:, None, 7:13]
    left = goals_to_come(command) - twist * times
    departures, accels = (weights.t().to(command) for weights in (_DEPARTURES, _ACCELS))
    poses = twist * moments + departures @ left
    return Ahead(poses[:, :, :3], poses[:, :, 3:], accels @ left[:, :, :3])
