"""PX4's state corrected by motion capture: what is off is removed, what moves is followed, what is unseen is left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corvids.deploy.mocap.correction import AGREEING, UNSEEN_MAX_S, MocapCorrection
from corvids.deploy.px4.state import VehicleState

LEVEL = (1.0, 0.0, 0.0, 0.0)


def tilted(radians: float) -> tuple[float, float, float, float]:
    """About x."""
    return math.cos(0.5 * radians), math.sin(0.5 * radians), 0.0, 0.0


def said(now_s: float, pos_w, vel_w, quat_wb=LEVEL, omega_b=(0.0, 0.0, 0.0), resets=3) -> VehicleState:
    return VehicleState(now_s, now_s, tuple(pos_w), tuple(vel_w), quat_wb, omega_b, resets)


def circling(now_s: float) -> tuple[np.ndarray, np.ndarray]:
    """1 m at 2 rad/s: 4 m/s² of acceleration."""
    phase = 2.0 * now_s
    place = np.array((math.cos(phase), math.sin(phase), 1.0))
    return place, np.array((-2.0 * math.sin(phase), 2.0 * math.cos(phase), 0.0))


def fly(
    correction: MocapCorrection,
    seconds: float,
    off_m,
    off_mps,
    lean_rad: float = 0.0,
    start_s: float = 0.0,
    resets: int = 3,
):
    """PX4 at 125 Hz, 6 ms after its time; motion capture between its words. The corrected state's errors at the end."""
    now_s = start_s
    for step in range(round(seconds * 125)):
        now_s = start_s + 0.008 * step
        place, speed = circling(now_s)
        drift = np.array(off_mps) * (now_s - start_s)
        correction.hear(said(now_s, place + off_m + drift, speed + off_mps, tilted(lean_rad), resets=resets))
        seen, _ = circling(now_s + 0.003)
        correction.see(now_s + 0.003, tuple(seen), LEVEL)
    place, speed = circling(now_s)
    state = correction.state
    lean = 2.0 * math.asin(np.linalg.norm(state.quat_wb[1:]))
    return np.linalg.norm(state.pos_w - place), np.linalg.norm(state.vel_w - speed), lean


def test_what_px4_says_wrongly_is_corrected():
    """It is 10 cm off and drifts away at 0.3 m/s as its velocity has it, leaning by 2°."""
    off_m, off_mps, lean = fly(MocapCorrection(), 1.0, (0.1, -0.05, 0.0), (0.3, 0.0, -0.2), math.radians(2.0))
    assert off_m < 2e-3
    assert off_mps < 0.01
    assert lean < math.radians(0.05)


