"""What a training of carrying adds to an environment's configuration."""

from __future__ import annotations

import dataclasses
from typing import Literal

from corvids.controllers.load_filter import LoadFilterConfig

Range = tuple[float, float]
"""Smallest and largest value of a uniform draw."""


@dataclasses.dataclass(frozen=True)
class CarryConfig:
    """The team, its load, and how its members see it. A *factor* multiplies the nominal value."""

    team: str = "falcon3"
    """Name or path of the team file."""
    reward: Literal["own", "zeng"] = "own"
    """Ours, or that of Zeng et al. (arXiv 2508.01522) with their terminations."""
    guided: bool = True
    """Whether actions are added to those of a law that carries the load already, or begin from nothing."""
    law_near: float = 0.0
    """Error of the load [m and rad, added] below which the correction of the law fades, as the error's square: the law
    is precise by itself. A correction is then also given up where the error stays as it is, or shrinks well already. 0:
    it counts whole, everywhere and always."""
    accel_max_mps2: float = 6.0
    """Largest acceleration that a drone may command, along each axis."""
    rate_max_radps: float = 2.0
    """Largest roll and pitch rate that it may add to those of the inner loop."""
    moving_share: float = 0.3
    """Share of the goals that move."""
    fast_share: float = 0.0
    """Share of those whose place swings fast."""
    lost_share: float = 0.0
    """Share of the worlds in which a member loses its thrust in flight, and half of those lose its cable with it. They
    have one goal an episode, level and a metre and a half higher."""
    steady_share: float = 0.0
    """Share of the worlds in which a member holds its place above the goal, which stands, and bears a constant share of
    the load, whatever its policy says (:mod:`corvids.envs.mdp.steady_member`)."""
    weak_share: float = 0.0
    """Share of the worlds in which one member is weak: it has :attr:`weak_factor` of its thrust."""
    weak_factor: Range = (0.75, 1.0)
    """Thrust of the weak member, over what its own would be."""
    tilt_rad: float = 0.7854
    """Largest roll and pitch of goals."""
    load_filter: LoadFilterConfig = dataclasses.field(default_factory=LoadFilterConfig)
    """The filter that every drone sees the load through."""
    load_delay_s: Range = (0.01, 0.04)
    """Age of the load's pose when it arrives at a drone."""
    load_period_s: Range = (0.008, 0.01)
    """Sampling period of the load's pose."""
    load_pos_std_m: float = 0.002
    """Noise of the load's position."""
    load_attitude_std_rad: float = 0.0052
    """Noise of the load's attitude about each axis (0.3°)."""
    load_mass_factor: Range = (0.85, 1.2)
    """Load's mass."""
    load_inertia_factor: Range = (0.8, 1.4)
    """Load's moments of inertia, together."""
    load_center_m: Range = (-0.01, 0.01)
    """Displacement of the load's centre of mass along each axis."""
    cable_length_m: Range = (-0.01, 0.01)
    """Error of each cable's length."""
    cable_stiffness_factor: Range = (0.8, 1.2)
    """Each cable's stiffness and damping."""
    attachment_m: Range = (-0.005, 0.005)
    """Error of each point of attachment along each axis."""


EXACT_CARRY = CarryConfig(
    load_delay_s=(0.0, 0.0),
    load_pos_std_m=0.0,
    load_attitude_std_rad=0.0,
    load_mass_factor=(1.0, 1.0),
    load_inertia_factor=(1.0, 1.0),
    load_center_m=(0.0, 0.0),
    cable_length_m=(0.0, 0.0),
    cable_stiffness_factor=(1.0, 1.0),
    attachment_m=(0.0, 0.0),
)
"""Every load and cable as the team file has it, the load's pose exact and fresh."""
