"""Processors are kept awake as long as something flies, where the system allows it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from corvids.deploy.processor_sleep import DEVICE, awake, can_stay_awake


def test_it_is_asked_for_as_long_as_it_lasts(tmp_path: Path):
    device = tmp_path / "latency"
    device.write_bytes(b"")

    def handles() -> int:
        links = (Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
        return sum(link.is_symlink() and link.readlink() == device for link in links)

    with awake(device) as is_granted:
        assert is_granted
        assert device.read_bytes() == b"\0\0\0\0"
        assert handles() == 1
    assert handles() == 0


def test_where_it_is_not_there_everything_goes_on(tmp_path: Path):
    assert not can_stay_awake(tmp_path / "latency")
    with awake(tmp_path / "latency") as is_granted:
        assert not is_granted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="nothing that refuses what is written")
def test_a_refusal_is_no_grant():
    with awake(Path("/dev/full")) as is_granted:
        assert not is_granted


@pytest.mark.skipif(not can_stay_awake(), reason=f"{DEVICE} is not there, or not to be written by this user")
def test_the_system_does_as_it_is_asked():
    def limit_us() -> int:
        with DEVICE.open("rb") as file:
            return struct.unpack("=i", file.read(4))[0]

    before = limit_us()
    with awake() as is_granted:
        assert is_granted
        assert limit_us() == 0
    assert limit_us() == before
