"""A stand-in for PX4's side of the link: its own frames (NED, FRD), its own clock, its own encoding through pymavlink.

It flies nothing: it holds a truth in PX4's frames, reports it, echoes clocks, and keeps what it was sent. It behaves as
PX4 does where that matters: off-board needs a stream, losing it changes the mode, and a stream that resumes takes over.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any

from pymavlink.dialects.v20 import common, development

OFFBOARD, AUTO, POSCTL, TERMINATION = 6, 4, 3, 10
TAKEOFF, LOITER, MISSION, RTL, LAND = 2, 3, 4, 5, 6
LOSS_S = 0.2
"""PX4's COM_OF_LOSS_T [s]; see :attr:`Standin.loss_s`."""


def custom_mode(main: int, sub: int = 0) -> int:
    """PX4's heartbeat field: main mode in bits 16 to 23, sub-mode above."""
    return main << 16 | sub << 24


def as_stored(value: int | float) -> tuple[float, int]:
    """A parameter as PX4 sends it, and its type: a whole number goes as the bytes of an integer."""
    if isinstance(value, int):
        return struct.unpack("<f", struct.pack("<i", value))[0], common.MAV_PARAM_TYPE_INT32
    return value, common.MAV_PARAM_TYPE_REAL32


@dataclasses.dataclass
class Truth:
    """The vehicle, in PX4's frames."""

    pos_ned: tuple[float, float, float] = (1.0, 2.0, -3.0)
    vel_ned: tuple[float, float, float] = (0.1, 0.2, -0.3)
    quat_ned: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Body FRD to world NED; all ones and zeros: level, heading north."""
    rate_frd: tuple[float, float, float] = (0.01, 0.02, 0.03)


class Standin:
    """PX4's side."""

    def __init__(self, boot_s: float = 50.0, key: bytes | None = None) -> None:
        self.boot_s = boot_s
        """What our clock showed when PX4's was zero [s]."""
        self.truth = Truth()
        self.armed, self.main, self.sub, self.status = False, AUTO, LOITER, common.MAV_STATE_STANDBY
        self.reset_counter = 0
        self.pos_std_m = math.nan
        """How well it says that it knows its place [m]: not at all."""
        self.parameters: dict[str, tuple[float, int]] = {}
        self.tells_at_once = True
        """Whether it sends a heartbeat when it is asked for one, as v1.17 does."""
        self.mav = common.MAVLink(None, srcSystem=1, srcComponent=1)
        self.reader = common.MAVLink(None)
        self.reader.robust_parsing = True
        if key is not None:
            for mav in (self.mav, self.reader):
                mav.signing.secret_key, mav.signing.sign_outgoing = key, True
        self.heard: list[Any] = []
        """Messages that it was sent."""
        self.clock_offsets_us: list[float] = []
        """Its clock less ours, as it makes out from each answer to :meth:`ask_time`."""
        self.loss_s = LOSS_S
        """A stream that has stopped for so long is lost [s]."""
        self.resumed = 0
        """How often a stream that had been lost took the vehicle back into OFFBOARD."""
        self._streamed_s = -math.inf
        self._lost_offboard = self._failed = False

    def fail(self, main: int, sub: int, status: int) -> None:
        """Leave OFFBOARD by itself; a stream does not bring it back."""
        self.main, self.sub, self.status, self._failed = main, sub, status, True

    def pack(self, message: Any) -> bytes:
        packet = bytes(message.pack(self.mav))
        self.mav.seq = (self.mav.seq + 1) % 256
        return packet

    def time_us(self, now_s: float) -> int:
        return int(1e6 * (now_s - self.boot_s))

    def heartbeat(self) -> bytes:
        base = 1 | (128 if self.armed else 0)
        return self.pack(
            common.MAVLink_heartbeat_message(2, 12, base, custom_mode(self.main, self.sub), self.status, 3)
        )

    def current_mode(self) -> bytes:
        mode = custom_mode(self.main, self.sub)
        intended = custom_mode(OFFBOARD) if self._lost_offboard or self._failed else mode
        return self.pack(development.MAVLink_current_mode_message(0, mode, intended))

    def odometry(self, now_s: float, in_body: bool = False) -> bytes:
        truth = self.truth
        none = [math.nan] * 21
        sure = [*none]
        sure[0] = sure[6] = sure[11] = self.pos_std_m**2
        return self.pack(
            common.MAVLink_odometry_message(
                self.time_us(now_s), 1, 12 if in_body else 1, *truth.pos_ned, truth.quat_ned, *truth.vel_ned,
                *truth.rate_frd, sure, none, self.reset_counter, 0, 100,
            )
        )  # fmt: skip

    def attitude(self, now_s: float) -> bytes:
        time_ms = self.time_us(now_s) // 1000
        return self.pack(
            common.MAVLink_attitude_quaternion_message(time_ms, *self.truth.quat_ned, *self.truth.rate_frd)
        )

    def position(self, now_s: float) -> bytes:
        time_ms = self.time_us(now_s) // 1000
        return self.pack(
            common.MAVLink_local_position_ned_message(time_ms, *self.truth.pos_ned, *self.truth.vel_ned)
        )

    def estimator(self, now_s: float, flags: int) -> bytes:
        return self.pack(common.MAVLink_estimator_status_message(self.time_us(now_s), flags, *[0.1] * 8))

    def imu(self, now_s: float) -> bytes:
        return self.pack(
            common.MAVLink_highres_imu_message(
                self.time_us(now_s), 0.1, 0.2, -9.8, *self.truth.rate_frd, 0, 0, 0, 0, 0, 0, 0, 63
            )
        )

    def landed(self, is_on_ground: bool) -> bytes:
        return self.pack(common.MAVLink_extended_sys_state_message(0, 1 if is_on_ground else 2))

    def battery(self, share: int) -> bytes:
        cells = [4000] * 4 + [65535] * 6
        return self.pack(common.MAVLink_battery_status_message(0, 0, 3, 2000, cells, -1, -1, -1, share))

    def ask_time(self, now_s: float) -> bytes:
        """Its question for our time."""
        return self.pack(common.MAVLink_timesync_message(0, 1000 * self.time_us(now_s)))

    def take_in(self, datagram: bytes, now_s: float) -> list[bytes]:
        """What it was sent; its answers."""
        answers = []
        messages: list[Any] = [*(self.reader.parse_buffer(datagram) or [])]
        for message in messages:
            self.heard.append(message)
            kind = message.get_type()
            if kind == "TIMESYNC" and message.tc1 == 0:
                answers.append(
                    self.pack(common.MAVLink_timesync_message(1000 * self.time_us(now_s), message.ts1))
                )
            elif kind == "TIMESYNC":
                self.clock_offsets_us.append(
                    (message.ts1 // 1000 + self.time_us(now_s)) / 2 - message.tc1 // 1000
                )
            elif kind == "SET_ATTITUDE_TARGET":
                self._streamed_s = now_s
                if self._lost_offboard:
                    self.main, self.sub, self._lost_offboard = OFFBOARD, 0, False
                    self.resumed += 1
            elif kind == "COMMAND_LONG":
                is_request = message.command == common.MAV_CMD_REQUEST_MESSAGE
                if is_request and message.param1 == common.MAVLINK_MSG_ID_HEARTBEAT and self.tells_at_once:
                    answers.append(self.heartbeat())
                answers.append(self._obey(message, now_s))
            elif kind == "PARAM_REQUEST_READ" and message.param_id in self.parameters:
                answers.append(self._parameter(message.param_id))
            elif kind == "PARAM_SET" and message.param_id in self.parameters:
                if message.param_type == self.parameters[message.param_id][1]:
                    self.parameters[message.param_id] = (message.param_value, message.param_type)
                answers.append(self._parameter(message.param_id))
        return answers

    def _parameter(self, name: str) -> bytes:
        value, type_ = self.parameters[name]
        return self.pack(common.MAVLink_param_value_message(name.encode(), value, type_, 1, 0))

    def _obey(self, message: Any, now_s: float) -> bytes:
        if message.command == common.MAV_CMD_COMPONENT_ARM_DISARM:
            self.armed = bool(message.param1)
        elif message.command == common.MAV_CMD_DO_SET_MODE:
            main, sub = int(message.param2), int(message.param3)
            if main != OFFBOARD or now_s - self._streamed_s < self.loss_s:
                self.main, self.sub, self._lost_offboard, self._failed = main, sub, False, False
                self.status = common.MAV_STATE_ACTIVE if self.armed else common.MAV_STATE_STANDBY
        return self.pack(common.MAVLink_command_ack_message(message.command, 0))

    def watch(self, now_s: float) -> None:
        """Notice that the stream was lost."""
        if self.armed and self.main == OFFBOARD and now_s - self._streamed_s > self.loss_s:
            self.main, self.sub, self._lost_offboard = AUTO, LAND, True
            self.status = common.MAV_STATE_CRITICAL

    def targets(self) -> list[Any]:
        """The set-points that it was sent."""
        return [message for message in self.heard if message.get_type() == "SET_ATTITUDE_TARGET"]

    def commands(self, command: int) -> list[Any]:
        return [m for m in self.heard if m.get_type() == "COMMAND_LONG" and m.command == command]
