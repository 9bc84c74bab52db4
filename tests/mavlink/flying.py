"""A stand-in for PX4 that flies, in virtual time, behind a keeper and a link on which anything can happen."""

from __future__ import annotations

import dataclasses
import heapq
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

from pymavlink.dialects.v20 import common
from standin import AUTO, LAND, OFFBOARD, Standin

from corvids.deploy.px4.channels import SAFE, SETPOINT
from corvids.deploy.px4.link_keeper import COMPONENT, Keeper
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig

STEP_S = 0.004
GRAVITY = 9.80665
RATE_LAG_S = 0.05


def rotate(quat, vector):
    """By the rotation matrix, written out."""
    w, x, y, z = quat
    a, b, c = vector
    return (
        (1 - 2 * (y * y + z * z)) * a + 2 * (x * y - w * z) * b + 2 * (x * z + w * y) * c,
        2 * (x * y + w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z - w * x) * c,
        2 * (x * z - w * y) * a + 2 * (y * z + w * x) * b + (1 - 2 * (x * x + y * y)) * c,
    )


class FlyingStandin(Standin):
    """One rigid body with PX4's modes. NED and FRD throughout."""

    def __init__(self, full_thrust_mps2: float, boot_s: float = -1000.0, key: bytes | None = None) -> None:
        """``full_thrust_mps2``: full thrust over mass; ``key`` signs."""
        super().__init__(boot_s, key)
        self.truth.pos_ned = self.truth.vel_ned = self.truth.rate_frd = (0.0, 0.0, 0.0)
        self.full_thrust_mps2 = full_thrust_mps2
        self.crashed = ""
        self.farthest_m = 0.0
        """Largest distance from the start along x or y [m]."""

    def advance(self, now_s: float) -> None:
        """One step of flight."""
        self.watch(now_s)
        truth = self.truth
        targets = self.last_target
        if not self.armed:
            truth.vel_ned = truth.rate_frd = (0.0, 0.0, 0.0)
        elif self.main == OFFBOARD and targets is not None:
            self._fly(targets)
        else:
            self._brake()
        self.farthest_m = max(self.farthest_m, abs(truth.pos_ned[0]), abs(truth.pos_ned[1]))
        self._touch_ground()

    @property
    def last_target(self) -> Any:
        return self._last_target

    _last_target: Any = None

    def take_in(self, datagram: bytes, now_s: float) -> list[bytes]:
        heard = len(self.heard)
        answers = super().take_in(datagram, now_s)
        for message in self.heard[heard:]:
            if message.get_type() == "SET_ATTITUDE_TARGET":
                self._last_target = message
        return answers

    def _fly(self, target: Any) -> None:
        truth = self.truth
        w, x, y, z = truth.quat_ned
        if target.type_mask & 0x80:
            wanted = (target.body_roll_rate, target.body_pitch_rate, target.body_yaw_rate)
        else:  # level: against the tilt
            wanted = (-6.0 * 2.0 * (w * x + y * z), -6.0 * 2.0 * (w * y - z * x), 0.0)
        share = STEP_S / RATE_LAG_S
        p, q, r = (rate + share * (goal - rate) for rate, goal in zip(truth.rate_frd, wanted, strict=True))
        truth.rate_frd = (p, q, r)
        h = 0.5 * STEP_S
        quat = (
            w - h * (p * x + q * y + r * z),
            x + h * (p * w + r * y - q * z),
            y + h * (q * w - r * x + p * z),
            z + h * (r * w + q * x - p * y),
        )
        norm = math.hypot(*quat)
        truth.quat_ned = (quat[0] / norm, quat[1] / norm, quat[2] / norm, quat[3] / norm)
        north, east, down = rotate(truth.quat_ned, (0.0, 0.0, -self.full_thrust_mps2 * target.thrust))
        self._move((north, east, down + GRAVITY))

    def _brake(self) -> None:
        """What PX4's own modes do: level out, brake, hold or come down."""
        truth = self.truth
        w, _, _, z = truth.quat_ned
        norm = math.hypot(w, z) or 1.0
        truth.quat_ned, truth.rate_frd = (w / norm, 0.0, 0.0, z / norm), (0.0, 0.0, 0.0)
        sink = 0.5 if (self.main, self.sub) == (AUTO, LAND) else 0.0
        north, east, down = truth.vel_ned
        self._move((-2.0 * north, -2.0 * east, 2.0 * (sink - down)))

    def _move(self, accel: tuple[float, float, float]) -> None:
        truth = self.truth
        u, v, w = (speed + a * STEP_S for speed, a in zip(truth.vel_ned, accel, strict=True))
        x, y, z = truth.pos_ned
        truth.pos_ned, truth.vel_ned = (x + u * STEP_S, y + v * STEP_S, z + w * STEP_S), (u, v, w)

    def _touch_ground(self) -> None:
        truth = self.truth
        north, east, down = truth.pos_ned
        if down < 0.0:
            return
        if truth.vel_ned[2] > 1.5:
            self.crashed = f"hit the ground with {truth.vel_ned[2]:.1f} m/s"
        truth.pos_ned = (north, east, 0.0)
        truth.vel_ned = (0.0, 0.0, min(0.0, truth.vel_ned[2]))
        if self.armed and (self.main, self.sub) == (AUTO, LAND):
            self.armed, self.status = False, common.MAV_STATE_STANDBY
            self.main, self.sub = OFFBOARD, 0  # where it was flown before, as PX4 does not arm in LAND


