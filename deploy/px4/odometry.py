"""A pose seen from outside, as the message by which PX4's estimator takes it in (ODOMETRY)."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import common

from corvids.deploy.px4.frames import Quaternion, enu_ned, quat_enu_ned
from corvids.deploy.supervision.envelope import Triple

GOOD = 100
"""Quality of a pose [%]."""


def odometry_message(
    time_us: int, pos_w_m: Triple, quat_wb: Quaternion, *, pos_std_m: float, angle_std_rad: float
) -> common.MAVLink_message:
    """The pose at ``time_us``, world ENU and body FLU, with standard deviations of a coordinate and of an angle.

    PX4 takes the time for its own once it has compared clocks with us often enough, which takes it 50 s, and the time
    of arrival until then. Velocities are left to its estimator.
    """
    unknown = (math.nan, math.nan, math.nan)
    # Upper triangle of a 6 × 6 matrix, row by row: x, y, z, roll, pitch, yaw.
    covariance = [0.0] * 21
    for index in (0, 6, 11):
        covariance[index] = pos_std_m**2
    for index in (15, 18, 20):
        covariance[index] = angle_std_rad**2
    return common.MAVLink_odometry_message(
        time_us,
        common.MAV_FRAME_LOCAL_NED,
        common.MAV_FRAME_BODY_FRD,
        *enu_ned(pos_w_m),
        quat_enu_ned(quat_wb),
        *unknown,
        *unknown,
        covariance,
        [math.nan] * 21,
        0,
        common.MAV_ESTIMATOR_TYPE_VISION,
        GOOD,
    )
