"""A vehicle that the doctor listens to: a stand-in for PX4 with all its streams, in virtual time."""

from __future__ import annotations

import time

from pymavlink.dialects.v20 import common
from standin import Standin, as_stored

from corvids.commands.doctor import diagnose, listen
from corvids.commands.doctoring.line import Line
from corvids.commands.doctoring.place import Source
from corvids.commands.px4_params import parameters_of
from corvids.deploy.px4.mavlink_peer import PeerConfig
from corvids.vehicle import load_vehicle

VEHICLE = load_vehicle("px4_sih")
UNAIDED, BY_POSES, BY_FIXES = 0b1, 0b1_0000_1001, 0b11_0000_1001
"""What PX4 v1.17's estimator says of itself: attitude known; place too, aided; by satellites."""
STEP_S = 0.002


class Talk:
    """A channel to a stand-in, in virtual time."""

    def __init__(self, px4: Standin, odometry_hz: float = 100.0) -> None:
        self.px4, self.period_s, self.now_s = px4, 1.0 / odometry_hz, 0.0
        self.late_s = 0.0
        """How long PX4's streams are under way [s]."""
        self.silent: set[str] = set()
        """Streams that do not come."""
        self.date_off_s: float | None = 0.0
        """How far PX4's calendar is ahead of this computer's [s]; None: it knows no date."""
        self.fuses: int | None = BY_POSES
        """What its estimator says of itself; None: nothing."""
        self.is_on_globe = False
        """Whether it has a place on the globe, be it by an origin that it was told."""
        self._answers: list[bytes] = []
        self._due_s = 0.0

    def wait(self, until_s: float):
        while self.now_s < until_s:
            self.now_s += STEP_S
            if self.now_s >= self._due_s:
                self._due_s += self.period_s
                yield self.px4.odometry(self.now_s - self.late_s)
            if round(self.now_s / STEP_S) % 500 == 1:
                yield self.px4.heartbeat()
            yield from self._streams(round(self.now_s / STEP_S))
            while self._answers:
                yield self._answers.pop(0)

    def _streams(self, step: int):
        """All but odometry, each as often as it is asked for."""
        px4, sent_s = self.px4, self.now_s - self.late_s
        due = {
            "ATTITUDE_QUATERNION": (4, lambda: px4.attitude(sent_s)),
            "HIGHRES_IMU": (10, lambda: px4.imu(sent_s)),
            "CURRENT_MODE": (250, px4.current_mode),
            "ESTIMATOR_STATUS": (50, lambda: px4.estimator(sent_s, self.fuses or 0)),
            "EXTENDED_SYS_STATE": (100, lambda: px4.landed(True)),
            "BATTERY_STATUS": (250, lambda: px4.battery(80)),
            "SYSTEM_TIME": (500, self._date),
        }
        if self.is_on_globe:
            due["GLOBAL_POSITION_INT"] = (250, self._on_globe)
        for name, (steps, packet) in due.items():
            is_silent = name in self.silent or (name == "ESTIMATOR_STATUS" and self.fuses is None)
            if step % steps == 0 and not is_silent:
                yield packet()

    def _date(self) -> bytes:
        unix_us = 0 if self.date_off_s is None else int(1e6 * (time.time() + self.date_off_s))
        return self.px4.pack(common.MAVLink_system_time_message(unix_us, 1000))

    def _on_globe(self) -> bytes:
        place = (473977420, 85455940, 489_400)
        return self.px4.pack(common.MAVLink_global_position_int_message(1000, *place, 0, 0, 0, 0, 0))

    def accept(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe=(0.0, 0.0)) -> None:
        self._answers += self.px4.take_in(packet, self.now_s)


def healthy(parameters: dict[str, int | float] | None = None) -> Standin:
    px4 = Standin(boot_s=-100.0)
    for name, value in (parameters or parameters_of(VEHICLE)).items():
        px4.parameters[name] = as_stored(value)
    return px4


def table(
    channel: Talk, wanted: dict[str, int | float] | None = None, source: Source = Source.MOCAP
) -> dict[str, Line]:
    wanted = wanted or parameters_of(VEHICLE)
    peer = listen(channel, PeerConfig(), wanted, 4.0)
    return {line.check: line for line in diagnose(peer, VEHICLE, wanted, channel.now_s, 4.0, source)}


def verdicts(
    px4: Standin, odometry_hz: float = 100.0, wanted: dict[str, int | float] | None = None
) -> dict[str, str]:
    return {check: line.verdict for check, line in table(Talk(px4, odometry_hz), wanted).items()}
