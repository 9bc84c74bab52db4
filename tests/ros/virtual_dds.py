"""Messages between flight, keeper and a PX4 that flies, in virtual time, over a net on which anything happens."""

from __future__ import annotations

import dataclasses
import heapq
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flying import STEP_S, Fault
from message_px4 import MessagePx4, plain_messages

from corvids.deploy.px4.channels import SAFE, SETPOINT
from corvids_ros.frame_watch import FrameWatch
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader

DELAY_S = 0.001
MESSAGES = Px4Messages(1, plain_messages())


class VirtualDds:
    """The world: PX4, the net, and the keeper, which a fault of the runtime's does not touch."""

    def __init__(self, px4: MessagePx4, fault: Fault | None = None, seed: int = 0) -> None:
        self.px4, self.fault = px4, fault or Fault()
        self.rng = random.Random(seed)
        self.reader = MessageReader()
        self.runtime = VirtualTransport(self)
        self.keeper = FrameWatch(MESSAGES, VirtualTransport(self))
        self.answers: list[bytes] = []
        """What the keeper has said to the runtime."""
        self.paused_s = 0.0
        """How long the runtime is to be stopped, after its next wait."""
        self._steps = self._count = 0
        self._under_way: list[tuple[float, int, Callable[[], None]]] = []
        self._began = False
        self._frozen: Any = None

    @property
    def now_s(self) -> float:
        return self._steps * STEP_S

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        """The runtime's line to the keeper; see :class:`corvids_ros.message_link.KeeperEnd`."""
        self.keeper.from_runtime(kind + (SAFE.pack(*safe) if kind == SETPOINT else b"") + packet, self.now_s)

    def poll(self) -> bytes | None:
        return self.answers.pop(0) if self.answers else None

    def carry(self, deliver: Callable[[], None]) -> None:
        """Put a message under way."""
        fault, delay_s = self.fault, DELAY_S
        copies = 1
        if fault.is_on(self.now_s):
            if fault.cut or self.rng.random() < fault.loss:
                return
            delay_s += fault.jitter_s * self.rng.random()
            copies += fault.duplicate
        for _ in range(copies):
            self._count += 1
            heapq.heappush(self._under_way, (self.now_s + delay_s, self._count, deliver))

    def pause(self, seconds: float) -> None:
        """The runtime is stopped, the rest of the world goes on."""
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        """Everything but the runtime, for one step."""
        self._steps += 1
        now_s, fault = self.now_s, self.fault
        if not self._began and fault.is_on(now_s):
            self._began = True
            if fault.once:
                fault.once(self)
        while self._under_way and self._under_way[0][0] <= now_s:
            heapq.heappop(self._under_way)[2]()
        self.px4.advance(now_s)
        self._report(now_s)
        self.keeper.speak(now_s, self.reader.autopilot)
        answer = self.keeper.stream.news()
        if answer is not None:
            self.answers = [*self.answers[-5:], answer]

    def _report(self, now_s: float) -> None:
        px4, fault = self.px4, self.fault
        is_on = fault.is_on(now_s)
        px4.battery_share = 0.01 * fault.battery if is_on else 0.8
        for topic, fields in px4.say_slow(now_s):
            self._heard(topic, fields)
        if is_on and fault.no_telemetry:
            return
        fields = px4.odometry_fields(now_s)
        if is_on and fault.frozen:
            self._frozen = self._frozen or fields
            fields = {
                **self._frozen,
                "timestamp": fields["timestamp"],
                "timestamp_sample": fields["timestamp"],
            }
        if is_on and fault.not_a_number:
            fields["position"] = [math.nan, 0.0, 0.0]
        if self._steps % 2 == 0:
            self._heard("vehicle_odometry", fields)
        if is_on and fault.garbage:
            noise = [self.rng.uniform(-100.0, 100.0) for _ in range(4)]
            self._heard("vehicle_odometry", {**fields, "q": noise})
            self._heard("vehicle_odometry", {**fields, "pose_frame": 2})

    def _heard(self, topic: str, fields: dict[str, Any]) -> None:
        message = SimpleNamespace(**fields)
        if topic in self.runtime.heard:
            self.carry(lambda: self.runtime.inbox.append((topic, message)))
        if topic == "vehicle_status":
            self.carry(lambda: self.reader.take_in(topic, message, self.now_s))


@dataclasses.dataclass
class VirtualTransport:
    """See :class:`corvids_ros.message_link.Transport`."""

    dds: VirtualDds
    heard: dict[str, Callable[[Any], None]] = dataclasses.field(default_factory=dict)
    inbox: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    published: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    malformed = 0

    @property
    def now_s(self) -> float:
        return self.dds.now_s

    def subscribe(self, topic: str, heard: Callable[[Any], None]) -> None:
        self.heard[topic] = heard

    def advertise(self, topic: str, *, reliable: bool = False) -> None:
        self.published.setdefault(topic, [])

    def publish(self, topic: str, message: Any) -> None:
        self.published[topic].append(message)
        self.dds.carry(lambda: self.dds.px4.hear(topic, message, self.dds.now_s))

    def spin(self, seconds: float) -> None:
        """Until something arrives or time is up; a paused runtime finds what its queue kept."""
        until_s = self.now_s + seconds
        while not self.inbox and self.now_s < until_s:
            self.dds.step()
        if self.inbox:
            topic, message = self.inbox.pop(0)
            self.heard[topic](message)
        elif self.dds.paused_s:
            seconds, self.dds.paused_s = self.dds.paused_s, 0.0
            self.dds.pause(seconds)
            self.inbox = self.inbox[-20:]
