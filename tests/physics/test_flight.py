"""Flight of the vehicle's body: truths of mechanics, no twin of the code."""

from __future__ import annotations

import math

import pytest
import torch
from physics_lab import (
    DRAGLESS,
    DT_S,
    G,
    air,
    column,
    columns,
    draw,
    matrices,
    quat_about,
    rows,
    run,
    setup,
    tumbling,
    vec,
)

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import Four
from corvids.envs.physics.ball import Ball
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import World, WorldParams, fly
from corvids.vehicle import load_vehicle, vehicle_names

VACUUM = air(body=DRAGLESS, rotors={"speed_min_radps": 0.0})


def at_hover(name: str) -> tuple[World, WorldParams]:
    """The vehicle called ``name``, level, its rotors steady at the command that the vehicle file says it hovers at."""
    vehicle = load_vehicle(name)
    world, _ = setup()
    params = columns(world_params(vehicle, BallConfig(), DT_S, with_ball=False))
    # Thrust/weight says which fraction of full thrust each rotor carries; speed is its root.
    share = 1.0 / vehicle.thrust_to_weight
    lagged = math.sqrt(share) if vehicle.rotors.thrust_lag == "speed" else share
    return world._replace(
        rotors=columns(Four(*[lagged] * 4)),
        command=columns(Four(*[vehicle.hover_command] * 4)),
        specific_force_w=vec((0.0, 0.0, G)),
    ), params


def test_free_fall_is_exact():
    world, params = setup(VACUUM)
    body = world.body._replace(vel_w=vec((3.0, -2.0, 5.0)))
    end = run(world._replace(body=body), params, 1.0, with_ball=False).body
    # z = 100 + 5·1 − g/2 = 105 − 4.903325, v_z = 5 − g.
    torch.testing.assert_close(rows(end.pos_w), torch.tensor([[3.0, -2.0, 105.0 - G / 2]]).double())
    torch.testing.assert_close(rows(end.vel_w), torch.tensor([[3.0, -2.0, 5.0 - G]]).double())


def test_falls_with_quadratic_drag_as_tanh():
    vehicle = air(
        body=DRAGLESS | {"quadratic_drag_ns2pm2": (0.0, 0.0, 0.03)}, rotors={"speed_min_radps": 0.0}
    )
    world, params = setup(vehicle)
    end = run(world, params, 2.0, with_ball=False).body
    # v = v_t·tanh(g·t/v_t) with v_t = √(m·g/c); height lost v_t²/g·ln cosh(g·t/v_t).
    terminal = math.sqrt(vehicle.weight_n / 0.03)
    assert -end.vel_w.z.item() == pytest.approx(terminal * math.tanh(G * 2.0 / terminal), rel=1e-6)
    lost = terminal**2 / G * math.log(math.cosh(G * 2.0 / terminal))
    assert 100.0 - end.pos_w.z.item() == pytest.approx(lost, rel=1e-6)


def test_coasts_with_linear_drag_as_exponential():
    vehicle = air(body=DRAGLESS | {"linear_drag_nspm": (0.2, 0.0, 0.0)}, rotors={"speed_min_radps": 0.0})
    world, params = setup(vehicle)
    end = run(
        world._replace(body=world.body._replace(vel_w=vec((4.0, 1.0, 0.0)))), params, 1.0, with_ball=False
    ).body
    decay = math.exp(-0.2 / vehicle.body.mass_kg)
    assert end.vel_w.x.item() == pytest.approx(4.0 * decay, rel=1e-6)
    assert end.pos_w.x.item() == pytest.approx(4.0 * (1.0 - decay) * vehicle.body.mass_kg / 0.2, rel=1e-6)
    assert end.vel_w.y.item() == pytest.approx(1.0, abs=1e-12)


def test_drag_acts_along_body_axes():
    vehicle = air(body=DRAGLESS | {"linear_drag_nspm": (0.5, 0.0, 0.0)}, rotors={"speed_min_radps": 0.0})
    world, params = setup(vehicle)
    yaw = quat_about(torch.tensor([[0.0, 0.0, 1.0]]).double(), column(math.radians(30.0)))
    body = world.body._replace(vel_w=vec((1.0, 0.0, 0.0)), quat_wb=yaw)
    end = fly(world._replace(body=body), params, DT_S)
    # Only the component along body x, cos 30°, is braked: 0.5·cos 30° along x_b = (cos 30°, sin 30°, 0).
    pull = -0.5 * math.cos(math.radians(30.0)) / vehicle.body.mass_kg
    want = [pull * math.cos(math.radians(30.0)), pull * math.sin(math.radians(30.0))]
    got = rows(end.specific_force_w)[0]
    assert got.tolist() == pytest.approx([*want, 0.0], rel=2e-3)


def test_wind_is_a_moving_frame():
    vehicle = air(rotors={"speed_min_radps": 0.0})
    world, params = setup(vehicle)
    wind = vec((3.0, -1.0, 0.5))
    body = world.body._replace(vel_w=vec((1.0, 2.0, -1.0)), omega_b=vec((1.0, 0.5, 2.0)))
    carried = world._replace(body=body._replace(vel_w=body.vel_w + wind))
    still = run(world._replace(body=body), params, 1.0, with_ball=False).body
    windy = run(carried, params._replace(wind_w=wind), 1.0, with_ball=False).body
    torch.testing.assert_close(rows(windy.vel_w - wind), rows(still.vel_w))
    torch.testing.assert_close(rows(windy.pos_w - wind * 1.0), rows(still.pos_w))


