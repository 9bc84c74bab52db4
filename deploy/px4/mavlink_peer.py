"""Our end of a MAVLink conversation with one PX4, without sockets or clock: datagrams in, datagrams out."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterator
from typing import Any

from pymavlink.dialects.v20 import common

from corvids.deploy.px4.current_mode import CURRENT_MODE, learn
from corvids.deploy.px4.frames import Quaternion, flu_frd, level_ned
from corvids.deploy.px4.framing import HEAD, SIGNED, VERSION_2, packet_size
from corvids.deploy.px4.mavlink_state import (
    MAIN_AUTO,
    MAIN_OFFBOARD,
    SUB_LAND,
    SUB_LOITER,
    Counters,
    StateReader,
)
from corvids.deploy.px4.odometry import odometry_message
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.supervisor import Request
from corvids.errors import CorvidsError

RATES_AND_THRUST = 0b10000000
"""SET_ATTITUDE_TARGET: the attitude is to be ignored."""
ATTITUDE_AND_THRUST = 0b00000111
"""SET_ATTITUDE_TARGET: the body rates are to be ignored."""
HEARTBEAT_S, TIMESYNC_S, ASK_STREAMS_S, ORIGIN_S = 1.0, 0.1, 2.0, 3.0
"""How often each is sent [s]; streams are asked for until they come, and again in case PX4 was started anew."""
PARAMETERS_MAX = 5000
"""PX4 has fewer parameters; more are not kept."""
DATAGRAM_MAX = 2048
"""A longer datagram is no MAVLink [bytes]."""
_SIGNATURES_BEGAN_S = 1420070400.0
"""1 January 2015, from which signatures count time, in steps of 10 µs."""
STREAMS_HZ = {
    common.MAVLINK_MSG_ID_ODOMETRY: 125.0,
    common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION: 125.0,
    common.MAVLINK_MSG_ID_HIGHRES_IMU: 50.0,
    common.MAVLINK_MSG_ID_ATTITUDE_TARGET: 50.0,
    CURRENT_MODE: 50.0,
    common.MAVLINK_MSG_ID_ESTIMATOR_STATUS: 10.0,
    common.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: 5.0,
    common.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 2.0,
    common.MAVLINK_MSG_ID_BATTERY_STATUS: 2.0,
}
"""What PX4 is asked to send, and how often [Hz]; its mode when that changes, so much later at most."""
learn()

IMU_STREAMS = (common.MAVLINK_MSG_ID_HIGHRES_IMU, common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION)
"""Those that an inner loop lives on."""


def check_system(system: int) -> None:
    """Refuse what no vehicle's MAVLink system can be."""
    if not 1 <= system <= 255:
        raise CorvidsError(f"MAVLink system {system}: must be 1 to 255")


@dataclasses.dataclass(frozen=True)
class PeerConfig:
    """Who talks to whom."""

    target_system: int = 1
    """MAVLink system of the vehicle."""
    component: int = common.MAV_COMP_ID_ONBOARD_COMPUTER
    """Our component; our system is the vehicle's."""
    key: bytes | None = None
    """Secret of 32 bytes: packets are signed, and unsigned ones are ignored."""
    link_id: int = 1
    """Of signed packets: unlike any other sender's with this key."""
    origin: tuple[float, float, float] | None = None
    """Latitude and longitude [°] and height [m above sea level] of the world's origin, told to a PX4 that does not know
    where on the globe it is (motion capture alone): without a place there it neither holds nor arms in HOLD."""

    imu_hz: float | None = None
    """How often accelerometer and attitude are asked for, where an inner loop lives on them [Hz]."""

    def __post_init__(self) -> None:
        if self.key is not None and len(self.key) != 32:
            raise CorvidsError(f"MAVLink key of {len(self.key)} bytes: must be 32")
        if self.origin is not None:
            latitude, longitude, height_m = self.origin
            if not (abs(latitude) <= 90.0 and abs(longitude) <= 180.0 and abs(height_m) < 1e4):
                raise CorvidsError(f"origin {self.origin}: must be latitude and longitude [°] and height [m]")
        check_system(self.target_system)


