"""Refusing outputs that could not be written before any work is done for them."""

from __future__ import annotations

import os
from pathlib import Path

from corvids.errors import CorvidsError


def check_writable(path: Path, suffix: str) -> None:
    """Refuse, before any work is done, an output path that could not be written or has the wrong ending."""
    if path.suffix != suffix:
        raise CorvidsError(f"{path}: must end in {suffix}")
    if path.is_dir():
        raise CorvidsError(f"{path}: is a folder; name a file")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise CorvidsError(f"{path}: folder {path.parent} does not exist; create it first")
    if not os.access(parent, os.W_OK):
        raise CorvidsError(f"{path}: folder {path.parent} is not writable")


def record_of(option: Path | None) -> Path | None:
    """Where a flight with PX4 is recorded that was told ``--record`` so: every one is, unless told ``none``."""
    return None if option == Path("none") else option or Path("flight.mcap")
