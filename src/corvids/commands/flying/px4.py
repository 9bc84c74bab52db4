"""``corvids fly TASK --plant px4``: the same runtime in front of PX4, with a simulated ball or one that is seen.

With motion capture nothing here needs torch: this is what runs on the vehicle.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from corvids.commands.flying.course import Course
from corvids.commands.flying.px4_check import check_px4
from corvids.deploy.contract import BALL_FILTER
from corvids.deploy.deferral import deferrable
from corvids.deploy.fallback import Fallback
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile
from corvids.deploy.processor_sleep import awake
from corvids.deploy.px4.channels import Channel, KeeperChannel, udp_address
from corvids.deploy.px4.flight import Px4Flight
from corvids.deploy.px4.links import check_link
from corvids.deploy.px4.mavlink_link import MavlinkLink
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig, check_system
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.px4.thrust import thrust_map_of
from corvids.deploy.record_about import about
from corvids.deploy.runtime import Flight, Tick, fly
from corvids.deploy.supervision.checks import Seen, Word
from corvids.deploy.supervision.envelope import Fence, Triple, envelope_of
from corvids.deploy.supervision.reactions import STREAMING, State
from corvids.deploy.supervision.supervisor import Supervisor, Verdict
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

KEEPER_START_S = 30.0
"""How long the keeper may take to start [s]."""
KEEPER_END_S = 8.0
"""A keeper with nothing to keep ends within that time [s] after its runtime."""
PLACE_W_M, APEX_M = (0.0, 0.0, 1.0), 0.6
"""The task command [m] where none is given: as in the conditions that policies are judged in."""
PREPARE_S, LANDING_S = 60.0, 20.0
"""Time for getting ready, and for landing after the flight [s]."""

Origin = tuple[float, float, float]
"""Where on the globe the world's origin is: see :class:`corvids.deploy.px4.mavlink_peer.PeerConfig`."""


class Ball(Protocol):
    """The ball that is juggled, simulated or real."""

    @property
    def hits(self) -> int: ...
    @property
    def drops(self) -> int: ...
    def release(self) -> None: ...
    def measure(self, now_s: float, state: VehicleState) -> list[tuple[float, Triple]]: ...


class Operator:
    """Says what an operator who typed ``--arm`` says: arm until it is, engage once it is, land when time is up.

    A vehicle that somebody took over, or that has disarmed, is left alone; so is one whose mode is changed once it is
    armed, before it is engaged.
    """

    def __init__(self, seconds: float, now_s: float) -> None:
        """``seconds``: from engaging until landing."""
        self._seconds, self._end_s, self._said_s = seconds, now_s + PREPARE_S, now_s
        self._has_armed = self._has_engaged = False
        self._armed_in: int | None = None
        """In which mode it was armed, by PX4's number."""
        self.was_taken = False
        """Whether somebody changed that mode before the word to engage, which is not said any more then."""

    def is_over(self, now_s: float) -> bool:
        """Whether time is up: for flying, or, before that, for getting ready."""
        return now_s >= self._end_s

    def words(self, state: State, mode_code: int, now_s: float) -> frozenset[Word]:
        """The word for ``state`` of the supervisor and the autopilot's mode, at most one a second."""
        if state is State.ARMED and not self._has_engaged:
            self._armed_in = mode_code if self._armed_in is None else self._armed_in
            self.was_taken |= mode_code != self._armed_in
        self._has_armed |= state is State.ARMED or state in STREAMING
        if state in STREAMING and not self._has_engaged:
            self._has_engaged, self._end_s = True, now_s + self._seconds
        if now_s - self._said_s < 1.0:
            return frozenset()
        if self.is_over(now_s):
            word = Word.LAND
        elif state is State.READY and not self._has_armed:
            word = Word.ARM
        elif state is State.ARMED and not (self._has_engaged or self.was_taken):
            word = Word.ENGAGE
        else:
            return frozenset()
        self._said_s = now_s
        return frozenset({word})


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a flight went."""

    hits: int
    """Counted hits, of those while the policy flew."""
    drops: int
    place_rmse_m: float
    """Distance from the commanded place while the policy flew [m], as the runtime sees it; NaN where it hardly did."""
    flight: Flight
    states: dict[str, float]
    """Seconds in each of the supervisor's states."""
    has_ended_safely: bool
    """Whether the vehicle has landed and disarmed."""
    peer: Peer
    """What was heard of PX4."""
    true_rmse_m: float = math.nan
    """That distance in truth [m], where the truth is known."""

    @property
    def was_armed(self) -> bool:
        """Whether there was a flight at all."""
        return State.ARMED.value in self.states