class Peer:
    """Decodes what PX4 sends, encodes what it is sent."""

    def __init__(self, config: PeerConfig | None = None, unix_s: float = 0.0) -> None:
        """``unix_s``: the date [s since 1970], which signatures need."""
        self.config = config or PeerConfig()
        self.counters = Counters()
        self.reader = StateReader(self.counters)
        self.messages: dict[str, Any] = {}
        """The newest of each message that the vehicle sent, by name."""
        self.arrivals: dict[str, int] = {}
        """How many of each."""
        self.parameters: dict[str, float] = {}
        """PX4's parameters that were asked for and came."""
        self._mav = common.MAVLink(
            None, srcSystem=self.config.target_system, srcComponent=self.config.component
        )
        self._mav.robust_parsing = True
        if self.config.key is not None:
            signing = self._mav.signing
            signing.secret_key, signing.link_id, signing.sign_outgoing = (
                self.config.key,
                self.config.link_id,
                True,
            )
            signing.allow_unsigned_callback = None
            signing.timestamp = max(0, int(1e5 * (unix_s - _SIGNATURES_BEGAN_S)))
        self._asked_ns: int | None = None
        """PX4's clock when it last asked for ours, until it is answered."""
        self._sequence: dict[int, int] = {}
        self._due_s: dict[str, float] = dict.fromkeys(
            ("heartbeat", "timesync", "streams", "origin"), float("-inf")
        )

    def take_in(self, datagram: bytes, now_s: float) -> None:
        """A datagram received at ``now_s`` on our clock [s]. Nothing that it holds raises an exception."""
        if len(datagram) > DATAGRAM_MAX:
            self.counters.malformed += 1
            return
        for packet in self._packets(datagram):
            message = self._decoded(packet)
            if message is None:
                continue
            if message.get_srcSystem() != self.config.target_system or message.get_srcComponent() != 1:
                self.counters.foreign += 1
            elif self._is_new(message.get_srcComponent(), message.get_seq()):
                self.messages[message.get_type()] = message
                self.arrivals[message.get_type()] = self.arrivals.get(message.get_type(), 0) + 1
                self.reader.take_in(message, now_s)
                if message.get_type() == "TIMESYNC" and message.tc1 == 0:
                    self._asked_ns = message.ts1
                if message.get_type() == "PARAM_VALUE" and len(self.parameters) < PARAMETERS_MAX:
                    self.parameters[message.param_id] = _parameter_value(message)

    def _packets(self, datagram: bytes) -> Iterator[bytes]:
        """The packets in a datagram, which always holds whole ones; garbage counts once."""
        start = 0
        while start < len(datagram):
            head = datagram[start : start + HEAD]
            size = packet_size(head) if len(head) == HEAD else None
            if size is None or size > len(datagram) - start:
                self.counters.malformed += 1
                return
            yield datagram[start : start + size]
            start += size

    def _decoded(self, packet: bytes) -> Any:
        """The message in a packet; None where it is not well-formed, unknown, or not signed as it must be."""
        if self.config.key is not None and not self._is_signed(packet):
            self.counters.unsigned += 1
            return None
        self._mav.buf, self._mav.buf_index = bytearray(), 0
        try:
            message = self._mav.parse_char(packet)
        except (common.MAVError, struct.error, ValueError, TypeError, IndexError):
            message = None
        if message is None or message.get_type() == "BAD_DATA":
            self.counters.malformed += 1
            return None
        return None if message.get_type().startswith("UNKNOWN") else message

    def _is_signed(self, packet: bytes) -> bool:
        """Whether the signature is right; looked at here, as the decoder keeps a time stamp before it knows."""
        if packet[0] != VERSION_2 or not packet[2] & SIGNED:
            return False
        return hashlib.sha256((self.config.key or b"") + packet[:-6]).digest()[:6] == packet[-6:]

    def _is_new(self, component: int, sequence: int) -> bool:
        """Count by sequence number; a repetition is not new, a packet that was overtaken is."""
        self.counters.received += 1
        last = self._sequence.get(component)
        ahead = 1 if last is None else (sequence - last) % 256
        if ahead == 0:
            self.counters.duplicate += 1
            return False
        if ahead < 128:
            self.counters.lost += ahead - 1
            self._sequence[component] = sequence
        else:
            self.counters.reordered += 1
            self.counters.lost -= self.counters.lost > 0
        return True

    def housekeeping(self, now_s: float) -> Iterator[bytes]:
        """What is due at ``now_s``: heartbeat, clock comparison, requests for streams."""
        if self._is_due("heartbeat", now_s, HEARTBEAT_S):
            yield self._pack(
                common.MAVLink_heartbeat_message(
                    common.MAV_TYPE_ONBOARD_CONTROLLER,
                    common.MAV_AUTOPILOT_INVALID,
                    0,
                    0,
                    common.MAV_STATE_ACTIVE,
                    3,
                )
            )
        if self._is_due("timesync", now_s, TIMESYNC_S):
            yield self._pack(common.MAVLink_timesync_message(0, int(1e9 * now_s)))
        if self.counters.received and self._is_due("streams", now_s, ASK_STREAMS_S):
            wanted = dict(STREAMS_HZ)
            if self.config.imu_hz:
                wanted |= dict.fromkeys(IMU_STREAMS, self.config.imu_hz)
            for message_id, rate_hz in wanted.items():
                yield self._command(common.MAV_CMD_SET_MESSAGE_INTERVAL, message_id, 1e6 / rate_hz)
        if self.config.origin is None or not self.is_lost:
            return
        if self._due_s["origin"] == float("-inf"):  # time for a PX4 with GPS to say where it is
            self._due_s["origin"] = now_s + ORIGIN_S
        if self._is_due("origin", now_s, ORIGIN_S):
            yield self.set_origin(self.config.origin, now_s)

    def tell_time(self, now_s: float) -> bytes | None:
        """The answer to PX4's newest question for our time, ``now_s`` [s]; None where all are answered.

        PX4 takes the mean of its times of asking and hearing for ours, so one side alone must answer, and at once.
        """
        asked_ns, self._asked_ns = self._asked_ns, None
        if asked_ns is None:
            return None
        return self._pack(common.MAVLink_timesync_message(int(1e9 * now_s), asked_ns))

    @property
    def is_lost(self) -> bool:
        """Whether PX4 has a place in its own world, but none on the globe."""
        return "ODOMETRY" in self.messages and "GLOBAL_POSITION_INT" not in self.messages

    def rates(self, thrust: float, rate_b_radps: Triple, now_s: float) -> bytes:
        """Body rates [rad/s, FLU] and PX4's normalised thrust 0 to 1."""
        return self._target(RATES_AND_THRUST, (1.0, 0.0, 0.0, 0.0), flu_frd(rate_b_radps), thrust, now_s)

    def level(self, thrust: float, yaw_ned_rad: float, now_s: float) -> bytes:
        """Level attitude with the heading ``yaw_ned_rad`` [rad from north], and thrust."""
        return self._target(ATTITUDE_AND_THRUST, level_ned(yaw_ned_rad), (0.0, 0.0, 0.0), thrust, now_s)

    def odometry(
        self, stamp_s: float, pos_w_m: Triple, quat_wb: Quaternion, pos_std_m: float, angle_std_rad: float
    ) -> bytes:
        """A pose seen from outside at ``stamp_s`` on our clock [s], with standard deviations."""
        time_us = max(0, int(1e6 * stamp_s))
        return self._pack(
            odometry_message(time_us, pos_w_m, quat_wb, pos_std_m=pos_std_m, angle_std_rad=angle_std_rad)
        )

    def request(self, request: Request) -> bytes:
        """The command that asks for a mode, or to arm."""
        if request is Request.ARM:
            return self._command(common.MAV_CMD_COMPONENT_ARM_DISARM, 1.0)
        main, sub = {
            Request.OFFBOARD: (MAIN_OFFBOARD, 0),
            Request.HOLD: (MAIN_AUTO, SUB_LOITER),
            Request.LAND: (MAIN_AUTO, SUB_LAND),
        }[request]
        return self._command(
            common.MAV_CMD_DO_SET_MODE, common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED, float(main), float(sub)
        )

    def ask_parameter(self, name: str) -> bytes:
        """The request to read a parameter; PX4 answers with PARAM_VALUE."""
        return self._pack(
            common.MAVLink_param_request_read_message(self.config.target_system, 1, name.encode("ascii"), -1)
        )

    def set_parameter(self, name: str, value: int | float) -> bytes:
        """The request to set a parameter: a whole number is PX4's INT32; PX4 answers with PARAM_VALUE."""
        kind, sent = common.MAV_PARAM_TYPE_REAL32, float(value)
        if isinstance(value, int):
            kind, (sent,) = common.MAV_PARAM_TYPE_INT32, struct.unpack("<f", struct.pack("<i", value))
        return self._pack(
            common.MAVLink_param_set_message(self.config.target_system, 1, name.encode("ascii"), sent, kind)
        )

    def save(self) -> bytes:
        """The request to write all parameters to storage."""
        return self._command(common.MAV_CMD_PREFLIGHT_STORAGE, 1.0)

    def set_origin(self, origin: tuple[float, float, float], now_s: float) -> bytes:
        """The request that PX4's local frame begin at ``origin`` (see :class:`PeerConfig`)."""
        return self._pack(
            common.MAVLink_set_gps_global_origin_message(
                self.config.target_system, *_globe(origin), int(1e6 * now_s)
            )
        )

    def begins_at(self, origin: tuple[float, float, float]) -> bool:
        """Whether PX4 says that its local frame begins at ``origin``."""
        said = self.messages.get("GPS_GLOBAL_ORIGIN")
        return said is not None and all(
            abs(found - wanted) <= 1
            for found, wanted in zip(
                (said.latitude, said.longitude, said.altitude), _globe(origin), strict=True
            )
        )

    def ask_version(self) -> bytes:
        """The request for AUTOPILOT_VERSION."""
        return self._command(common.MAV_CMD_REQUEST_MESSAGE, common.MAVLINK_MSG_ID_AUTOPILOT_VERSION)

    def ask_heartbeat(self) -> bytes:
        """The request for a heartbeat now: by itself PX4 sends one a second, no interval makes it send more."""
        return self._command(common.MAV_CMD_REQUEST_MESSAGE, common.MAVLINK_MSG_ID_HEARTBEAT)

    def _target(
        self, mask: int, quat_ned: tuple[float, ...], rate_frd: Triple, thrust: float, now_s: float
    ) -> bytes:
        message = common.MAVLink_set_attitude_target_message(
            int(1e3 * now_s) & 0xFFFFFFFF, self.config.target_system, 1, mask, quat_ned, *rate_frd, thrust
        )
        return self._pack(message)

    def _command(self, command: int, *parameters: float) -> bytes:
        filled = (*parameters, *[0.0] * (7 - len(parameters)))
        return self._pack(
            common.MAVLink_command_long_message(self.config.target_system, 1, command, 0, *filled)
        )

    def _is_due(self, what: str, now_s: float, every_s: float) -> bool:
        if now_s < self._due_s[what]:
            return False
        self._due_s[what] = now_s + every_s
        return True

    def _pack(self, message: Any) -> bytes:
        packet = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return packet


def _globe(origin: tuple[float, float, float]) -> tuple[int, int, int]:
    """A place on the globe in MAVLink's units: degrees · 1e7 and mm."""
    latitude, longitude, height_m = origin
    return round(1e7 * latitude), round(1e7 * longitude), round(1e3 * height_m)


def _parameter_value(message: Any) -> float:
    """The value in a PARAM_VALUE: PX4 sends whole numbers as the bytes of an integer."""
    if message.param_type != common.MAV_PARAM_TYPE_INT32:
        return message.param_value
    return float(struct.unpack("<i", struct.pack("<f", message.param_value))[0])
