"""Dataclasses from JSON and back: every field is present and of its type, or the error names it.

A field that has a default may be missing: the text is older than the field.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import reprlib
import types
import typing
from typing import Any


def write(value: Any) -> Any:
    """``value`` as JSON can hold it: dataclasses become objects, tuples arrays, bytes base64 text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: write(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): write(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [write(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value


def read(kind: Any, value: Any, where: str = "") -> Any:
    """An instance of ``kind`` (a dataclass, or the type of one of its fields) from parsed JSON.

    Fields that ``kind`` does not have are refused too. Raises ValueError: field, value, and what it must be.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else read(arguments[0], value, where)
    if origin is dict and isinstance(value, dict):
        return {key: read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = (arguments[0],) * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            parts = zip(kinds, value, strict=True)
            return tuple(read(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(parts))
    if kind is Any or (kind is str and isinstance(value, str)) or (kind is int and type(value) is int):
        return value
    if kind is float and isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value):
        return float(value)
    if kind is bytes and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            pass
    raise ValueError(f"{where} = {reprlib.repr(value)} must be {_name(kind)}")


def _read_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where or kind.__name__} = {reprlib.repr(value)} must be an object")
    hints = typing.get_type_hints(kind)
    prefix = f"{where}." if where else ""
    optional = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    }
    for name in hints:
        if name not in value and name not in optional:
            raise ValueError(f"{prefix}{name} is missing")
    for name in value:
        if name not in hints:
            raise ValueError(f"{prefix}{name} is unknown; there are: {', '.join(hints)}")
    present = {name: hint for name, hint in hints.items() if name in value}
    return kind(**{name: read(hint, value[name], prefix + name) for name, hint in present.items()})


def _name(kind: Any) -> str:
    plain = {float: "a finite number", int: "an integer", str: "text", bytes: "base64"}
    return plain.get(kind) or str(kind).replace("typing.", "")