class Mocap(NamedTuple):
    """Motion capture, as the command line has it."""

    where: str
    vehicle: int
    ball: int
    key_file: Path | None
    is_ptp: bool
    least_ms: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be flown, on whichever PX4."""

    vehicle: str | None
    """Vehicle file, by name or path; None is the policy's own."""
    seconds: float
    """From engaging until landing."""
    seed: int
    record: Path | None
    """Where the flight's record goes."""
    origin: Origin | None
    place_w_m: Triple = PLACE_W_M
    """Where to juggle, or to be."""
    apex_m: float = APEX_M
    """How high above the point of impact the ball is to rise."""
    mocap: Mocap | None = None
    """A real ball's, and the vehicle's, motion capture."""
    imu_noise: float = 1.0
    """For px4-hil: how many times as noisy as usual its IMU is."""
    is_tracked: bool = False
    """For px4-hil: whether the runtime corrects what PX4 says by what the tracker sees, as with ``mocap``."""
    key: bytes | None = None
    """What packets of MAVLink are signed with, both ways."""
    gps: str | None = None
    """For px4-hil: PX4 lives on a satellite navigation receiver of that grade, and no tracker sees the vehicle."""
    system: int = 1
    """MAVLink system of the vehicle."""
    fence: Fence = dataclasses.field(default_factory=Fence)
    """What the vehicle must not leave."""
    pace: float = 1.0
    """For px4-hil: how many times as fast as real time it may be."""

    def __post_init__(self) -> None:
        check_system(self.system)
        # NaN is in no box, and yet the same as itself.
        if not (self.fence.contains(self.place_w_m) and self.fence.inside(self.place_w_m) == self.place_w_m):
            raise CorvidsError(
                f"--place {self.place_w_m}: must lie {self.fence.margin_m} m inside the fence, "
                f"{self.fence.low_w_m} to {self.fence.high_w_m} m (--fence-low, --fence-high)"
            )
        if not 0.0 < self.apex_m < 5.0:
            raise CorvidsError(f"--apex {self.apex_m}: must be a height in metres")


def fly_px4(file: PolicyFile, link: str, plan: Plan, *, arm: bool) -> Outcome:
    """Fly ``file`` on the PX4 behind ``link``; ``arm`` is the operator's word to arm and engage."""
    if not arm:
        raise CorvidsError("--plant px4 arms and takes off: say so with --arm, with people and props in mind")
    check_link(link)  # a mistake in it is said at once
    if plan.mocap:
        udp_address(plan.mocap.where)
        if plan.mocap.key_file:
            read_key(plan.mocap.key_file)
    craft = vehicle_of(file, plan.vehicle)
    ball, mocap = _ball(file, plan, craft)
    with (
        recording(plan, file, craft) as log,
        awake(),
        _keeper(link, plan.mocap, plan.key, plan.system) as folder,
        contextlib.closing(KeeperChannel(folder / "keeper", folder / "runtime")) as channel,
    ):
        try:
            try:
                peer = Peer(PeerConfig(plan.system, key=plan.key), unix_s=time.time())
                check_px4(channel, peer, craft, PREPARE_S)
            except CorvidsError as error:
                # Said at once: in the air, the keeper guides PX4 on until it has disarmed.
                print(f"not flown: {error}", flush=True)
                raise
            return fly_over(file, craft, channel, ball, plan, log, mocap=mocap, is_real_time=True)
        finally:
            # Before the keeper is waited for, which may take minutes: whoever stops a service waits seconds.
            if log:
                log.close()


def _ball(file: PolicyFile, plan: Plan, craft: Vehicle) -> tuple[Ball | None, MocapInput | None]:
    """The ball, where there is one, and what takes in motion capture if that sees it."""
    has_ball = BALL_FILTER in file.contract.stages
    if plan.mocap:
        seen = MocapInput(plan.mocap.vehicle, plan.mocap.ball)
        return seen if has_ball else None, seen
    if not has_ball:
        return None, None
    from corvids.envs.physics.nominal import BallConfig
    from corvids.envs.plants.virtual_ball import VirtualBall

    return VirtualBall(craft, plan.apex_m, BallConfig(), plan.seed), None


