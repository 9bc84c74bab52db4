"""The simulator's side of PX4's lockstep interface, against a stand-in that checks every packet as PX4 would use it."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from corvids.deploy.px4.hil_link import FIELD_NED_GAUSS, GpsFix, HilLink, Pose, Sensed, port_of
from corvids.errors import CorvidsError

LEVEL_EAST = (1.0, 0.0, 0.0, 0.0)
STILL = Sensed((0.0, 0.0, 9.80665), (0.0, 0.0, 0.0), LEVEL_EAST, 0.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LockstepPx4(threading.Thread):
    """PX4's side: no clock but the sensors', and one answer to each of them, from ``first`` on."""

    def __init__(self, port: int, first: int = 0) -> None:
        super().__init__(daemon=True)
        self.heard: list[Any] = []
        self._first, self._port = first, port
        self._mav = common.MAVLink(None, srcSystem=1, srcComponent=1)

    def run(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as link:
            link.sendall(self._mav.heartbeat_encode(2, 12, 0, 0, 3).pack(self._mav))
            while data := link.recv(4096):
                messages: list[Any] = [*(self._mav.parse_buffer(data) or [])]
                for message in messages:
                    self.heard.append(message)
                    count = len(self.of("HIL_SENSOR"))
                    if message.get_type() == "HIL_SENSOR" and count > self._first:
                        controls = [0.1, 0.2, 1.5, math.nan, *[0.0] * 12]
                        answer = common.MAVLink_hil_actuator_controls_message(
                            message.time_usec, controls, 129, 1
                        )
                        link.sendall(answer.pack(self._mav))

    def of(self, kind: str) -> list[Any]:
        return [message for message in self.heard if message.get_type() == kind]


@pytest.fixture
def port() -> int:
    return free_port()


def connected(port: int, first: int = 0) -> tuple[HilLink, LockstepPx4]:
    link, px4 = HilLink(port), LockstepPx4(port, first)
    px4.start()
    link.wait_for_px4(60.0)
    return link, px4


def end(link: HilLink, px4: LockstepPx4, sensors: int) -> None:
    """Close it once PX4 has heard so many HIL_SENSOR: what is under way when a connection is closed may be lost."""
    deadline_s = time.monotonic() + 60.0
    while len(px4.of("HIL_SENSOR")) < sensors and time.monotonic() < deadline_s:
        time.sleep(0.01)
    link.close()
    px4.join(60.0)


def test_every_step_is_answered_before_the_next(port: int):
    link, px4 = connected(port)
    steps = unanswered = 0
    while link.answers < 100:
        steps += 1
        link.exchange(4000 * steps, STILL)
        unanswered += link.answers == 0  # PX4 is not waited for before it has answered once
    end(link, px4, steps)
    assert steps == unanswered + 100
    assert link.missed == 0
    assert link.motors == (pytest.approx(0.1), pytest.approx(0.2), 1.0, 0.0), "within 0 to 1, and numbers"
    assert [message.time_usec for message in px4.of("HIL_SENSOR")] == [
        4000 * step for step in range(1, steps + 1)
    ]


def test_before_px4_answers_it_is_not_waited_for(port: int):
    link, px4 = connected(port, first=50)
    steps = 0
    while not link.answers:
        assert link.motors == (0.0, 0.0, 0.0, 0.0)
        steps += 1
        link.exchange(4000 * steps, STILL)
    end(link, px4, steps)
    assert steps > 50


def test_what_a_level_vehicle_that_heads_east_feels(port: int):
    link, px4 = connected(port)
    link.exchange(4000, STILL._replace(omega_b_radps=(0.1, 0.2, 0.3), height_m=100.0))
    end(link, px4, 1)
    (sensor,) = px4.of("HIL_SENSOR")
    assert (sensor.xacc, sensor.yacc, sensor.zacc) == pytest.approx((0.0, 0.0, -9.80665)), "up is against z"
    assert (sensor.xgyro, sensor.ygyro, sensor.zgyro) == pytest.approx((0.1, -0.2, -0.3))
    north, east, down = FIELD_NED_GAUSS
    assert (sensor.xmag, sensor.ymag, sensor.zmag) == pytest.approx((east, -north, down), abs=1e-6), (
        "north is left"
    )
    assert sensor.abs_pressure == pytest.approx(1001.3, abs=0.1), "hPa, 100 m up in the standard atmosphere"
    assert sensor.id == 0, "the one by which PX4's clock goes"
    for first, last in ((0, 2), (3, 5), (6, 8)):  # accelerometer, gyroscope, magnetometer
        assert all(sensor.fields_updated >> bit & 1 for bit in range(first, last + 1))
    assert sensor.fields_updated >> 9 & 1, "pressure"
    assert not sensor.fields_updated >> 10 & 1, "no airspeed"


def test_an_imu_measures_so_much_and_no_more(port: int):
    """PX4 turns both into 16 bits, 16 g / 32768 and 2000 °/s / 32768 a count, and does not look for overflow."""
    link, px4 = connected(port)
    link.exchange(
        4000, STILL._replace(specific_force_b_mps2=(300.0, -300.0, 100.0), omega_b_radps=(40.0, -40.0, 3.0))
    )
    end(link, px4, 1)
    (sensor,) = px4.of("HIL_SENSOR")
    counts = [force / 9.80665 * 2048 for force in (sensor.xacc, sensor.yacc)]
    counts += [math.degrees(rate) / 2000 * 32768 for rate in (sensor.xgyro, sensor.ygyro)]
    assert all(32000 < abs(count) <= 32767 for count in counts)
    assert [math.copysign(1.0, count) for count in counts] == [1.0, 1.0, 1.0, 1.0]
    assert (sensor.zacc, sensor.zgyro) == pytest.approx((-100.0, -3.0))


def test_a_tracked_pose_comes_before_the_sensors_of_its_step(port: int):
    link, px4 = connected(port)
    yaw_left = (math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4))
    link.exchange(8000, STILL, Pose((1.0, 2.0, 3.0), yaw_left, 0.002, 0.005))
    end(link, px4, 1)
    odometry = px4.of("ODOMETRY")[0]
    kinds = [message.get_type() for message in px4.heard]
    assert kinds.index("ODOMETRY") < kinds.index("HIL_SENSOR")
    assert (odometry.x, odometry.y, odometry.z) == (2.0, 1.0, -3.0)
    assert odometry.frame_id == common.MAV_FRAME_LOCAL_NED
    assert odometry.estimator_type == common.MAV_ESTIMATOR_TYPE_VISION, (
        "the one that PX4's estimator listens to"
    )
    assert [abs(q) for q in odometry.q] == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-6), "it heads north"
    assert odometry.pose_covariance[0] == pytest.approx(4e-6)
    assert odometry.pose_covariance[20] == pytest.approx(2.5e-5)
    assert math.isnan(odometry.vx), "a tracker sees no velocity"


ZURICH = (47.397742, 8.545594, 488.0)
FIX = GpsFix(1.9, (3.0, 40.0, 2.5), (1.5, -2.0, 0.25), (1.204, 2.01), 3, 14, ZURICH)
"""40 m north, 3 m east, 2.5 m up of Zurich's; moving by 2.5 m/s to the south-east, and up."""


