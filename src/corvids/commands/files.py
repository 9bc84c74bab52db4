"""Writing results so that nothing half-written is ever left behind."""

from __future__ import annotations

import os
import tempfile
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


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step: whoever looks sees the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