def fly_over(
    file: PolicyFile,
    craft: Vehicle,
    channel: Channel,
    ball: Ball | None,
    plan: Plan,
    log: FlightRecord | None = None,
    mocap: MocapInput | None = None,
    recorder: Callable[[Tick], None] | None = None,
    truth: Callable[[], Triple] | None = None,
    is_real_time: bool = False,
) -> Outcome:
    """Arm, take off, let ``file`` fly, with ``ball`` if it juggles, and land the plan's time [s] after engaging.

    ``truth``: where the vehicle is now [m], for those who know. ``is_real_time``: time passes by itself.
    """
    contract = file.contract
    course = Course(contract.command, plan.place_w_m, plan.apex_m, truth)
    pilot = Pilot(file)
    fallback = Fallback(contract.limits.weighing(craft.weight_n))
    supervisor = Supervisor(envelope_of(contract.limits, craft), fallback, plan.fence)
    start_s = channel.now_s
    operator = Operator(plan.seconds, start_s)
    peer = Peer(PeerConfig(plan.system, origin=plan.origin, key=plan.key), unix_s=time.time())
    states: dict[str, float] = {}
    told = None
    hits = hits_before = 0
    is_taken_told = False

    def watch(seen: Seen, verdict: Verdict) -> None:
        nonlocal told, hits, hits_before, is_taken_told
        states[verdict.state.value] = states.get(verdict.state.value, 0.0) + 1.0 / contract.control_hz
        course.watch(seen, verdict)
        if ball and verdict.state is State.POLICY:
            hits += ball.hits - hits_before
            ball.release()
        hits_before = ball.hits if ball else 0
        for entry in verdict.entries:
            change = f"{entry.before.value} -> {entry.after.value}"
            print(f"{entry.now_s - start_s:8.2f} s  {change}: {entry.reason}", flush=True)
        if operator.was_taken and not is_taken_told:
            is_taken_told = True
            print(f"{seen.now_s - start_s:8.2f} s  not engaged: somebody has changed the mode", flush=True)
        if (text := peer.messages.get("STATUSTEXT")) is not None and text is not told:
            told = text
            print(f"{seen.now_s - start_s:8.2f} s  PX4 says: {text.text.strip()}", flush=True)
        if log:
            log.watch(seen, verdict)

    plant = Px4Flight(
        MavlinkLink(channel, peer, mocap),
        supervisor,
        pilot,
        thrust_map_of(craft),
        hover_thrust_n=craft.weight_n,
        ball=ball,
        rehearses=is_real_time,
        words=lambda state: operator.words(state, peer.reader.autopilot.mode_code, channel.now_s),
        watcher=watch,
    )
    flight = fly(
        pilot,
        plant,
        course.command,
        seconds=PREPARE_S + plan.seconds + LANDING_S,
        recorder=lambda tick: _note(tick, log, mocap, recorder),
        guard=plant.guard,
        until=lambda tick: operator.is_over(tick.now_s) and supervisor.state in (State.READY, State.FAILED),
    )
    drops = ball.drops if ball else 0
    is_safe = supervisor.state is State.READY
    return Outcome(hits, drops, course.rmse_m, flight, states, is_safe, peer, course.true_rmse_m)


@contextlib.contextmanager
def recording(plan: Plan, file: PolicyFile, craft: Vehicle) -> Iterator[FlightRecord | None]:
    """The record that a plan asks for, finished in the end; Ctrl-C meanwhile leaves no half of a message in it."""
    if plan.record is None:
        yield None
        return
    with (
        deferrable() as whole,
        contextlib.closing(FlightRecord(plan.record, about(file, craft), whole)) as log,
    ):
        yield log


def _note(
    tick: Tick, log: FlightRecord | None, mocap: MocapInput | None, recorder: Callable[[Tick], None] | None
) -> None:
    """Record a tick, and now and then how motion capture fares."""
    if recorder:
        recorder(tick)
    if log:
        log.note(tick)
        if mocap and (figures := mocap.figures_due(tick.now_s)):
            log.note_mocap(tick.now_s, figures)


@contextlib.contextmanager
def _keeper(
    link: str, mocap: Mocap | None = None, key: bytes | None = None, system: int = 1
) -> Iterator[Path]:
    """A keeper in a session of its own, which Ctrl-C does not reach; it ends once nothing needs keeping."""
    with tempfile.TemporaryDirectory(prefix="corvids-") as name:
        folder = Path(name)
        arguments = [
            sys.executable,
            "-m",
            "corvids.deploy.px4.link_keeper",
            link,
            str(folder / "keeper"),
            str(system),
        ]
        environment = dict(os.environ)
        if key:
            environment["CORVIDS_MAVLINK_KEY"] = key.hex()
        if mocap:
            arguments += [
                "--mocap",
                mocap.where,
                "--vehicle",
                str(mocap.vehicle),
                "--least-ms",
                str(mocap.least_ms),
            ]
            arguments += ["--ptp"] if mocap.is_ptp else []
            if mocap.key_file:
                environment["CORVIDS_MOCAP_KEY"] = read_key(mocap.key_file).hex()
        process = subprocess.Popen(
            arguments, start_new_session=True, stderr=subprocess.PIPE, text=True, env=environment
        )
        deadline_s = time.monotonic() + KEEPER_START_S
        while not (folder / "keeper").exists():
            if process.poll() is not None:
                said = (process.stderr.read() if process.stderr else "").strip().removeprefix("corvids: ")
                raise CorvidsError(said or f"the link's keeper ended with code {process.returncode}")
            if time.monotonic() > deadline_s:
                process.kill()
                raise CorvidsError(f"the link's keeper did not start within {KEEPER_START_S:.0f} s")
            time.sleep(0.02)
        try:
            yield folder
        finally:
            try:
                process.wait(timeout=KEEPER_END_S)
            except subprocess.TimeoutExpired:
                print("the link is kept until PX4 has disarmed: it does not say so yet; land it", flush=True)
                process.wait()
