"""Damaged policy and vehicle files: refused in one line, or read, no slower than a whole one, leaving nothing."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corvids.deploy.policy import Policy, read_policy_file
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "pretrained" / "juggle.onnx"
VEHICLES = sorted((ROOT / "envs" / "vehicles").glob("*.toml"))
WORDS = (
    b"1e400",
    b"-1",
    b"nan",
    b"inf",
    b'"x"',
    b"[1, 2]",
    b"{}",
    b"true",
    b"=",
    b"[",
    b"\xff\xfe",
    b"0x",
    b"1_0",
    b"9" * 400,
)


def damaged(rng: random.Random, content: bytes, text: bool) -> bytes:
    """A copy with a few bytes changed, a piece cut out, doubled or moved, or the end missing."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at, kind = rng.randrange(len(changed)), rng.randrange(6)
        piece = slice(at, at + rng.randrange(1, 60))
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[piece]
        elif kind == 2:
            changed[at:at] = changed[piece]
        elif kind == 3:
            changed[piece] = rng.choice(WORDS) if text else rng.randbytes(8)
        elif kind == 4:
            changed[at] = rng.randrange(256)
        elif rng.random() < 0.3:
            del changed[at:]
        if not changed:
            return b""
    return bytes(changed)


def fuzz(
    contents: list[bytes], path: Path, count: int, read: Callable[[Path], object], check: Callable[..., None]
) -> tuple[int, float]:
    """How many were refused, and the longest that one took [s of CPU]."""
    rng = random.Random(5)
    refused, longest_s, grown_from_kb = 0, 0.0, 0
    for index in range(count):
        if index == count // 2:
            grown_from_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        path.write_bytes(damaged(rng, rng.choice(contents), text=path.suffix == ".toml"))
        began_s = time.thread_time()
        try:
            found = read(path)
        except CorvidsError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(error).startswith(str(path)) or path.name in str(error), error
        else:
            check(found)
        longest_s = max(longest_s, time.thread_time() - began_s)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_from_kb < 16384
    return refused, longest_s


def check_policy(file) -> None:
    """It answers an ordinary situation without an exception; what it answers is the supervisor's to judge."""
    policy = Policy(file)
    inputs = {name: np.zeros(array.shape, np.float32) for name, array in policy.inputs.items()}
    inputs["quat_wb"][:, 0] = 1.0
    assert policy.step(inputs).thrust_n.shape == (1,)


def check_vehicle(vehicle) -> None:
    assert isinstance(vehicle, Vehicle)
    assert vehicle.weight_n > 0.0


def fuzz_policies(folder: Path, count: int) -> None:
    content = POLICY.read_bytes()
    whole_s = time.thread_time()
    check_policy(read_policy_file(POLICY))
    whole_s = time.thread_time() - whole_s
    refused, longest_s = fuzz(
        [content], folder / "policy.onnx", count, lambda path: read_policy_file(path, "juggle"), check_policy
    )
    assert refused > count // 4
    assert longest_s < 5.0 * whole_s + 0.02, "none takes much longer than a whole one"


def fuzz_vehicles(folder: Path, count: int) -> None:
    contents = [path.read_bytes() for path in VEHICLES]
    refused, longest_s = fuzz(
        contents, folder / "vehicle.toml", count, lambda path: load_vehicle(str(path)), check_vehicle
    )
    assert refused > count // 2
    assert longest_s < 0.02


def test_damaged_policy_files(tmp_path: Path):
    fuzz_policies(tmp_path, 30)


def test_damaged_vehicle_files(tmp_path: Path):
    fuzz_vehicles(tmp_path, 150)


@pytest.mark.slow
def test_ten_thousand_damaged_policy_files(tmp_path: Path):
    fuzz_policies(tmp_path, 10_000)


@pytest.mark.slow
def test_ten_thousand_damaged_vehicle_files(tmp_path: Path):
    fuzz_vehicles(tmp_path, 10_000)
