"""The ball filter is the Kalman filter that it says it is, and knows a bounce from an outlier."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.ball_filter import (
    GRAVITY_MPS2,
    UNKNOWN_BALL,
    BallEstimate,
    BallFilterConfig,
    ball_filter,
    coast,
)
from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.spatial import Vec3

DT_S = 1.0 / 120.0
WORLDS = 3000
VACUUM = BallFilterConfig(drag_per_m=0.0)
NOISE_M = VACUUM.measurement_std_m


def unknown(worlds: int = 1, dtype: torch.dtype = torch.float64) -> BallEstimate:
    return map_leaves(lambda leaf: torch.full((worlds, 1), leaf, dtype=dtype), UNKNOWN_BALL)


def vec(x: float, y: float, z: float) -> Vec3:
    return Vec3(*(torch.full((1, 1), component, dtype=torch.float64) for component in (x, y, z)))


def uniform(low: float, high: float, random: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(WORLDS, 1, dtype=torch.float64, generator=random)


def ballistic(pos: Vec3, vel: Vec3, time_s: float | torch.Tensor) -> tuple[Vec3, Vec3]:
    """Galilei's parabola."""
    fall = vel.z - GRAVITY_MPS2 * time_s
    height = pos.z + vel.z * time_s - GRAVITY_MPS2 * time_s * time_s / 2
    return Vec3(pos.x + vel.x * time_s, pos.y + vel.y * time_s, height), Vec3(vel.x, vel.y, fall)


def measured(pos: Vec3, random: torch.Generator, std_m: float = NOISE_M) -> Vec3:
    shape = (WORLDS, 1)
    return Vec3(*(c + std_m * torch.randn(shape, dtype=torch.float64, generator=random) for c in pos))


def rms(estimate: Vec3, truth: Vec3) -> float:
    return float(torch.stack(tuple(estimate - truth)).square().mean().sqrt())


def covariance(estimate: BallEstimate) -> torch.Tensor:
    """Covariance matrix of position and velocity along an axis, of the first world."""
    p, c, v = (float(entry.flatten()[0]) for entry in (estimate.pos_var, estimate.cov, estimate.vel_var))
    return torch.tensor([[p, c], [c, v]], dtype=torch.float64)


class Textbook:
    """The same filter with matrices: ``predicted`` is what it believes, ``actual`` the error of a flight without
    unmodelled acceleration under the same gains (Joseph's form, exact for any gain)."""

    def __init__(self, config: BallFilterConfig) -> None:
        self.noise = torch.tensor([[config.measurement_std_m**2]], dtype=torch.float64)
        self.accel_var = config.accel_std_mps2**2
        start = torch.diag(torch.tensor([UNKNOWN_BALL.pos_var, UNKNOWN_BALL.vel_var], dtype=torch.float64))
        self.predicted, self.actual = start, start.clone()

    def take(self, dt_s: float) -> None:
        forward = torch.tensor([[1.0, dt_s], [0.0, 1.0]], dtype=torch.float64)
        kick = torch.tensor([[dt_s * dt_s / 2], [dt_s]], dtype=torch.float64)
        seen = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        before = forward @ self.predicted @ forward.T + kick @ kick.T * self.accel_var
        gain = before @ seen.T / (seen @ before @ seen.T + self.noise)
        keep = torch.eye(2, dtype=torch.float64) - gain @ seen
        self.predicted = keep @ before @ keep.T + gain @ self.noise @ gain.T
        actual = forward @ self.actual @ forward.T
        self.actual = keep @ actual @ keep.T + gain @ self.noise @ gain.T


# --- Flight --------------------------------------------------------------------------------------------------------


