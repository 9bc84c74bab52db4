"""``corvids fly TASK --plant px4-hil``: PX4 flies our physics, in lockstep, and the runtime flies PX4.

One process holds the world, the runtime and the keeper's mind; all of them, and PX4, live on simulated time. So a busy
machine makes a flight slower, not worse.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator

from corvids.commands.flying.px4 import Origin, Outcome, Plan, fly_over, recording
from corvids.commands.px4_params import gps_parameters_of, load_into, parameters_of
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_packet import BodyPose
from corvids.deploy.mocap.state_stream import StateSender
from corvids.deploy.policy import PolicyFile
from corvids.deploy.px4.channels import HOLDS, PACKET, SAFE, SETPOINT, UdpChannel
from corvids.deploy.px4.frames import Globe, on_globe
from corvids.deploy.px4.hil_link import GpsFix, HilLink, Pose, Sensed, port_of, system_of
from corvids.deploy.px4.link_keeper import COMPONENT, Keeper
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.parameters import exchange
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.hil_world import (
    TRACKER_ANGLE_STD_RAD,
    TRACKER_DELAY_S,
    TRACKER_POS_STD_M,
    Felt,
    HilWorld,
)
from corvids.envs.sensors.gps import DELAY_S, GRADES
from corvids.errors import CorvidsError

VEHICLE, NOBODY = 1, 2
"""Rigid bodies of the tracker that the runtime is told of: the vehicle, and a ball that it does not see."""
CONNECT_S = 120.0
"""How long to wait for PX4 [s]."""
KNOWN_S, SETTLE_S, TOLD_S, ASK_S = 60.0, 5.0, 10.0, 0.5
"""How long PX4 may take until it knows where on the globe it is, how long it then has to know it better, how long it
may take to begin its frame where it is told to, and how often it is asked [s]."""
ORIGIN: Origin = (47.397742, 8.545594, 488.0)
"""Where on the globe the simulated world is unless told otherwise: where PX4's own simulators are."""


def fly_hil(file: PolicyFile, link: str, plan: Plan) -> Outcome:
    """Fly ``file`` on a PX4 that waits for its simulator; that is us."""
    craft = vehicle_of(file, plan.vehicle)
    if plan.gps and plan.is_tracked:
        raise CorvidsError("--tracked: there is no tracker with --gps")
    grade = GRADES[plan.gps] if plan.gps else None
    if plan.gps and plan.origin:
        raise CorvidsError(
            "--origin: with --gps the world is where PX4's simulators are, for its magnetic field is of there"
        )
    # A PX4 with a receiver finds its origin itself.
    plan = dataclasses.replace(plan, origin=None if grade else plan.origin or ORIGIN, system=system_of(link))
    # Compiling takes half a minute, which such a flight does not last long enough to earn.
    world = HilWorld(
        MujocoEngine(craft, 1, compile_kernels=False),
        craft,
        plan.apex_m,
        BallConfig(),
        plan.seed,
        plan.imu_noise,
        grade,
    )
    with (
        recording(plan, file, craft) as log,
        contextlib.closing(
            HilChannel(world, link, plan.pace, is_tracked=plan.is_tracked, origin=ORIGIN if grade else None)
        ) as channel,
    ):
        channel.connect()
        parameters = parameters_of(craft, ev_delay_ms=1e3 * TRACKER_DELAY_S)
        if grade:
            parameters = gps_parameters_of(craft, grade.accuracy_m[0], 1e3 * DELAY_S)
        load_into(channel, parameters, system=plan.system)
        if grade:
            _settle(channel, plan.system)
        mocap = MocapInput(VEHICLE, NOBODY) if plan.is_tracked else None
        return fly_over(file, craft, channel, world, plan, log, mocap=mocap, truth=world.place)


def _settle(channel: HilChannel, system: int) -> None:
    """Have PX4's local frame be the world's, by where the vehicle stands: what its receiver errs by now is left out.

    Not before its estimator knows where on the globe it is: told where its frame begins before that, it believes to be
    at latitude and longitude zero, takes the magnetic field of that place for its own, and does not arm.
    """
    peer, began_s = Peer(PeerConfig(system)), channel.now_s
    end_s = began_s + KNOWN_S
    origin: Globe | None = None
    while origin is None or not peer.begins_at(origin):
        if channel.now_s > end_s:
            raise CorvidsError(
                f"PX4's estimator did not find its place within {KNOWN_S:.0f} s"
                if origin is None
                else f"PX4 did not begin its frame where it was told to within {TOLD_S:.0f} s"
            )
        exchange(channel, peer, ASK_S)
        found = peer.messages.get("GLOBAL_POSITION_INT")
        if found is None:
            began_s = channel.now_s
        elif origin is None and channel.now_s - began_s >= SETTLE_S:
            x, y, z = channel.world.place()
            origin = on_globe((1e-7 * found.lat, 1e-7 * found.lon, 1e-3 * found.alt), (-x, -y, -z))
            end_s = channel.now_s + TOLD_S
        if origin is not None:
            channel.send(PACKET, peer.set_origin(origin, channel.now_s))


