"""The one place where PX4's frames meet ours: world NED and body FRD there, world ENU and body FLU here.

Both conversions are their own inverse: vectors swap or negate components, attitudes turn on both sides.
"""

from __future__ import annotations

import math

from corvids.deploy.supervision.envelope import Triple

Quaternion = tuple[float, float, float, float]
"""w, x, y, z."""
Globe = tuple[float, float, float]
"""Latitude and longitude [°], height above the sea [m]."""
HALF = math.sqrt(0.5)
"""Sine and cosine of 45°."""
EARTH_M = 6371000.0
"""Radius by which PX4 turns angles on the globe into lengths [m]."""


def enu_ned(vector: Triple) -> Triple:
    """A world vector, from NED to ENU or back: north and east change places, down becomes up."""
    x, y, z = vector
    return y, x, -z


def on_globe(origin: Globe, pos_w: Triple) -> Globe:
    """Where on the globe the place ``pos_w`` [m, ENU] is, seen from ``origin``: for rooms and fields, not journeys."""
    latitude, longitude, height_m = origin
    east_m, north_m, up_m = pos_w
    east_deg = math.degrees(east_m / EARTH_M) / math.cos(math.radians(latitude))
    return latitude + math.degrees(north_m / EARTH_M), longitude + east_deg, height_m + up_m


def flu_frd(vector: Triple) -> Triple:
    """A body vector, from FRD to FLU or back: right becomes left, down becomes up."""
    x, y, z = vector
    return x, -y, -z


def quat_enu_ned(quat: Quaternion) -> Quaternion:
    """Attitude, from body FRD in world NED to body FLU in world ENU, or back.

    Half a turn about the horizontal diagonal (NED to ENU), then the attitude, then half a turn about body x (FLU to
    FRD): (0, 1, 1, 0)/√2 ⊗ q ⊗ (0, 1, 0, 0), with the sign that makes level and heading east (1, 0, 0, 0).
    """
    w, x, y, z = quat
    return HALF * (w + z), HALF * (x + y), HALF * (x - y), HALF * (w - z)


def rotate(quat: Quaternion, vector: Triple) -> Triple:
    """``vector`` turned by the unit quaternion ``quat``: from the body into the world."""
    w, x, y, z = quat
    a, b, c = vector
    # v + 2·u × (u × v + w·v), with u = (x, y, z)
    p, q, r = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    return a + 2.0 * (y * r - z * q), b + 2.0 * (z * p - x * r), c + 2.0 * (x * q - y * p)


def yaw_ned_rad(quat_wb: Quaternion) -> float:
    """Heading [rad], clockwise from north, of an attitude given as ours."""
    w, x, y, z = quat_wb
    yaw_enu = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return math.atan2(math.sin(0.5 * math.pi - yaw_enu), math.cos(0.5 * math.pi - yaw_enu))


def level_ned(yaw_ned: float) -> Quaternion:
    """PX4's attitude for level flight with the heading ``yaw_ned`` [rad]."""
    return math.cos(0.5 * yaw_ned), 0.0, 0.0, math.sin(0.5 * yaw_ned)
