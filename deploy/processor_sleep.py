"""Keeps processors awake in flight, and while a ROS 2 node is active: one that sleeps takes time to wake at each state.

On Linux whoever holds ``/dev/cpu_dma_latency`` open limits the time that it takes a processor to wake. It is root's;
a vehicle's owner may give it to whoever flies. Cores that do not sleep draw more power, hence for flights alone.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
AT_ONCE = struct.pack("=i", 0)
"""The longest time to wake that is asked for [µs]."""


def can_stay_awake(device: Path = DEVICE) -> bool:
    """Whether this process may ask for it."""
    return os.access(device, os.W_OK)


@contextlib.contextmanager
def awake(device: Path = DEVICE) -> Iterator[bool]:
    """Ask for it as long as this lasts; says whether that was granted. Without, everything is slower, and as safe."""
    try:
        handle = os.open(device, os.O_WRONLY)
    except OSError:
        yield False
        return
    is_granted = False
    try:
        with contextlib.suppress(OSError):
            is_granted = os.write(handle, AT_ONCE) == len(AT_ONCE)
        yield is_granted
    finally:
        os.close(handle)
