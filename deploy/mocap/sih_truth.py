"""PX4's own simulator (SIH) as a motion capture system: what it knows to be true, as cameras would see it.

SIH sends its truth to port 19410 (HIL_STATE_QUATERNION): latitude and longitude to 1e-7 degrees, which is 11 mm,
heights to a millimetre, velocities to a centimetre a second; without a time, so it is stamped by its arrival.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from pymavlink.dialects.v20 import common

from corvids.deploy.px4.frames import EARTH_M, Quaternion, enu_ned, flu_frd, quat_enu_ned
from corvids.deploy.px4.state import finite, unit
from corvids.deploy.supervision.envelope import Triple

PORT = 19410
"""To which the first instance of PX4 sends it."""
BACK = 40
"""PX4 listens at a port so much above the one that it sends to."""
RATE_HZ = 125.0
"""How often it is asked to."""
ASK_S = 2.0
"""How often it is asked again, in case PX4 was started anew [s]."""
GROUND_MAX_MPS = 0.05
"""What moves faster does not stand on the ground."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """The vehicle, world ENU and body FLU; the world's origin is where it was first seen, standing on the ground."""

    stamp_s: float
    pos_w: Triple
    vel_w: Triple
    quat_wb: Quaternion
    omega_b: Triple


class SihReader:
    """Reads one simulator's truth, and asks for it."""

    def __init__(self) -> None:
        self.malformed = 0
        """Datagrams that are no MAVLink, or say what cannot be."""
        self._mav = common.MAVLink(None, srcSystem=1, srcComponent=common.MAV_COMP_ID_ONBOARD_COMPUTER)
        self._mav.robust_parsing = True
        self._origin: tuple[int, int, int] | None = None
        """Where on the globe the world's origin is, in the message's units."""
        self._asked_s = -math.inf

    def request(self, now_s: float) -> bytes | None:
        """What to send to PX4 now, if anything: that it send its truth often enough."""
        if now_s - self._asked_s < ASK_S:
            return None
        self._asked_s = now_s
        interval = (common.MAVLINK_MSG_ID_HIL_STATE_QUATERNION, 1e6 / RATE_HZ, 0.0, 0.0, 0.0, 0.0, 0.0)
        message = common.MAVLink_command_long_message(1, 1, common.MAV_CMD_SET_MESSAGE_INTERVAL, 0, *interval)
        packet = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return packet

    def take_in(self, datagram: bytes, now_s: float) -> Truth | None:
        """The newest truth in a datagram received at ``now_s`` [s]. Nothing in it raises."""
        messages: list[Any] = [*(self._mav.parse_buffer(datagram) or [])]
        truth = None
        for message in messages:
            if message.get_type() == "BAD_DATA":
                self.malformed += 1
            elif message.get_type() == "HIL_STATE_QUATERNION":
                truth = self._read(message, now_s) or truth
        return truth

    def _read(self, message: Any, now_s: float) -> Truth | None:
        quat = unit(tuple(message.attitude_quaternion))
        vel_ned = (0.01 * message.vx, 0.01 * message.vy, 0.01 * message.vz)
        omega = (message.rollspeed, message.pitchspeed, message.yawspeed)
        if quat is None or not finite(omega) or not (message.lat or message.lon):
            self.malformed += 1
            return None
        if self._origin is None:
            if math.hypot(*vel_ned) > GROUND_MAX_MPS:
                return None
            self._origin = (message.lat, message.lon, message.alt)
        latitude, longitude, height_mm = self._origin
        north_m = EARTH_M * math.radians(1e-7 * (message.lat - latitude))
        east_m = (
            EARTH_M * math.radians(1e-7 * (message.lon - longitude)) * math.cos(math.radians(1e-7 * latitude))
        )
        down_m = 1e-3 * (height_mm - message.alt)
        return Truth(
            now_s, enu_ned((north_m, east_m, down_m)), enu_ned(vel_ned), quat_enu_ned(quat), flu_frd(omega)
        )
