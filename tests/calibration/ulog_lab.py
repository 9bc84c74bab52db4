"""Small ULog files written by hand, as PX4 would write them (docs.px4.io, "ULog File Format")."""

from __future__ import annotations

import struct

import numpy as np

_CODES = {"float": "f", "uint64_t": "Q", "uint8_t": "B", "bool": "?"}
Topic = tuple[list[tuple[str, str]], dict[str, np.ndarray]]
"""Fields (type, name) after the time stamp, and the arrays by name; ``timestamp`` in µs."""


def message(kind: str, payload: bytes) -> bytes:
    return struct.pack("<HB", len(payload), ord(kind)) + payload


def ulog(topics: dict[str, Topic], parameters: dict[str, float] | None = None) -> bytes:
    """A whole file."""
    parts = [b"\x55\x4c\x6f\x67\x01\x12\x35\x01" + struct.pack("<Q", 0), message("B", bytes(40))]
    for name, (fields, _) in topics.items():
        text = f"{name}:uint64_t timestamp;" + "".join(f"{kind} {field};" for kind, field in fields)
        parts.append(message("F", text.encode()))
    for name, value in (parameters or {}).items():
        key = f"float {name}".encode()
        parts.append(message("P", bytes([len(key)]) + key + struct.pack("<f", value)))
    rows = []
    for number, (name, (fields, arrays)) in enumerate(topics.items()):
        parts.append(message("A", struct.pack("<BH", 0, number) + name.encode()))
        kinds = [
            (kind.split("[")[0], int(kind.split("[")[1][:-1]) if "[" in kind else 1) for kind, _ in fields
        ]
        layout = "<HQ" + "".join(f"{size}{_CODES[kind]}" for kind, size in kinds)
        for index, time in enumerate(arrays["timestamp"]):
            values = [v for _, field in fields for v in np.atleast_1d(arrays[field][index]).tolist()]
            rows.append((int(time), message("D", struct.pack(layout, number, int(time), *values))))
    rows.sort(key=lambda row: row[0])
    return b"".join(parts + [row for _, row in rows])


def flight_topics(seconds: float = 3.0, seed: int = 0, command: float = 0.5) -> dict[str, Topic]:
    """Sensors, motors, attitude and velocity of a vehicle that hovers, with noise."""
    rng = np.random.default_rng(seed)
    time = 1_000_000 + np.arange(0, round(seconds * 1e6), 4000)
    count = len(time)
    level = np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))
    speed = rng.normal(0.0, 0.01, (count, 3))
    return {
        "sensor_combined": (
            [("float[3]", "gyro_rad"), ("float[3]", "accelerometer_m_s2")],
            {
                "timestamp": time,
                "gyro_rad": rng.normal(0.0, 0.05, (count, 3)),
                "accelerometer_m_s2": rng.normal(0.0, 0.3, (count, 3)) - [0.0, 0.0, 9.81],
            },
        ),
        "actuator_motors": (
            [("float[12]", "control")],
            {
                "timestamp": time,
                "control": np.concatenate(
                    (command + 0.01 * rng.standard_normal((count, 4)), np.full((count, 8), np.nan)), 1
                ),
            },
        ),
        "vehicle_attitude": ([("float[4]", "q")], {"timestamp": time, "q": level}),
        "vehicle_local_position": (
            [("float", "vx"), ("float", "vy"), ("float", "vz")],
            {"timestamp": time, "vx": speed[:, 0], "vy": speed[:, 1], "vz": speed[:, 2]},
        ),
    }
