"""Keeps Fast DDS from shared memory, by which another process's coming could hold up a set-point. No ROS.

To open a port in shared memory it may wait for a third of a second, behind a lock that every publisher of the process
needs, although the port is another's and nothing is wrong with it (Fast DDS issue 6535, in 2.14). So as a tool that
lists topics starts, set-points stop, and the keeper has PX4 hold. UDP knows no such wait, and is as quick for small
messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path

CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Variables by which a user chooses transports."""
THREADS = "dds.shm"
"""How the names of the threads begin that Fast DDS has for shared memory."""


def avoid_shared_memory(environment: MutableMapping[str, str]) -> None:
    """To be called with the process's environment before ROS starts; what a user chose stays."""
    if not any(name in environment for name in CHOSEN):
        environment["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"


def complaint(tasks: Path = Path("/proc/self/task")) -> str:
    """What to say once ROS has started; nothing where there is no shared memory, or no way to tell."""
    if not any(name.startswith(THREADS) for name in _names(tasks)):
        return ""
    return (
        "Fast DDS uses shared memory here, which may hold up set-points for 0.33 s as other processes start: "
        "set FASTDDS_BUILTIN_TRANSPORTS=UDPv4; with ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, which overrides that, "
        "set the variables that config/fastdds_loopback.xml names instead"
    )


def _names(tasks: Path) -> Iterator[str]:
    for name in tasks.glob("*/comm"):
        with contextlib.suppress(OSError):  # a thread that has ended
            yield name.read_text("utf-8", errors="replace")
