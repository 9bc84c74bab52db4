"""Makes the ROS 2 package importable where it is not installed, and the stand-ins of the MAVLink tests."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ros_ws/src/corvids_ros"), str(ROOT / "tests/mavlink")]
