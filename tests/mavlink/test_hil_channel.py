"""In lockstep, the runtime sees the tracker's pictures that PX4 is told of, and none where it is not to."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from corvids.commands.flying import px4_hil
from corvids.deploy.mocap.state_packet import decode, is_state_packet
from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.plants.hil_world import TRACKER_DELAY_S, Felt, HilWorld
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
    monkeypatch.setattr(px4_hil, "HilEnd", lambda link: end)
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
