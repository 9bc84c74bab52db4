"""The tasks, by name."""

from __future__ import annotations

from corvids.envs.mdp.task import Task
from corvids.envs.mdp.team_task import TeamTask
from corvids.envs.tasks.carry import Carry
from corvids.envs.tasks.hover import Hover
from corvids.envs.tasks.juggle import Juggle
from corvids.envs.tasks.track import Track
from corvids.errors import CorvidsError

TASKS: dict[str, type[Task]] = {
    "juggle": Juggle,
    "hover": Hover,
    "track": Track,
}
"""Every task of a single vehicle that can be trained, evaluated and flown."""
TEAM_TASKS: dict[str, type[TeamTask]] = {
    "carry": Carry,
}
"""Every task of a team."""


def task_named(name: str) -> type[Task]:
    """The task called ``name``; raises :class:`CorvidsError` with the names that exist."""
    try:
        return TASKS[name]
    except KeyError:
        raise CorvidsError(f"unknown task {name!r}; there are: {', '.join(TASKS)}") from None


def team_task_named(name: str) -> type[TeamTask]:
    """The team's task called ``name``; raises :class:`CorvidsError` with the names that exist."""
    try:
        return TEAM_TASKS[name]
    except KeyError:
        raise CorvidsError(f"unknown task of a team {name!r}; there are: {', '.join(TEAM_TASKS)}") from None


def check_task(name: str) -> None:
    """Refuse a name that no task has, of a vehicle or of a team."""
    if name not in TEAM_TASKS and name not in TASKS:
        raise CorvidsError(f"unknown task {name!r}; there are: {', '.join((*TASKS, *TEAM_TASKS))}")
