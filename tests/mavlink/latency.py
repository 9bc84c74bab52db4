"""From a state's packet to the set-point's, in this process: ``python tests/mavlink/latency.py --json latency.json``.

Everything of the runtime is in between: decoding, clock, correction by motion capture, ball filter, policy, supervisor,
encoding. The link, PX4's stand-in and motion capture are simulated, and their time is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from flying import FlyingStandin
from test_mocap_flight import AIR, POLICY, SeenBall, TrackedLink

from corvids.commands.flying.px4 import Plan, fly_over
from corvids.deploy.policy import read_policy_file
from corvids.deploy.px4.channels import SETPOINT
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.virtual_ball import VirtualBall


class TimedLink(TrackedLink):
    """Notes how long the runtime itself took from the packet that it was handed last before a set-point."""

    def __init__(self, px4: FlyingStandin, ball: VirtualBall) -> None:
        super().__init__(px4, ball)
        self.took_s: list[float] = []
        self._runtime_s, self._since_s = 0.0, time.perf_counter()

    def wait(self, until_s: float) -> Iterator[bytes]:
        self._runtime_s += time.perf_counter() - self._since_s
        for datagram in super().wait(until_s):
            self._runtime_s, self._since_s = 0.0, time.perf_counter()
            yield datagram
            self._runtime_s += time.perf_counter() - self._since_s
        self._since_s = time.perf_counter()

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        if kind == SETPOINT:
            self.took_s.append(self._runtime_s + time.perf_counter() - self._since_s)
        super().send(kind, packet, safe)
        self._since_s = time.perf_counter()
        self._runtime_s = 0.0


def measure(seconds: float) -> dict[str, float]:
    """Fly for that long, simulated; how many set-points were sent, and after how long [µs]."""
    ball = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    link = TimedLink(FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg), ball)
    seen = SeenBall(ball)
    plan = Plan(vehicle=None, seconds=seconds, seed=0, record=None, origin=None)
    outcome = fly_over(read_policy_file(POLICY, "juggle"), AIR, link, seen, plan, mocap=seen)
    median, p99 = 1e6 * np.percentile(link.took_s, (50.0, 99.0))
    return {
        "setpoints": len(link.took_s), "hits": outcome.hits,
        "median_us": round(float(median), 1), "p99_us": round(float(p99), 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.seconds)
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
