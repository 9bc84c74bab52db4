"""Our side of PX4's simulator interface: sensors out, motor commands back, in lockstep over TCP.

PX4 connects, and has no clock but ours: it stands still until the next HIL_SENSOR, and answers each with the motor
commands that follow from it (HIL_ACTUATOR_CONTROLS). See PX4's user guide, "Simulation", and MAVLink's messages of
those names. Where the vehicle is goes over the same connection: the pose of an external tracker as ODOMETRY, or the fix
of a satellite navigation receiver as HIL_GPS.
"""

from __future__ import annotations

import math
import select
import socket
import time
from typing import Any, NamedTuple

from pymavlink.dialects.v20 import common

from corvids.deploy.fallback import GRAVITY_MPS2
from corvids.deploy.px4.channels import udp_address
from corvids.deploy.px4.frames import Globe, Quaternion, enu_ned, flu_frd, on_globe, quat_enu_ned, rotate
from corvids.deploy.px4.odometry import odometry_message
from corvids.deploy.supervision.envelope import Triple
from corvids.errors import CorvidsError

PORT = 4560
"""Where PX4 looks for its simulator; instance n looks at the n-th port after it."""
FIELD_NED_GAUSS = (0.2174, 0.0129, 0.4304)
"""The Earth's magnetic field where PX4's own simulators are, 47.4° N 8.5° E: 3.4° to the east of north. PX4 compares
it with its model of the place that its satellites tell."""
FIELDS = 0b1_1011_1111_1111
"""Of HIL_SENSOR, those that are given: all but the differential pressure."""
ACCEL_MAX_MPS2, GYRO_MAX_RADPS = 15.99 * GRAVITY_MPS2, 0.999 * math.radians(2000.0)
"""More an IMU does not measure: PX4's simulated one counts ±16 g and ±2000 °/s in 16 bits, and what exceeds them would
come out with the other sign, as when a vehicle touches down hard."""
ANSWER_S = 30.0
"""How long to wait for PX4's answer while it answers [s of wall time]: longer than a busy machine ever pauses it."""
SPIN_S = 0.003
"""For so long it is asked for again and again [s of wall time]: PX4 mostly takes less, and sleeping costs more."""
TEMPERATURE_C = 15.0


class Sensed(NamedTuple):
    """What PX4's own sensors feel: world ENU, body FLU."""

    specific_force_b_mps2: Triple
    omega_b_radps: Triple
    quat_wb: Quaternion
    """Attitude, by which the magnetometer turns."""
    height_m: float
    """Above the sea, by which the barometer reads."""


class Pose(NamedTuple):
    """What an external tracker sees: world ENU, body FLU."""

    pos_w_m: Triple
    quat_wb: Quaternion
    pos_std_m: float
    angle_std_rad: float


class GpsFix(NamedTuple):
    """Where a satellite navigation receiver believes the vehicle was: world ENU."""

    stamp_s: float
    """When it was there [s]."""
    pos_w_m: Triple
    vel_w_mps: Triple
    std_m: tuple[float, float]
    """What the receiver says of its place: standard deviations, horizontal and vertical."""
    fix_type: int
    """As MAVLink's GPS_FIX_TYPE counts."""
    satellites: int
    origin: Globe
    """Where the world's origin is."""


