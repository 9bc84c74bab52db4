"""Which command is streamed: the policy's, the last one again, or the hover controller's, without a step in thrust."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

import numpy as np

from corvids.deploy.fallback import Fallback
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.envelope import Envelope, Fence, Triple
from corvids.deploy.supervision.reactions import STREAMING, State

BLEND_S = 0.15
"""Time over which a step in thrust is taken out when the source of the command changes [s]."""


class Source(enum.Enum):
    """Where a command comes from."""

    SILENT = "silent"
    POLICY = "policy"
    LAST = "last"
    HOVER = "hover"


class Command(NamedTuple):
    """What is streamed."""

    thrust_n: float
    """Collective thrust [N]."""
    rate_b_radps: Triple
    """Body rates [rad/s], FLU."""


class Handover:
    """Composes the command of one vehicle.

    The thrust of a new source starts at the last thrust streamed and moves to what the source wants within
    :data:`BLEND_S`; body rates follow at once, for attitude cannot wait. Nothing leaves the envelope.
    """

    def __init__(self, envelope: Envelope, fallback: Fallback, fence: Fence) -> None:
        self._envelope, self._fallback, self._fence = envelope, fallback, fence
        self.source = Source.SILENT
        """Source of the last command."""
        self.place_w: Triple = (math.nan, math.nan, math.nan)
        """Where the hover controller hovers [m]."""
        self._last = Command(envelope.hover_thrust_n, (0.0, 0.0, 0.0))
        self._offset_n = self._offset_since_s = 0.0
        self._is_place_due = False
        """Whether to hover where the policy left the vehicle, as soon as that is known."""

    def hold(self, place_w: Triple) -> None:
        """Hover at the place nearest to ``place_w`` [m] that the fence allows."""
        self.place_w = self._fence.inside(place_w)
        self._is_place_due = False

    def command(
        self,
        state: State,
        seen: Seen,
        clock_s: float,
        *,
        is_current: bool,
        is_attitude_current: bool,
        is_repeating: bool,
        is_reset: bool,
    ) -> tuple[Source, Command | None]:
        """Source and command in ``state``.

        ``clock_s`` [s] never goes back; ``is_current``: the vehicle's state is known, ``is_attitude_current``: its
        attitude is; ``is_repeating``: the policy's last command is to be repeated; ``is_reset``: the estimator was
        reset since the last tick.
        """
        before = self.source
        if state not in STREAMING:
            self.source = Source.SILENT
            return self.source, None
        if state is State.POLICY:
            if is_repeating or seen.proposal is None:
                self.source = Source.LAST
                return self.source, self._last
            self.source, wanted = Source.POLICY, Command(*seen.proposal)
        else:
            self._is_place_due |= before in (Source.POLICY, Source.LAST)
            # Where the policy left it is another place once the estimator was reset.
            self._is_place_due |= is_reset and state in (State.RECOVERING, State.LANDING)
            self.source, wanted = Source.HOVER, self._hover(seen, is_current, is_attitude_current)
        thrust_n, rates = self._envelope.clip(*wanted)
        if self.source is not before:
            self._offset_n = 0.0 if before is Source.SILENT else self._last.thrust_n - thrust_n
            self._offset_since_s = clock_s
        _, x, y, _ = seen.quat_wb
        if not x * x + y * y < 0.25:  # tilted by more than 60°, or not known: thrust might not point up
            self._offset_n = 0.0
        left = max(0.0, 1.0 - (clock_s - self._offset_since_s) / BLEND_S)
        self._last = Command(*self._envelope.clip(thrust_n + self._offset_n * left, rates))
        return self.source, self._last

    def _hover(self, seen: Seen, is_current: bool, is_attitude_current: bool) -> Command:
        """What the hover controller wants; it levels where no more than the vehicle's attitude is current."""
        if is_current and self._is_place_due:
            self.hold(seen.pos_w)
        pos_w, vel_w, quat_wb = (
            np.array([vector if is_known else [math.nan] * len(vector)])
            for vector, is_known in (
                (seen.pos_w, is_current),
                (seen.vel_w, is_current),
                (seen.quat_wb, is_attitude_current),
            )
        )
        with np.errstate(all="ignore"):
            thrust_n, rates = self._fallback.command(pos_w, vel_w, quat_wb, np.array([self.place_w]))
        x, y, z = rates[0].tolist()
        return Command(float(thrust_n[0]), (x, y, z))
