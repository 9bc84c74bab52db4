"""``corvids calibrate``: from what a lab records to a vehicle file with error bars, JSON and a report page."""

from __future__ import annotations

from corvids.cli import first_word

ACTIONS = ("plan", "fit", "ball", "thrust", "motor", "rate-loop", "latency", "align", "cable", "load")
"""A flight planned; vehicle from flight logs, ball and racket, a rotor on a bench, loop, delay, markers, a team."""


def main(argv: list[str]) -> int:
    """Entry point."""
    action, rest = first_word(argv, "calibrate", "action", ACTIONS)
    from corvids.commands.calibrating import align, ball, fit, plan, table, team

    if action == "plan":
        return plan.main(rest)
    if action == "fit":
        return fit.main(rest)
    if action == "align":
        return align.main(rest)
    if action == "ball":
        return ball.main(rest)
    if action in ("cable", "load"):
        return team.main(rest, action)
    return table.main(rest, action)
