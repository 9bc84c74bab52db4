"""The PX4 messages that the ROS 2 node meets, as far as tests need them: names and types of their fields, in order.

PX4 v1.17's, except that ``VehicleStatus``, ``BatteryStatus`` and ``VehicleLandDetected`` are given by the fields that
the node reads. From one table both sides of a test take their types: rclpy through message definitions written from
it, the flight controller as types of Cyclone DDS.
"""

from __future__ import annotations

Layout = tuple[tuple[str, str], ...]
"""(type, name) of each field; types as ROS 2 calls them."""


def layout(*fields: str) -> Layout:
    """Fields from lines such as ``float32[3] position velocity``: one type, its names."""
    return tuple((line.split()[0], name) for line in fields for name in line.split()[1:])


LAYOUTS: dict[str, Layout] = {
    "OffboardControlMode": layout(
        "uint64 timestamp",
        "bool position velocity acceleration attitude body_rate thrust_and_torque direct_actuator",
    ),
    "VehicleRatesSetpoint": layout(
        "uint64 timestamp", "float32 roll pitch yaw", "float32[3] thrust_body", "bool reset_integral"
    ),
    "VehicleAttitudeSetpoint": layout(
        "uint64 timestamp",
        "float32 yaw_sp_move_rate",
        "float32[4] q_d",
        "float32[3] thrust_body",
        "bool fw_control_yaw_wheel",
    ),
    "VehicleCommand": layout(
        "uint64 timestamp",
        "float32 param1 param2 param3 param4",
        "float64 param5 param6",
        "float32 param7",
        "uint32 command",
        "uint8 target_system target_component source_system",
        "uint16 source_component",
        "uint8 confirmation",
        "bool from_external",
    ),
    "VehicleOdometry": layout(
        "uint64 timestamp timestamp_sample",
        "uint8 pose_frame",
        "float32[3] position",
        "float32[4] q",
        "uint8 velocity_frame",
        "float32[3] velocity angular_velocity position_variance orientation_variance velocity_variance",
        "uint8 reset_counter",
        "int8 quality",
    ),
    "SensorCombined": layout(
        "uint64 timestamp",
        "float32[3] gyro_rad",
        "uint32 gyro_integral_dt",
        "int32 accelerometer_timestamp_relative",
        "float32[3] accelerometer_m_s2",
        "uint32 accelerometer_integral_dt",
        "uint8 accelerometer_clipping gyro_clipping accel_calibration_count gyro_calibration_count",
    ),
    "TimesyncStatus": layout(
        "uint64 timestamp",
        "uint8 source_protocol",
        "uint64 remote_timestamp",
        "int64 observed_offset estimated_offset",
        "uint32 round_trip_time",
    ),
    "VehicleStatus": layout(
        "uint64 timestamp", "uint8 arming_state nav_state", "bool failsafe pre_flight_checks_pass"
    ),
    "VehicleLandDetected": layout("uint64 timestamp", "bool landed"),
    "BatteryStatus": layout("uint64 timestamp", "uint8 id", "bool connected", "float32 remaining"),
    "MessageFormatRequest": layout("uint64 timestamp", "uint16 protocol_version", "char[50] topic_name"),
    "MessageFormatResponse": layout(
        "uint64 timestamp",
        "uint16 protocol_version",
        "char[50] topic_name",
        "bool success",
        "uint32 message_hash",
    ),
}
"""By message name."""
