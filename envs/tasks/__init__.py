"""The tasks, by name."""

from __future__ import annotations

from corvids.envs.task import Task
from corvids.envs.tasks.hover import Hover
from corvids.envs.tasks.juggle import Juggle
from corvids.envs.tasks.track import Track
from corvids.errors import CorvidsError

TASKS: dict[str, type[Task]] = {
    "juggle": Juggle,
    "hover": Hover,
    "track": Track,
}
"""Every task that can be trained, evaluated and flown."""


def task_named(name: str) -> type[Task]:
    """The task called ``name``; raises :class:`CorvidsError` with the names that exist."""
    try:
        return TASKS[name]
    except KeyError:
        raise CorvidsError(f"unknown task {name!r}; there are: {', '.join(TASKS)}") from None
