"""One MCAP file per flight: what was seen, what the policy was given and answered, what was commanded, what the
supervisor decided, and when, as JSON messages."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from corvids.deploy.deferral import Whole
from corvids.deploy.runtime import Tick
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.supervisor import Verdict
from corvids.errors import CorvidsError

TOPICS = ("seen", "verdict", "decision", "policy", "mocap")
"""``seen``, ``verdict`` and ``policy`` at every tick, ``decision`` for every entry in the supervisor's log, ``mocap``
about once a second."""
CHUNK_BYTES = 1 << 16
ABOUT = "corvids"
"""Name of the record's metadata: whose policy, on which vehicle."""


class FlightRecord:
    """Writes a record; until it is closed it has another name, so that half a record is not taken for one."""

    def __init__(
        self, path: Path, about: Mapping[str, str] | None = None, whole: Whole | None = None
    ) -> None:
        """``whole``: has what is written written as a whole, see :func:`corvids.deploy.deferral.deferrable`."""
        if path.suffix != ".mcap":
            raise CorvidsError(f"{path}: must end in .mcap")
        self._path, self._partial = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = open(self._partial, "wb")  # noqa: SIM115
        except OSError as error:
            raise CorvidsError(f"{path}: cannot be written: {error.strerror}") from None
        # Small pieces, not compressed: compressing a megabyte takes longer than a tick may.
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)
        self._writer.start(profile="corvids", library="corvids")
        schema = self._writer.register_schema("object", "jsonschema", b'{"type": "object"}')
        self._writer.add_metadata(ABOUT, dict(about or {}))
        self._channels = {topic: self._writer.register_channel(topic, "json", schema) for topic in TOPICS}
        self._has_messages = False
        self._whole = whole or contextlib.nullcontext()
        self.dropped = 0
        """Messages or groups of them that could not be stored, for lack of space."""

    def watch(self, seen: Seen, verdict: Verdict) -> None:
        """Record what was seen at a tick, and what the supervisor made of it."""
        entries = [("decision", entry._asdict()) for entry in verdict.entries]
        shown = {**verdict._asdict(), "entries": len(verdict.entries)}
        self._store(seen.now_s, [("seen", seen._asdict()), ("verdict", shown), *entries])

    def note(self, tick: Tick, row: int = 0) -> None:
        """Record what the policy was given at a tick for ``row``, what it answered, and how long all rows took."""
        decision = tick.decision
        content = {
            "now_s": tick.now_s,
            "late_s": tick.late_s,
            "compute_s": tick.compute_s,
            "by_policy": bool(decision.by_policy[row]),
            "order": [float(one) for part in decision.order for one in part[row].flat],
            "inputs": {name: values[row].tolist() for name, values in decision.inputs.items()},
        }
        self._store(tick.now_s, [("policy", content)])

    def note_mocap(self, now_s: float, figures: Mapping[str, float]) -> None:
        """Record how a stream of motion capture fares."""
        self._store(now_s, [("mocap", {"now_s": now_s, **figures})])

    def _store(self, now_s: float, messages: list[tuple[str, dict[str, Any]]]) -> None:
        with self._whole:
            try:
                for topic, content in messages:
                    self._add(topic, now_s, content)
            except OSError:  # a full disk is no reason to stop flying
                self.dropped += 1

    def _add(self, topic: str, now_s: float, content: dict[str, Any]) -> None:
        stamp_ns = max(0, int(1e9 * now_s)) if math.isfinite(now_s) else 0
        data = json.dumps(_plain(content)).encode()
        self._writer.add_message(self._channels[topic], log_time=stamp_ns, data=data, publish_time=stamp_ns)
        self._has_messages = True

    def close(self) -> None:
        """Finish the file and give it its name; raises :class:`CorvidsError` where that cannot be done.

        A record of nothing is thrown away. A file that has the name already is kept under the time of its end, as
        ``flight-2026-01-31T13-45-10.mcap``: it may be the flight before's. Closing it a second time changes nothing.
        """
        with self._whole:
            if not self._file.closed:
                self._finish()

    def _finish(self) -> None:
        try:
            with self._file:
                self._writer.finish()
            if self._has_messages:
                if self._path.is_file():
                    self._path.rename(_kept(self._path))
                os.replace(self._partial, self._path)
            else:
                self._partial.unlink()
        except OSError as error:
            raise CorvidsError(
                f"{self._path}: cannot be finished: {error.strerror or error}; what there is of it: {self._partial}"
            ) from None


def _kept(path: Path) -> Path:
    """Another name for a file, after when it was written last; one that is free."""
    ended = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(path.stat().st_mtime))
    named, number = f"{path.stem}-{ended}", 1
    kept = path.with_name(f"{named}.mcap")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{named}-{number}.mcap")
    return kept


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
