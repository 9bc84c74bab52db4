"""Parameters of the ROS 2 node: what is refused, and why."""

from __future__ import annotations

import math

import pytest

from corvids.errors import CorvidsError
from corvids_ros.settings import SETTINGS, Settings
from corvids_ros.topics import Topics

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_system": 0}, "target_system: 0 is not between 1 and 250"),
        ({"target_system": True}, "target_system = True: must be a whole number"),
        ({"ball_type": "Pose"}, "must be one of PoseStamped, Odometry"),
        ({"fence_low_m": [math.nan, 0.0, 0.0]}, "nan is not between"),
    ],
)
def test_settings_have_ranges(change: dict, said: str):
    with pytest.raises(CorvidsError, match=said):
        Settings({**DEFAULTS, **change})


def test_settings_say_what_is_missing():
    settings = Settings({**DEFAULTS, "fence_high_m": [3.0, 3.0]})
    with pytest.raises(CorvidsError, match="must have x, y, z"):
        _ = settings.fence
    with pytest.raises(CorvidsError, match="must have: place_x_w_m"):
        settings.command(("place_x_w_m",))
    assert settings.topics == Topics()
