"""The link of one vehicle in messages: see :class:`corvids.deploy.px4.flight.Link`. No ROS: a transport moves them.

Set-points go straight to PX4, without a hop. The keeper, a process of its own, is told of each, and acts when they stop
coming; once it had to ask PX4 to hold, this side streams nothing until the operator engages anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from corvids.deploy.mocap.correction import MocapCorrection
from corvids.deploy.mocap.state_packet import is_state_packet
from corvids.deploy.mocap.state_stream import StateSink
from corvids.deploy.px4.channels import ENGAGE, PACKET, RELEASE, SETPOINT
from corvids.deploy.px4.keeping import KeeperNews, Level
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.supervision.checks import Autopilot, Mode
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.supervisor import Request
from corvids_ros.poses import Pose
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader
from corvids_ros.topics import HEARD

BACKLOG_MAX = 100
"""So many messages that are there already are taken in although time is up: a flood must not stop the ticks."""
ORIGIN_S = 3.0
"""How long PX4 may take to know a place on the globe by itself, and how often it is told one [s]."""
GREET_S = 1.0
"""How often the keeper hears that the runtime lives [s], streaming or not."""


class Transport(Protocol):
    """Moves messages of PX4's topics, named as :class:`corvids_ros.topics.Topics` names them."""

    @property
    def now_s(self) -> float:
        """Time [s]; never goes back."""
        ...

    @property
    def malformed(self) -> int:
        """Messages that could not be read, or written."""
        ...

    def subscribe(self, topic: str, heard: Callable[[Any], None]) -> None:
        """Have ``heard`` called with each message, while :meth:`spin` runs."""
        ...

    def advertise(self, topic: str, *, reliable: bool = False) -> None:
        """Say that messages will be published."""
        ...

    def publish(self, topic: str, message: Any) -> None:
        """Publish one."""
        ...

    def spin(self, seconds: float) -> None:
        """Wait for that long [s] at most, and hand over what has arrived."""
        ...


class KeeperEnd(Protocol):
    """The runtime's end of the line to the keeper."""

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        """Send a frame; see :mod:`corvids.deploy.px4.channels`."""
        ...

    def poll(self) -> bytes | None:
        """What it has said, if it has."""
        ...


