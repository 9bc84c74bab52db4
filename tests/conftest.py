"""Markers for what a machine may lack: such a test is skipped, and its reason shows in the summary."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no defect: examples are limited in number, not in time.
settings.register_profile("corvids", deadline=None)
settings.load_profile("corvids")

ROOT = Path(__file__).resolve().parents[1]
LOGS = Path(os.environ.get("CORVIDS_DATA", ROOT.parent / "shared" / "data"))
"""Folder of the flight logs, which are not part of the repository."""


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


NEEDS = {
    "gpu": ("needs a CUDA device", _has_cuda),
    "isaac": ("needs Isaac Lab", lambda: importlib.util.find_spec("isaaclab") is not None),
    "ros": ("needs rclpy", lambda: importlib.util.find_spec("rclpy") is not None),
    "realdata": ("needs the flight logs; CORVIDS_DATA names their folder", lambda: (LOGS / "ulog").is_dir()),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (reason, is_there) in NEEDS.items():
        if item.get_closest_marker(marker) and not is_there():
            pytest.skip(reason)
