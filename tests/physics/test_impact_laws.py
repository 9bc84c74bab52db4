"""What every impact must obey, wherever the ball touches the vehicle: conservation, restitution, friction."""

from __future__ import annotations

import pytest
import torch
from collision_lab import BALL, INSTANT_S, collided, collisions
from physics_lab import (
    DRAGLESS,
    DT_S,
    air,
    angular_momentum_w,
    immovable,
    matrices,
    momentum_w,
    rows,
    setup,
    vec,
)

from corvids.envs.physics.ball import Ball
from corvids.envs.physics.vehicle_dynamics import RigidBody

UP = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)


def test_no_impact_is_missed_on_any_part():
    c = collisions(DT_S)
    assert c.on_face.sum() > 2000 and (~c.on_face).sum() > 2000
    assert (c.impact.racket_count + c.impact.other_count == 1.0).all()
    assert c.impact.racket_count.sum() > 1000 and c.impact.other_count.sum() > 1000


def test_momentum_is_conserved_in_every_impact():
    c = collisions(DT_S)
    torch.testing.assert_close(
        momentum_w(*c.met, c.params), momentum_w(*c.apart, c.params), rtol=0.0, atol=1e-12
    )


def angular_momentum_lost(dt_s: float) -> torch.Tensor:
    """Relative to what the impulse exchanges at an arm of 0.1 m, shape ``(worlds,)``."""
    c = collisions(dt_s)

    def about_the_vehicle(body: RigidBody, ball: Ball) -> torch.Tensor:
        shift = vec((0.0, 0.0, 100.0))
        body, ball = body._replace(pos_w=body.pos_w - shift), ball._replace(pos_w=ball.pos_w - shift)
        return angular_momentum_w(body, ball, c.params)

    change = about_the_vehicle(*c.met) - about_the_vehicle(*c.apart)
    return change.norm(dim=1) / (c.impulse_ns.norm(dim=1) * 0.1)


def test_angular_momentum_is_conserved_in_every_impact():
    assert angular_momentum_lost(INSTANT_S).max().item() < 1e-4
    # In a whole step to first order: how the kick itself turns the axes before the step ends is left out.
    whole, half = angular_momentum_lost(DT_S), angular_momentum_lost(DT_S / 2)
    assert whole.max().item() < 0.01
    assert half.mean().item() < 0.6 * whole.mean().item()


@pytest.mark.parametrize("restitution", [None, 1.0])
def test_no_impact_gains_energy(restitution: float | None):
    # To what gravity does within a microsecond.
    assert collisions(INSTANT_S, restitution).energy_gained_j.max().item() < 1e-6


def test_elastic_impacts_without_friction_keep_energy():
    assert collisions(INSTANT_S, 1.0).with_friction(0.0).energy_gained_j.abs().max().item() < 1e-5


def test_friction_obeys_coulombs_limit_and_opposes_slip():
    c = collisions(INSTANT_S)
    push = (c.impulse_ns * c.normal_w).sum(1)
    rub = c.impulse_ns - push[:, None] * c.normal_w
    friction = torch.where(c.impact.racket_count > 0.0, 0.3, 0.4)[:, 0]
    assert (push > 0.0).all()
    assert (rub.norm(dim=1) <= friction * push * (1.0 + 1e-3) + 1e-6).all()


def test_a_gripped_ball_leaves_without_slip_wherever_it_touches():
    c = collisions(INSTANT_S).with_friction(50.0)

    def slip(body: RigidBody, ball: Ball) -> torch.Tensor:
        """Speed of the ball's surface over the vehicle's where they touch."""
        arm = rows(ball.pos_w) - rows(body.pos_w) - 0.04 * c.normal_w
        omega = (matrices(body.quat_wb) @ rows(body.omega_b)[:, :, None])[:, :, 0]
        across = rows(ball.vel_w) - torch.linalg.cross(rows(ball.spin_w), 0.04 * c.normal_w)
        across = across - rows(body.vel_w) - torch.linalg.cross(omega, arm)
        return (across - c.normal_w * (across * c.normal_w).sum(1, keepdim=True)).norm(dim=1)

    before, after = slip(*c.apart), slip(*c.met)
    # Friction acts against the slip, and the vehicle turns a little across that: this much is left.
    assert (after <= 0.05 * before + 1e-3).all()
    assert after.mean().item() < 0.01 * before.mean().item()


