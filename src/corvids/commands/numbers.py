"""Refusing numbers on the command line that no flight can have."""

from __future__ import annotations

from corvids.errors import CorvidsError


def check_positive(**numbers: float) -> None:
    """Refuse a number that is not finite and above 0; each goes by its option's name, with underscores."""
    for name, value in numbers.items():
        if not 0.0 < value < float("inf"):
            raise CorvidsError(f"--{name.replace('_', '-')} {value}: must be a positive number")


def check_seed(seed: int) -> None:
    """Refuse a seed that numpy does not take."""
    if seed < 0:
        raise CorvidsError(f"--seed {seed}: must be a whole number from 0")
