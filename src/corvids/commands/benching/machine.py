"""The machine that was measured, in general terms."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe(device: str) -> dict[str, str | int]:
    """Processor, cores that may be used, software; the GPU where one was used."""
    said: dict[str, str | int] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.startswith("cuda"):
        said["gpu"] = torch.cuda.get_device_name(device)
    return said


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
