"""How a runtime starts a keeper, and speaks with it. No ROS."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from corvids.deploy.px4.channels import BUFFER, KeeperChannel
from corvids_ros.topics import Topics

KEY_VARIABLE = "CORVIDS_MOCAP_KEY"
"""Variable of the environment with the stream's key, in hexadecimal: a command line can be read by everybody."""


class KeeperSocket(KeeperChannel):
    """The runtime's end of the line to the keeper."""

    def poll(self) -> bytes | None:
        """What it has said, if it has."""
        with contextlib.suppress(BlockingIOError):
            return self.socket.recv(BUFFER)
        return None


def command_line(
    folder: Path, system: int, namespace: str, topics: Topics, mocap: dict[str, Any] | None
) -> list[str]:
    """How the vehicle's node starts a keeper; ``mocap``: arguments of :func:`mocap_config`, but key and clock."""
    arguments = (
        str(folder),
        str(system),
        namespace,
        json.dumps(dataclasses.asdict(topics)),
        json.dumps(mocap),
    )
    return [sys.executable, "-m", "corvids_ros.keeper", *arguments]
