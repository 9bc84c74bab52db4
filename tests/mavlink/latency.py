"""From a state's packet to the set-point's: ``python tests/mavlink/latency.py --json latency.json``.

Counted is what the runtime computes from the packet of the newest state that a tick answers until its set-point is out:
decoding, clock, correction by motion capture, what else comes meanwhile, ball filter, policy, supervisor, encoding.
Waiting, for packets or for the tick, is not, nor what is done meanwhile: ticks are rehearsed in ``real_time``.

``replayed``: a flight in front of simulated PX4 and motion capture is written down, packet by packet, and handed to
the runtime once more, which must send the same bytes again; nothing else is computed in between, so caches are warm.
``real_time``: as flown, with PX4's stand-in, tracker and keeper in processes of their own (``soak.py``). The runtime
has a core to itself where there are two, and that sleeps between packets, after which caches may be cold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flying import FlyingStandin
from pymavlink.dialects.v20 import common
from soak import room
from test_mocap_flight import SeenBall, TrackedLink

from corvids.commands.flying.px4 import Plan, _keeper, fly_over
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.policy import read_policy_file
from corvids.deploy.processor_sleep import awake
from corvids.deploy.px4.channels import SETPOINT, Channel, KeeperChannel
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.virtual_ball import VirtualBall
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
POLICY = read_policy_file(Path(__file__).resolve().parents[2] / "pretrained" / "juggle.onnx", "juggle")
Frame = tuple[bytes, bytes, tuple[float, float]]


class Heard(NamedTuple):
    """What one call of ``wait`` handed over."""

    datagrams: list[tuple[float, bytes]]
    """Each with the time [s] at which it was."""
    end_s: float


class Writer(TrackedLink):
    """Writes down what a flight's runtime hears and sends."""

    def __init__(self, ball: VirtualBall) -> None:
        super().__init__(FlyingStandin(full_thrust_mps2=AIR.max_thrust_n / AIR.body.mass_kg), ball)
        self.heard: list[Heard] = []
        self.sent: list[Frame] = []

    def wait(self, until_s: float) -> Iterator[bytes]:
        datagrams = []
        for datagram in super().wait(until_s):
            datagrams.append((self.now_s, datagram))
            yield datagram
        self.heard.append(Heard(datagrams, self.now_s))

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        self.sent.append((kind, packet, safe))
        super().send(kind, packet, safe)


class Replay:
    """A channel on which everything is heard as it was written down."""

    def __init__(self, heard: list[Heard]) -> None:
        self.now_s = 0.0
        self.sent: list[Frame] = []
        self._heard = iter(heard)

    def wait(self, until_s: float) -> Iterator[bytes]:
        datagrams, end_s = next(self._heard)
        for self.now_s, datagram in datagrams:
            yield datagram
        self.now_s = end_s

    def accept(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        self.sent.append((kind, packet, safe))


class Stopwatch:
    """A channel that notes how long the runtime itself took from the newest state's packet to each set-point."""

    def __init__(self, channel: Channel) -> None:
        self.took_s: list[float] = []
        self._channel = channel
        self._runtime_s, self._since_s = 0.0, time.perf_counter()

    @property
    def now_s(self) -> float:
        return self._channel.now_s

    def wait(self, until_s: float) -> Iterator[bytes]:
        for datagram in self._channel.wait(until_s):
            if is_state(datagram):
                self._runtime_s = 0.0
            self._since_s = time.perf_counter()
            yield datagram
            self._runtime_s += time.perf_counter() - self._since_s
        self._since_s = time.perf_counter()

    def accept(self) -> None:
        self._channel.accept()

    def close(self) -> None:
        self._channel.close()

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        self._channel.send(kind, packet, safe)
        if kind == SETPOINT:
            self.took_s.append(self._runtime_s + time.perf_counter() - self._since_s)

    def figures(self) -> dict[str, float]:
        """Set-points, and after how long they were sent [µs]."""
        names, percents = ("median_us", "p99_us", "max_us"), (50.0, 99.0, 100.0)
        micros = 1e6 * np.percentile(self.took_s, percents)
        return {"setpoints": len(self.took_s), **dict(zip(names, micros.round(1).tolist(), strict=True))}


def is_state(datagram: bytes) -> bool:
    """Whether it is an ODOMETRY of MAVLink 2."""
    return (
        datagram[:1] == b"\xfd" and int.from_bytes(datagram[7:10], "little") == common.MAVLINK_MSG_ID_ODOMETRY
    )


def plan(seconds: float) -> Plan:
    return Plan(vehicle=None, seconds=seconds, seed=0, record=None, origin=None)


def replayed(seconds: float) -> dict[str, float]:
    """Of a flight for so long, once more."""
    ball = VirtualBall(AIR, 0.6, BallConfig(), seed=0)
    flown, seen = Writer(ball), SeenBall(ball)
    hits = fly_over(POLICY, AIR, flown, seen, plan(seconds), mocap=seen).hits
    replay, seen = Replay(flown.heard), MocapInput(1, 0)
    watch = Stopwatch(replay)
    fly_over(POLICY, AIR, watch, seen, plan(seconds), mocap=seen)
    if replay.sent != flown.sent:
        raise RuntimeError("the runtime sent something else when it heard the same once more")
    return {"hits": hits, **watch.figures()}


def in_real_time(seconds: float) -> dict[str, float]:
    """Of a flight for so long, as flown."""
    *others, own = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others or {own})  # those that are started now stay there
    with (
        awake(),
        room() as around,
        _keeper(around.link, around.mocap) as folder,
        contextlib.closing(KeeperChannel(folder / "keeper", folder / "runtime")) as channel,
    ):
        os.sched_setaffinity(0, {own})
        watch, seen = Stopwatch(channel), around.seen
        outcome = fly_over(POLICY, AIR, watch, seen, plan(seconds), mocap=seen, is_real_time=True)
    return {"hits": outcome.hits, **watch.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {"replayed": replayed(options.seconds), "real_time": in_real_time(options.seconds)}
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
