"""Contestants take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corvids.commands.benching.rows import Subject

Line = dict[str, Any]
"""One row of a benchmark as it is printed."""


def contest(subjects: Sequence[Subject], rounds: int) -> list[Line]:
    """Measure all ``subjects`` round by round, every second round in reverse order; one line each."""
    samples = [[] for _ in subjects]
    for number in range(rounds):
        order = range(len(subjects))
        for index in order if number % 2 == 0 else reversed(order):
            samples[index].append(subjects[index].measure())
    return [
        subject.row.line(taken, subject.extras()) for subject, taken in zip(subjects, samples, strict=True)
    ]


def comparisons(lines: Sequence[Line]) -> list[str]:
    """One sentence for each peer's line: how many times as fast ours is."""
    ours = {(line["name"], line["worlds"]): line for line in lines if "peer" not in line}
    said = []
    for line in lines:
        own = ours.get((line["name"], line["worlds"]))
        if "peer" not in line or own is None:
            continue
        per_cpu_s, per_s = (own[key] / line[key] for key in ("sim_s_per_cpu_s", "sim_s_per_s"))
        said.append(
            f"{line['name']}: {per_cpu_s:.1f}x {line['peer']} per CPU-second, {per_s:.1f}x per second,"
            f" at {line['worlds']} worlds"
        )
    return said
