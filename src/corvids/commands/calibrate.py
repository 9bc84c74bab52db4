"""``corvids calibrate``: from what a lab records to a vehicle file with error bars, JSON and a report page."""

from __future__ import annotations

from corvids.cli import first_word
from corvids.errors import CorvidsError
from corvids.quantities import nearest

ACTIONS = ("plan", "fit", "ball", "thrust", "motor", "rate-loop", "latency", "align", "cable", "load")
"""A flight planned; vehicle from flight logs, ball and racket, a rotor on a bench, loop, delay, markers, a team."""


def main(argv: list[str]) -> int:
    """Entry point."""
    action, rest = first_word(argv, "calibrate", "action", ACTIONS)
    if action not in ACTIONS:
        raise CorvidsError(f"calibrate: unknown action {action!r}{nearest(action, list(ACTIONS))}")
    from corvids.commands import (
        calibrate_align,
        calibrate_ball,
        calibrate_fit,
        calibrate_plan,
        calibrate_table,
        calibrate_team,
    )

    if action == "plan":
        return calibrate_plan.main(rest)
    if action == "fit":
        return calibrate_fit.main(rest)
    if action == "align":
        return calibrate_align.main(rest)
    if action == "ball":
        return calibrate_ball.main(rest)
    if action in ("cable", "load"):
        return calibrate_team.main(rest, action)
    return calibrate_table.main(rest, action)
