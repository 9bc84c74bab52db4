"""Whether PX4 and this computer mean the same by a message: PX4 is asked for a number made from its definition.

DDS matches topics by name, and a message whose definition differs is then read as other numbers. PX4 answers a
MessageFormatRequest with a hash (32-bit FNV-1a) over the fields of the message as the firmware was built with it: one
line ``type name`` a field, in order, without constants; a nested message's lines follow its field. No ROS.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PROTOCOL = 1
"""Version of requests and responses."""
_BASIC = {"bool", "byte", "char", "float32", "float64", "string", "wstring"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_FIELD = re.compile(r"^\s*([A-Za-z0-9_/]+)(\[[^\]]*\])?\s+(\w+)[ \t]*(=?)", re.MULTILINE)


def fields(message: str, definition_of: Callable[[str], str]) -> str:
    """The lines that are hashed; ``definition_of`` gives the text of a message's definition."""
    lines = ""
    for kind, array, name, constant in _FIELD.findall(definition_of(message)):
        if constant:
            continue
        lines += f"{kind}{array} {name}\n"
        if kind not in _BASIC:
            lines += fields(kind, definition_of)
    return lines


def format_hash(message: str, definition_of: Callable[[str], str]) -> int:
    """The number that PX4 gives for the same definition."""
    value = 0x811C9DC5
    for byte in fields(message, definition_of).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def mismatch(topic: str, message: str, ours: int, success: bool, theirs: int) -> str:
    """What to say about PX4's answer for ``topic``; nothing where it means the same as we do."""
    if not success:
        return f"{topic}: PX4's firmware has no such topic: which release is it?"
    if ours != theirs:
        return (
            f"{topic}: PX4's {message} is defined otherwise ({theirs:08x}) than px4_msgs here ({ours:08x}): "
            "build px4_msgs from the branch of the firmware's release"
        )
    return ""