def test_its_covariance_is_the_textbooks_and_its_errors_are_what_theory_says():
    """From nothing, over a third of a second: each root-mean-square error within 5 % of its theory, at any time."""
    random, textbook, estimate = torch.Generator().manual_seed(0), Textbook(VACUUM), unknown(WORLDS)
    start = Vec3(*(uniform(-0.5, 0.5, random) for _ in range(3)))
    launch = Vec3(uniform(-1.0, 1.0, random), uniform(-1.0, 1.0, random), uniform(-1.0, 4.0, random))
    for step in range(40):
        pos, vel = ballistic(start, launch, step * DT_S)
        estimate = ball_filter(estimate, measured(pos, random), torch.full((WORLDS, 1), DT_S), VACUUM)
        textbook.take(DT_S)
        torch.testing.assert_close(covariance(estimate), textbook.predicted, rtol=1e-5, atol=1e-12)
        pos_std, vel_std = textbook.actual.diagonal().sqrt().tolist()
        if step >= 3:  # before, the error depends on how far from its guess the ball was
            assert rms(estimate.pos_w, pos) == pytest.approx(pos_std, rel=0.05)
        if step >= 15:
            assert rms(estimate.vel_w, vel) == pytest.approx(vel_std, rel=0.05)
    assert not estimate.rejected.any()


