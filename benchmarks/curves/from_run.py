"""A run's TensorBoard curves as a CSV file that can be committed: ``python from_run.py RUN > juggle.csv``.

A row for every tenth batch: its number, the control steps of all worlds learned from by its end, the minutes that took
by the clock and on processors (where the run wrote those down), and the means over the episodes that ended in it (of
metrics that no episode of a batch speaks of, the last known one).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from corvids.training.checkpoint import load_checkpoint

EVERY = 10
FOLDER = "Episode/"
SPENT_S = {"minutes": ("Perf/collection_time", "Perf/learning_time"), "cpu_minutes": ("Perf/cpu_s",)}
"""What each column of minutes sums up [s]."""


def main(run: Path) -> None:
    """Write the table to standard output."""
    config = load_checkpoint(run).config
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    there = events.Tags()["scalars"]

    def curve_of(tag: str) -> dict[int, float]:
        return {event.step: event.value for event in events.Scalars(tag)}

    curves = {tag.removeprefix(FOLDER): curve_of(tag) for tag in sorted(there) if tag.startswith(FOLDER)}
    spent = {
        name: [curve_of(tag) for tag in tags] for name, tags in SPENT_S.items() if set(tags) <= set(there)
    }
    worlds = config.worlds * max(1, len(config.teams))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("iteration", "samples", *spent, *curves))
    last, minutes = dict.fromkeys(curves, ""), dict.fromkeys(spent, 0.0)
    for step in range(1 + max(max(curve) for curve in curves.values())):
        last.update({name: f"{curve[step]:.3f}" for name, curve in curves.items() if step in curve})
        for name, parts in spent.items():
            minutes[name] += sum(part.get(step, 0.0) for part in parts) / 60.0
        if step % EVERY == 0:
            samples = (step + 1) * worlds * config.ppo.steps * config.ppo.hold_steps
            table.writerow((step, samples, *(f"{value:.2f}" for value in minutes.values()), *last.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
