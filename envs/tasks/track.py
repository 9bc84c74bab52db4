"""Follow a moving reference: figure-eights and other Lissajous curves, or positions that jump."""

from __future__ import annotations

from typing import ClassVar

import torch

from corvids.controllers.spatial import Scalar
from corvids.envs.episodes.randomization import Draws
from corvids.envs.mdp.mirrors import VECTOR, Signs
from corvids.envs.mdp.task import PolicyInputs
from corvids.envs.tasks.hover import Hover

AMPLITUDE_M = (1.2, 1.2, 0.4)
"""Largest amplitude along each axis."""
FREQUENCY_RADPS = (0.4, 1.6)
"""Range of the frequencies along each axis."""
STANDING = 0.25
"""Share of the references that stand still."""


class Track(Hover):
    """Command: reference position [m] and velocity [m/s], world.

    Each axis of the reference is a harmonic oscillator about a centre: a Lissajous curve.
    """

    NAME: ClassVar[str] = "track"
    COMMAND: ClassVar[tuple[str, ...]] = (
        "place_x_w_m", "place_y_w_m", "place_z_w_m", "vel_x_w_mps", "vel_y_w_mps", "vel_z_w_mps",
    )  # fmt: skip
    MIRRORS: ClassVar[tuple[Signs, ...]] = (*Hover.MIRRORS, *VECTOR)
    PATH: ClassVar[int] = 6
    """Centre [m] and frequency [rad/s] along each axis."""

    def draw_command(self, draws: Draws, last: torch.Tensor | None, count: int) -> torch.Tensor:
        """A curve entered at a random phase, within a metre of where the last one was left."""
        pos = super().draw_command(draws, last, count)
        size = torch.tensor(AMPLITUDE_M, device=pos.device)[:, None]
        moving = draws.uniform((0.0, 1.0), 1, count) > STANDING
        amplitude = size * draws.uniform((0.2, 1.0), 3, count) * moving
        frequency, phase = draws.uniform(FREQUENCY_RADPS, 3, count), draws.uniform((0.0, 6.2832), 3, count)
        center = pos - amplitude * torch.sin(phase)
        return torch.cat((pos, amplitude * frequency * torch.cos(phase), center, frequency))

    def move(self, command: tuple[Scalar, ...], tick_s: float) -> tuple[Scalar, ...]:
        """The exact motion of three oscillators over one tick."""
        pos, vel, center, frequency = command[:3], command[3:6], command[6:9], command[9:12]
        new_pos, new_vel = [], []
        for x, v, c, w in zip(pos, vel, center, frequency, strict=True):
            cos, sin = torch.cos(w * tick_s), torch.sin(w * tick_s)
            new_pos.append(c + (x - c) * cos + v * sin / w)
            new_vel.append(v * cos - (x - c) * sin * w)
        return (*new_pos, *new_vel, *center, *frequency)

    def observe(self, inputs: PolicyInputs, memory: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """As for hovering, and the reference's velocity."""
        return torch.cat((super().observe(inputs, memory, actions), inputs.command[:, 3:6]), dim=-1)
