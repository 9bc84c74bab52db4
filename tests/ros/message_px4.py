"""A flying stand-in for PX4 that speaks px4_msgs, not MAVLink; in its own frames, NED and FRD, on its own clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from flying import FlyingStandin
from px4_layouts import LAYOUTS, Layout
from pymavlink.dialects.v20 import common
from standin import AUTO, LAND, LOITER, OFFBOARD

NAV_STATE = {(OFFBOARD, 0): 14, (AUTO, LOITER): 4, (AUTO, LAND): 18}
RATES, ATTITUDE = 0x80, 0x07
SET_ORIGIN = 100000
AUTO_DISARM_LAND = 7
SETPOINTS = ("vehicle_rates_setpoint", "vehicle_attitude_setpoint")
STATUS_S = 0.5
"""How often the slow topics are published, status also on each change [s]."""


def hash_of(layout: Layout) -> int:
    """As PX4 hashes a message's fields: FNV-1a, computed on big numbers and reduced once a byte."""
    text = "".join(f"{kind} {name}\n" for kind, name in layout)
    value = 2166136261
    for letter in text:
        value = ((value ^ ord(letter)) * 16777619) % 2**32
    return value


class MessagePx4(FlyingStandin):
    """Takes in and says messages, by topic name below its namespace and without version."""

    def __init__(self, full_thrust_mps2: float, boot_s: float = -1000.0) -> None:
        super().__init__(full_thrust_mps2, boot_s)
        self.battery_share = 0.8
        self.commands_heard: list[Any] = []
        self.setpoints = 0
        self.intrusions = 0
        """Set-points that came while it flew by itself: into the very topics by which its own controllers speak."""
        self.origin: tuple[float, ...] = ()
        """Its world's, on the globe; not known before it is told."""
        self.seen_from_outside: list[Any] = []
        """The newest poses from motion capture."""
        self.seen_s = -1e9
        """When the last one came."""
        self._rng = random.Random(0)
        self._told: Any = None
        self._slow_s = -1.0

    def hear(self, topic: str, message: Any, now_s: float) -> None:
        """What it was sent."""
        self.intrusions += topic in SETPOINTS and self.main != OFFBOARD
        if topic == "offboard_control_mode" and (message.body_rate or message.attitude):
            self._streamed_s = now_s
            if self._lost_offboard:
                self.main, self.sub, self._lost_offboard = OFFBOARD, 0, False
                self.resumed += 1
        elif topic == "vehicle_rates_setpoint":
            self.setpoints += 1
            rates = {
                "body_roll_rate": message.roll,
                "body_pitch_rate": message.pitch,
                "body_yaw_rate": message.yaw,
            }
            self._last_target = SimpleNamespace(type_mask=RATES, thrust=-message.thrust_body[2], **rates)
        elif topic == "vehicle_attitude_setpoint":
            self._last_target = SimpleNamespace(type_mask=ATTITUDE, thrust=-message.thrust_body[2])
        elif topic == "vehicle_visual_odometry":
            self.seen_s = now_s
            self.seen_from_outside.append(message)
            del self.seen_from_outside[:-10]
        elif topic == "vehicle_command":
            self.commands_heard.append(message)
            if message.command == SET_ORIGIN:
                self.origin = (message.param5, message.param6, message.param7)
                return
            parameters = [getattr(message, f"param{index}") for index in range(1, 8)]
            self._obey(common.MAVLink_command_long_message(1, 1, message.command, 0, *parameters), now_s)

    def status_fields(self, now_s: float) -> tuple[str, dict[str, Any]]:
        """Its mode."""
        return "vehicle_status", {
            "timestamp": self.time_us(now_s),
            "arming_state": 2 if self.armed else 1,
            "latest_disarming_reason": AUTO_DISARM_LAND,
            "nav_state": NAV_STATE.get((self.main, self.sub), 2),
            "failsafe": self.is_in_failsafe,
            "pre_flight_checks_pass": True,
        }

    @property
    def is_in_failsafe(self) -> bool:
        return self.status == common.MAV_STATE_CRITICAL

    def say_slow(self, now_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Everything but odometry that is due: (topic, fields)."""
        seen = (self.armed, self.main, self.sub, self.is_in_failsafe)
        is_due = now_s - self._slow_s >= STATUS_S
        if is_due or seen != self._told:
            self._told = seen
            yield self.status_fields(now_s)
        if is_due:
            self._slow_s = now_s
            stamp = {"timestamp": self.time_us(now_s)}
            if self.origin:
                yield "vehicle_global_position", {**stamp, "lat": self.origin[0], "lon": self.origin[1]}
            yield "vehicle_land_detected", {**stamp, "landed": self.truth.pos_ned[2] >= 0.0}
            yield "battery_status", {**stamp, "id": 1, "connected": True, "remaining": self.battery_share}
            yield "timesync_status", {**stamp, "source_protocol": 2, "round_trip_time": 400}

    def odometry_fields(self, now_s: float) -> dict[str, Any]:
        """Its state; velocity in the world."""
        truth, time_us = self.truth, self.time_us(now_s)
        return {
            "timestamp": time_us,
            "timestamp_sample": time_us,
            "pose_frame": 1,
            "position": [place + self._rng.gauss(0.0, 1e-3) for place in truth.pos_ned],
            "q": list(truth.quat_ned),
            "velocity_frame": 1,
            "velocity": list(truth.vel_ned),
            "angular_velocity": list(truth.rate_frd),
            "position_variance": [1e-4] * 3,
            "reset_counter": self.reset_counter % 256,
            "quality": 100,
        }

    def format_answer(self, topic: str, layouts: dict[str, Layout]) -> dict[str, Any]:
        """Its answer to the question how the message of ``topic`` is defined.

        Inside PX4 a topic's name has neither a direction nor a version: after the last slash it must be that name.
        """
        known = {name.partition("_v")[0] if name[-1].isdigit() else name: kind for _, name, kind in TOPICS}
        kind = known.get(topic.rpartition("/")[2]) if "/" in topic else None
        text = topic.encode() + bytes(50 - len(topic))
        number = hash_of(layouts[kind]) if kind else 0
        return {
            "protocol_version": 1,
            "topic_name": list(text),
            "success": bool(kind),
            "message_hash": number,
        }


TOPICS = (
    ("out", "vehicle_odometry", "VehicleOdometry"),
    ("out", "vehicle_status_v1", "VehicleStatus"),
    ("out", "vehicle_land_detected", "VehicleLandDetected"),
    ("out", "battery_status_v1", "BatteryStatus"),
    ("out", "timesync_status", "TimesyncStatus"),
    ("out", "vehicle_global_position", "VehicleGlobalPosition"),
    ("out", "message_format_response", "MessageFormatResponse"),
    ("in", "offboard_control_mode", "OffboardControlMode"),
    ("in", "vehicle_rates_setpoint", "VehicleRatesSetpoint"),
    ("in", "vehicle_attitude_setpoint_v1", "VehicleAttitudeSetpoint"),
    ("in", "vehicle_command", "VehicleCommand"),
    ("in", "vehicle_visual_odometry", "VehicleOdometry"),
    ("in", "message_format_request", "MessageFormatRequest"),
)
"""(direction, name with version, message) as PX4 v1.17 has them."""


def plain_messages() -> SimpleNamespace:
    """Classes of messages without ROS: what they say of their fields is what rosidl's say."""
    return SimpleNamespace(**{name: _plain_class(layout) for name, layout in LAYOUTS.items()})


def _plain_class(layout: Layout) -> SimpleNamespace:
    listed = {field: rosidl_type(kind) for kind, field in layout}
    return SimpleNamespace(get_fields_and_field_types=lambda: listed)


def rosidl_type(kind: str) -> str:
    """What rosidl's classes call a type of a message's definition."""
    base, bracket, length = kind.partition("[")
    names = {"bool": "boolean", "char": "uint8", "float32": "float", "float64": "double"}
    return names.get(base, base) + bracket + length