class HilLink:
    """Listens for PX4; then every step is one :meth:`exchange`."""

    def __init__(self, port: int = PORT, host: str = "127.0.0.1") -> None:
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._server.bind((host, port))
        except OSError as error:
            self._server.close()
            raise CorvidsError(
                f"simulator port {port}: cannot listen there: {error.strerror}; is another simulator running?"
            ) from None
        self._server.listen(1)
        self._px4: socket.socket | None = None
        self._mav = common.MAVLink(None, srcSystem=1, srcComponent=200)
        self._mav.robust_parsing = True
        self.motors: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        """Newest motor commands, 0 to 1, in PX4's order; zero while disarmed."""
        self.answers = self.missed = 0
        """Steps that PX4 has answered, and those that it was waited for in vain."""
        self._answered_us = -1
        self._answers_now = False

    def wait_for_px4(self, seconds: float) -> None:
        """Wait until PX4 connects."""
        if not select.select([self._server], [], [], seconds)[0]:
            where = self._server.getsockname()[1]
            raise CorvidsError(f"no PX4 has connected to the simulator port {where} within {seconds:.0f} s")
        self._px4, _ = self._server.accept()
        self._px4.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(
        self, time_us: int, sensed: Sensed, pose: Pose | None = None, fix: GpsFix | None = None
    ) -> None:
        """Let PX4 live up to ``time_us`` with these sensors, and take in its answer.

        What says where it is comes before the sensors: with them PX4's clock goes on.
        """
        packets = self._pack(_sensor_message(time_us, sensed))
        if fix is not None:
            packets = self._pack(_gps_message(fix)) + packets
        if pose is not None:
            odometry = odometry_message(
                time_us,
                pose.pos_w_m,
                pose.quat_wb,
                pos_std_m=pose.pos_std_m,
                angle_std_rad=pose.angle_std_rad,
            )
            packets = self._pack(odometry) + packets
        self._send(packets)
        wait_s, began_s = (ANSWER_S if self._answers_now else SPIN_S), time.monotonic()
        while self._answered_us < time_us:
            spent_s = time.monotonic() - began_s
            if not self._take_in(0.0 if spent_s < SPIN_S else wait_s - spent_s) and spent_s >= wait_s:
                break
        if self._answered_us >= time_us:
            self.answers += 1
            self._answers_now = True
        elif self._answers_now:
            self.missed += 1
            self._answers_now = False

    def _send(self, packets: bytes) -> None:
        if self._px4 is None:
            raise CorvidsError("PX4 is not connected")
        try:
            self._px4.sendall(packets)
        except OSError as error:
            raise CorvidsError(f"PX4 has left its simulator: {error.strerror}") from None

    def _take_in(self, seconds: float) -> bool:
        """Take in what PX4 sends within that time; whether it sent anything."""
        px4 = self._px4
        if px4 is None or not select.select([px4], [], [], max(0.0, seconds))[0]:
            return False
        try:
            received = px4.recv(65536)
        except OSError as error:
            raise CorvidsError(f"PX4 has left its simulator: {error.strerror}") from None
        if not received:
            raise CorvidsError("PX4 has left its simulator")
        messages: list[Any] = [*(self._mav.parse_buffer(received) or [])]
        for message in messages:
            if message.get_type() == "HIL_ACTUATOR_CONTROLS":
                self._answered_us = message.time_usec
                one, two, three, four = (
                    min(max(u, 0.0), 1.0) if math.isfinite(u) else 0.0 for u in message.controls[:4]
                )
                self.motors = (one, two, three, four)
        return True

    def _pack(self, message: common.MAVLink_message) -> bytes:
        packet = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return packet

    def close(self) -> None:
        """Close it; PX4's clock stands still from then on."""
        for end in (self._px4, self._server):
            if end is not None:
                end.close()


def port_of(link: str) -> int:
    """The simulator's port that goes with an off-board link: instance n sends to 14540 + n and looks at 4560 + n."""
    return PORT + max(0, udp_address(link)[1] - 14540)


def system_of(link: str) -> int:
    """The MAVLink system of the instance that goes with an off-board link: instance n is system n + 1."""
    return 1 + port_of(link) - PORT


def _sensor_message(time_us: int, sensed: Sensed) -> common.MAVLink_message:
    w, x, y, z = quat_enu_ned(sensed.quat_wb)
    pressure_hpa = 1013.25 * (1.0 - 2.25577e-5 * sensed.height_m) ** 5.25588  # ICAO standard atmosphere
    return common.MAVLink_hil_sensor_message(
        time_us,
        *_clipped(flu_frd(sensed.specific_force_b_mps2), ACCEL_MAX_MPS2),
        *_clipped(flu_frd(sensed.omega_b_radps), GYRO_MAX_RADPS),
        *rotate((w, -x, -y, -z), FIELD_NED_GAUSS),
        pressure_hpa,
        0.0,
        sensed.height_m,
        TEMPERATURE_C,
        FIELDS,
    )


def _clipped(vector: Triple, most: float) -> Triple:
    x, y, z = vector
    return min(max(x, -most), most), min(max(y, -most), most), min(max(z, -most), most)


def _gps_message(fix: GpsFix) -> common.MAVLink_message:
    latitude, longitude, height_m = on_globe(fix.origin, fix.pos_w_m)
    horizontal_m, vertical_m = fix.std_m
    north_mps, east_mps, down_mps = enu_ned(fix.vel_w_mps)
    speed_mps = math.hypot(north_mps, east_mps)
    course_deg = math.degrees(math.atan2(east_mps, north_mps)) % 360.0
    return common.MAVLink_hil_gps_message(
        round(1e6 * fix.stamp_s),
        fix.fix_type,
        round(1e7 * latitude),
        round(1e7 * longitude),
        round(1e3 * height_m),
        # MAVLink has dilutions of precision here; PX4 takes them for standard deviations in cm.
        max(1, round(1e2 * horizontal_m)),
        max(1, round(1e2 * vertical_m)),
        round(1e2 * speed_mps),
        round(1e2 * north_mps),
        round(1e2 * east_mps),
        round(1e2 * down_mps),
        round(1e2 * course_deg) % 36000,
        fix.satellites,
    )
