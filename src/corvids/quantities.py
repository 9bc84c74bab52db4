"""Numbers in TOML files that carry their unit, their source and, where it is known, their standard deviation.

A section of such a file is a frozen dataclass whose annotations say what each field must be::

    mass_kg: Annotated[float, Q("kg", 1e-3, 1e3)]

and each of its fields is one entry in the file::

    mass_kg = { value = 1.0975, unit = "kg", std = 0.005, source = "kitchen scale, with battery" }
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import reprlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from corvids.errors import CorvidsError

Section = TypeVar("Section")


class QuantityError(CorvidsError):
    """An entry that does not hold what its field must be: names the field, the value and what is allowed."""


class Q(NamedTuple):
    """What a field must be: its unit, and the range [low, high] of every number in it."""

    unit: str
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a number comes from and how well it is known."""

    unit: str
    """Unit of the value and of ``std``; empty for text."""
    source: str
    """Measurement, publication or assumption behind the number."""
    std: Any = None
    """Standard deviation, shaped like the value; None where unknown."""


class Spec(NamedTuple):
    """A field's annotation, taken apart."""

    kind: type
    """Type of one number (float or int), or str for text."""
    shape: tuple[int, ...]
    """Lengths of the nested tuples; empty for a single number."""
    quantity: Q
    """Unit and range."""
    choices: tuple[str, ...]
    """The texts allowed; empty for numbers."""


@functools.cache
def specs_of(section: type) -> Mapping[str, Spec]:
    """What each field of a section must be, in the order of the dataclass."""
    specs = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        if get_origin(hint) is Literal:
            specs[name] = Spec(str, (), Q("", 0.0, 0.0), get_args(hint))
            continue
        kind, quantity = get_args(hint)
        shape: tuple[int, ...] = ()
        while get_origin(kind) is tuple:
            shape += (len(get_args(kind)),)
            kind = get_args(kind)[0]
        specs[name] = Spec(kind, shape, quantity, ())
    return specs


def read_section(name: str, kind: type[Section], entries: Any) -> tuple[Section, dict[str, Provenance]]:
    """The section ``[name]`` of a parsed TOML file, and the origin of its fields by ``name.field``."""
    if not isinstance(entries, dict):
        found = "is missing" if entries is None else f"= {reprlib.repr(entries)} must be a section"
        raise QuantityError(f"[{name}] {found}; its fields are {', '.join(specs_of(kind))}")
    refuse_unknown(entries, specs_of(kind), f"{name}.")
    values, provenance = {}, {}
    for field, spec in specs_of(kind).items():
        where = f"{name}.{field}"
        values[field], provenance[where] = _read_entry(where, entries.get(field), spec)
    return kind(**values), provenance


def check_section(name: str, section: Any) -> None:
    """Refuse a section, wherever it was made, with a value of wrong type or shape, or out of range."""
    for field, spec in specs_of(type(section)).items():
        _check_value(f"{name}.{field}", getattr(section, field), spec)


def format_section(name: str, section: Any, provenance: Mapping[str, Provenance]) -> str:
    """The section as TOML, one line a field."""
    lines = [f"[{name}]"]
    for field in specs_of(type(section)):
        origin = provenance.get(f"{name}.{field}")
        if origin is None:
            raise QuantityError(f"{name}.{field} has no provenance; say its unit and source before saving it")
        entry = {
            "value": getattr(section, field),
            "unit": origin.unit,
            "std": origin.std,
            "source": origin.source,
        }
        if not origin.unit:
            del entry["unit"]
        pairs = (f"{key} = {format_value(value)}" for key, value in entry.items() if value is not None)
        lines.append(f"{field} = {{ {', '.join(pairs)} }}")
    return "\n".join(lines) + "\n"


def format_value(value: Any) -> str:
    """Text, a number or nested sequences of them as a TOML value."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(format_value, value))}]"
    return repr(int(value) if isinstance(value, int) else float(value))


def refuse_unknown(given: Iterable[str], known: Iterable[str], prefix: str) -> None:
    """Refuse a key that is not known, naming the one that was probably meant."""
    known = list(known)
    for key in given:
        if key not in known:
            raise QuantityError(
                f"{prefix}{key if key.isidentifier() else repr(key)} is unknown{nearest(key, known)}"
            )


def nearest(name: str, known: list[str]) -> str:
    """End of a message about an unknown name: the known one closest to it, and all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return "".join(f"; did you mean {name}?" for name in close) + f" (known: {', '.join(known)})"


def _read_entry(where: str, entry: Any, spec: Spec) -> tuple[Any, Provenance]:
    unit = spec.quantity.unit
    keys = ("value", "unit", "source") if unit else ("value", "source")
    example = (
        f'{{ value = ..., unit = "{unit}", source = "..." }}' if unit else '{ value = "...", source = "..." }'
    )
    if not isinstance(entry, dict):
        found = "is missing" if entry is None else f"= {reprlib.repr(entry)} has no unit and source"
        raise QuantityError(f"{where} {found}; write {where.rpartition('.')[2]} = {example}")
    refuse_unknown(entry, (*keys, "std") if unit else keys, f"{where}: ")
    for key in keys:
        if key not in entry:
            raise QuantityError(f"{where} has no {key}; write {where.rpartition('.')[2]} = {example}")
    value, std, source = entry["value"], entry.get("std"), entry["source"]
    if unit and entry["unit"] != unit:
        raise QuantityError(f"{where}: unit = {reprlib.repr(entry['unit'])} must be {unit!r}")
    if not isinstance(source, str) or not source.strip():
        raise QuantityError(f"{where}: source = {reprlib.repr(source)} must say where the value is from")
    _check_value(where, value, spec)
    if std is not None:
        if not isinstance(std, list):
            std = functools.reduce(lambda filled, size: [filled] * size, reversed(spec.shape), std)
        _check_value(f"{where}: std", std, Spec(float, spec.shape, Q(unit, 0.0, sys.float_info.max), ()))
        std = _frozen(std, float)
    return _frozen(value, spec.kind), Provenance(unit, source, std)


def _check_value(where: str, value: Any, spec: Spec) -> None:
    if spec.choices:
        if value not in spec.choices:
            raise QuantityError(
                f"{where} = {reprlib.repr(value)} must be one of {', '.join(map(repr, spec.choices))}"
            )
        return
    noun = "whole number" if spec.kind is int else "number"
    wanted = f"{' x '.join(map(str, spec.shape))} {noun}s" if spec.shape else f"a {noun}"
    numbers = [value]
    for size in spec.shape:
        if not all(isinstance(row, (list, tuple)) and len(row) == size for row in numbers):
            raise QuantityError(f"{where} = {reprlib.repr(value)} must be {wanted}")
        numbers = [number for row in numbers for number in row]
    unit, low, high = spec.quantity
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int if spec.kind is int else (int, float)):
            raise QuantityError(f"{where} = {reprlib.repr(value)} must be {wanted}")
        if not low <= number <= high:  # NaN fails too
            allowed = f"{low:g} to {high:g} {unit}"
            raise QuantityError(f"{where} = {reprlib.repr(value)} {unit} is out of range; allowed: {allowed}")


def _frozen(value: Any, kind: type) -> Any:
    return tuple(_frozen(row, kind) for row in value) if isinstance(value, (list, tuple)) else kind(value)
