"""Motion capture on its way through the keeper: poses to PX4, frames to the runtime. No ROS.

PX4 needs poses as long as its vehicle is in the air, also when the flight that they came with is over. So a keeper that
has lost its runtime goes on with them until the next flight's keeper takes its port over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from corvids.deploy.mocap.port_handover import CAN_PASS, PortOffer, take_over
from corvids.deploy.mocap.relay import MocapConfig, MocapRelay, account, tell
from corvids.deploy.mocap.state_port import StatePort
from corvids.deploy.mocap.state_stream import StateReceiver
from corvids_ros.frame_watch import PoseMessages
from corvids_ros.message_link import Transport
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader

CLOCK_S = 3.0
"""How long PX4's clock is waited for [s]: without it no pose can be passed on, so whoever has the port keeps it."""


class Guide:
    """What comes in at one port."""

    def __init__(
        self,
        mocap: MocapConfig,
        messages: Px4Messages,
        reader: MessageReader,
        transport: Transport,
        hear: Callable[[str, object], None],
    ) -> None:
        """``hear`` hands messages of PX4's topics to ``reader``."""
        self._transport = transport
        self._relay = MocapRelay(mocap.vehicle, PoseMessages(messages, reader, transport))
        transport.subscribe("vehicle_odometry", partial(hear, "vehicle_odometry"))  # for PX4's clock
        transport.advertise("vehicle_visual_odometry")
        end_s = transport.now_s + CLOCK_S
        while not reader.clock.is_known and transport.now_s < end_s:
            transport.spin(0.1)
        self.port = StatePort(mocap.where, StateReceiver(mocap.stream), take_over)
        self._offer = PortOffer(mocap.where, self.port.socket) if CAN_PASS else None

    def relay(self, now_s: float) -> Iterator[bytes]:
        """Pass on what has arrived by ``now_s`` [s]; what goes to the runtime."""
        for frame in self.port.frames(now_s):
            to_px4, to_runtime = self._relay.relay(frame, now_s)
            if to_px4 is not None:
                self._transport.publish("vehicle_visual_odometry", to_px4)
            yield to_runtime

    def has_passed_on(self, is_free: Callable[[], bool]) -> bool:
        """Whether another keeper has asked for the port, and got it as this one ``is_free``."""
        return self._offer is not None and self._offer.pass_on(is_free)

    def close(self) -> None:
        """Close it, and say how the stream fared."""
        if self._offer:
            self._offer.close()
        self.port.close()
        tell(account(self.port.receiver, self._relay.seen))
