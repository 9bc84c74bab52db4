"""What PX4 says of its vehicle, in our frames and on our clock; and when what it says of its place is none."""

from __future__ import annotations

import math

import pytest
from pymavlink.dialects.v20 import common
from standin import Standin
from test_mavlink_peer import connected


def test_odometry_arrives_in_our_frames_on_our_clock():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.odometry(100.5), 100.51)
    state = peer.reader.state
    assert state.stamp_s == pytest.approx(100.5, abs=2e-6)
    assert state.pos_w == pytest.approx((2.0, 1.0, 3.0))
    assert state.vel_w == pytest.approx((0.2, 0.1, 0.3))
    assert state.quat_wb == pytest.approx((math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))
    assert state.omega_b == pytest.approx((0.01, -0.02, -0.03))


def test_velocity_may_come_in_the_body_frame():
    px4 = Standin()
    peer = connected(px4)
    px4.truth.quat_ned = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))  # heading east
    px4.truth.vel_ned = (1.0, 0.0, 0.0)  # forward
    peer.take_in(px4.odometry(100.5, in_body=True), 100.51)
    assert peer.reader.state.vel_w == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)


def test_attitude_and_position_may_come_apart_and_the_older_one_dates_the_state():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.position(100.5), 100.51)
    assert math.isnan(peer.reader.state.stamp_s)
    peer.take_in(px4.attitude(100.6), 100.61)
    assert peer.reader.state.stamp_s == pytest.approx(100.5, abs=2e-3)
    assert peer.reader.state.omega_b == pytest.approx((0.01, -0.02, -0.03))
    peer.take_in(px4.odometry(100.55), 100.62)
    assert peer.reader.state.attitude_stamp_s == pytest.approx(100.6, abs=2e-3), "the newer attitude stays"


def test_rates_are_those_that_px4_filtered_as_long_as_they_come():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.attitude(100.5), 100.5)
    px4.truth.rate_frd = (9.0, 9.0, 9.0)
    peer.take_in(px4.odometry(100.508), 100.508)
    assert peer.reader.state.omega_b == pytest.approx((0.01, -0.02, -0.03)), "not a reading of the gyroscope"
    assert peer.reader.state.pose_stamp_s == pytest.approx(100.508, abs=1e-5)
    peer.take_in(px4.odometry(100.54), 100.54)
    assert peer.reader.state.omega_b == pytest.approx((9.0, -9.0, -9.0)), "but that is better than none"


def test_where_they_do_not_come_each_odometry_says_attitude_and_rates():
    px4 = Standin()
    peer = connected(px4)
    for step in range(1, 30):
        now_s = 100.5 + 0.004 * step
        px4.truth.rate_frd = (0.01 * step, 0.0, 0.0)
        peer.take_in(px4.odometry(now_s), now_s)
        assert peer.reader.state.omega_b[0] == pytest.approx(0.01 * step)
        assert peer.reader.state.stamp_s == pytest.approx(now_s, abs=1e-5)


def test_no_odometry_from_before_takes_back_an_attitude():
    px4 = Standin()
    peer = connected(px4)
    peer.take_in(px4.attitude(100.5), 100.5)
    px4.truth.rate_frd = (9.0, 9.0, 9.0)
    peer.take_in(px4.odometry(100.49), 100.54)
    assert peer.reader.state.omega_b == pytest.approx((0.01, -0.02, -0.03))


def test_a_place_that_px4_no_longer_measures_is_none():
    """Its estimator goes on telling one, as fresh as ever; attitude and rates live on its IMU."""
    px4 = Standin()
    px4.pos_std_m = 0.3
    peer = connected(px4)
    peer.take_in(px4.odometry(100.5), 100.5)
    px4.pos_std_m, px4.truth.pos_ned, px4.truth.rate_frd = 1.5, (50.0, 50.0, -3.0), (9.0, 9.0, 9.0)
    peer.take_in(px4.odometry(100.6), 100.6)
    peer.take_in(px4.position(100.61), 100.61)
    state = peer.reader.state
    assert state.pos_w == pytest.approx((2.0, 1.0, 3.0))
    assert state.stamp_s == state.pose_stamp_s == pytest.approx(100.5, abs=1e-5)
    assert state.attitude_stamp_s == pytest.approx(100.6, abs=1e-5)
    assert state.omega_b == pytest.approx((9.0, -9.0, -9.0))
    px4.pos_std_m = 0.3
    peer.take_in(px4.odometry(100.7), 100.7)
    assert state.stamp_s == pytest.approx(100.7, abs=1e-5), "until it measures it again"


@pytest.mark.parametrize(
    ("flags", "is_placed"),
    [
        (common.ESTIMATOR_POS_HORIZ_REL | common.ESTIMATOR_PRED_POS_HORIZ_REL, True),
        # On the ground, at rest, PX4 has its place stand still beside what measures it.
        (
            common.ESTIMATOR_POS_HORIZ_REL
            | common.ESTIMATOR_PRED_POS_HORIZ_REL
            | common.ESTIMATOR_CONST_POS_MODE,
            True,
        ),
        (common.ESTIMATOR_ATTITUDE | common.ESTIMATOR_CONST_POS_MODE, False),
        (common.ESTIMATOR_POS_HORIZ_REL, False),  # nothing has measured it yet
        (common.ESTIMATOR_PRED_POS_HORIZ_REL, False),  # something will
    ],
)
def test_a_place_that_px4_has_nothing_to_measure_by_is_none(flags: int, is_placed: bool):
    """On the ground it believes to stand still, and so to know its place as well as can be."""
    px4 = Standin()
    px4.pos_std_m = 0.01
    peer = connected(px4)
    peer.take_in(px4.estimator(100.4, flags), 100.4)
    peer.take_in(px4.odometry(100.5), 100.5)
    peer.take_in(px4.position(100.51), 100.51)
    assert math.isfinite(peer.reader.state.pose_stamp_s) is is_placed
    assert math.isfinite(peer.reader.state.attitude_stamp_s)
    asked = {message.param1 for message in px4.commands(common.MAV_CMD_SET_MESSAGE_INTERVAL)}
    assert common.MAVLINK_MSG_ID_ESTIMATOR_STATUS in asked


def test_a_place_is_one_for_a_second_after_the_last_measurement():
    """Motion capture that is late now and then does not end a flight."""
    px4 = Standin()
    peer = connected(px4)
    valid = common.ESTIMATOR_POS_HORIZ_REL
    for now_s, flags, is_placed in (
        (101.0, valid | common.ESTIMATOR_PRED_POS_HORIZ_REL, True),
        (101.9, valid, True),
        (102.1, valid, False),
        (102.2, valid | common.ESTIMATOR_PRED_POS_HORIZ_REL, True),
    ):
        peer.take_in(px4.estimator(now_s, flags), now_s)
        peer.take_in(px4.odometry(now_s), now_s)
        assert (peer.reader.state.pose_stamp_s > now_s - 0.001) is is_placed
