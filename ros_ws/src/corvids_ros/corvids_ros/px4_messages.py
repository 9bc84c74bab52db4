"""The one place that knows px4_msgs: makes the messages that PX4 is sent. Frames and units are PX4's from here on.

Messages are records, as :mod:`corvids_ros.cdr` has them, of the fields that px4_msgs lists.
"""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from corvids.deploy.px4.frames import Quaternion, enu_ned, flu_frd, level_ned, quat_enu_ned
from corvids.deploy.px4.keeping import Level
from corvids.deploy.supervision.envelope import Triple
from corvids.deploy.supervision.supervisor import Request
from corvids.errors import CorvidsError
from corvids_ros.cdr import PlainMessage

SET_MODE, ARM_DISARM, SET_ORIGIN = 176, 400, 100000
"""Commands; the last is PX4's own, for where on the globe its world's origin is."""
CUSTOM_MODE = 1.0
AUTO, OFFBOARD = 4.0, 6.0
"""Main modes."""
LOITER, LAND = 3.0, 6.0
"""Sub-modes of AUTO: hold and land."""
POSE_FRAME_NED = 1
NAN3 = (float("nan"),) * 3


class Px4Messages:
    """Messages by name, and as the node needs them. Stamps are PX4's time [µs]; 0 lets PX4 stamp them."""

    def __init__(self, target_system: int, module: Any = None) -> None:
        """``module``: what holds the classes of messages, px4_msgs.msg if None."""
        self.target_system = target_system
        self._plain: dict[str, PlainMessage] = {}
        try:
            self._module = module or importlib.import_module("px4_msgs.msg")
        except ImportError:
            raise CorvidsError(
                "px4_msgs is not there: build it in this workspace, from the branch of the firmware's release "
                "(release/1.17 for PX4 v1.17), and source the workspace"
            ) from None

    def type_of(self, name: str) -> Any:
        """The class of a message."""
        found = getattr(self._module, name, None)
        if found is None:
            raise CorvidsError(
                f"px4_msgs here has no {name}: build it from the branch of the firmware's release"
            )
        return found

    def plain(self, name: str) -> PlainMessage:
        """The way of a message to bytes and back."""
        if name not in self._plain:
            self._plain[name] = PlainMessage(name, self.type_of(name).get_fields_and_field_types())
        return self._plain[name]

    def definition(self, name: str) -> str:
        """The text that defines a message, as installed."""
        from ament_index_python.packages import get_package_share_directory

        try:
            share = Path(get_package_share_directory("px4_msgs"))
            return (share / "msg" / f"{name}.msg").read_text("utf-8")
        except (OSError, LookupError) as error:
            raise CorvidsError(
                f"px4_msgs' definition of {name} is not found ({error}): source the workspace"
            ) from None

    def offboard(self, stamp_us: int, *, attitude: bool = False) -> Any:
        """What is streamed: body rates, or attitude."""
        return self._made(
            "OffboardControlMode", timestamp=stamp_us, attitude=attitude, body_rate=not attitude
        )

    def rates(self, thrust: float, rate_b_radps: Triple, stamp_us: int) -> Any:
        """Body rates [rad/s, FLU] and normalised thrust."""
        roll, pitch, yaw = flu_frd(rate_b_radps)
        thrust_frd = (0.0, 0.0, -thrust)
        return self._made(
            "VehicleRatesSetpoint",
            timestamp=stamp_us,
            roll=roll,
            pitch=pitch,
            yaw=yaw,
            thrust_body=thrust_frd,
        )

    def level(self, level: Level, stamp_us: int) -> Any:
        """Level attitude and thrust."""
        return self._made(
            "VehicleAttitudeSetpoint",
            timestamp=stamp_us,
            q_d=level_ned(level.yaw_ned_rad),
            thrust_body=(0.0, 0.0, -level.thrust),
        )

    def request(self, request: Request, stamp_us: int) -> Any:
        """The command that asks for a mode, or to arm."""
        command, *parameters = {
            Request.ARM: (ARM_DISARM, 1.0),
            Request.OFFBOARD: (SET_MODE, CUSTOM_MODE, OFFBOARD),
            Request.HOLD: (SET_MODE, CUSTOM_MODE, AUTO, LOITER),
            Request.LAND: (SET_MODE, CUSTOM_MODE, AUTO, LAND),
        }[request]
        return self._command(command, stamp_us, enumerate(parameters, start=1))

    def origin(self, latitude_deg: float, longitude_deg: float, height_m: float, stamp_us: int) -> Any:
        """The command that tells where on the globe the world's origin is; height above sea level."""
        return self._command(SET_ORIGIN, stamp_us, ((5, latitude_deg), (6, longitude_deg), (7, height_m)))

    def visual_odometry(
        self,
        pos_w: Triple,
        quat_wb: Quaternion,
        sample_us: int,
        stamp_us: int,
        pos_std_m: float,
        angle_std_rad: float,
    ) -> Any:
        """A pose that motion capture measured: place [m] and attitude, with their standard deviations."""
        return self._made(
            "VehicleOdometry",
            timestamp=stamp_us,
            timestamp_sample=sample_us,
            pose_frame=POSE_FRAME_NED,
            position=enu_ned(pos_w),
            q=quat_enu_ned(quat_wb),
            velocity=NAN3,
            angular_velocity=NAN3,
            position_variance=(pos_std_m**2,) * 3,
            orientation_variance=(angle_std_rad**2,) * 3,
            velocity_variance=NAN3,
        )

    def _command(self, command: int, stamp_us: int, parameters: Iterable[tuple[int, float]]) -> Any:
        return self._made(
            "VehicleCommand",
            timestamp=stamp_us,
            command=command,
            target_system=self.target_system,
            target_component=1,
            source_system=self.target_system,
            source_component=1,
            from_external=True,
            **{f"param{index}": float(value) for index, value in parameters},
        )

    def format_request(self, topic: str, protocol: int) -> Any:
        """The question which definition PX4 has for the message of ``topic``."""
        length = len(self._made("MessageFormatRequest").topic_name)
        text = topic.encode("ascii")[: length - 1].ljust(length, b"\0")
        return self._made("MessageFormatRequest", protocol_version=protocol, topic_name=tuple(text))

    def _made(self, name: str, **fields: Any) -> Any:
        return self.plain(name).record(**fields)


def text_of(characters: Sequence[int]) -> str:
    """A topic's name as messages hold it: characters up to the first zero."""
    return bytes(characters).split(b"\0")[0].decode("ascii", errors="replace")
