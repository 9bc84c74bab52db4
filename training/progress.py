"""What a training shows while it runs: TensorBoard curves and one line that lives."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rsl_rl.utils.logger import Logger


def progress_bar(is_main: bool) -> Progress:
    """Batches done, time left and a status; drawn on a terminal by the main process. Keeps today's standard output."""
    console = Console(file=sys.stdout)
    whole = Column(no_wrap=True)  # where the terminal is narrow, only the status wraps
    return Progress(
        TextColumn("{task.description}"), BarColumn(20, table_column=whole), MofNCompleteColumn(table_column=whole),
        TimeElapsedColumn(table_column=whole), TimeRemainingColumn(table_column=whole),
        TextColumn("{task.fields[status]}", table_column=Column()),
        console=console, redirect_stdout=False, disable=not (is_main and console.is_terminal),
    )  # fmt: skip


class ProgressLogger(Logger):
    """rsl_rl's TensorBoard logger, with one live line in place of its pages of text."""

    progress: Progress | None = None
    means: Mapping[str, float] = MappingProxyType({})
    """Newest mean of each metric over the episodes that ended in a batch."""
    _cpu_s = 0.0

    def log(self, it: int, start_it: int, total_it: int, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write all curves; show episode metrics, speed and time left."""
        self.means = {**self.means, **self._episode_means()}
        super().log(it, start_it, total_it, *args, **kwargs)
        before, self._cpu_s = self._cpu_s, time.process_time()
        if self.writer is not None:
            self.writer.add_scalar("Perf/cpu_s", self._cpu_s - before, it)
        if self.writer is None or self.progress is None:
            return
        samples = self.cfg["num_steps_per_env"] * self.num_envs * self.gpu_world_size
        rate = samples / max(kwargs["collect_time"] + kwargs["learn_time"], 1e-9)
        shown = "  ".join(f"{name} {value:.2f}" for name, value in self.means.items())
        self.progress.update(
            self.progress.task_ids[0], completed=it + 1, status=f"{shown}  {rate / 1e3:.0f}k samples/s"
        )
        console = self.progress.console
        if not console.is_terminal and (it + 1) % 10 == 0:
            line = f"iteration {it + 1}/{total_it}  {shown}  {rate / 1e3:.0f}k samples/s"
            console.print(line, highlight=False, soft_wrap=True)

    def _store_code_state(self) -> list[str]:
        """Nothing beside the curves: a checkpoint says which revision made it."""
        return []

    def _episode_means(self) -> dict[str, float]:
        totals: dict[str, list[torch.Tensor]] = {}
        for extras in self.ep_extras:
            for name, values in extras.items():
                totals.setdefault(name, []).append(values)
        means = {name: float(torch.cat(values).float().mean()) for name, values in totals.items()}
        if "hits" in means:
            means["hits_per_s"] = means["hits"] / max(means["episode_s"], 1e-9)
        return means
