"""PX4's topics that the node uses, and what they are called. No ROS."""

from __future__ import annotations

import dataclasses
import re

IN, OUT = "fmu/in/", "fmu/out/"
"""What PX4 hears, and what it says."""
TYPES = {
    "vehicle_odometry": "VehicleOdometry",
    "vehicle_status": "VehicleStatus",
    "vehicle_land_detected": "VehicleLandDetected",
    "battery_status": "BatteryStatus",
    "timesync_status": "TimesyncStatus",
    "sensor_combined": "SensorCombined",
    "vehicle_global_position": "VehicleGlobalPosition",
    "offboard_control_mode": "OffboardControlMode",
    "vehicle_rates_setpoint": "VehicleRatesSetpoint",
    "vehicle_attitude_setpoint": "VehicleAttitudeSetpoint",
    "vehicle_command": "VehicleCommand",
    "vehicle_visual_odometry": "VehicleOdometry",
    "message_format_request": "MessageFormatRequest",
    "message_format_response": "MessageFormatResponse",
}
"""Message type of each topic."""
HEARD = ("vehicle_odometry", "vehicle_status", "vehicle_land_detected", "battery_status", "timesync_status")
"""What must come from PX4 before a flight."""


@dataclasses.dataclass(frozen=True)
class Topics:
    """Names below the vehicle's namespace. A message whose version is not 0 has it in its topic's name, as ``_v1``."""

    vehicle_odometry: str = OUT + "vehicle_odometry"
    vehicle_status: str = OUT + "vehicle_status_v1"
    vehicle_land_detected: str = OUT + "vehicle_land_detected"
    battery_status: str = OUT + "battery_status_v1"
    timesync_status: str = OUT + "timesync_status"
    sensor_combined: str = OUT + "sensor_combined"
    vehicle_global_position: str = OUT + "vehicle_global_position"
    offboard_control_mode: str = IN + "offboard_control_mode"
    vehicle_rates_setpoint: str = IN + "vehicle_rates_setpoint"
    vehicle_attitude_setpoint: str = IN + "vehicle_attitude_setpoint_v1"
    vehicle_command: str = IN + "vehicle_command"
    vehicle_visual_odometry: str = IN + "vehicle_visual_odometry"
    message_format_request: str = IN + "message_format_request"
    message_format_response: str = OUT + "message_format_response"


def unversioned(topic: str) -> str:
    """A topic's name without the version of its message."""
    return re.sub(r"_v\d+$", "", topic)


def are_all_known(wanted: dict[str, str], published: set[str]) -> bool:
    """Whether each topic is published under that name or another version's, so that waiting will change nothing."""
    return {unversioned(topic) for topic in wanted.values()} <= {unversioned(topic) for topic in published}


def missing(wanted: dict[str, str], published: set[str]) -> list[str]:
    """What to say about topics (parameter: full name) that nobody publishes, of all that are ``published``."""
    known = {unversioned(topic) for topic in published}
    if not any(unversioned(topic) in known for topic in wanted.values()):
        return [
            f"nobody publishes {', '.join(wanted.values())}: is the uXRCE-DDS agent running, with this ROS_DOMAIN_ID, "
            "and PX4 in this namespace?"
        ]
    said = []
    for parameter, topic in wanted.items():
        if topic in published:
            continue
        others = sorted(other for other in published if unversioned(other) == unversioned(topic))
        if others:
            said.append(
                f"PX4 publishes {others[0]}, not {topic}: set the parameter topics.{parameter} to that name"
            )
        else:
            said.append(
                f"nobody publishes {topic} (parameter topics.{parameter}): is the uXRCE-DDS agent running?"
            )
    return said
