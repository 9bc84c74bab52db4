"""Motion capture in the keeper: poses go on to PX4 whatever becomes of the runtime, which gets all frames.

Without it PX4 could neither hold nor land where it should, once the runtime has died. The runtime gets frames as
packets of the same kind, stamped on this machine's clock, so that it has nothing to verify and nothing to estimate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from typing import Any, NamedTuple, Protocol

from corvids.deploy.mocap.state_packet import BodyPose
from corvids.deploy.mocap.state_stream import Clock, Frame, StateReceiver, StateSender, StreamConfig
from corvids.deploy.px4.frames import Quaternion
from corvids.deploy.supervision.envelope import Triple

EVERY_S = 0.01
"""PX4's estimator needs no more poses than one in so long."""
POS_STD_MIN_M, ANGLE_STD_RAD = 1e-3, 0.01
"""What PX4 is told of a pose: no tracker is better than the former, and none says how good its angles are."""
RUNTIME = StreamConfig(clock=Clock.SHARED)
"""How the runtime receives what the keeper hands on."""


@dataclasses.dataclass(frozen=True)
class MocapConfig:
    """Where motion capture comes from, and who is who in it."""

    where: str
    """Where to listen, ``udp:PORT`` or ``udp:HOST:PORT``."""
    vehicle: int = 1
    """Number of the vehicle's rigid body."""
    stream: StreamConfig = dataclasses.field(default_factory=StreamConfig)


def mocap_config(
    where: str, vehicle: int, key: bytes | None, *, is_ptp: bool, least_ms: float, ahead_s: float
) -> MocapConfig:
    """Where and how to receive: ``is_ptp``, stamps are on the system's clock, which is ``ahead_s`` ahead of ours."""
    clock = Clock.SHARED if is_ptp else Clock.ECHO
    return MocapConfig(where, vehicle, StreamConfig(key, clock, ahead_s, 1e-3 * least_ms))


class PoseMaker(Protocol):
    """Makes what PX4 takes poses in from: a MAVLink packet, or a message."""

    def odometry(
        self, stamp_s: float, pos_w_m: Triple, quat_wb: Quaternion, pos_std_m: float, angle_std_rad: float, /
    ) -> Any:
        """The pose seen at ``stamp_s`` on our clock [s], with standard deviations; None if it cannot be told now."""
        ...


class Relayed(NamedTuple):
    """What becomes of a frame."""

    to_px4: Any
    """What the maker has made of it; None where there is nothing for PX4."""
    to_runtime: bytes
    """State stream."""


class MocapRelay:
    """Turns frames into what PX4 and the runtime take in."""

    def __init__(self, vehicle: int, maker: PoseMaker) -> None:
        """``vehicle``: number of its rigid body."""
        self.seen = 0
        """Frames in which the vehicle was seen."""
        self._vehicle, self._maker = vehicle, maker
        self._sender = StateSender()
        self._told_s = -math.inf

    def relay(self, frame: Frame, now_s: float) -> Relayed:
        """A frame that has arrived."""
        pose = pose_of(self._vehicle, frame)
        to_px4 = None
        if pose is not None:
            self.seen += 1
            if frame.stamp_s - self._told_s >= 0.99 * EVERY_S:
                self._told_s = frame.stamp_s
                to_px4 = self._maker.odometry(
                    frame.stamp_s,
                    pose.pos_w_m,
                    pose.quat_wb,
                    max(pose.std_m, POS_STD_MIN_M),
                    ANGLE_STD_RAD,
                )
        stamp_ns, now_ns = round(1e9 * frame.stamp_s), round(1e9 * now_s)
        return Relayed(to_px4, self._sender.state(stamp_ns, now_ns, frame.poses, frame.points))


def pose_of(body: int, frame: Frame) -> BodyPose | None:
    """Where ``body`` was seen in ``frame``."""
    return next((pose for pose in frame.poses if pose.body == body), None)


def tell(text: str, handle: int = 1) -> None:
    """Write a line to standard output, if anybody is there to read it: a keeper outlives whoever started it.

    Past :func:`print`, which keeps what it could not write, and fails once more at the end.
    """
    with contextlib.suppress(OSError):
        os.write(handle, f"{text}\n".encode())


def account(receiver: StateReceiver, seen: int) -> str:
    """How a stream fared, in one line."""
    timing, counters = receiver.timing, receiver.counters
    fates = ", ".join(f"{count} {fate.replace('_', '-')}" for fate, count in vars(counters).items() if count)
    if not counters.accepted:
        return f"motion capture: nothing of use was heard ({fates or 'nothing at all'})"
    latency_ms = 1e3 * timing.latency_s(50.0)
    return (
        f"motion capture: {fates}; {timing.rate_hz:.0f} Hz, {latency_ms:.1f} ms old at arrival (median; "
        f"99 %: {1e3 * timing.latency_s(99.0):.1f} ms), jitter {1e3 * timing.jitter_s:.2f} ms; "
        f"vehicle seen in {100.0 * seen / counters.accepted:.0f} %"
    )