@pytest.mark.parametrize("name", vehicle_names())
def test_hover_command_holds_height(name: str):
    world, params = at_hover(name)
    end = run(world, params, 0.5, with_ball=False)
    torch.testing.assert_close(rows(end.body.pos_w), rows(world.body.pos_w), rtol=0.0, atol=1e-9)
    torch.testing.assert_close(rows(end.specific_force_w), torch.tensor([[0.0, 0.0, G]]).double())
    assert end.body.omega_b.norm().item() < 1e-5


@pytest.mark.parametrize("name", vehicle_names())
def test_full_command_gives_the_thrust_of_the_vehicle_file(name: str):
    world, params = at_hover(name)
    vehicle = load_vehicle(name)
    world = world._replace(
        command=columns(Four(1.0, 1.0, 1.0, 1.0)), rotors=columns(Four(1.0, 1.0, 1.0, 1.0))
    )
    force = fly(world, params, DT_S, with_ball=False).specific_force_w.z.item()
    full = 4 * vehicle.rotors.thrust_coeff_ns2prad2 * vehicle.rotors.speed_max_radps**2
    assert force == pytest.approx(full / vehicle.body.mass_kg, rel=1e-3)


def test_accelerometer_feels_nothing_in_free_fall_and_gravity_on_the_ground():
    world, params = setup(VACUUM)
    assert rows(fly(world, params, DT_S).specific_force_w).abs().max().item() < 1e-12
    low = world._replace(body=world.body._replace(pos_w=vec((0.0, 0.0, 0.1))))
    landed = run(low, params, 0.1, with_ball=False)
    torch.testing.assert_close(rows(landed.specific_force_w), torch.tensor([[0.0, 0.0, G]]).double())


def test_lands_at_its_clearance_and_stays_there_whatever_its_attitude():
    world, params = setup(worlds=2)
    tilt = quat_about(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).double(), torch.tensor([0.0, 0.4]))
    body = world.body._replace(
        pos_w=vec((0.0, 0.0, 0.5), 2),
        vel_w=vec((1.0, 0.0, 0.0), 2),
        quat_wb=tilt,
        omega_b=vec((0.5, 0.0, 1.0), 2),
    )
    world = world._replace(body=body, command=columns(Four(0.15, 0.2, 0.25, 0.3), 2))
    landed = run(world, params, 1.0, with_ball=False)
    later = run(landed, params, 0.1, with_ball=False)
    assert landed.body.pos_w.z.flatten().tolist() == [0.1, 0.1]
    assert rows(landed.body.vel_w).abs().max() == 0.0
    assert rows(later.body.pos_w - landed.body.pos_w).abs().max() == 0.0
    assert rows(landed.body.omega_b).abs().max() == 0.0
    torch.testing.assert_close(
        matrices(later.body.quat_wb), matrices(landed.body.quat_wb), rtol=0.0, atol=0.0
    )


@pytest.mark.parametrize(("share", "lifts"), [(0.95, False), (1.05, True)])
def test_takes_off_only_with_more_thrust_than_weight(share: float, lifts: bool):
    vehicle = VACUUM
    world, params = setup(vehicle)
    # Thrust is quadratic in the command of this vehicle.
    command = vehicle.hover_command * math.sqrt(share)
    world = world._replace(
        body=world.body._replace(pos_w=vec((0.0, 0.0, 0.1))), command=columns(Four(*[command] * 4))
    )
    end = run(world, params, 2.0, with_ball=False).body
    assert (end.pos_w.z.item() > 0.5) == lifts
    assert end.pos_w.z.item() >= 0.1


def test_a_world_turned_about_the_vertical_flies_the_same():
    random = draw(5)
    worlds = 16
    world, params = setup(worlds=worlds)
    turn = quat_about(
        torch.tensor([[0.0, 0.0, 1.0]]).double().expand(worlds, 3),
        6.28 * torch.rand(worlds, generator=random),
    )
    world = tumbling(world, random)
    params = params._replace(wind_w=vec((2.0, -1.0, 0.3), worlds))

    def turned(world: World) -> World:
        body, ball = world.body, world.ball
        return world._replace(
            body=body._replace(
                pos_w=turn.rotate(body.pos_w),
                vel_w=turn.rotate(body.vel_w),
                quat_wb=turn.multiply(body.quat_wb),
            ),
            ball=Ball(turn.rotate(ball.pos_w), turn.rotate(ball.vel_w), turn.rotate(ball.spin_w)),
            specific_force_w=turn.rotate(world.specific_force_w),
        )

    end = run(world, params, 0.2)
    other = run(turned(world), params._replace(wind_w=turn.rotate(params.wind_w)), 0.2)
    assert (end.impact.racket_count + end.impact.other_count).sum() > 0
    torch.testing.assert_close(rows(other.body.pos_w), rows(turned(end).body.pos_w), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(rows(other.ball.vel_w), rows(turned(end).ball.vel_w), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(
        matrices(other.body.quat_wb), matrices(turned(end).body.quat_wb), rtol=0.0, atol=1e-7
    )


def test_a_batch_is_its_worlds_one_by_one():
    random = draw(6)
    worlds = 4
    world, params = setup(worlds=worlds)
    world = tumbling(world, random)
    together = run(world, params, 0.1)
    for index in range(worlds):
        alone = map_leaves(lambda leaf: leaf[index : index + 1], world)  # noqa: B023
        alone_params = map_leaves(lambda leaf: leaf[index : index + 1], params)  # noqa: B023
        apart = run(alone, alone_params, 0.1)
        for one, many in zip(leaves(apart), leaves(together), strict=True):
            torch.testing.assert_close(one, many[index : index + 1], rtol=0.0, atol=1e-9)
