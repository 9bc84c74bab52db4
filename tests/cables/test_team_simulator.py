"""The simulator of many teams does what the physics of one does."""

from __future__ import annotations

import pytest
import torch
from cable_lab import DT_S, rows

from corvids.controllers.packing import leaves, map_leaves
from corvids.controllers.rate_loop import RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs.team_simulator import TeamSimulator
from corvids.envs.team_world import control, fly_team
from corvids.errors import CorvidsError
from corvids.team import load_team


def flying(name: str, **options) -> TeamSimulator:
    """A simulator whose teams hold their load on vertical cables, each world at a place of its own."""
    simulator = TeamSimulator(load_team(name), 4, **options)
    world, cable = simulator.world, simulator.truth.drones.cable
    places = torch.arange(simulator.rows)[:, None].to(simulator.dtype)
    world.load.body.pos_w.x.copy_(0.1 * places)
    world.load.body.pos_w.z.fill_(3.0)
    above = cable.load_point_b - cable.drone_point_b
    world.motion.body.pos_w.x.copy_(above.x + 0.1 * places)
    world.motion.body.pos_w.y.copy_(above.y)
    world.motion.body.pos_w.z.copy_(above.z + cable.length_m + 3.0)
    for rotor in world.drive.rotors:
        rotor.fill_(0.7)
    return simulator


def orders(simulator: TeamSimulator) -> tuple[torch.Tensor, torch.Tensor]:
    """A command (4, drones, rows) and delays (drones, rows)."""
    random = torch.Generator().manual_seed(0)
    shape = (simulator.drones, simulator.rows)
    command = torch.randn(4, *shape, generator=random).to(simulator.dtype)
    command[0] = 11.0
    return command, torch.randint(0, 6, shape, generator=random).to(simulator.dtype)


def test_three_kernels_are_one_physics_step():
    simulator = flying("falcon3", dtype=torch.float64, compile_kernels=False)
    command, delay = orders(simulator)
    world, params = map_leaves(torch.clone, simulator.world), simulator.truth
    gains = map_leaves(lambda gain: gain.double(), gains_of(load_team("falcon3").members[0].vehicle, DT_S))
    simulator.step(command, delay)
    late = delay.T
    for index in range(5):
        now = [torch.where(late <= index, wish.T, 0.0 * wish.T) for wish in command]
        order = RateCommand(now[0], Vec3(*now[1:]))
        drive = control(world.motion, world.drive, order, gains, DT_S)
        world = fly_team(world._replace(drive=drive), params, DT_S)
    for one, other in zip(leaves(simulator.world), leaves(world), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)  # gains are stored in single precision
    assert world.motion.tension_n.max() > 0.0
    assert rows(world.motion.body.omega_b).abs().max() > 0.0


def test_a_control_rate_that_does_not_divide_is_refused():
    with pytest.raises(CorvidsError, match=r"500 Hz: must be a multiple of the control rate \(120 Hz\)"):
        TeamSimulator(load_team("falcon1"), 1, control_hz=120, compile_kernels=False)
