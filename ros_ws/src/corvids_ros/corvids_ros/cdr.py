"""Messages of numbers alone, to and from the bytes that DDS carries (CDR). No ROS.

All of PX4's that the node uses are such: numbers, truth values, and arrays of fixed length. rclpy makes an object of
each field, and numpy's of arrays, which at every state and set-point takes longer than the policy does.

The encoding is plain CDR, version 1 (OMG DDS-XTypes 1.3, 7.4.1 and 7.6.2): four bytes, of which the second says the
order of bytes in numbers, then the fields in order, each aligned to its own size, counted from after these four.
"""

from __future__ import annotations

import re
import struct
from collections import namedtuple
from collections.abc import Mapping
from typing import Any

from corvids.errors import CorvidsError

CODES = {"boolean": "?", "octet": "B", "float": "f", "double": "d"} | {
    f"{sign}int{bits}": code.upper() if sign else code
    for sign in ("", "u")
    for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))
}
"""Types as rosidl's classes call them, and as :mod:`struct` does."""
ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}
"""How bytes begin, and the order of those in numbers."""
HEADER = b"\x00\x01\x00\x00"
"""How what is written begins."""


class PlainMessage:
    """One kind of message."""

    def __init__(self, name: str, fields: Mapping[str, str]) -> None:
        """``fields``: name and type of each, in order, as rosidl's classes list them.

        Raises :class:`CorvidsError` where there is one that is not of fixed length.
        """
        layout, size, count = "4x", 0, 0
        zeros: list[Any] = []
        self._places: list[int | slice] = []
        """Where in the sequence of all numbers a field's are."""
        for field, kind in fields.items():
            found = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", kind)
            if found is None or found[1] not in CODES:
                raise CorvidsError(
                    f"px4_msgs' {name} has a field {field} of type {kind}: must be a number or an array of fixed length"
                )
            code, length = CODES[found[1]], int(found[2] or 1)
            width = struct.calcsize("<" + code)
            gap = -size % width
            layout += f"{gap}x{length}{code}"
            size += gap + length * width
            zero = {"?": False, "f": 0.0, "d": 0.0}.get(code, 0)
            zeros.append((zero,) * length if found[2] else zero)
            self._places.append(slice(count, count + length) if found[2] else count)
            count += length
        self.record: Any = namedtuple(name, fields, defaults=zeros)
        """Values by the fields' names, arrays as tuples; what is not given is zero."""
        self._structs = {start: struct.Struct(order + layout) for start, order in ORDERS.items()}

    def decode(self, data: bytes) -> Any:
        """The record in ``data``; None where it is too short for one, or not encoded like this."""
        layout = self._structs.get(data[:2])
        if layout is None or len(data) < layout.size:
            return None
        values = layout.unpack_from(data)
        return self.record._make([values[place] for place in self._places])

    def encode(self, record: Any) -> bytes:
        """The bytes of a record. Raises :class:`struct.error` or :class:`OverflowError` where a value does not fit."""
        values: list[Any] = []
        for value, place in zip(record, self._places, strict=True):
            if isinstance(place, int):
                values.append(value)
            elif len(value) == place.stop - place.start:
                values.extend(value)
            else:
                raise struct.error(f"an array has {len(value)} values, must have {place.stop - place.start}")
        return HEADER + self._structs[HEADER[:2]].pack(*values)[len(HEADER) :]