def test_what_px4_says_rightly_is_left_as_it_is():
    off_m, off_mps, lean = fly(MocapCorrection(), 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert off_m < 1e-3
    assert off_mps < 5e-3
    assert lean < 1e-4


def test_its_noise_is_as_declared():
    """A tracker's 3 mm become 1 cm/s or so of velocity: √(√2·ω³·r), with r = 3 mm squared times 8 ms, is 1.9 cm/s."""
    correction, rng, errors = MocapCorrection(), np.random.default_rng(0), []
    for step in range(2500):
        now_s = 0.008 * step
        correction.hear(said(now_s, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
        correction.see(now_s, tuple(np.array((0.0, 0.0, 1.0)) + rng.normal(0.0, 3e-3, 3)), LEVEL)
        errors.append(correction.state.vel_w)
    assert 0.005 < np.std(errors[250:]) < 0.025


def test_everything_else_is_px4s():
    correction = MocapCorrection()
    fly(correction, 0.1, (0.1, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert correction.state.resets == 3 + 1, "its own, and the jump to where it was seen first"
    assert correction.state.pose_stamp_s == pytest.approx(0.088), "as old as it is"


def test_a_vehicle_that_was_never_seen_is_where_px4_says():
    correction = MocapCorrection()
    for now_s in (5.0, 6.0):
        correction.hear(said(now_s, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0)))
        assert correction.state.pos_w == (1.0, 2.0, 3.0)
        assert correction.state.stamp_s == now_s


def test_the_state_of_one_that_is_not_seen_any_more_grows_old():
    correction = MocapCorrection()
    state = correction.state
    fly(correction, 1.0, (0.1, 0.0, 0.0), (0.0, 0.0, 0.0))
    before_w = state.pos_w
    for now_s in np.arange(1.0 + UNSEEN_MAX_S, 3.0, 0.01):
        lean_rad = 0.1 * now_s
        correction.hear(said(now_s, (7.0, 7.0, 7.0), (0.0, 0.0, 0.0), tilted(lean_rad)))
        assert state.attitude_stamp_s == now_s, "but its attitude is known"
        assert state.quat_wb == pytest.approx(tilted(lean_rad), abs=1e-3)
    assert state is correction.state
    assert 0.9 < state.stamp_s <= 1.0 + UNSEEN_MAX_S
    assert state.pos_w == before_w, "it does not jump to where PX4 says"
    fly(correction, 0.1, (0.2, 0.0, 0.0), (0.0, 0.0, 0.0), start_s=3.0)
    assert state.stamp_s > 3.0, "seen again"
    assert state.resets == 3 + 2, "and elsewhere"


def test_after_a_reset_it_begins_afresh():
    correction = MocapCorrection()
    fly(correction, 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    off_m, off_mps, _ = fly(correction, 0.016, (3.0, 0.0, 0.0), (0.0, 0.0, 0.0), start_s=1.0, resets=4)
    assert off_m < 2e-3, "at once, as PX4 says that it was reset"
    assert off_mps < 0.01
    assert correction.state.resets == 4 + 2, "it jumped"


def test_px4_that_does_not_say_that_it_was_reset_is_found_out():
    correction = MocapCorrection()
    fly(correction, 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    off_m, off_mps, _ = fly(correction, 0.1, (3.0, 0.0, 0.0), (0.0, 0.0, 0.0), start_s=1.0)
    assert correction.state.resets == 3 + 2, "it jumped"
    assert off_m < 2e-3
    assert off_mps < 0.01


@pytest.mark.parametrize("pictures", [1, AGREEING - 1])
@pytest.mark.parametrize(
    ("aside_m", "turned_deg"), [(1.5, 0), (0.45, 0), (0.2, 0), (0.0, 150), (0.0, 90), (0.0, 30)]
)
def test_a_picture_of_something_else_moves_nothing(pictures: int, aside_m: float, turned_deg: float):
    """The vehicle hovers; another body is taken for it, for a moment, and then one elsewhere."""
    correction, hovering = MocapCorrection(), (0.0, 0.0, 1.0)
    for step in range(100):
        now_s = 0.008 * step
        correction.hear(said(now_s, hovering, (0.0, 0.0, 0.0)))
        assert correction.state.pos_w == pytest.approx(hovering, abs=1e-9)
        assert correction.state.vel_w == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
        assert correction.state.quat_wb == pytest.approx(LEVEL, abs=1e-9)
        is_wrong, is_elsewhere = 50 <= step < 50 + pictures, 50 + pictures <= step < 50 + 2 * pictures
        sign = 1.0 if is_wrong else -1.0 if is_elsewhere else 0.0
        is_believed = correction.see(
            now_s, (sign * aside_m, 0.0, 1.0), tilted(sign * math.radians(turned_deg))
        )
        assert is_believed == (sign == 0.0 and step >= AGREEING - 1 and not 50 <= step < 50 + pictures)
    assert correction.state.resets == 3 + 1


def test_a_reset_that_px4_tells_of_moves_nothing_either():
    """Its place is unknown until it is seen next."""
    correction, hovering = MocapCorrection(), (0.0, 0.0, 1.0)
    for step in range(100):
        now_s, resets = 0.008 * step, 3 + (step >= 50)
        correction.hear(said(now_s, (4.0 if step >= 50 else 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), resets=resets))
        assert correction.state.pos_w == pytest.approx(hovering, abs=1e-9)
        assert now_s - correction.state.pose_stamp_s < 0.01
        correction.see(now_s, hovering, LEVEL)
    assert correction.state.resets == 4 + 2


def test_pictures_that_never_agree_are_as_good_as_none():
    correction, rng = MocapCorrection(), np.random.default_rng(0)
    fly(correction, 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    for step in range(100):
        now_s = 1.0 + 0.008 * step
        correction.hear(said(now_s, (1.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
        correction.see(now_s, tuple(rng.uniform(5.0, 50.0, 3)), LEVEL)
    assert correction.state.stamp_s < 1.0 + UNSEEN_MAX_S


def test_what_is_late_or_from_nowhere_is_not_used():
    correction = MocapCorrection()
    correction.see(1.0, (5.0, 5.0, 5.0), LEVEL)
    correction.hear(said(1.0, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
    correction.see(0.5, (5.0, 5.0, 5.0), LEVEL)
    correction.hear(said(1.008, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
    assert correction.state.pos_w == (0.0, 0.0, 1.0)