def dropped(vel_w: tuple[float, float, float], spin_w: tuple[float, float, float], **racket: float) -> Ball:
    """A ball just after it hit the middle of an immovable level racket."""
    world, params = setup(air(body=DRAGLESS, racket=racket), BALL)
    # A tenth of a micrometre above contact, and a step of 10 µs.
    ball = Ball(vec((0.0, 0.0, 100.0950001)), vec(vel_w), vec(spin_w))
    c = collided(world.body, ball, immovable(params), 1e-5, UP, torch.tensor([True]))
    assert c.impact.racket_count.item() == 1.0
    return c.met[1]


def test_a_sliding_ball_is_braked_by_coulombs_force():
    ball = dropped((3.0, 0.0, -2.0), (0.0, 0.0, 0.0), friction=0.1)
    # Push per mass (1 + 0.82)·2 = 3.64 m/s, friction 0.1 of it: v_x = 3 − 0.364. It spins forward, about +y, by
    # 0.364/(0.5·0.04) = 18.2 rad/s; its surface still slides at 2.636 − 18.2·0.04 = 1.908 m/s.
    assert rows(ball.vel_w)[0].tolist() == pytest.approx([2.636, 0.0, 1.64], abs=1e-3)
    assert rows(ball.spin_w)[0].tolist() == pytest.approx([0.0, 18.2, 0.0], abs=1e-2)


def test_a_gripped_ball_leaves_rolling():
    ball = dropped((1.0, 0.0, -2.0), (0.0, 0.0, 0.0), friction=0.3)
    # To roll, 1/(1 + 1/0.5) = 1/3 m/s must go, less than 0.3·3.64: v_x = 2/3 and ω_y = v_x/0.04 = 16.67 rad/s.
    assert rows(ball.vel_w)[0].tolist() == pytest.approx([2.0 / 3.0, 0.0, 1.64], abs=1e-3)
    assert ball.spin_w.y.item() * 0.04 == pytest.approx(ball.vel_w.x.item(), abs=1e-5)


def test_spin_kicks_the_ball_sideways():
    ball = dropped((0.0, 0.0, -2.0), (30.0, 0.0, 0.0), friction=0.3)
    # Spin about +x moves the ball's lowest point towards +y (ω × −r ẑ = +y·r·ω): slip 1.2 m/s, a third of it is taken.
    assert rows(ball.vel_w)[0].tolist() == pytest.approx([0.0, -0.4, 1.64], abs=1e-3)
    assert ball.spin_w.x.item() == pytest.approx(30.0 - 0.4 / (0.5 * 0.04), abs=1e-2)


def test_spin_about_the_normal_does_nothing():
    ball = dropped((0.0, 0.0, -2.0), (0.0, 0.0, 50.0), friction=0.3)
    assert rows(ball.vel_w)[0].tolist() == pytest.approx([0.0, 0.0, 1.64], abs=1e-3)
    assert rows(ball.spin_w)[0].tolist() == pytest.approx([0.0, 0.0, 50.0])


def test_slow_impacts_stick():
    assert dropped((0.0, 0.0, -0.2), (0.0, 0.0, 0.0)).vel_w.z.item() == pytest.approx(0.82 * 0.2, rel=1e-3)
    assert abs(dropped((0.0, 0.0, -0.049), (0.0, 0.0, 0.0)).vel_w.z.item()) < 2e-4


def test_restitution_falls_from_the_sweet_spot_to_the_rim():
    # A wide racket, so that the ball meets its flat face everywhere: sweet up to 55 mm, over 10 mm from 0.82 to 0.64.
    radii = [0.0, 0.049, 0.0525, 0.055, 0.0575, 0.061, 0.1]
    vehicle = air(body=DRAGLESS, racket={"radius_m": 0.12, "friction": 0.0})
    world, params = setup(vehicle, BALL, worlds=len(radii))
    place = torch.tensor([[r, 0.0, 100.0950001] for r in radii], dtype=torch.float64)
    ball = Ball(vec(place, len(radii)), vec((0.0, 0.0, -2.0), len(radii)), vec((0.0, 0.0, 0.0), len(radii)))
    c = collided(world.body, ball, immovable(params), 1e-5, UP, torch.tensor([True]))
    # Smoothstep at a quarter: 3/16 − 2/64 = 0.15625 of the way.
    want = [0.82, 0.82, 0.82 - 0.18 * 0.15625, 0.73, 0.64 + 0.18 * 0.15625, 0.64, 0.64]
    assert (rows(c.met[1].vel_w)[:, 2] / 2.0).tolist() == pytest.approx(want, abs=1e-4)
