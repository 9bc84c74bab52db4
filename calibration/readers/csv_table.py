"""Tables of measurements as CSV files: columns by the names that a fit gives them, in SI units.

A column's name says what it is and its unit: ``time_s, ball_x_m, ball_y_m, ball_z_m``. A file with other names or units
comes with a mapping, a TOML file with one line a column::

    time_s = { column = "stamp", unit = "ns" }
    ball_x_m = { column = "ball/x", unit = "mm" }
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from corvids.errors import CorvidsError
from corvids.quantities import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UNITS: dict[str, dict[str, float]] = {
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "m": {"m": 1.0, "cm": 1e-2, "mm": 1e-3},
    "n": {"N": 1.0, "g": 9.80665e-3, "kg": 9.80665},
    "v": {"V": 1.0, "mV": 1e-3},
    "1": {"1": 1.0, "%": 1e-2, "us": 1e-3},
    "mps": {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3},
    "mps2": {"m/s2": 1.0, "g": 9.80665},
    "radps": {"rad/s": 1.0, "rpm": 0.10471975511965977, "deg/s": 0.017453292519943295},
}
"""What a column's unit may be, by the ending of its name, and the factor that makes it SI."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as a fit wants it."""

    name: str
    """File name."""
    sha256: str
    """Hash of the file."""
    columns: Mapping[str, np.ndarray]
    """Values (n,) by the fit's name for the column, SI; not a number where a cell is empty or holds none."""


def read_table(
    path: str | os.PathLike[str],
    required: Sequence[str],
    optional: Sequence[str] = (),
    mapping: str | os.PathLike[str] | None = None,
) -> Table:
    """The columns called ``required``, and those of ``optional`` that there are; raises :class:`CorvidsError`."""
    path = Path(path)
    content = _content(path)
    places = _places((*required, *optional), mapping)
    try:
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorvidsError(f"{path}: is no CSV file: {' '.join(str(error).split())}") from None
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise CorvidsError(
            f"{path}: has no rows; the first line names the columns, one line a sample follows"
        )
    header = [cell.strip() for cell in rows[0]]
    columns = {}
    for name in (*required, *optional):
        column, factor = places[name]
        if column in header:
            index = header.index(column)
            columns[name] = factor * np.array([_number(row, index) for row in rows[1:]])
        elif name in required:
            raise CorvidsError(f"{path}: has no column {column!r}{nearest(column, header)}")
    return Table(path.name, hashlib.sha256(content).hexdigest(), columns)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content.strip():
        raise CorvidsError(f"{path}: is empty")
    return content


def _number(row: list[str], index: int) -> float:
    try:
        return float(row[index])
    except (IndexError, ValueError):
        return float("nan")


def _places(names: Sequence[str], mapping: str | os.PathLike[str] | None) -> dict[str, tuple[str, float]]:
    """Column and factor of each name: its own name in SI, or what the mapping says."""
    places = {name: (name, 1.0) for name in names}
    if mapping is None:
        return places
    try:
        table = tomllib.loads(Path(mapping).read_text(encoding="utf-8"))
    except OSError as error:
        raise CorvidsError(f"{mapping}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise CorvidsError(f"{mapping}: is not valid TOML: {' '.join(str(error).split())}") from None
    for name, entry in table.items():
        if name not in places:
            raise CorvidsError(f"{mapping}: {name!r} is no column that is read{nearest(name, list(names))}")
        if not isinstance(entry, dict) or not isinstance(entry.get("column"), str):
            raise CorvidsError(f'{mapping}: write {name} = {{ column = "...", unit = "..." }}')
        units = UNITS.get(name.rpartition("_")[2], {"1": 1.0})
        unit = entry.get("unit", next(iter(units)))
        if unit not in units:
            raise CorvidsError(f"{mapping}: {name}: unit = {unit!r} must be one of {', '.join(units)}")
        places[name] = entry["column"], units[unit]
    return places
