"""Mutated ULog files by the thousand: a record or one line, within ten seconds each.

Each file is drawn from its own number, so that many can be tried in parts:
``CORVIDS_FUZZ=1000 CORVIDS_FUZZ_FROM=3000`` tries 3000 to 3999.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from ulog_lab import flight_topics, ulog

from corvids.calibration.flight.segments import cut
from corvids.calibration.readers.px4_flight import px4_flight
from corvids.calibration.readers.ulog import read_ulog
from corvids.errors import CorvidsError

COUNT = int(os.environ.get("CORVIDS_FUZZ", "1000"))
"""Files in the slow test."""
FROM = int(os.environ.get("CORVIDS_FUZZ_FROM", "0"))
"""Number of the first."""


def mutated(whole: np.ndarray, rng: np.random.Generator) -> bytes:
    """Bytes flipped, removed, repeated, zeroed or cut off, in header and definitions as often as in the data."""
    data = whole.copy()
    for _ in range(rng.integers(1, 20)):
        place = int(rng.integers(0, min(len(data), 2000) if rng.random() < 0.5 else len(data)))
        span = slice(place, place + int(rng.integers(1, 50)))
        kind = rng.integers(0, 5)
        if kind == 0:
            data[place] = rng.integers(0, 256)
        elif kind == 1:
            data = np.delete(data, span)
        elif kind == 2:
            data = np.insert(data, place, data[span])
        elif kind == 3:
            data[span] = 0
        elif rng.random() < 0.2:
            data = data[: max(place, 100)]
        if len(data) <= 100:
            break
    return data.tobytes()


@pytest.mark.slow
def test_no_mutated_log_crashes_or_hangs(tmp_path: Path):
    wholes = [
        np.frombuffer(ulog(flight_topics(seconds=s, seed=k)), np.uint8) for k, s in enumerate((0.3, 1.0, 2.0))
    ]
    path = tmp_path / "flight.ulg"
    read = refused = 0
    spent_s: list[float] = []
    for index in range(FROM, FROM + COUNT):
        content = mutated(wholes[index % len(wholes)], np.random.default_rng((2, index)))
        path.write_bytes(content)
        begin = time.process_time()
        try:
            cut(px4_flight(read_ulog(path)))
            read += 1
        except CorvidsError as error:
            assert "\n" not in str(error), (index, error)
            refused += 1
        spent_s.append(time.process_time() - begin)
        assert spent_s[-1] < 10.0, index
    slowest = int(np.argmax(spent_s))
    print(
        f"\n{COUNT} mutated logs from number {FROM}: {read} read, {refused} refused in one line,"
        f" {sum(spent_s):.0f} s of CPU, slowest {spent_s[slowest]:.2f} s (number {FROM + slowest})"
    )
    assert read and refused
