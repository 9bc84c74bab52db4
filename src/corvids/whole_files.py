"""Writing files so that whoever looks sees the old one or the new one, and nothing half-written is ever left behind."""

from __future__ import annotations

import os
from pathlib import Path

from corvids.errors import CorvidsError


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Make ``content`` the file at ``path``, on the disk before it has its name; text is written as UTF-8.

    Raises :class:`~corvids.errors.CorvidsError` where that cannot be done; a file already there is then as it was.
    """
    path = Path(path)
    partial = path.with_name(f"{_unfinished(path)}{os.getpid()}.tmp")
    try:
        with open(partial, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what a killed process left of writing ``path``; for whoever knows that nobody is writing it now."""
    for partial in path.parent.glob(f"{_unfinished(path)}*.tmp"):
        partial.unlink(missing_ok=True)


def _unfinished(path: Path) -> str:
    return f".{path.name}."
