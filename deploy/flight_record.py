"""One MCAP file per flight: what was seen, what was commanded, and what the supervisor decided, as JSON messages."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from mcap.writer import Writer

from corvids.deploy.checks import Seen
from corvids.deploy.supervisor import Verdict
from corvids.errors import CorvidsError

TOPICS = ("seen", "verdict", "decision")
"""``seen`` and ``verdict`` at every tick, ``decision`` for every entry in the supervisor's log."""


class FlightRecord:
    """Writes a record; until it is closed it has another name, so that half a record is not taken for one."""

    def __init__(self, path: Path) -> None:
        if path.suffix != ".mcap":
            raise CorvidsError(f"{path}: must end in .mcap")
        self._path, self._partial = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = open(self._partial, "wb")  # noqa: SIM115
        except OSError as error:
            raise CorvidsError(f"{path}: cannot be written: {error.strerror}") from None
        self._writer = Writer(self._file)
        self._writer.start(profile="corvids", library="corvids")
        schema = self._writer.register_schema("object", "jsonschema", b'{"type": "object"}')
        self._channels = {topic: self._writer.register_channel(topic, "json", schema) for topic in TOPICS}
        self.dropped = 0
        """Ticks that could not be stored, for lack of space."""

    def watch(self, seen: Seen, verdict: Verdict) -> None:
        """Record a tick."""
        try:
            self._add("seen", seen.now_s, seen._asdict())
            self._add("verdict", seen.now_s, {**verdict._asdict(), "entries": len(verdict.entries)})
            for entry in verdict.entries:
                self._add("decision", seen.now_s, entry._asdict())
        except OSError:  # a full disk is no reason to stop flying
            self.dropped += 1

    def _add(self, topic: str, now_s: float, content: dict[str, Any]) -> None:
        stamp_ns = max(0, int(1e9 * now_s)) if math.isfinite(now_s) else 0
        data = json.dumps(_plain(content)).encode()
        self._writer.add_message(self._channels[topic], log_time=stamp_ns, data=data, publish_time=stamp_ns)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._writer.finish()
        self._file.close()
        os.replace(self._partial, self._path)


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it: enumerations by name, no number for what is none."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (tuple, list, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "name"):
        return value.name
    return None if isinstance(value, float) and not math.isfinite(value) else value