class HilEnd:
    """Our ends of one PX4: its simulator's, and MAVLink's with the keeper's mind."""

    def __init__(self, link: str, system: int = 1, origin: Globe | None = None) -> None:
        """``origin``: where on the globe the world's is, for receiver and barometer; the sea's height, if anywhere."""
        self.hil, self._origin = HilLink(port_of(link)), origin
        self._udp = UdpChannel(link)
        self._keeper = Keeper(Peer(PeerConfig(system, COMPONENT)))

    def live(self, now_s: float, felt: Felt) -> None:
        """Let PX4 live up to ``now_s`` [s], with what its sensors feel there."""
        pose = None
        if felt.tracked_pos_w_m is not None:
            pose = Pose(felt.tracked_pos_w_m, felt.tracked_quat_wb, TRACKER_POS_STD_M, TRACKER_ANGLE_STD_RAD)
        fix, height_m = None, felt.height_w_m + (self._origin[2] if self._origin else 0.0)
        if felt.fix is not None and self._origin is not None:
            grade = felt.fix.grade
            fix = GpsFix(*felt.fix[:3], grade.accuracy_m, grade.fix_type, grade.satellites, self._origin)
        sensed = Sensed(felt.specific_force_b_mps2, felt.omega_b_radps, felt.quat_wb, height_m)
        self.hil.exchange(round(1e6 * now_s), sensed, pose, fix)

    def send(self, kind: bytes, packet: bytes, safe: tuple[float, float], now_s: float) -> None:
        """A frame of the runtime's, as :class:`Channel` has it."""
        frame = kind + (SAFE.pack(*safe) if kind == SETPOINT else b"") + packet
        passed = self._keeper.from_runtime(frame, now_s)
        if passed is not None:
            self._udp.send(kind, passed)

    def heard(self, now_s: float) -> Iterator[bytes]:
        """What PX4 has sent, as the keeper hears it too, and what the keeper has to say."""
        while (datagram := self._udp.receive()) is not None:
            if datagram[:1] == HOLDS:
                continue  # that is the keeper's alone to say
            received = self._keeper.peer.counters.received
            self._keeper.peer.take_in(datagram, now_s)
            if self._keeper.peer.counters.received > received:
                self._udp.accept()
            yield datagram
        for packet in self._keeper.watch(now_s):
            self._udp.send(SETPOINT, packet)
        if (told := self._keeper.to_runtime(now_s)) is not None:
            yield told

    def close(self) -> None:
        """Close them; PX4's clock stands still from then on."""
        self._udp.close()
        self.hil.close()


class HilChannel:
    """A channel on which time passes by stepping the world and PX4 together, ``speed`` times real time at most.

    Where it ``is_tracked``, the runtime is told, too, what PX4 is told of the vehicle by the tracker.
    """

    def __init__(
        self,
        world: HilWorld,
        link: str,
        speed: float = 1.0,
        *,
        is_tracked: bool = False,
        origin: Globe | None = None,
    ) -> None:
        self.world = world
        self._end = HilEnd(link, system_of(link), origin)
        self._tracker = StateSender(session=1) if is_tracked else None
        self._pace_s = world.step_s / speed
        self._due_s = 0.0

    def connect(self) -> None:
        """Wait for PX4."""
        self._end.hil.wait_for_px4(CONNECT_S)

    @property
    def now_s(self) -> float:
        """Simulated time, which is PX4's too [s]."""
        return self.world.now_s

    def wait(self, until_s: float) -> Iterator[bytes]:
        while self.now_s < until_s - 1e-9:
            yield from self._step()
            yield from self._end.heard(self.now_s)
        yield from self._end.heard(self.now_s)

    def accept(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        self._end.send(kind, packet, safe, self.now_s)

    def close(self) -> None:
        self._end.close()

    def _step(self) -> Iterator[bytes]:
        """One step of everything; the tracker's packet, if it sends one now."""
        felt = self.world.advance(self._end.hil.motors)
        self._end.live(self.now_s, felt)
        if self._tracker and felt.tracked_pos_w_m is not None:
            pose = BodyPose(VEHICLE, felt.tracked_pos_w_m, felt.tracked_quat_wb, TRACKER_POS_STD_M)
            stamp_s = max(0.0, self.now_s - TRACKER_DELAY_S)
            yield self._tracker.state(round(1e9 * stamp_s), round(1e9 * self.now_s), (pose,))
        now_s = time.monotonic()
        if now_s < self._due_s:
            time.sleep(self._due_s - now_s)
        # What was lost is not caught up with: PX4's link would see a burst of time.
        self._due_s = max(self._due_s, now_s) + self._pace_s
