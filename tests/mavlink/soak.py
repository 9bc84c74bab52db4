"""A long flight in real time: ``python tests/mavlink/soak.py --seconds 1800 --json soak.json``.

Four processes, as on a vehicle: the runtime with a policy at 250 Hz; the keeper, with motion capture at 125 Hz, signed
with a key; a stand-in for PX4 that flies, with a simulated ball over its racket, which is brought back when it was
dropped; and a meter that does nothing but wake up 250 times a second, and so shows what the machine itself is late by.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import multiprocessing
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from flying import FlyingStandin

from corvids.commands.flying import px4 as px4_fly
from corvids.commands.flying.px4 import Mocap, Plan, fly_over
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_packet import BodyPose, Point
from corvids.deploy.mocap.state_stream import StateSender
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.deploy.processor_sleep import awake
from corvids.deploy.px4.channels import KeeperChannel
from corvids.deploy.px4.frames import enu_ned, flu_frd, quat_enu_ned
from corvids.deploy.runtime import Tick
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.reactions import State
from corvids.vehicle import load_vehicle

if TYPE_CHECKING:
    from corvids.envs.plants.virtual_ball import VirtualBall

RATE_HZ = 250.0
APEX_M = 0.6
MARKERS_B = ((0.15, 0.1, 0.01), (-0.12, 0.12, 0.015), (0.1, -0.14, 0.012))
PLACE_W_M = (0.0, 0.0, 1.5)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Pose:
    """The vehicle's true pose, as a simulated ball takes it."""

    stamp_s: float
    pos_w: tuple[float, float, float]
    vel_w: tuple[float, float, float]
    quat_wb: tuple[float, float, float, float]
    omega_b: tuple[float, float, float]


class Hand(NamedTuple):
    """What passes between whoever holds the ball and the flight."""

    let_go: Event
    """Set while the policy flies, and cleared by whoever saw it."""
    hits: Any
    """Counted hits, and drops: two shared numbers."""


class SeenBall(MocapInput):
    """The runtime's view of the ball, which somebody lets go when the policy flies."""

    def __init__(self, vehicle: int, ball: int, let_go: Event) -> None:
        super().__init__(vehicle, ball)
        self._let_go = let_go

    def release(self) -> None:
        self._let_go.set()


def live_as_px4(link_port: int, mocap_port: int, key: bytes, is_over: Event, hand: Hand) -> None:
    """PX4's side and the tracker's, in real time; a step that the machine made late is caught up with."""
    from corvids.envs.physics.nominal import BallConfig  # here alone: a runtime has no torch
    from corvids.envs.plants.virtual_ball import VirtualBall

    craft = load_vehicle("air")
    ball = VirtualBall(craft, APEX_M, BallConfig(), seed=5)
    px4 = FlyingStandin(craft.max_thrust_n / craft.body.mass_kg, boot_s=time.monotonic() - 50.0)
    sender, rng = StateSender(key), random.Random(3)
    link, mocap = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one in (link, mocap):
        one.setblocking(False)
    began_s = time.monotonic()
    step = 0
    while not is_over.is_set():
        step += 1
        now_s = began_s + step / RATE_HZ
        if (ahead_s := now_s - time.monotonic()) > 0.0:
            time.sleep(ahead_s)
        with contextlib.suppress(BlockingIOError):
            while True:
                for answer in px4.take_in(link.recv(2048), time.monotonic()):
                    link.sendto(answer, ("127.0.0.1", link_port))
        del px4.heard[:-10]
        px4.advance(time.monotonic())
        noise = [rng.gauss(0.0, 1e-3) for _ in range(3)]
        truth = px4.truth
        north, east, down = (p + n for p, n in zip(truth.pos_ned, noise, strict=True))
        px4.truth = dataclasses.replace(truth, pos_ned=(north, east, down))
        if step % 2:
            link.sendto(px4.odometry(time.monotonic()), ("127.0.0.1", link_port))
        if step % 250 == 1:
            for report in (px4.heartbeat(), px4.battery(90), px4.landed(not px4.armed)):
                link.sendto(report, ("127.0.0.1", link_port))
        px4.truth = truth
        with contextlib.suppress(BlockingIOError):
            while True:
                echo = sender.answer(mocap.recv(2048), time.monotonic_ns())
                if echo:
                    mocap.sendto(echo, ("127.0.0.1", mocap_port))
        if step % 2:
            pose = Pose(
                now_s,
                enu_ned(truth.pos_ned),
                enu_ned(truth.vel_ned),
                quat_enu_ned(truth.quat_ned),
                flu_frd(truth.rate_frd),
            )
            if hand.let_go.is_set():
                hand.let_go.clear()
                ball.release()
            ball.measure(now_s, pose)
            hand.hits[:] = ball.hits, ball.drops
            mocap.sendto(picture(pose, ball, sender, rng), ("127.0.0.1", mocap_port))


