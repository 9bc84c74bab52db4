"""Refusing numbers on the command line that no flight can have."""

from __future__ import annotations

from corvids.errors import CorvidsError

BODY_MAX = 65535
"""Greatest number of a rigid body in the state protocol."""


def check_positive(**numbers: float) -> None:
    """Refuse a number that is not finite and above 0; each goes by its option's name, with underscores."""
    for name, value in numbers.items():
        if not 0.0 < value < float("inf"):
            raise CorvidsError(f"--{name.replace('_', '-')} {value}: must be a positive number")


def check_seed(seed: int) -> None:
    """Refuse a seed that numpy does not take."""
    if seed < 0:
        raise CorvidsError(f"--seed {seed}: must be a whole number from 0")


def check_body(number: int, option: str) -> None:
    """Refuse what no rigid body's number can be in a stream of motion capture."""
    if not 1 <= number <= BODY_MAX:
        raise CorvidsError(
            f"{option} {number}: must be 1 to {BODY_MAX}, as the tracker numbers its rigid bodies"
        )
