"""The keeper's mind, as the runtime's frames and PX4's messages move it. No ROS, no sockets."""

from __future__ import annotations

from typing import Any

from corvids.deploy.px4.channels import ENGAGE, RELEASE, SAFE, SETPOINT
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.px4.keeping import Level, StreamWatch
from corvids.deploy.supervision.checks import Autopilot, Mode
from corvids.deploy.supervision.envelope import Triple
from corvids_ros.message_link import Transport
from corvids_ros.px4_messages import Px4Messages
from corvids_ros.px4_reader import MessageReader


class PoseMessages:
    """Poses from motion capture as PX4's estimator takes them in; see :class:`corvids.deploy.mocap.relay.PoseMaker`."""

    def __init__(self, messages: Px4Messages, reader: MessageReader, transport: Transport) -> None:
        """``reader`` knows PX4's clock."""
        self._messages, self._reader, self._transport = messages, reader, transport

    def odometry(
        self, stamp_s: float, pos_w_m: Triple, quat_wb: Quaternion, pos_std_m: float, angle_std_rad: float, /
    ) -> Any:
        """The message; None before PX4's clock is known."""
        if not self._reader.clock.is_known:
            return None
        stamps_us = self._reader.stamp_us(stamp_s), self._reader.stamp_us(self._transport.now_s)
        return self._messages.visual_odometry(pos_w_m, quat_wb, *stamps_us, pos_std_m, angle_std_rad)


class FrameWatch:
    """Takes the runtime's frames, and speaks in its place."""

    def __init__(self, messages: Px4Messages, transport: Transport) -> None:
        self.stream = StreamWatch()
        self._messages, self._transport = messages, transport
        for topic in ("offboard_control_mode", "vehicle_attitude_setpoint"):
            transport.advertise(topic)
        transport.advertise("vehicle_command", reliable=True)

    def from_runtime(self, frame: bytes, now_s: float) -> None:
        """A frame of the runtime's; any other than these says nothing."""
        kind = frame[:1]
        if kind == ENGAGE:
            self.stream.engage(frame[1:])
        elif kind == RELEASE:
            self.stream.release()
        elif kind == SETPOINT and len(frame) >= 1 + SAFE.size:
            self.stream.setpoint(Level(*SAFE.unpack_from(frame, 1)), now_s)

    def speak(self, now_s: float, autopilot: Autopilot) -> None:
        """Say what there is to say to PX4 now. It stamps it itself."""
        level, request = self.stream.watch(now_s, autopilot)
        if level is not None and autopilot.mode is Mode.OFFBOARD:  # elsewhere PX4 speaks in that topic itself
            self._transport.publish("vehicle_attitude_setpoint", self._messages.level(level, 0))
            self._transport.publish("offboard_control_mode", self._messages.offboard(0, attitude=True))
        if request is not None:
            self._transport.publish("vehicle_command", self._messages.request(request, 0))
