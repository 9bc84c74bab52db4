"""What PX4 has said over MAVLink, in our frames and on our clock, and how well the packets fared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from pymavlink.dialects.v20 import common

from corvids.deploy.clock_offset import ClockOffset
from corvids.deploy.px4.frames import enu_ned, flu_frd, quat_enu_ned, rotate
from corvids.deploy.px4.state import VehicleState, finite, is_news, is_place, unit
from corvids.deploy.supervision.checks import Autopilot, Mode

MAIN_AUTO, MAIN_OFFBOARD, MAIN_TERMINATION = 4, 6, 10
"""PX4's main modes that matter here."""
SUB_LOITER, SUB_LAND = 3, 6
"""PX4's sub-modes of AUTO: hold and land."""
AIDING, VALID = common.ESTIMATOR_PRED_POS_HORIZ_REL, common.ESTIMATOR_POS_HORIZ_REL
"""Flags of ESTIMATOR_STATUS: PX4's estimator counts on something that measures its place, or its velocity; and was told
by it not long ago, or stands where it will be once it flies (EKF2_NOAID_TOUT: 5 s). It counts on motion capture that
has stopped for 0.4 s, on fixes for 7 s."""
UNAIDED_MAX_S = 1.0
"""A place that nothing is counted on to measure for longer is none [s]."""
ATTITUDE_STREAM_S = 0.03
"""As long as ATTITUDE_QUATERNION comes this often [s], attitude and rates are its: they have passed PX4's filter of
the gyroscope, those of ODOMETRY have not."""


@dataclasses.dataclass
class Counters:
    """Packets by their fate."""

    received: int = 0
    """Whole packets of the vehicle's, in order or not."""
    malformed: int = 0
    """Datagrams or packets that are not MAVLink, have a wrong checksum, or say what cannot be."""
    unsigned: int = 0
    """Without a valid signature although a key is set."""
    foreign: int = 0
    """From another system or component."""
    lost: int = 0
    """Missing by sequence number."""
    duplicate: int = 0
    reordered: int = 0
    """Came after a later one."""
    stale: int = 0
    """States not newer than the one known, or stamped in the future."""
    unsynchronised: int = 0
    """States that came before the clocks were compared."""


def mode_of(custom_mode: int) -> Mode:
    """PX4's ``custom_mode`` as far as a supervisor cares."""
    main, sub = custom_mode >> 16 & 0xFF, custom_mode >> 24 & 0xFF
    if main == MAIN_OFFBOARD:
        return Mode.OFFBOARD
    return (
        {SUB_LOITER: Mode.HOLD, SUB_LAND: Mode.LAND}.get(sub, Mode.AUTO) if main == MAIN_AUTO else Mode.OTHER
    )


def is_terminated(custom_mode: int) -> bool:
    """Whether PX4's ``custom_mode`` is flight termination."""
    return custom_mode >> 16 & 0xFF == MAIN_TERMINATION


