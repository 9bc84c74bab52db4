"""How a team that bears a load ends its flight: it holds, lowers the load together, and releases it.

A member on a taut cable can neither land nor leave its load to the others. So whatever makes one of them end its flight
makes all stay where they are, and then sink at one rate, each bearing its cable by its inner loop, until the load lies
on the ground and every cable is slack. Only then they are vehicles like others, and land. No clock, no links are here,
and the load's pose is not needed.
"""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Phase(enum.Enum):
    """What a team is doing."""

    CARRYING = "carrying"
    HOLDING = "holding"
    """All stay where they are."""
    LOWERING = "lowering"
    """All sink."""
    RELEASED = "released"
    """Cables are slack: each may land."""


@dataclasses.dataclass(frozen=True)
class DescentConfig:
    """How it goes down."""

    hold_s: float = 1.5
    """How long to hold first, so that the load's swing dies [s]."""
    rate_mps: float = 0.3
    """Rate at which to sink."""
    ramp_s: float = 1.0
    """Time in which that rate is reached [s]."""
    slack_part: float = 0.2
    """A cable is slack that pulls with less than this part of the member's share."""
    slack_s: float = 0.5
    """How long all must be slack [s]."""


class TeamDescent:
    """The descent of one team, members in rows."""

    def __init__(self, share_mps2: Array, config: DescentConfig | None = None) -> None:
        """``share_mps2`` (rows,): what a member's share of the load pulls down, over the member's mass."""
        self.phase = Phase.CARRYING
        self._config, self._share_mps2 = config or DescentConfig(), share_mps2
        self._now_s = self._since_s = math.nan
        self._slack_since_s = math.inf

    def begin(self, now_s: float) -> bool:
        """A member must end its flight, at ``now_s`` [s]; whether that is news."""
        if self.phase is not Phase.CARRYING:
            return False
        self.phase, self._now_s, self._since_s = Phase.HOLDING, now_s, now_s
        return True

    def advance(
        self, now_s: float, outside_w_mps2: Array, are_flown: NDArray[np.bool_] | None = None
    ) -> float:
        """How far all places sink [m] until ``now_s`` [s]; ``outside_w_mps2`` (rows, 3) is what pulls at members.

        ``are_flown`` (rows,): whose cables count, all if None; of a member that nobody here flies any more none can be
        awaited to go slack.
        """
        config, step_s = self._config, max(0.0, now_s - self._now_s)
        self._now_s = max(self._now_s, now_s)
        if self.phase is Phase.HOLDING and now_s - self._since_s >= config.hold_s:
            self.phase, self._since_s = Phase.LOWERING, now_s
        if self.phase is not Phase.LOWERING:
            return 0.0
        are_slack = -outside_w_mps2[:, 2] < config.slack_part * self._share_mps2
        is_slack = bool((are_slack if are_flown is None else are_slack | ~are_flown).all())
        self._slack_since_s = min(self._slack_since_s, now_s) if is_slack else math.inf
        if now_s - self._slack_since_s >= config.slack_s:
            self.phase = Phase.RELEASED
        return config.rate_mps * min(1.0, (now_s - self._since_s) / config.ramp_s) * step_s
