"""In lockstep, the runtime sees the tracker's pictures that PX4 is told of, and none where it is not to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from corvids.cli import main
from corvids.commands.flying import px4_hil
from corvids.deploy.mocap.state_packet import decode, is_state_packet
from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.hil_world import TRACKER_DELAY_S, Felt, HilWorld
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")


class DeafEnd:
    """PX4's ends without a PX4: keeps what it was told."""

    def __init__(self) -> None:
        self.hil = SimpleNamespace(motors=(0.0, 0.0, 0.0, 0.0))
        self.felt: list[tuple[float, Felt]] = []

    def live(self, now_s: float, felt: Felt) -> None:
        self.felt.append((now_s, felt))

    def heard(self, now_s: float) -> Iterator[bytes]:
        yield b"\xfd of MAVLink"


@pytest.mark.parametrize("is_tracked", [True, False])
def test_the_runtime_sees_what_px4_is_told_of(is_tracked: bool, monkeypatch):
    end = DeafEnd()
    monkeypatch.setattr(px4_hil, "HilEnd", lambda link, system, origin: end)
    world = HilWorld(MujocoEngine(AIR, 1, compile_kernels=False), AIR, 0.6, BallConfig(), seed=0)
    channel = px4_hil.HilChannel(world, "udp:14540", speed=100.0, is_tracked=is_tracked)
    arrived = [(channel.now_s, datagram) for datagram in channel.wait(0.4)]
    assert any(not is_state_packet(datagram) for _, datagram in arrived)
    pictures = [(now_s, decode(datagram)) for now_s, datagram in arrived if is_state_packet(datagram)]
    told = [(now_s, felt) for now_s, felt in end.felt if felt.tracked_pos_w_m is not None]
    assert len(told) == 50, "at 125 Hz"
    assert len(pictures) == (50 if is_tracked else 0)
    for (now_s, packet), (told_s, felt) in zip(pictures, told, strict=False):
        assert now_s == told_s
        (pose,) = packet.poses
        assert pose.pos_w_m == pytest.approx(felt.tracked_pos_w_m, abs=1e-6)
        assert pose.quat_wb == pytest.approx(felt.tracked_quat_wb, abs=1e-6)
        assert 1e-9 * packet.stamp_ns == pytest.approx(max(0.0, now_s - TRACKER_DELAY_S), abs=1e-8)


class SatellitePx4:
    """A channel to a PX4 that knows where on the globe it is from ``known_s`` on, and obeys as to its frame."""

    def __init__(self, known_s: float, obeys: bool = True) -> None:
        self.now_s, self._known_s, self._obeys = 0.0, known_s, obeys
        self.world = SimpleNamespace(place=lambda: (2.0, 3.0, 0.1))
        self._px4, self._ear = (common.MAVLink(None, srcSystem=1, srcComponent=1) for _ in range(2))
        self.told: list[tuple[float, tuple[int, int, int]]] = []

    def wait(self, until_s: float) -> Iterator[bytes]:
        self.now_s = until_s
        if self.now_s >= self._known_s:
            place = (474000000, 85000000, 490100)
            message = common.MAVLink_global_position_int_message(0, *place, 0, 0, 0, 0, 0)
            yield bytes(message.pack(self._px4))
            self._px4.seq += 1
        if self.told and self._obeys:
            message = common.MAVLink_gps_global_origin_message(*self.told[-1][1])
            yield bytes(message.pack(self._px4))
            self._px4.seq += 1

    def accept(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        messages: list[Any] = [*(self._ear.parse_buffer(packet) or [])]
        for message in messages:
            if message.get_type() == "SET_GPS_GLOBAL_ORIGIN":
                self.told.append((self.now_s, (message.latitude, message.longitude, message.altitude)))


def test_px4_with_satellites_is_told_its_origin_once_it_knows_where_it_is():
    px4 = SatellitePx4(known_s=7.0)
    px4_hil._settle(px4, 1)  # pyright: ignore[reportArgumentType]
    assert 7.0 + px4_hil.SETTLE_S - px4_hil.ASK_S <= px4.told[0][0] < 13.0, (
        "earlier, it would take the place for 0° N 0° E"
    )
    latitude, longitude, height_mm = px4.told[-1][1]
    # It stands 3 m north, 2 m east and 0.1 m up: 3 / 6371000 rad = 2.698e-5°, 2 / (6371000 cos 47.4°) rad = 2.657e-5°
    assert latitude == pytest.approx(474000000 - 270, abs=1)
    assert longitude == pytest.approx(85000000 - 266, abs=1)
    assert height_mm == 490000


def test_px4_that_never_finds_its_place_is_said_plainly():
    px4 = SatellitePx4(known_s=1e9)
    with pytest.raises(CorvidsError, match="did not find its place within 60 s"):
        px4_hil._settle(px4, 1)  # pyright: ignore[reportArgumentType]
    assert not px4.told


def test_px4_that_does_not_begin_its_frame_where_it_is_told_is_said_plainly():
    px4 = SatellitePx4(known_s=55.0, obeys=False)
    with pytest.raises(CorvidsError, match="did not begin its frame where it was told to within 10 s"):
        px4_hil._settle(px4, 1)  # pyright: ignore[reportArgumentType]
    assert len(px4.told) >= 10


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--tracked"], "there is no tracker with --gps"),
        (["--origin", "1", "2", "3"], "--origin: with --gps"),
    ],
)
def test_what_gps_does_not_go_with(option: list[str], said: str, capsys):
    policy = Path(__file__).resolve().parents[2] / "pretrained" / "juggle.onnx"
    assert (
        main(["fly", "juggle", "--plant", "px4-hil", "--policy", str(policy), "--gps", "rtk", *option]) == 2
    )
    assert said in capsys.readouterr().err
