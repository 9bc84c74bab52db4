"""MAVLink's CURRENT_MODE, which pymavlink's common dialect lacks: PX4's mode as soon as it changes.

PX4 (v1.17 does) sends it within the interval that it is asked for, its heartbeat once a second and no sooner: a pilot
who takes over must not be overruled by whoever has not heard of it yet. The layout is that of MAVLink's definition:
``custom_mode`` as in HEARTBEAT, the one that its user intends (0: not told), which is another one in a failsafe, and a
number that is the same for all autopilots.
"""

from __future__ import annotations

import struct

from pymavlink.dialects.v20 import common

CURRENT_MODE = 436
"""Its number."""


class CurrentMode(common.MAVLink_message):
    """As pymavlink's own messages are, lists of the class and all."""

    id, msgname = CURRENT_MODE, "CURRENT_MODE"
    fieldnames = ["standard_mode", "custom_mode", "intended_custom_mode"]  # noqa: RUF012
    ordered_fieldnames = ["custom_mode", "intended_custom_mode", "standard_mode"]  # noqa: RUF012
    fieldtypes = ["uint8_t", "uint32_t", "uint32_t"]  # noqa: RUF012
    native_format, unpacker = bytearray(b"<IIB"), struct.Struct("<IIB")
    orders, lengths, array_lengths = [2, 0, 1], [1, 1, 1], [0, 0, 0]
    crc_extra = 193
    instance_field, instance_offset = None, -1

    def __init__(self, standard_mode: int, custom_mode: int, intended_custom_mode: int) -> None:
        super().__init__(self.id, self.msgname)
        self._fieldnames = self.fieldnames
        self.standard_mode, self.custom_mode = standard_mode, custom_mode
        self.intended_custom_mode = intended_custom_mode


def learn() -> None:
    """Have pymavlink understand it, where it does not by itself."""
    common.mavlink_map.setdefault(CURRENT_MODE, CurrentMode)
