"""PX4's flight logs (ULog): the file opened, checked, and cut down to the topics that calibration reads.

What PX4 simulates inside its own firmware (SIH) is described by parameters ``SIH_*`` in the log, and topics whose name
ends in ``_groundtruth`` hold the simulated state. Both are the answer to what a fit asks, so neither leaves this file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from corvids.errors import CorvidsError

TOPICS = (
    "actuator_motors",
    "actuator_outputs",
    "battery_status",
    "esc_status",
    "sensor_combined",
    "vehicle_attitude",
    "vehicle_land_detected",
    "vehicle_local_position",
    "vehicle_rates_setpoint",
)
"""Topics read, by the name that they have had since PX4 1.11 or before; ``_v1`` … ``_v9`` may follow it."""
HEADER = b"\x55\x4c\x6f\x67\x01\x12\x35"
"""First bytes of every ULog file."""
MAX_BYTES = 2**31
"""Larger files are refused: they would not fit into the memory of a small machine."""


@dataclasses.dataclass(frozen=True)
class RawLog:
    """What a ULog file holds, as it was logged: PX4's units and frames."""

    name: str
    """File name."""
    sha256: str
    """Hash of the whole file."""
    topics: Mapping[str, Mapping[str, np.ndarray]]
    """Fields by topic (first instance): arrays of one length; ``timestamp`` in microseconds."""
    parameters: Mapping[str, float]
    """PX4's parameters at start-up, without those that describe a simulated vehicle."""
    dropout_s: float
    """Time during which the logger could not write [s]."""
    damaged: bool
    """Whether parts of the file could not be read."""
    cut_off: bool = False
    """Whether the file ends in the middle of a message."""
    simulated: bool = False
    """Whether a firmware wrote it that flies a simulated vehicle."""


def read_ulog(path: str | os.PathLike[str]) -> RawLog:
    """Read a ULog file; raises :class:`CorvidsError` for one that is none, is empty or holds no message."""
    path = Path(path)
    content = _content(path)
    from pyulog import ULog

    names = [f"{topic}{suffix}" for topic in TOPICS for suffix in ("", *(f"_v{n}" for n in range(1, 10)))]
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            log = ULog(_Guarded(content), message_name_filter_list=names)
    # The parser fails in as many ways as a file can be damaged: each means that the file cannot be read.
    except Exception as error:  # noqa: BLE001
        raise CorvidsError(f"{path}: this ULog file is damaged beyond reading: {_one_line(error)}") from None
    topics: dict[str, Mapping[str, np.ndarray]] = {}
    for data in sorted(log.data_list, key=lambda one: (one.multi_id, one.name)):
        topic = re.sub(r"_v\d$", "", data.name)
        if topic not in topics and "timestamp" in data.data and len(data.data["timestamp"]):
            topics[topic] = data.data
    if not topics:
        raise CorvidsError(
            f"{path}: this ULog file holds none of the topics that a fit needs: {', '.join(TOPICS)}"
        )
    return RawLog(
        name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        topics=topics,
        parameters={
            name: float(value)
            for name, value in log.initial_parameters.items()
            if isinstance(value, (int, float)) and not name.startswith("SIH_")
        },
        dropout_s=1e-3 * sum(dropout.duration for dropout in log.dropouts),
        damaged=bool(log.file_corruption),
        cut_off=_is_cut_off(content),
        simulated=str(log.msg_info_dict.get("ver_hw", "")).endswith("SITL"),
    )


class _Guarded(io.BytesIO):
    """The file as the parser reads it, which searches a damaged one byte by byte and may then never end."""

    MAX_STALL = 200_000
    """Reads without getting further: one message is at most 65,538 bytes, each of which is looked at twice."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._furthest = self._stalled = 0
        self._until_s = time.process_time() + 6.0 + 0.25e-6 * len(content)

    def read(self, size: int | None = -1, /) -> bytes:
        """As usual; raises where the parser gets no further."""
        data = super().read(size)
        if self.tell() > self._furthest:
            self._furthest, self._stalled = self.tell(), 0
        else:
            self._stalled += 1
        if self._stalled > self.MAX_STALL or (
            self._stalled % 512 == 511 and time.process_time() > self._until_s
        ):
            raise RuntimeError(f"no message can be found after byte {self._furthest}")
        return data


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CorvidsError(f"{path}: is a folder; name a ULog file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CorvidsError(
                f"{path}: {size / 2**30:.1f} GiB is more than the {MAX_BYTES / 2**30:.0f} GiB read"
            )
        content = path.read_bytes()
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content:
        raise CorvidsError(f"{path}: is empty; a ULog file starts with {HEADER[:4].decode('latin-1')!r}")
    if not content.startswith(HEADER):
        raise CorvidsError(
            f"{path}: is no ULog file, which would start with {HEADER[:4].decode('latin-1')!r}"
        )
    return content


def _is_cut_off(content: bytes) -> bool:
    """Whether the last message is longer than what is left of the file: the logger was stopped by a loss of power."""
    place = 16  # of the file's own header
    while place + 3 <= len(content):
        place += 3 + int.from_bytes(content[place : place + 2], "little")
    return place != len(content)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
