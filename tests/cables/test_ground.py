"""Loads and drones on the ground."""

from __future__ import annotations

import pytest
import torch
from cable_lab import G, in_vacuum, rows, run, setup, vec, with_drones, with_load

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat
from corvids.envs.physics.load import fly_load


def on_ground(name: str):
    """A team whose load stands on the ground, drones beside it on slack cables."""
    world, params = setup(name)
    load = params.load
    rest = load.half_size_m.z - load.center_b_m.z
    world = with_load(world, pos_w=vec((0.0, 0.0, 0.0))._replace(z=rest))
    clearance = params.drones.vehicle.ground_clearance_m
    at = params.drones.cable.load_point_b
    world = with_drones(world, pos_w=at._replace(x=at.x * 2.0, y=at.y * 2.0, z=clearance.clone()))
    return world, params, rest


@torch.inference_mode()
def alone(load, params, seconds: float):
    for _ in range(round(seconds / 0.002)):
        load = fly_load(load, params, 0.002)
    return load


def test_a_load_stands_on_the_ground():
    world, params, rest = on_ground("falcon3")
    end = run(world, params, 0.5)
    assert end.load.body.pos_w.z.item() == pytest.approx(rest.item(), abs=3e-3)
    assert rows(end.load.body.vel_w).abs().max() < 2e-3 and rows(end.load.body.omega_b).abs().max() < 0.02
    assert end.load.specific_force_w.z.item() == pytest.approx(G, rel=0.02)
    assert end.motion.tension_n.max() == 0.0 and rows(end.motion.body.vel_w).abs().max() == 0.0


def test_a_dropped_and_tilted_load_comes_to_rest_flat():
    world, params, rest = on_ground("falcon3")
    tilt = Quat(*(torch.full((1, 1), value).double() for value in (0.9689, 0.2474, 0.0, 0.0)))
    load = world.load
    body = load.body._replace(pos_w=vec((0.0, 0.0, 0.6)), quat_wb=tilt, vel_w=vec((0.5, 0.0, -1.0)))
    end = alone(load._replace(body=body), params.load, 3.0).body
    assert end.pos_w.z.item() == pytest.approx(rest.item(), abs=3e-3)
    assert end.quat_wb.body_z().z.item() == pytest.approx(1.0, abs=1e-3)
    assert rows(end.vel_w).abs().max() < 5e-3


def test_a_sliding_load_is_braked_by_friction():
    world, params, _ = on_ground("falcon1")
    params = params.load._replace(quadratic_drag_ns2pm2=vec((0.0, 0.0, 0.0)))
    load = alone(world.load, params, 0.3)
    load = load._replace(body=load.body._replace(vel_w=vec((1.0, 0.0, 0.0))))
    end = alone(load, params, 0.1)
    # μ·g for 0.1 s; the load tips a little, which moves the force between corners but not its sum.
    assert end.body.vel_w.x.item() == pytest.approx(1.0 - 0.5 * G * 0.1, rel=0.05)


def test_a_team_lifts_a_load_from_slack_cables():
    world, params, rest = on_ground("falcon1")
    params = in_vacuum(params)
    body = world.motion.body
    above = vec((0.0, 0.0, 1.0))  # 8 cm too low for a straight cable
    above = above._replace(z=above.z + rest)
    vehicle = params.drones.vehicle
    thrust_n = 1.3 * (vehicle.mass_kg + params.load.mass_kg) * G
    command = torch.sqrt(thrust_n / (4.0 * vehicle.thrust_max_n.r1))
    drive = world.drive._replace(command=map_leaves(lambda _: command, world.drive.command))
    world = world._replace(motion=world.motion._replace(body=body._replace(pos_w=above)), drive=drive)
    tensions: list[float] = []
    end = run(world, params, 1.5, sweeps=1, watch=lambda now: tensions.append(now.motion.tension_n.item()))
    assert tensions[20] == 0.0 and end.load.body.pos_w.z.item() > rest.item() + 0.3
    # Together they accelerate with 0.3·g; the cable carries the load's part.
    assert sum(tensions[-50:]) / 50 == pytest.approx(params.load.mass_kg.item() * 1.3 * G, rel=0.01)
