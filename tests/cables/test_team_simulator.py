"""The simulator of many teams does what the physics of one does."""

from __future__ import annotations

import pytest
import torch
from cable_lab import DT_S, rows

from corvids.controllers.packing import leaves, map_leaves, pack
from corvids.controllers.rate_loop import RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.native_code import find_compiler
from corvids.envs.episodes.team_starts import settled_inner_loop
from corvids.envs.physics.inner_loop import INNER_AT_REST
from corvids.envs.physics.team_world import control, fly_team
from corvids.envs.team_simulator import TeamSimulator
from corvids.errors import CorvidsError
from corvids.team import load_team

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")


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


def test_a_placed_world_alone_is_changed_and_remembers_where_it_is():
    simulator = flying("falcon3", compile_kernels=False)
    kept = simulator.motion.clone()
    truth = map_leaves(lambda leaf: leaf[:1], simulator.truth)
    world = map_leaves(lambda leaf: leaf[:1], simulator.world)
    place = Vec3(*(part + 7.0 for part in world.load.body.pos_w))
    world = world._replace(load=world.load._replace(body=world.load.body._replace(pos_w=place)))
    inner = map_leaves(lambda leaf: torch.full((1, 3), leaf), INNER_AT_REST)
    simulator.place(torch.tensor([2]), world, inner, pack(truth.drones), pack(truth.load))
    assert torch.equal(simulator.motion[..., [0, 1, 3]], kept[..., [0, 1, 3]])
    assert torch.equal(simulator.motion[..., 2], kept[..., 0])
    slot = simulator.history[5]
    assert torch.equal(slot[:3, 2, 3], simulator.load[:3, 0, 2])  # the load is the last body
    assert torch.equal(slot[:13, 2, :3], simulator.motion[:13, :, 2])


@pytest.mark.parametrize("compile_kernels", [False, pytest.param(True, marks=needs_compiler)])
def test_sensors_look_back_at_every_body_and_forget_one_world(compile_kernels: bool):
    simulator = flying("falcon3", compile_kernels=compile_kernels)
    command, delay = orders(simulator)
    seen = []
    for _ in range(3):
        simulator.step(command, delay)
        bodies = torch.cat((simulator.motion[:13], simulator.load[:13]), dim=1).transpose(1, 2)
        seen.append((int(simulator.newest), bodies.clone()))
    assert not torch.equal(seen[0][1], seen[2][1])
    for slot, bodies in seen:
        assert torch.equal(simulator.history[slot, :13], bodies)  # the load is the last body
    simulator.forget(torch.tensor([2]))
    others = [0, 1, 3]
    for slot, bodies in seen:
        assert torch.equal(simulator.history[slot, :13, others], bodies[:, others])
        assert torch.equal(simulator.history[slot, :13, 2], seen[2][1][:, 2])


def test_inner_loops_hold_what_thrust_alone_would_drop():
    """ACCBR 0 after a settled start: a fifth of a second later everything still hangs."""
    simulator = flying("falcon3", with_inner_loop=True, compile_kernels=False)
    truth = simulator.truth
    loops = settled_inner_loop(truth)
    simulator.inner = torch.stack([leaf.t().contiguous() for leaf in leaves(loops)])
    lift = loops.compensation.thrust_n / sum(truth.drones.vehicle.thrust_max_n)
    for rotor in simulator.world.drive.rotors:
        rotor.copy_(lift.sqrt())
    simulator.world.motion.specific_force_w.z.fill_(9.80665)
    start = simulator.load[2, 0, :4].clone()
    for _ in range(20):
        simulator.step(torch.zeros(5, 3, simulator.rows), torch.zeros(3, simulator.rows))
    assert (simulator.load[2, 0, :4] - start).abs().max() < 0.03
    assert simulator.load[5, 0, :4].abs().max() < 0.2
    heavy = simulator.world.motion.tension_n[:4].sum(dim=1)
    assert heavy.tolist() == pytest.approx([1.4354 * 9.80665] * 4, rel=0.1)


@needs_compiler
@pytest.mark.parametrize(("team", "with_inner_loop"), [("falcon1", False), ("falcon4", True)])
def test_the_compiled_simulator_errs_no_more_than_tensors_do(team: str, with_inner_loop: bool):
    states = []
    for compile_kernels, dtype in ((False, torch.float64), (False, torch.float32), (True, torch.float32)):
        simulator = flying(
            team, with_inner_loop=with_inner_loop, compile_kernels=compile_kernels, dtype=dtype
        )
        command, delay = orders(simulator)
        wanted = torch.cat((command[1:], command[1:3])) if with_inner_loop else command
        for _ in range(10):
            simulator.step(wanted, delay)
        parts = (simulator.motion, simulator.drive, simulator.load, simulator.inner)
        states.append([part[..., :4].double() for part in parts])
    exact, plain, tiled = states
    moved = exact[0][:3] - flying(team, dtype=torch.float64, compile_kernels=False).motion[:3, :, :4]
    assert moved.abs().max() > 1e-3
    for true, one, other in zip(exact, plain, tiled, strict=True):
        assert (other - true).abs().mean() <= 2.0 * (one - true).abs().mean()


@needs_compiler
def test_tensors_that_compiled_code_would_misread_are_refused():
    simulator = flying("falcon3", compile_kernels=True)
    command, delay = orders(simulator)
    with pytest.raises(CorvidsError, match=r"must be contiguous, of torch\.float32, with \d+ worlds"):
        simulator.step(command.double(), delay)
    with pytest.raises(CorvidsError, match=r"must be contiguous, of torch\.float32, with \d+ worlds"):
        simulator.step(command[..., :8], delay)
    with pytest.raises(CorvidsError, match=r"tensor of torch\.float32, shape \(2, 3, \d+\)"):
        simulator.step(command[:2], delay)
