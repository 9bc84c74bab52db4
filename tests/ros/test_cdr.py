"""Messages as bytes: against bytes written by hand, rclpy's own encoding, and Cyclone DDS's."""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from message_px4 import plain_messages, rosidl_type
from px4_layouts import LAYOUTS

from corvids.errors import CorvidsError
from corvids_ros.cdr import PlainMessage

FIELDS = {"small": "uint8", "large": "double", "place": "float[2]", "is_on": "boolean", "count": "int16"}
VALUES = (7, 1.5, (0.5, -2.0), True, -2)
LITTLE = (
    "00010000 07 00000000000000 000000000000f83f 0000003f 000000c0 01 00 feff"
    # header   7  up to eight       1.5             0.5      -2.0  on    -2
)
BIG = "00000000 07 00000000000000 3ff8000000000000 3f000000 c0000000 01 00 fffe"


def test_bytes_written_by_hand_are_read_in_either_order():
    plain = PlainMessage("Any", FIELDS)
    for text in (LITTLE, BIG):
        assert plain.decode(bytes.fromhex(text)) == VALUES
        assert plain.decode(bytes.fromhex(text) + b"\0\0\0") == VALUES, "senders fill up"
    assert plain.encode(plain.record(*VALUES)) == bytes.fromhex(LITTLE)


def test_what_is_not_given_is_zero():
    record = PlainMessage("Any", FIELDS).record(small=1)
    assert record == (1, 0.0, (0.0, 0.0), False, 0)
    assert record.place == (0.0, 0.0)


def test_other_encodings_and_what_is_cut_off_are_not_read():
    plain = PlainMessage("Any", FIELDS)
    whole = bytes.fromhex(LITTLE)
    for start in (b"\0\2", b"\0\6", b"\0\7", b"\1\1"):
        assert plain.decode(start + whole[2:]) is None
    assert all(plain.decode(whole[:size]) is None for size in range(len(whole)))


def test_bytes_of_any_kind_are_a_record_or_nothing():
    rng = random.Random(0)
    for name, messages in vars(plain_messages()).items():
        plain = PlainMessage(name, messages.get_fields_and_field_types())
        starts = (b"", b"\0\0", b"\0\1")
        found = [plain.decode(rng.choice(starts) + rng.randbytes(rng.randrange(300))) for _ in range(300)]
        read = [record for record in found if record is not None]
        assert 0 < len(read) < len(found)
        assert all(isinstance(record, plain.record) for record in read)


def test_what_does_not_fit_is_refused():
    plain = PlainMessage("Any", FIELDS)
    with pytest.raises(struct.error):
        plain.encode(plain.record(small=256))
    with pytest.raises(OverflowError):
        plain.encode(plain.record(place=(1e39, 0.0)))
    two = PlainMessage("Any", {"first": "float[2]", "second": "float[3]"})
    with pytest.raises(struct.error, match="3 values, must have 2"):
        two.encode(two.record(first=(1.0, 2.0, 3.0), second=(4.0, 5.0)))


@pytest.mark.parametrize("kind", ["string", "sequence<float>", "px4_msgs/Other", "float[<=3]"])
def test_what_has_no_fixed_length_is_refused(kind: str):
    with pytest.raises(CorvidsError, match=r"has a field parts of type .*: must be a number"):
        PlainMessage("Any", {"parts": kind})


def some(kind: str, rng: random.Random) -> Any:
    """Any value of a type, as the layouts call them, that its encoding keeps exactly."""
    base, _, length = kind.partition("[")
    if length:
        return tuple(some(base, rng) for _ in range(int(length[:-1])))
    if base == "bool":
        return rng.random() < 0.5
    if base.startswith("float"):
        return rng.randrange(-(1 << 20), 1 << 20) / 64.0
    bits = int(base.removeprefix("u").removeprefix("int")) if base != "char" else 8
    low = -(1 << bits - 1) if base.startswith("int") else 0
    return rng.randrange(low, low + (1 << bits))


@pytest.mark.ros
@pytest.mark.parametrize("name", LAYOUTS)
def test_rclpy_and_cyclone_read_and_write_the_same(name: str):
    """Two other encoders; and rosidl's class lists the fields as the stand-in for it does."""
    import px4_msgs.msg
    from dds_flight_controller import dds_type
    from rclpy.serialization import deserialize_message, serialize_message

    rng = random.Random(name)
    kind, layout = getattr(px4_msgs.msg, name), LAYOUTS[name]
    assert kind.get_fields_and_field_types() == {field: rosidl_type(type_) for type_, field in layout}
    plain = PlainMessage(name, kind.get_fields_and_field_types())
    cyclone = dds_type(name, layout)
    for _ in range(20):
        values = {field: some(type_, rng) for type_, field in layout}
        record, message = plain.record(**values), kind()
        for field, value in values.items():
            setattr(message, field, list(value) if isinstance(value, tuple) else value)
        data = plain.encode(record)
        theirs = serialize_message(message)
        assert 0 <= len(theirs) - len(data) < 4, "filled up at the end; what is in gaps is not set"
        assert plain.decode(theirs) == record
        assert deserialize_message(data, kind) == message
        listed = {
            field: list(value) if isinstance(value, tuple) else value for field, value in values.items()
        }
        assert plain.decode(cyclone(**listed).serialize(use_version_2=False)) == record