def is_asked_for_its_mode(px4: Standin) -> bool:
    """PX4 sends CURRENT_MODE, as soon as it changes, where it was asked to."""
    return any(m.param1 == 436 for m in px4.commands(common.MAV_CMD_SET_MESSAGE_INTERVAL))


@dataclasses.dataclass
class Fault:
    """What goes wrong, from when on and until when [s, virtual time]; fields that are set hold in between."""

    start_s: float = math.inf
    end_s: float = math.inf
    no_telemetry: bool = False
    cut: bool = False
    loss: float = 0.0
    jitter_s: float = 0.0
    duplicate: bool = False
    garbage: bool = False
    frozen: bool = False
    not_a_number: bool = False
    battery: int = 80
    once: Callable[[Any], object] | None = None
    """Called when it begins."""

    def is_on(self, now_s: float) -> bool:
        return self.start_s <= now_s < self.end_s


class VirtualLink:
    """A channel whose clock is simulated: waiting on it lets PX4 fly and the keeper watch."""

    def __init__(self, px4: FlyingStandin, fault: Fault | None = None, seed: int = 0) -> None:
        self.px4, self.fault = px4, fault or Fault()
        self.keeper = Keeper(Peer(PeerConfig(component=COMPONENT)))
        self.rng = random.Random(seed)
        self._steps = 0
        self._to_us: list[tuple[float, int, bytes]] = []
        self._to_px4: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._began = False
        self._frozen: Any = None
        self._mode = (px4.main, px4.sub)

    @property
    def now_s(self) -> float:
        return self._steps * STEP_S

    def wait(self, until_s: float) -> Iterator[bytes]:
        while self.now_s < until_s - 1e-9:
            self.step()
        while self._to_us and self._to_us[0][0] <= self.now_s:
            yield heapq.heappop(self._to_us)[2]

    def accept(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        frame = kind + (SAFE.pack(*safe) if kind == SETPOINT else b"") + packet
        passed = self.keeper.from_runtime(frame, self.now_s)
        if passed is not None:
            self._send(self._to_px4, passed)

    def pause(self, seconds: float) -> None:
        """The runtime is stopped, the rest of the world goes on."""
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        """Everything but the runtime, for one step."""
        self._steps += 1
        now_s, px4, fault = self.now_s, self.px4, self.fault
        if not self._began and fault.is_on(now_s):
            self._began = True
            if fault.once:
                fault.once(self)
        while self._to_px4 and self._to_px4[0][0] <= now_s:
            for answer in px4.take_in(heapq.heappop(self._to_px4)[2], now_s):
                self._send(self._to_us, answer)
        px4.advance(now_s)
        if self._steps % 2 == 0:
            self._report(now_s)
        for packet in self.keeper.watch(now_s):
            self._send(self._to_px4, packet)
        if (told := self.keeper.to_runtime(now_s)) is not None:
            self._push(self._to_us, 0.0, told)  # over no link

    def _report(self, now_s: float) -> None:
        px4, fault = self.px4, self.fault
        is_on = fault.is_on(now_s)
        if self._steps % 250 == 0:
            self._heard(px4.heartbeat())
            self._heard(px4.battery(fault.battery if is_on else 80))
        if (mode := (px4.main, px4.sub)) != self._mode:
            self._mode = mode
            if is_asked_for_its_mode(px4):
                self._heard(px4.current_mode())
        if is_on and fault.no_telemetry:
            return
        truth = px4.truth
        if is_on and (fault.frozen or fault.not_a_number):
            self._frozen = self._frozen or dataclasses.replace(truth)
            px4.truth = self._frozen
            if fault.not_a_number:
                px4.truth = dataclasses.replace(truth, pos_ned=(math.nan, 0.0, 0.0))
        else:
            noise = [self.rng.gauss(0.0, 1e-3) for _ in range(3)]
            noisy = tuple(p + n for p, n in zip(truth.pos_ned, noise, strict=True))
            px4.truth = dataclasses.replace(truth, pos_ned=noisy)
        self._heard(px4.odometry(now_s))
        px4.truth = truth
        if is_on and fault.garbage:
            self._heard(self.rng.randbytes(self.rng.randrange(100)))
            stranger = Standin()
            stranger.mav.srcSystem = 77
            self._heard(stranger.heartbeat())

    def _heard(self, packet: bytes) -> None:
        self._send(self._to_us, packet)

    def _send(self, queue: list[tuple[float, int, bytes]], packet: bytes) -> None:
        """Put under way; the keeper hears what PX4 says as soon as it is sent."""
        fault, delay_s = self.fault, 0.002
        if fault.is_on(self.now_s):
            if fault.cut or self.rng.random() < fault.loss:
                return
            delay_s += fault.jitter_s * self.rng.random()
            if fault.duplicate:
                self._push(queue, delay_s, packet)
        if queue is self._to_us:
            self.keeper.peer.take_in(packet, self.now_s)
        self._push(queue, delay_s, packet)

    def _push(self, queue: list[tuple[float, int, bytes]], delay_s: float, packet: bytes) -> None:
        self._count += 1
        heapq.heappush(queue, (self.now_s + delay_s, self._count, packet))
