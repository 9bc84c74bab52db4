"""How long a stream's packets take, how evenly they come, and what became of them: measured while they come."""

from __future__ import annotations

import dataclasses
import math
from collections import deque

import numpy as np

WINDOW = 1024
"""Packets over which medians and percentiles are taken."""
JITTER_GAIN = 1.0 / 16.0
"""Of the smoothed jitter, as RFC 3550 (section 6.4.1) has it."""


@dataclasses.dataclass
class StreamCounters:
    """Datagrams by their fate."""

    accepted: int = 0
    malformed: int = 0
    """Not a packet of this protocol, or damaged."""
    unsigned: int = 0
    """Without the right signature, though a key is set."""
    foreign: int = 0
    """Of another sender, while the one that is followed is not silent."""
    unconfirmed: int = 0
    """Of a sender that has not yet answered a ping, though a key is set: it might be an old recording."""
    lost: int = 0
    """Missing by sequence number."""
    repeated: int = 0
    """With a sequence number that was seen, or overtaken."""
    ill_timed: int = 0
    """Stamped in the future, or before the one before it."""


class StreamTiming:
    """Latency, jitter and rate of a stream."""

    def __init__(self) -> None:
        self.jitter_s = 0.0
        """Smoothed change of the latency from packet to packet."""
        self._latencies_s: deque[float] = deque(maxlen=WINDOW)
        self._arrivals_s: deque[float] = deque(maxlen=WINDOW)

    def take_in(self, stamp_s: float, arrived_s: float) -> None:
        """A packet that was stamped and has arrived at these times [s], both on our clock."""
        latency_s = arrived_s - stamp_s
        if self._latencies_s:
            self.jitter_s += JITTER_GAIN * (abs(latency_s - self._latencies_s[-1]) - self.jitter_s)
        self._latencies_s.append(latency_s)
        self._arrivals_s.append(arrived_s)

    def latency_s(self, percent: float) -> float:
        """A percentile of the latency [s]; NaN before the first packet."""
        return float(np.percentile(self._latencies_s, percent)) if self._latencies_s else math.nan

    @property
    def rate_hz(self) -> float:
        """Packets a second; NaN before the second packet."""
        span_s = self._arrivals_s[-1] - self._arrivals_s[0] if len(self._arrivals_s) > 1 else 0.0
        return (len(self._arrivals_s) - 1) / span_s if span_s > 0.0 else math.nan

    def summary(self) -> dict[str, float]:
        """Figures for a line, or a record."""
        return {
            "rate_hz": self.rate_hz,
            "latency_median_s": self.latency_s(50.0),
            "latency_p99_s": self.latency_s(99.0),
            "jitter_s": self.jitter_s,
        }