def test_coasting_follows_quadratic_drag_to_second_order():
    """A ball falling from rest with drag k reaches v = √(g/k)·tanh(t√(gk)) and has fallen ln cosh(t√(gk))/k."""
    drag, errors = 0.3, []
    for steps in (10, 20, 40):
        pos, vel = vec(0.0, 0.0, 0.0), vec(0.0, 0.0, 0.0)
        for _ in range(steps):
            pos, vel = coast(pos, vel, 0.5 / steps, drag)
        root = 0.5 * math.sqrt(GRAVITY_MPS2 * drag)
        errors.append(abs(float(pos.z) + math.log(math.cosh(root)) / drag))
    # One step errs to third order in position but second in velocity, which adds up to first order over many.
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.3)
    assert errors[1] / errors[2] == pytest.approx(2.0, abs=0.2)
    pos, vel = coast(vec(0.0, 0.0, 0.0), vec(3.0, 0.0, 4.0), DT_S, drag)
    # a = -0.3 · 5 · (3, 0, 4) - (0, 0, g) = (-4.5, 0, -15.80665), over 1/120 s
    assert float(vel.x) == pytest.approx(3.0 - 4.5 / 120)
    assert float(pos.z) == pytest.approx(4.0 / 120 - 15.80665 / 2 / 120**2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_starts_from_nothing_with_any_first_measurement(dtype: torch.dtype):
    """The first position is taken over; two make a velocity, known to √2·σ/dt less what is known before (3 m/s)."""
    estimate, textbook = unknown(dtype=dtype), Textbook(VACUUM)
    first, vel = vec(7.0, -5.0, 3.0), vec(1.0, -2.0, 2.0)
    for step in range(5):
        elapsed_s = DT_S if step else 0.0  # as the runtime has it
        pos, now = ballistic(first, vel, step * DT_S)
        exact = Vec3(*(component.to(dtype) for component in pos))
        estimate = ball_filter(estimate, exact, torch.full((1, 1), elapsed_s, dtype=dtype), VACUUM)
        textbook.take(elapsed_s)
        torch.testing.assert_close(covariance(estimate), textbook.predicted, rtol=1e-3, atol=1e-12)
        assert rms(estimate.pos_w, pos) < (1e-6 if step == 0 else NOISE_M)
        assert step < 4 or rms(estimate.vel_w, now) < 0.1


# --- Bounces -------------------------------------------------------------------------------------------------------


def test_after_a_bounce_it_is_right_again_within_six_measurements():
    """Impacts at 2.5 to 5 m/s at any phase of the camera; the ball leaves up to 0.6 m/s faster or slower than it came
    and up to 0.3 m/s sideways. From the second measurement on the error is within what the filter says of itself."""
    random, estimate = torch.Generator().manual_seed(1), unknown(WORLDS)
    speed, impact_s = uniform(2.5, 5.0, random), 0.3 + uniform(0.0, DT_S, random)
    still = torch.zeros_like(speed)
    at = Vec3(still, still, still + 1.0)
    down = Vec3(still, still, -speed)
    up = Vec3(uniform(-0.3, 0.3, random), still, speed + uniform(-0.6, 0.6, random))
    after = 0
    for step in range(60):
        now_s = step * DT_S - impact_s
        (pos0, vel0), (pos1, vel1) = ballistic(at, down, now_s), ballistic(at, up, now_s)
        has_bounced = now_s > 0.0
        pos, vel = (
            Vec3(*(torch.where(has_bounced, b, a) for a, b in zip(one, other, strict=True)))
            for one, other in ((pos0, pos1), (vel0, vel1))
        )
        estimate = ball_filter(estimate, measured(pos, random, 0.003), torch.full((WORLDS, 1), DT_S), VACUUM)
        after += bool(has_bounced.all())
        if after >= 2:
            for error, said in (
                (rms(estimate.pos_w, pos), estimate.pos_var),
                (rms(estimate.vel_w, vel), estimate.vel_var),
            ):
                assert error < float(said.mean().sqrt())
        if after == 6:
            assert rms(estimate.vel_w, vel) < 0.1
            assert rms(estimate.pos_w, pos) < 0.003
        assert after < 20 or rms(estimate.vel_w, vel) < 0.02
    assert after > 20


def test_a_bounce_mirrors_the_fall_and_takes_the_measured_place():
    """Falling at 3 m/s, at z = 1 m; 10 ms later it should be 30 mm lower, but is 20 mm higher; 5σ is 26 mm."""
    known = UNKNOWN_BALL._replace(pos_w=vec(0.0, 0.0, 1.0), vel_w=vec(0.2, -0.1, -3.0))
    exact = known._replace(pos_var=1e-5, cov=0.0, vel_var=1e-3, rejected=1.0)
    new = ball_filter(_filled(exact), vec(0.002, -0.001, 1.02), 0.01, VACUUM)
    assert [float(c) for c in new.pos_w] == pytest.approx([0.002, -0.001, 1.02])
    assert [float(c) for c in new.vel_w] == pytest.approx([0.2, -0.1, 3.0 + 0.01 * GRAVITY_MPS2])
    assert float(new.pos_var) == pytest.approx(NOISE_M**2)
    assert float(new.vel_var) == pytest.approx(VACUUM.bounce_std_mps**2)
    assert float(new.cov) == float(new.rejected) == 0.0


# --- Outliers ------------------------------------------------------------------------------------------------------


def _filled(estimate: BallEstimate) -> BallEstimate:
    return map_leaves(lambda leaf: torch.as_tensor(leaf, dtype=torch.float64).reshape(1, 1), estimate)


def settled(vel_z: float = 2.0) -> BallEstimate:
    """An estimate that has followed an exact flight for a while, at (0, 0, 1) m with a vertical speed."""
    estimate = unknown()
    for step in range(-30, 1):
        pos, _ = ballistic(vec(0.0, 0.0, 1.0), vec(0.5, 0.0, vel_z), step * DT_S)
        estimate = ball_filter(estimate, pos, torch.full((1, 1), DT_S), VACUUM)
    return estimate


RISING, FALLING = 2.0, -2.0


@pytest.mark.parametrize(
    ("vel_z", "offset"),
    [
        (RISING, (0.4, 0.0, 0.0)),
        (RISING, (0.0, 0.0, 0.3)),
        (RISING, (0.0, -0.2, -0.2)),
        (RISING, (0.0, 0.0, -5.0)),
        (FALLING, (0.0, 0.0, -0.3)),
        (FALLING, (0.4, 0.0, 0.005)),  # aside, and no further above than noise: not what a bounce does
    ],
)
def test_a_single_outlier_is_passed_over(vel_z: float, offset: tuple[float, float, float]):
    before = settled(vel_z)
    pos, vel = coast(before.pos_w, before.vel_w, DT_S, 0.0)
    after = ball_filter(before, pos + vec(*offset), DT_S, VACUUM)
    torch.testing.assert_close((tuple(after.pos_w), tuple(after.vel_w)), (tuple(pos), tuple(vel)))
    assert float(after.rejected) == 1.0
    assert (covariance(after) - covariance(before)).diagonal().min() > 0.0  # known a little less
    then = ball_filter(after, coast(pos, vel, DT_S, 0.0)[0], DT_S, VACUUM)
    assert float(then.rejected) == 0.0
    assert rms(then.vel_w, coast(vel, vel, DT_S, 0.0)[1]) < 1e-3


def test_after_three_outliers_in_a_row_it_starts_afresh_from_the_third():
    estimate = settled()
    for count in (1.0, 2.0, 0.0):
        pos, vel = coast(estimate.pos_w, estimate.vel_w, DT_S, 0.0)
        away = pos + vec(0.5, 0.0, -0.2)
        estimate = ball_filter(estimate, away, DT_S, VACUUM)
        assert float(estimate.rejected) == count
    assert rms(estimate.pos_w, away) < 1e-12
    torch.testing.assert_close(tuple(estimate.vel_w), tuple(vel))
    wanted = torch.diag(torch.tensor([NOISE_M**2, VACUUM.start_std_mps**2], dtype=torch.float64))
    torch.testing.assert_close(covariance(estimate), wanted)


def test_outliers_that_are_not_in_a_row_do_not_add_up():
    estimate = settled()
    for step in range(12):
        pos, _ = coast(estimate.pos_w, estimate.vel_w, DT_S, 0.0)
        estimate = ball_filter(estimate, pos + vec(0.4 * (step % 2), 0.0, 0.0), DT_S, VACUUM)
        assert float(estimate.rejected) == step % 2
    assert estimate.pos_w.x.abs() < 0.1


def test_an_outlier_above_a_falling_ball_looks_like_a_bounce_and_costs_seven_measurements():
    """What cannot be told apart from one measurement: the price of it is known. 58 ms later the velocity is right."""
    estimate = settled(vel_z=-2.0)
    start = (estimate.pos_w, estimate.vel_w)
    for step in range(1, 9):
        pos, vel = ballistic(*start, step * DT_S)
        seen = pos + vec(0.0, 0.0, 0.3) if step == 1 else pos
        estimate = ball_filter(estimate, seen, DT_S, VACUUM)
        assert (float(estimate.vel_w.z) > 0.0) == (step < 5)
        assert float(estimate.rejected) == {2: 1.0, 3: 2.0}.get(step, 0.0)
        assert step < 8 or rms(estimate.vel_w, vel) < 0.3


# --- Properties ----------------------------------------------------------------------------------------------------

flights = st.lists(
    st.tuples(st.floats(0.0, 0.3), st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)), min_size=1, max_size=25
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(steps=flights, noise_m=st.floats(1e-3, 0.05), accel=st.floats(0.0, 20.0))
def test_whatever_is_measured_the_covariance_stays_positive(
    dtype: torch.dtype, steps: list, noise_m: float, accel: float
):
    config = dataclasses.replace(BallFilterConfig(), measurement_std_m=noise_m, accel_std_mps2=accel)
    estimate = unknown(dtype=dtype)
    for elapsed_s, x, z in steps:
        position = Vec3(*(torch.full((1, 1), c, dtype=dtype) for c in (x, 0.0, z)))
        estimate = ball_filter(estimate, position, torch.full((1, 1), elapsed_s, dtype=dtype), config)
        pos_var, cov, vel_var = (float(entry) for entry in (estimate.pos_var, estimate.cov, estimate.vel_var))
        assert pos_var > 0.0
        assert vel_var > 0.0
        assert cov * cov <= pos_var * vel_var * (1.0 + 1e-3)
        assert all(torch.isfinite(leaf).all() for leaf in leaves(estimate))


def test_worlds_do_not_see_each_other():
    random = torch.Generator().manual_seed(3)
    estimates, alone = unknown(WORLDS), unknown(1)
    for _ in range(6):
        place = Vec3(*(torch.randn(WORLDS, 1, dtype=torch.float64, generator=random) for _ in range(3)))
        elapsed_s = uniform(0.005, 0.02, random)
        estimates = ball_filter(estimates, place, elapsed_s, VACUUM)
        alone = ball_filter(alone, Vec3(*(c[17:18] for c in place)), elapsed_s[17:18], VACUUM)
    for one, many in zip(leaves(alone), leaves(estimates), strict=True):
        torch.testing.assert_close(one, many[17:18])
