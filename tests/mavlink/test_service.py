"""The systemd unit as a vehicle's computer has it: systemd understands it, and what it starts and stops flies so."""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import math
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from flying import STEP_S, FlyingStandin
from standin import AUTO, LOITER, OFFBOARD, as_stored
from test_channels import free_port

from corvids.vehicle import load_vehicle

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "docs" / "corvids-fly@.service"
AIR = load_vehicle("air")
KEY = bytes(range(32))


def service() -> Any:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text("utf-8"))
    return unit["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tmp_path: Path):
    text = UNIT.read_text("utf-8")
    program = shlex.split(service()["ExecStart"])[0]
    copy = tmp_path / UNIT.name
    copy.write_text(
        text.replace(program, sys.executable), "utf-8"
    )  # what is not installed would be a complaint
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.stem in line]
    assert not complaints
    copy.write_text(copy.read_text("utf-8").replace("KillMode=process", "KillMode=proces"), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert "proces" in done.stderr, "it would say what is wrong"


class Network:
    """The way to a runtime that listens at a UDP port."""

    def __init__(self) -> None:
        self._where = ("127.0.0.1", free_port())
        self.link = "udp:{}:{}".format(*self._where)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def read(self) -> bytes:
        return self._socket.recv(2048)

    def write(self, packet: bytes) -> None:
        self._socket.sendto(packet, self._where)

    def close(self) -> None:
        self._socket.close()


class SerialLine:
    """The way to one at the other end of a serial line."""

    def __init__(self) -> None:
        self._handle, self._other = os.openpty()
        self.link = f"serial:{os.ttyname(self._other)}"
        os.set_blocking(self._handle, False)

    def read(self) -> bytes:
        return os.read(self._handle, 2048)

    def write(self, packet: bytes) -> None:
        os.write(self._handle, packet)

    def close(self) -> None:
        os.close(self._handle)
        os.close(self._other)


class Px4:
    """A stand-in that flies in real time."""

    def __init__(self, way: Network | SerialLine, key: bytes | None) -> None:
        began_s = time.monotonic()
        self.px4 = FlyingStandin(AIR.max_thrust_n / AIR.body.mass_kg, boot_s=began_s - 50.0, key=key)
        stored = {"MPC_THR_HOVER": AIR.px4.MPC_THR_HOVER, "COM_OF_LOSS_T": 0.2, "COM_OBL_RC_ACT": 4}
        self.px4.parameters |= {name: as_stored(value) for name, value in stored.items()}
        self.px4.mav.signing.timestamp = int(
            1e5 * (time.time() - 1420070400.0)
        )  # since 2015, as signatures count
        self._way, self._step, self._began_s = way, 0, began_s

    def live(self) -> None:
        """One step."""
        self._step += 1
        time.sleep(max(0.0, self._began_s + self._step * STEP_S - time.monotonic()))
        answers = []
        with contextlib.suppress(OSError):  # nothing there, or nobody listens
            while True:
                answers += self.px4.take_in(self._way.read(), time.monotonic())
        self.px4.advance(time.monotonic())
        if self._step % 2:
            answers.append(self._odometry())
        if self._step % 250 == 1:
            answers += [self.px4.heartbeat(), self.px4.battery(90), self.px4.landed(not self.px4.armed)]
        for answer in answers:
            with contextlib.suppress(OSError):
                self._way.write(answer)

    def _odometry(self) -> bytes:
        """As estimated: what does not move by a hair is taken for frozen."""
        truth = self.px4.truth
        north, east, down = (p + random.gauss(0.0, 1e-3) for p in truth.pos_ned)
        self.px4.truth = dataclasses.replace(truth, pos_ned=(north, east, down))
        said = self.px4.odometry(time.monotonic())
        self.px4.truth = truth
        return said

    @property
    def height_m(self) -> float:
        return -self.px4.truth.pos_ned[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way_of", "key"), [(Network, None), (SerialLine, KEY)], ids=["udp", "serial, signed"]
)
def test_stopping_it_in_flight_leaves_a_vehicle_that_px4_holds(
    way_of: Any, key: bytes | None, tmp_path: Path
):
    settings, way = service(), way_of()
    options = f"--link {way.link} --seconds 60"
    if key:
        (tmp_path / "link.key").write_text(key.hex(), "ascii")
        options += f" --mavlink-key {tmp_path / 'link.key'}"
    replaced = {
        "/opt/corvids/.venv-onboard/bin/corvids": f"{sys.executable} -m corvids",
        "/opt/corvids/policy.onnx": str(ROOT / "pretrained" / "juggle.onnx"),
        "/var/lib/corvids": str(tmp_path),
        "%i": "juggle",
        "$CORVIDS_OPTIONS": options,
    }
    line = settings["ExecStart"]
    for what, by in replaced.items():
        assert what in line
        line = line.replace(what, by)
    environment = os.environ | dict(word.split("=", 1) for word in shlex.split(settings["Environment"]))
    px4 = Px4(way, key)
    with open(tmp_path / "said", "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            shlex.split(line),
            stdout=said,
            stderr=said,
            cwd=tmp_path,
            env=environment,
            # Of a parent in a shell's background, which ignores it, SIGINT would be ignored too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        deadline_s = time.monotonic() + 120.0
        while px4.height_m < 0.7 and time.monotonic() < deadline_s and process.poll() is None:
            px4.live()
        assert px4.px4.main == OFFBOARD, (tmp_path / "said").read_text("utf-8")
        os.kill(process.pid, getattr(signal, settings["KillSignal"]))  # KillMode=process: to this one alone
        stopped_s = time.monotonic()
        while time.monotonic() < stopped_s + float(settings["TimeoutStopSec"]):
            px4.live()
        process.kill()  # as systemd does where it has not ended by then
        while px4.px4.main == OFFBOARD and time.monotonic() < deadline_s:
            px4.live()
        assert (px4.px4.main, px4.px4.sub) == (AUTO, LOITER)
        assert not px4.px4.crashed
        assert px4.height_m > 0.5
        assert math.hypot(*px4.px4.truth.vel_ned) < 1.0
        assert (tmp_path / "flight.mcap").exists(), "the record is whole"
    finally:
        process.kill()
        process.wait()
        way.close()