def picture(pose: Pose, ball: VirtualBall, sender: StateSender, rng: random.Random) -> bytes:
    """What the tracker sees: the vehicle, and markers without labels, one of which may be the ball."""
    x, y, z = pose.pos_w
    places = [(x + a, y + b, z + c) for a, b, c in MARKERS_B] + [(1.8, 1.8, 2.5)]
    if (place := ball.seen_pos_w) is not None:
        places.append(place)
    rng.shuffle(places)
    points = tuple(
        Point(0, (a + rng.gauss(0.0, 5e-4), b + rng.gauss(0.0, 5e-4), c + rng.gauss(0.0, 5e-4)))
        for a, b, c in places
    )
    now_ns = time.monotonic_ns()
    return sender.state(now_ns - 2_000_000, now_ns, (BodyPose(1, pose.pos_w, pose.quat_wb),), points)


def meter(is_over: Event, out: Any) -> None:
    """How late a process that only wakes up is: how often by more than a period, and at worst [s]."""
    ticks = missed = 0
    worst_s, due_s = 0.0, time.monotonic()
    while not is_over.is_set():
        due_s += 1.0 / RATE_HZ
        if (ahead_s := due_s - time.monotonic()) > 0.0:
            time.sleep(ahead_s)
        late_s = time.monotonic() - due_s
        ticks += 1
        worst_s = max(worst_s, late_s)
        if late_s > 1.0 / RATE_HZ:
            missed += 1
            due_s += late_s - late_s % (1.0 / RATE_HZ)
    out.send((ticks, missed, worst_s))


def resident_mib(pid: int) -> float:
    """Resident memory of a process [MiB]."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return math.nan


AGAIN = {State.RECOVERING: Word.ENGAGE, State.FAILED: Word.RESET}
"""What leads on from where a pause of the machine has led."""


class Insistent(px4_fly.Operator):
    """An operator who arms and engages again, whatever the machine's pauses have led to."""

    _first_end_s: float | None = None

    def words(self, state: State, mode_code: int, now_s: float) -> frozenset[Word]:
        if not self.is_over(now_s):
            self._has_armed &= state is not State.READY
            self._has_engaged &= state is not State.ARMED
        self._armed_in, self.was_taken = None, False
        words = super().words(state, mode_code, now_s)
        if state in AGAIN and not self.is_over(now_s) and now_s - self._said_s >= 1.0:
            self._said_s, words = now_s, frozenset({AGAIN[state]})
        if self._has_engaged:
            self._first_end_s = self._end_s = min(self._end_s, self._first_end_s or self._end_s)
        return words