def test_a_fix_comes_before_the_sensors_of_its_step_in_mavlinks_units(port: int):
    link, px4 = connected(port)
    link.exchange(2_000_000, STILL, fix=FIX)
    end(link, px4, 1)
    kinds = [message.get_type() for message in px4.heard]
    assert kinds == ["HIL_GPS", "HIL_SENSOR"]
    gps, sensor = px4.heard
    assert (gps.time_usec, sensor.time_usec) == (1_900_000, 2_000_000), "when it was there, and now"
    # 40 m north are 40 / 6371000 rad = 3.5973e-4°; 3 m east are 2.698e-5° / cos 47.397742° = 3.986e-5°
    assert gps.lat == pytest.approx(473977420 + 3597, abs=1), "degrees · 1e7"
    assert gps.lon == pytest.approx(85455940 + 399, abs=1)
    assert gps.alt == 490500, "mm above the sea"
    assert (gps.vn, gps.ve, gps.vd) == (-200, 150, -25), "cm/s"
    assert gps.vel == 250, "cm/s over ground"
    # atan2(1.5 east, -2.0 north) = 143.13°
    assert gps.cog == pytest.approx(14313, abs=1), "degrees · 100 from north, clockwise"
    assert (gps.eph, gps.epv) == (120, 201), "what PX4 takes for cm"
    assert (gps.fix_type, gps.satellites_visible, gps.id) == (3, 14, 0)


def test_a_course_to_the_north_is_no_whole_turn(port: int):
    link, px4 = connected(port)
    link.exchange(2_000_000, STILL, fix=FIX._replace(vel_w_mps=(-1e-6, 5.0, 0.0), std_m=(1e-4, 1e-4)))
    end(link, px4, 1)
    (gps,) = px4.of("HIL_GPS")
    assert gps.cog == 0, "MAVLink's range ends at 359.99°"
    assert (gps.eph, gps.epv) == (1, 1), "nobody is sure of everything"


def test_px4_that_leaves_is_said_plainly(port: int):
    link, px4 = connected(port)
    link.exchange(4000, STILL)
    end(link, px4, 1)
    with pytest.raises(CorvidsError, match="PX4 has left its simulator"):
        link.exchange(8000, STILL)


def test_two_simulators_at_one_port_are_refused(port: int):
    link = HilLink(port)
    with pytest.raises(CorvidsError, match="is another simulator running"):
        HilLink(port)
    with pytest.raises(CorvidsError, match="no PX4 has connected"):
        link.wait_for_px4(0.01)
    link.close()


def test_each_instance_has_its_port():
    assert port_of("udp:14540") == 4560
    assert port_of("udp:127.0.0.1:14543") == 4563
