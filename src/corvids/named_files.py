"""What vehicle and team files have in common: they go by a name or a path, and open with the same three lines::

schema = 1
name = "falcon"
description = "..."
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from corvids.errors import CorvidsError
from corvids.quantities import format_value, nearest, refuse_unknown

Content = TypeVar("Content")


def names_in(folder: Path) -> list[str]:
    """Names of the files that come with corvids."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def is_path(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this means a file, not a name: it has a separator or ends in ``.toml``."""
    return (
        not isinstance(name_or_path, str)
        or len(Path(name_or_path).parts) > 1
        or name_or_path.endswith(".toml")
    )


def find(name_or_path: str | os.PathLike[str], folder: Path, kind: str) -> Path:
    """The path of the file that goes by that name in ``folder``, or is at that path; ``kind`` names it in errors."""
    if is_path(name_or_path):
        return Path(name_or_path)
    name, known = str(name_or_path), names_in(folder)
    if name not in known:
        raise CorvidsError(f"no {kind} is called {name!r}{nearest(name, known)}")
    return folder / f"{name}.toml"


def read(path: Path, parse: Callable[[str], Content]) -> Content:
    """What ``parse`` makes of the file's text; every error it raises then begins with the path."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except CorvidsError as error:
        raise CorvidsError(f"{path}: {error}") from None
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise CorvidsError(f"{path}: is not valid TOML: {' '.join(str(error).split())}") from None


def read_heading(
    table: Mapping[str, Any], schema: int, kind: str, sections: tuple[str, ...]
) -> tuple[str, str]:
    """Name and description of a file that may hold these ``sections`` besides."""
    refuse_unknown(table, ("schema", "name", "description", *sections), "")
    found, name, description = (table.get(key) for key in ("schema", "name", "description"))
    if type(found) is not int or found != schema:
        raise CorvidsError(
            f"schema = {reprlib.repr(found)} must be {schema}, the format that this version reads"
        )
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise CorvidsError(
            f"name = {reprlib.repr(name)} must be a lower-case letter, then letters, digits, _ or -"
        )
    if not isinstance(description, str) or not description.strip():
        raise CorvidsError(
            f"description = {reprlib.repr(description)} must say in a sentence what the {kind} is"
        )
    return name, description


def format_heading(schema: int, name: str, description: str) -> str:
    """The three lines that :func:`read_heading` reads."""
    top = {"schema": schema, "name": name, "description": description}
    return "".join(f"{key} = {format_value(value)}\n" for key, value in top.items())
