"""What PX4 has said over ROS 2, in our frames and on our clock. No ROS: messages are looked at by their fields."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from corvids.deploy.px4.clock import Px4Clock
from corvids.deploy.px4.frames import enu_ned, flu_frd, quat_enu_ned, rotate
from corvids.deploy.px4.state import VehicleState, is_news, is_place, unit
from corvids.deploy.supervision.checks import Autopilot, Mode

ARMED = 2
"""``arming_state``."""
KILL_SWITCH, KILLED_S = 9, 2.0
"""``latest_disarming_reason``, and for how long it says that the vehicle is killed [s]: PX4 names it until it disarms
for another, whether the switch is still on or not."""
HOLD, TERMINATION, OFFBOARD, LAND = 4, 13, 14, 18
"""``nav_state``."""
AUTO = (3, 5, 17, 19, 20, 21, 22, *range(23, 31))
"""Likewise, where PX4 flies by a plan of its own: mission, return, take-off, follow, precision landing, orbit, VTOL
take-off, and other programs' modes."""
MODES = {OFFBOARD: Mode.OFFBOARD, HOLD: Mode.HOLD, LAND: Mode.LAND, **dict.fromkeys(AUTO, Mode.AUTO)}
POSE_NED = 1
VELOCITY_NED, VELOCITY_BODY_FRD = 1, 3
SYNCED_BY_DDS = 2
"""``source_protocol`` of TimesyncStatus."""


@dataclasses.dataclass
class Counters:
    """Messages by their fate."""

    received: dict[str, int] = dataclasses.field(default_factory=dict)
    """By topic."""
    malformed: int = 0
    """In a frame that is not understood, or saying what cannot be."""
    not_finite: int = 0
    """States that are not numbers."""
    stale: int = 0
    """States not newer than the one known, or stamped in the future."""

    def received_in_words(self) -> str:
        """How many of each topic; may be asked by another thread."""
        return " ".join(f"{topic} {count}" for topic, count in self.received.copy().items())


class MessageReader:
    """Takes in the messages of one PX4."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.clock = Px4Clock()
        self.state = VehicleState()
        self.autopilot = Autopilot()
        self._killed_s = -math.inf
        """When the kill switch was seen to have disarmed it."""
        self._readers: dict[str, Callable[[Any, float], None]] = {
            "vehicle_odometry": self._read_odometry,
            "vehicle_status": self._read_status,
            "vehicle_land_detected": self._read_landed,
            "battery_status": self._read_battery,
            "timesync_status": self._read_timesync,
            "sensor_combined": self._read_imu,
            "vehicle_global_position": lambda message, now_s: None,  # that it comes says enough
        }

    def take_in(self, topic: str, message: Any, now_s: float) -> None:
        """A message, of which topic (as :class:`Topics` names its field), received at ``now_s`` on our clock [s]."""
        received = self.counters.received
        received[topic] = received.get(topic, 0) + 1
        self._readers[topic](message, now_s)
        if "vehicle_status" in received:
            self.autopilot = self.autopilot._replace(heard_s=now_s)

    def stamp_us(self, now_s: float) -> int:
        """``now_s`` on our clock [s] as PX4 stamps it [µs]; 0 before anything came of it."""
        theirs_s = self.clock.theirs_s(now_s)
        return max(0, round(1e6 * theirs_s)) if math.isfinite(theirs_s) else 0

    def _read_status(self, message: Any, now_s: float) -> None:
        is_armed = message.arming_state == ARMED
        if self.autopilot.armed and not is_armed and message.latest_disarming_reason == KILL_SWITCH:
            self._killed_s = now_s
        is_killed = not is_armed and now_s - self._killed_s < KILLED_S
        self.autopilot = self.autopilot._replace(
            armed=is_armed,
            mode=MODES.get(message.nav_state, Mode.OTHER),
            mode_code=int(message.nav_state),
            failsafe=bool(message.failsafe),
            killed=message.nav_state == TERMINATION or is_killed,
        )

    def _read_landed(self, message: Any, now_s: float) -> None:
        self.autopilot = self.autopilot._replace(landed=bool(message.landed))

    def _read_battery(self, message: Any, now_s: float) -> None:
        share = float(message.remaining)
        is_known = message.connected and 0.0 <= share <= 1.0
        self.autopilot = self.autopilot._replace(battery=share if is_known else math.nan)

    def _read_timesync(self, message: Any, now_s: float) -> None:
        if message.source_protocol == SYNCED_BY_DDS:
            self.clock.take_round_trip(1e-6 * min(int(message.round_trip_time), 100_000), now_s)

    def _read_odometry(self, message: Any, now_s: float) -> None:
        self.clock.take_in(1e-6 * message.timestamp, now_s)
        pos_ned, vel, omega_frd = message.position, message.velocity, message.angular_velocity
        if not math.isfinite(sum(pos_ned) + sum(vel) + sum(omega_frd) + sum(message.q)):
            self.counters.not_finite += 1
            return
        quat = unit(message.q)
        frames = (VELOCITY_NED, VELOCITY_BODY_FRD)
        if message.pose_frame != POSE_NED or message.velocity_frame not in frames or quat is None:
            self.counters.malformed += 1
            return
        state, stamp_s = self.state, self.clock.ours_s(1e-6 * message.timestamp_sample)
        if not is_news(stamp_s, state.attitude_stamp_s, now_s):
            self.counters.stale += 1
            return
        in_body = message.velocity_frame == VELOCITY_BODY_FRD
        if is_place(*message.position_variance):
            state.pose_stamp_s = stamp_s
            state.pos_w, state.vel_w = enu_ned(pos_ned), enu_ned(rotate(quat, vel) if in_body else vel)
        state.attitude_stamp_s = stamp_s
        state.quat_wb, state.omega_b = quat_enu_ned(quat), flu_frd(omega_frd)
        state.count_resets(int(message.reset_counter))

    def _read_imu(self, message: Any, now_s: float) -> None:
        self.state.specific_force_b_mps2 = flu_frd(message.accelerometer_m_s2)
        self.state.gyro_b_radps = flu_frd(message.gyro_rad)
