"""Keeps Fast DDS from shared memory, by which another process's coming could hold up a set-point. No ROS.

To open a port in shared memory it may wait for a third of a second, behind a lock that every publisher of the process
needs, although the port is another's and nothing is wrong with it (Fast DDS issue 6535, in 2.14). So as a tool that
lists topics starts, set-points stop, and the keeper has PX4 hold. UDP knows no such wait, and is as quick for small
messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import MutableMapping
from pathlib import Path

CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Variables by which a user chooses transports."""
SEGMENTS = ("/dev/shm/fastrtps_", "/dev/shm/fastdds_")
"""How the names of its shared memory begin, up to Fast DDS 2 and from 3 on."""


def avoid_shared_memory(environment: MutableMapping[str, str]) -> None:
    """To be called with the process's environment before ROS starts; what a user chose stays."""
    if not any(environment.get(name) for name in CHOSEN):
        environment["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"


def complaint(maps: Path = Path("/proc/self/maps")) -> str:
    """What to say once ROS has started; nothing where there is no shared memory, or no Linux to tell."""
    mapped = ""
    with contextlib.suppress(OSError):
        mapped = maps.read_text("utf-8", errors="replace")
    if not any(segment in mapped for segment in SEGMENTS):
        return ""
    return (
        "Fast DDS uses shared memory here, which may hold up set-points for 0.33 s as other processes start: "
        "set FASTDDS_BUILTIN_TRANSPORTS=UDPv4 (from Fast DDS 2.13 on); on Humble, and for one computer alone, give "
        "it a profile, such as config/fastdds_loopback.xml, which says how"
    )