class StateReader:
    """Takes in decoded messages of one PX4."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.clock = ClockOffset()
        self.state = VehicleState()
        self.autopilot = Autopilot()
        self._is_told = False
        """Whether a heartbeat has come."""
        self._is_aided = self._is_sure = True
        self._aided_s = -math.inf
        """When it said last that it measures it [s]."""
        self._attitude_heard_s = -math.inf
        """When ATTITUDE_QUATERNION came last [s]."""
        self._readers: dict[str, Callable[[Any, float], None]] = {
            "HEARTBEAT": self._read_heartbeat,
            "CURRENT_MODE": self._read_mode,
            "EXTENDED_SYS_STATE": self._read_landed,
            "BATTERY_STATUS": self._read_battery,
            "TIMESYNC": self._read_timesync,
            "ESTIMATOR_STATUS": self._read_estimator,
            "ODOMETRY": self._read_odometry,
            "ATTITUDE_QUATERNION": self._read_attitude,
            "LOCAL_POSITION_NED": self._read_position,
            "HIGHRES_IMU": self._read_imu,
        }

    @property
    def knows_place(self) -> bool:
        """Whether PX4's estimator says, if it says anything of that, that it measures its place, and well enough."""
        return self._is_aided and self._is_sure

    def take_in(self, message: Any, now_s: float) -> None:
        """One message of the vehicle's, received at ``now_s`` on our clock [s]."""
        reader = self._readers.get(message.get_type())
        if reader is not None:
            reader(message, now_s)
        if self._is_told:
            self.autopilot = self.autopilot._replace(heard_s=now_s)

    def _read_heartbeat(self, message: Any, now_s: float) -> None:
        if message.autopilot != common.MAV_AUTOPILOT_PX4:
            self.counters.foreign += 1
            return
        self._is_told = True
        self.autopilot = self.autopilot._replace(
            armed=bool(message.base_mode & common.MAV_MODE_FLAG_SAFETY_ARMED),
            mode=mode_of(message.custom_mode),
            mode_code=message.custom_mode,
            failsafe=message.system_status in (common.MAV_STATE_CRITICAL, common.MAV_STATE_EMERGENCY),
            killed=message.system_status == common.MAV_STATE_FLIGHT_TERMINATION
            or is_terminated(message.custom_mode),
        )

    def _read_mode(self, message: Any, now_s: float) -> None:
        # Where PX4 took it by itself, its heartbeat says so up to a second later, and alone says when that is over.
        is_by_itself = message.intended_custom_mode not in (0, message.custom_mode)  # 0: not told
        self.autopilot = self.autopilot._replace(
            mode=mode_of(message.custom_mode),
            mode_code=message.custom_mode,
            failsafe=self.autopilot.failsafe or is_by_itself,
            killed=self.autopilot.killed or is_terminated(message.custom_mode),
        )

    def _read_landed(self, message: Any, now_s: float) -> None:
        self.autopilot = self.autopilot._replace(
            landed=message.landed_state == common.MAV_LANDED_STATE_ON_GROUND
        )

    def _read_battery(self, message: Any, now_s: float) -> None:
        if message.id == 0:
            share = message.battery_remaining
            self.autopilot = self.autopilot._replace(battery=share / 100.0 if 0 <= share <= 100 else math.nan)

    def _read_timesync(self, message: Any, now_s: float) -> None:
        if message.tc1 > 0:  # the echo of a stamp of ours
            self.clock.take_in(1e-9 * message.ts1, 1e-9 * message.tc1, now_s)

    def _read_estimator(self, message: Any, now_s: float) -> None:
        if message.flags & AIDING:
            self._aided_s = now_s
        self._is_aided = bool(message.flags & VALID) and now_s - self._aided_s <= UNAIDED_MAX_S

    def _read_odometry(self, message: Any, now_s: float) -> None:
        in_body = message.child_frame_id == common.MAV_FRAME_BODY_FRD
        frames = (common.MAV_FRAME_LOCAL_NED, common.MAV_FRAME_BODY_FRD)
        quat = unit(tuple(message.q))
        if (
            message.frame_id != common.MAV_FRAME_LOCAL_NED
            or message.child_frame_id not in frames
            or quat is None
        ):
            self.counters.malformed += 1
            return
        vel = (message.vx, message.vy, message.vz)
        vel_ned = rotate(quat, vel) if in_body else vel
        omega = (message.rollspeed, message.pitchspeed, message.yawspeed)
        stamp_s = self._stamp(1e-6 * message.time_usec, self.state.pose_stamp_s, now_s)
        if stamp_s is None or not finite((message.x, message.y, message.z), vel_ned, omega):
            return
        state, variances = self.state, message.pose_covariance
        self._is_sure = is_place(variances[0], variances[6], variances[11])
        if self.knows_place:
            state.pose_stamp_s, state.pos_w = stamp_s, enu_ned((message.x, message.y, message.z))
            state.vel_w = enu_ned(vel_ned)
        is_streamed = now_s - self._attitude_heard_s <= ATTITUDE_STREAM_S
        if not is_streamed and is_news(stamp_s, state.attitude_stamp_s, now_s):
            state.attitude_stamp_s, state.quat_wb = stamp_s, quat_enu_ned(quat)
            state.omega_b = flu_frd(omega)
        state.count_resets(message.reset_counter)

    def _read_attitude(self, message: Any, now_s: float) -> None:
        quat = unit((message.q1, message.q2, message.q3, message.q4))
        omega = (message.rollspeed, message.pitchspeed, message.yawspeed)
        if quat is None or not finite(omega):
            return
        stamp_s = self._stamp(1e-3 * message.time_boot_ms, self.state.attitude_stamp_s, now_s)
        if stamp_s is not None:
            self._attitude_heard_s = now_s
            self.state.attitude_stamp_s, self.state.quat_wb = stamp_s, quat_enu_ned(quat)
            self.state.omega_b = flu_frd(omega)

    def _read_position(self, message: Any, now_s: float) -> None:
        pos_ned, vel_ned = (message.x, message.y, message.z), (message.vx, message.vy, message.vz)
        if not (finite(pos_ned, vel_ned) and self.knows_place):
            return
        stamp_s = self._stamp(1e-3 * message.time_boot_ms, self.state.pose_stamp_s, now_s)
        if stamp_s is not None:
            self.state.pose_stamp_s = stamp_s
            self.state.pos_w, self.state.vel_w = enu_ned(pos_ned), enu_ned(vel_ned)

    def _read_imu(self, message: Any, now_s: float) -> None:
        self.state.specific_force_b_mps2 = flu_frd((message.xacc, message.yacc, message.zacc))
        self.state.gyro_b_radps = flu_frd((message.xgyro, message.ygyro, message.zgyro))

    def _stamp(self, remote_s: float, newest_s: float, now_s: float) -> float | None:
        """A stamp of PX4's on our clock [s]; None where the sample must not be used."""
        if not self.clock.is_known:
            self.counters.unsynchronised += 1
            return None
        stamp_s = self.clock.ours_s(remote_s)
        if not is_news(stamp_s, newest_s, now_s):
            self.counters.stale += 1
            return None
        return stamp_s
