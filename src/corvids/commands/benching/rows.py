"""The rows of a benchmark: who is measured, and what its line says."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any, Protocol

from corvids.commands.benching.peer_worker import Sample


@dataclasses.dataclass(frozen=True)
class Row:
    """What a line is about."""

    name: str
    """dynamics, env, ppo, inference, team or member."""
    task: str
    worlds: int
    device: str
    physics_hz: int
    control_hz: int
    peer: str | None = None
    """Whose, unless ours."""

    def line(self, samples: Sequence[Sample], extras: dict[str, float] | None = None) -> dict[str, Any]:
        """The documented JSON object: medians over the rounds, and ``extras`` as they are.

        A step is a control step of one world.
        """
        per_s = self.worlds * statistics.median(sample.steps / sample.wall_s for sample in samples)
        per_cpu_s = self.worlds * statistics.median(
            sample.steps / max(sample.cpu_s, 1e-9) for sample in samples
        )
        said = {key: value for key, value in dataclasses.asdict(self).items() if key != "peer"}
        figures = {
            "steps_per_s": per_s,
            "sim_s_per_s": per_s / self.control_hz,
            "sim_s_per_cpu_s": per_cpu_s / self.control_hz,
            **(extras or {}),
        }
        said |= {key: rounded(value) for key, value in figures.items()}
        return said | ({"peer": self.peer} if self.peer else {})


class Subject(Protocol):
    """Something that can be measured, round by round."""

    @property
    def row(self) -> Row:
        """What it is."""
        ...

    def measure(self) -> Sample:
        """One round."""
        ...

    def extras(self) -> dict[str, float]:
        """Figures of its own, over all rounds."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