class Sampler:
    """Memory of the runtime and of its keeper, once a second or so."""

    def __init__(self) -> None:
        self.runtime_mib: list[float] = []
        self.keeper_mib: list[float] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._is_over.wait(2.0):
            self.runtime_mib.append(resident_mib(os.getpid()))
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    words = path.read_bytes().split(b"\0")
                    is_ours = f"\nPPid:\t{os.getpid()}\n" in (path.parent / "status").read_text()
                    if b"corvids.deploy.px4.link_keeper" in words and is_ours:
                        self.keeper_mib.append(resident_mib(int(path.parent.name)))

    def growth(self) -> dict[str, float]:
        """From a tenth of the time on, medians of the first and the last tenth [MiB]."""
        self._is_over.set()
        out = {}
        for name, samples in (("runtime", self.runtime_mib), ("keeper", self.keeper_mib)):
            tenth = max(1, len(samples) // 10)
            if len(samples) > 3:
                first, last = samples[tenth : 2 * tenth], samples[-tenth:]
                out[f"{name}_mib"] = round(float(np.median(last)), 2)
                out[f"{name}_growth_mib"] = round(float(np.median(last) - np.median(first)), 2)
        return out


def faster(file: PolicyFile) -> PolicyFile:
    """The policy at 250 Hz: five times as often as it was trained for, which only makes it hastier."""
    return dataclasses.replace(file, contract=dataclasses.replace(file.contract, control_hz=RATE_HZ))


class Room(NamedTuple):
    """Where a runtime flies: PX4's side, the tracker, and the hand with the ball, in a process of their own."""

    link: str
    mocap: Mocap
    hand: Hand

    @property
    def seen(self) -> SeenBall:
        """A runtime's view of the ball."""
        return SeenBall(self.mocap.vehicle, self.mocap.ball, self.hand.let_go)


@contextlib.contextmanager
def room() -> Iterator[Room]:
    """In real time, until left."""
    context = multiprocessing.get_context("spawn")
    key, link_port, mocap_port = os.urandom(32), free_port(), free_port()
    key_file = Path(f"/tmp/corvids-soak-{os.getpid()}.key")
    key_file.write_text(key.hex())
    key_file.chmod(0o600)
    is_over, hand = context.Event(), Hand(context.Event(), context.Array("l", 2))
    px4 = context.Process(target=live_as_px4, args=(link_port, mocap_port, key, is_over, hand), daemon=True)
    px4.start()
    mocap = Mocap(f"udp:127.0.0.1:{mocap_port}", 1, 0, key_file, False, 2.0)
    try:
        yield Room(f"udp:127.0.0.1:{link_port}", mocap, hand)
    finally:
        is_over.set()
        px4.join()
        key_file.unlink()


@contextlib.contextmanager
def metered() -> Iterator[Callable[[], tuple[int, int, float]]]:
    """A meter beside; hands over what asks it for its figures, which ends it."""
    context = multiprocessing.get_context("spawn")
    is_over, (theirs, ours) = context.Event(), context.Pipe()
    process = context.Process(target=meter, args=(is_over, ours), daemon=True)
    process.start()

    def figures() -> tuple[int, int, float]:
        is_over.set()
        return theirs.recv()

    try:
        yield figures
    finally:
        is_over.set()
        process.join()


def soak(seconds: float, policy: Path) -> dict[str, Any]:
    """Fly for so long; what it was like."""
    # Written to before the flight, so that what is measured of its memory is the runtime's.
    noted = np.full((round((seconds + px4_fly.PREPARE_S + px4_fly.LANDING_S) * RATE_HZ) + 1, 2), np.nan)
    ticks_noted = itertools.count()

    def note(tick: Tick) -> None:
        noted[next(ticks_noted)] = tick.late_s, tick.now_s - float(tick.readings.stamp_s[0])

    file, craft = faster(read_policy_file(policy, "juggle")), load_vehicle("air")
    sampler = Sampler()
    px4_fly.Operator = Insistent
    with room() as around, metered() as machine:
        seen = around.seen
        plan = Plan(None, seconds, 0, None, None, PLACE_W_M, APEX_M, around.mocap)
        with (
            awake(),
            px4_fly._keeper(around.link, around.mocap) as folder,
            contextlib.closing(KeeperChannel(folder / "keeper", folder / "runtime")) as channel,
        ):
            outcome = fly_over(file, craft, channel, seen, plan, mocap=seen, recorder=note, is_real_time=True)
            growth = sampler.growth()
            ticks, missed, worst_s = machine()
    flight = outcome.flight
    lates_s, ages_s = noted[: flight.ticks].T
    return {
        "seconds": round(flight.ticks / RATE_HZ, 1),
        "ticks": flight.ticks,
        "skipped": flight.skipped,
        "late_p50_ms": round(1e3 * float(np.percentile(lates_s, 50)), 3),
        "late_p99_ms": round(1e3 * float(np.percentile(lates_s, 99)), 3),
        "late_max_ms": round(1e3 * float(np.max(lates_s)), 1),
        "missed_share": round(float(np.mean(lates_s > 1.0 / RATE_HZ)), 5),
        "compute_median_us": round(1e6 * flight.compute_median_s),
        "state_age_median_ms": round(1e3 * float(np.nanmedian(ages_s)), 2),
        "machine_missed_share": round(missed / ticks, 5),
        "machine_late_max_ms": round(1e3 * worst_s, 1),
        "states_s": {name: round(spent_s, 1) for name, spent_s in outcome.states.items()},
        "landed": outcome.has_ended_safely,
        "hits": around.hand.hits[0],
        "drops": around.hand.hits[1],
        "mocap_frames": seen.receiver.counters.accepted,
        "mocap_lost": seen.receiver.counters.lost,
        **growth,
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--policy", type=Path, default=Path(__file__).parents[2] / "pretrained/juggle.onnx")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    result = json.dumps(soak(options.seconds, options.policy), indent=1)
    print(result)
    if options.json:
        options.json.write_text(result + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
