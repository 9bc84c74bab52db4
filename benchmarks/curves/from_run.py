"""A run's TensorBoard curves as a CSV file that can be committed: ``python from_run.py RUN > juggle.csv``.

A row for every tenth batch: its number, the samples learned from by its end, and the means over the episodes that ended
in it (of metrics that no episode of a batch speaks of, the last known one).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from corvids.training.checkpoint import load_checkpoint

EVERY = 10
FOLDER = "Episode/"


def main(run: Path) -> None:
    """Write the table to standard output."""
    config = load_checkpoint(run).config
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    tags = sorted(tag for tag in events.Tags()["scalars"] if tag.startswith(FOLDER))
    curves = {tag.removeprefix(FOLDER): {e.step: e.value for e in events.Scalars(tag)} for tag in tags}
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("iteration", "samples", *curves))
    last = dict.fromkeys(curves, "")
    for step in range(1 + max(max(curve) for curve in curves.values())):
        last.update({name: f"{curve[step]:.3f}" for name, curve in curves.items() if step in curve})
        if step % EVERY == 0:
            table.writerow((step, (step + 1) * config.worlds * config.ppo.steps, *last.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
