"""Time stamps and values as they were logged, made into a :class:`Channel`; every repair is reported."""

from __future__ import annotations

import numpy as np

from corvids.calibration.readers.record import Channel, Finding

MAX_JUMP_US = 60_000_000
"""A time stamp further than this from its neighbours is taken for a damaged one [µs]."""


def clean(
    signal: str, topic: str, unit: str, time_us: np.ndarray, values: np.ndarray, start_us: int
) -> tuple[Channel | None, list[Finding]]:
    """The channel ``signal`` from raw ``time_us`` (n,) and ``values`` (n, k), and what was wrong.

    Not-a-number and infinite samples, repeated time stamps and single damaged ones are dropped. Where the clock was
    reset the longest stretch is kept. Nothing is filled in. None where no sample is left.
    """
    findings = []

    def report(count: int, text: str) -> None:
        if count:
            findings.append(Finding(signal, f"{count} of {len(time_us)} samples {text}"))

    time = _signed(time_us) - start_us
    with np.errstate(over="ignore", invalid="ignore"):
        good = np.isfinite(values).all(axis=-1) & (np.abs(values) < 1e12).all(axis=-1)
    report(int((~good).sum()), "are not finite and were dropped")
    time, kept = time[good], values[good].astype(np.float64)

    outliers = _out_of_line(time)
    report(int(outliers.sum()), "have a damaged time stamp and were dropped")
    time, kept = time[~outliers], kept[~outliers]

    longest = _longest_rising(time)
    report(
        len(time) - (longest.stop - longest.start),
        "lie before or after a reset of the clock and were dropped",
    )
    time, kept = time[longest], kept[longest]

    fresh = np.concatenate(([True], np.diff(time) > 0)) if len(time) else np.zeros(0, bool)
    report(int((~fresh).sum()), "repeat a time stamp and were dropped")
    time, kept = time[fresh], kept[fresh]
    if not len(time):
        return None, findings
    channel = Channel(topic, unit, 1e-6 * time, kept)
    gaps = channel.gaps()
    if len(gaps):
        length = float((gaps[:, 1] - gaps[:, 0]).max())
        findings.append(
            Finding(signal, f"{len(gaps)} gaps, the longest {length:.3f} s; nothing is filled in")
        )
    return channel, findings


def _signed(time_us: np.ndarray) -> np.ndarray:
    """Time stamps as signed integers; those beyond their range, which no clock reaches, saturate."""
    if time_us.dtype.kind == "f":
        time_us = np.nan_to_num(time_us, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return np.minimum(
        time_us, np.asarray(2**61, time_us.dtype if time_us.dtype.itemsize == 8 else np.int64)
    ).astype(np.int64)


def _out_of_line(time: np.ndarray) -> np.ndarray:
    """Shape (n,): where a time stamp is far from the median of itself and its four neighbours."""
    if len(time) < 5:
        return np.zeros(len(time), bool)
    padded = np.pad(time, 2, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5).astype(np.float64), axis=-1)
    return np.abs(time - around) > MAX_JUMP_US


def _longest_rising(time: np.ndarray) -> slice:
    """The longest stretch in which time does not run backwards."""
    ends = np.concatenate((np.flatnonzero(np.diff(time) < 0) + 1, [len(time)]))
    starts = np.concatenate(([0], ends[:-1]))
    best = int(np.argmax(ends - starts))
    return slice(int(starts[best]), int(ends[best]))