class MessageLink:
    """Speaks and hears PX4's messages."""

    def __init__(self, transport: Transport, messages: Px4Messages) -> None:
        self.reader = MessageReader()
        self.messages, self.transport = messages, transport
        self.dropped = 0
        """Set-points that were not sent, since the keeper holds."""
        self._keeper: KeeperEnd | None = None
        self._mocap: StateSink | None = None
        self._correction: StateSink | MocapCorrection | None = None
        self._keeper_news = KeeperNews()
        self._greeted_s = 0.0
        self._origin: Triple | None = None
        self._told_s = math.inf
        """When PX4 was told it last; before that, when it had to be."""
        self._news = 0
        for topic in HEARD:
            self.listen(topic)
        transport.advertise("vehicle_rates_setpoint")
        transport.advertise("offboard_control_mode")
        transport.advertise("vehicle_command", reliable=True)

    @property
    def now_s(self) -> float:
        return self.transport.now_s

    @property
    def state(self) -> VehicleState:
        return self._correction.state if self._correction else self.reader.state

    @property
    def autopilot(self) -> Autopilot:
        return self.reader.autopilot

    @property
    def is_kept(self) -> bool:
        return self._keeper_news.is_kept

    def listen(self, topic: str) -> None:
        """Hear one more of PX4's topics."""
        self.transport.subscribe(topic, partial(self._hear, topic))

    def note_pose(self) -> None:
        """A pose arrived that did not come from PX4."""
        self._news += 1

    def relay_to_estimator(self, pos_std_m: float, angle_std_rad: float) -> Callable[[Pose], None]:
        """What takes poses of the vehicle: PX4's estimator gets them, once PX4's clock is known.

        From now on :attr:`state` is corrected by them, and its place grows old when they end.
        """
        self.transport.advertise("vehicle_visual_odometry")
        self._correction = correction = MocapCorrection()

        def relay(pose: Pose) -> None:
            if pose.quat_wb is None:
                return
            correction.see(pose.stamp_s, pose.pos_w, pose.quat_wb)
            if self.reader.clock.is_known:
                stamps_us = self.reader.stamp_us(pose.stamp_s), self.reader.stamp_us(self.now_s)
                message = self.messages.visual_odometry(
                    pose.pos_w, pose.quat_wb, *stamps_us, pos_std_m, angle_std_rad
                )
                self.transport.publish("vehicle_visual_odometry", message)

        return relay

    def tell_origin(self, origin: Triple) -> None:
        """Tell a PX4 that knows no place on the globe, and so could not hold, where the world's origin is there.

        Latitude and longitude [°], and height above sea level [m].
        """
        self._origin = origin
        self.listen("vehicle_global_position")

    def connect_keeper(self, keeper: KeeperEnd) -> None:
        """Tell the keeper of every set-point from now on."""
        self._keeper = keeper

    def take_mocap(self, sink: StateSink) -> None:
        """Hand what the keeper passes on of motion capture to ``sink``."""
        self._mocap = self._correction = sink

    def wait(self, until_s: float) -> Iterator[None]:
        if self._keeper and self.now_s - self._greeted_s > GREET_S:
            self._greeted_s = self.now_s
            self._keeper.send(PACKET)
        self._tell_origin()
        left_over = BACKLOG_MAX
        while left_over:
            news, malformed, left_s = self._news, self.transport.malformed, until_s - self.now_s
            self.transport.spin(max(0.0, left_s))
            if self._mocap or self._news == news:
                self._hear_keeper()  # otherwise it has nothing to say that cannot wait until there is time
            left_over -= left_s <= 0.0
            if self._news != news:
                yield
            elif left_s <= 0.0 and self.transport.malformed == malformed:
                return

    def engage(self) -> None:
        turn = self._keeper_news.engage()
        if self._keeper:
            self._keeper.send(ENGAGE, turn)

    def release(self) -> None:
        if self._keeper:
            self._keeper.send(RELEASE)

    def request(self, request: Request) -> None:
        message = self.messages.request(request, self.reader.stamp_us(self.now_s))
        self.transport.publish("vehicle_command", message)

    def stream(self, thrust: float, rate_b_radps: Triple, level: Level) -> None:
        self._hear_keeper()
        if self._keeper_news.is_held:
            self.dropped += 1
            return
        stamp_us = self.reader.stamp_us(self.now_s)
        if self.autopilot.mode is Mode.OFFBOARD:
            # In any other mode PX4's own controllers speak in this very topic: its rate loop would obey both.
            message = self.messages.rates(thrust, rate_b_radps, stamp_us)
            self.transport.publish("vehicle_rates_setpoint", message)
        self.transport.publish("offboard_control_mode", self.messages.offboard(stamp_us))
        if self._keeper:
            self._keeper.send(SETPOINT, b"", level)

    def _tell_origin(self) -> None:
        is_told = "vehicle_global_position" in self.reader.counters.received
        if self._origin is None or is_told or not math.isfinite(self.state.stamp_s):
            return
        self._told_s = min(self._told_s, self.now_s)
        if self.now_s - self._told_s > ORIGIN_S:
            self._told_s = self.now_s
            message = self.messages.origin(*self._origin, self.reader.stamp_us(self.now_s))
            self.transport.publish("vehicle_command", message)

    def _hear_keeper(self) -> None:
        while self._keeper and (said := self._keeper.poll()) is not None:
            if not is_state_packet(said):
                self._keeper_news.hear(said)
            elif self._mocap:
                self._mocap.take_in(said, self.now_s)

    def _hear(self, topic: str, message: Any) -> None:
        self._news += 1
        self.reader.take_in(topic, message, self.now_s)
        if self._correction:
            self._correction.hear(self.reader.state)


def hear_all(transport: Transport, reader: MessageReader) -> None:
    """Take in all that has arrived: one turn of an executor hands over one message."""
    for _ in range(BACKLOG_MAX):
        before = sum(reader.counters.received.values()) + transport.malformed
        transport.spin(0.0)
        if sum(reader.counters.received.values()) + transport.malformed == before:
            return
