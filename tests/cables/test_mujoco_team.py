"""The native team against MuJoCo's tendons, integrator and rigid bodies: same rotor commands, same story."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from cable_lab import G, in_vacuum, rows, setup, with_drones

from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.engines.mujoco_team import TICK_S, MujocoTeam
from corvids.envs.physics.team_world import TeamParams, TeamWorld, fly_team
from corvids.errors import CorvidsError


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[None]


def carrying() -> tuple[TeamWorld, TeamParams, np.ndarray]:
    """Three Falcons that hold the load level in balance on leaning cables, and the commands (3, 4) that do it."""
    world, params = setup("falcon3")
    vehicle, cable = params.drones.vehicle, params.drones.cable
    at = rows(cable.load_point_b)[0].numpy()
    x, y = at[:, 0], at[:, 1]
    # Shares of the weight from moments about y; front cables lean by 0.5 rad outward, the rear one balances them.
    rear = x[0] / (x[0] - x[2])
    shares = params.load.mass_kg.item() * G * np.array([(1 - rear) / 2, (1 - rear) / 2, rear])
    azimuth = np.array([math.atan2(y[0], x[0]), math.atan2(y[1], x[1]), math.pi])
    slope = math.tan(0.5) * np.array([1.0, 1.0, (1 - rear) * math.cos(azimuth[0]) / rear])
    pulls = shares[:, None] * np.column_stack((slope * np.cos(azimuth), slope * np.sin(azimuth), np.ones(3)))
    tension = np.linalg.norm(pulls, axis=1)
    mass = vehicle.mass_kg[0].numpy()
    thrust_w = pulls + np.column_stack((np.zeros(3), np.zeros(3), mass * G))
    thrust = np.linalg.norm(thrust_w, axis=1)
    z = thrust_w / thrust[:, None]
    quat = np.column_stack((1.0 + z[:, 2], -z[:, 1], z[:, 0], np.zeros(3)))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    turn = Quat(*(tensor(column) for column in quat.T))
    length = cable.length_m[0].numpy() + tension / cable.stiffness_npm[0].numpy()
    ends = at + pulls / tension[:, None] * length[:, None]
    ends[:, 2] += world.load.body.pos_w.z.item()
    pos = Vec3(*(tensor(column) for column in ends.T)) - turn.rotate(cable.drone_point_b)
    # Rotor thrusts that give the collective and balance the cable's torque: it leaves 3 cm below the centre of mass.
    pull_w = Vec3(*(tensor(column) for column in -pulls.T))
    torque = cable.drone_point_b.cross(turn.unrotate(pull_w))
    wanted = np.stack([thrust, *(-t[0].numpy() for t in torque)])
    commands = np.zeros((3, 4))
    for i in range(3):
        rx, ry, spin = (
            np.array([c[0, i] for c in four])
            for four in (vehicle.rotor_x_b_m, vehicle.rotor_y_b_m, vehicle.spin)
        )
        effect = np.stack((np.ones(4), ry, -rx, -vehicle.torque_per_thrust_m[0, i].item() * spin))
        commands[i] = np.sqrt(np.linalg.solve(effect, wanted[:, i]) / vehicle.thrust_max_n.r1[0, i].item())
    world = with_drones(world, pos_w=pos, quat_wb=turn)
    pull = world.motion.pull._replace(force_w=pull_w, torque_b=torque)
    motion = world.motion._replace(pull=pull, tension_n=tensor(tension))
    on_load = world.load.pull._replace(
        force_w=Vec3(*(torch.full((1, 1), float(v)).double() for v in pulls.sum(0))),
        torque_b=Vec3(*(torch.full((1, 1), float(v)).double() for v in np.cross(at, pulls).sum(0))),
    )
    drive = world.drive._replace(rotors=Four(*(tensor(column) for column in commands.T)))
    load = world.load._replace(pull=on_load)
    return TeamWorld(motion, drive, load), params, commands


def both(world: TeamWorld, params: TeamParams, commands: np.ndarray, kind: Literal["spring", "limit"]):
    """The same commands (ticks, 3, 4) in both engines: native end, MuJoCo's, and tensions (ticks, 3) of each."""
    mujoco = MujocoTeam(params, cables=kind)

    def stacked(drones, load) -> np.ndarray:
        return np.concatenate((rows(drones)[0].numpy(), rows(load)[0].numpy()))

    drones, load = world.motion.body, world.load.body
    mujoco.reset(
        *(stacked(getattr(drones, name), getattr(load, name)) for name in ("pos_w", "quat_wb", "vel_w", "omega_b")),
        rotors=rows(world.drive.rotors)[0].numpy(),
    )  # fmt: skip
    ours, theirs = [], []
    with torch.inference_mode():
        for command in commands:
            given = Four(*(tensor(column) for column in command.T))
            world = fly_team(world._replace(drive=world.drive._replace(command=given)), params, TICK_S)
            mujoco.step(command)
            ours.append(world.motion.tension_n[0].numpy())
            theirs.append(mujoco.tension_n)
    return world, mujoco, np.array(ours), np.array(theirs)


def apart(world: TeamWorld, mujoco: MujocoTeam) -> tuple[np.ndarray, np.ndarray]:
    """Distance [m] and angle [°] between the two engines' bodies, the load last."""
    pos = np.concatenate((rows(world.motion.body.pos_w)[0].numpy(), rows(world.load.body.pos_w)[0].numpy()))
    quat = np.concatenate(
        (rows(world.motion.body.quat_wb)[0].numpy(), rows(world.load.body.quat_wb)[0].numpy())
    )
    cosine = np.abs(np.sum(quat * mujoco.quat_wb, axis=1))
    return np.linalg.norm(pos - mujoco.pos_w, axis=1), np.degrees(2 * np.arccos(np.minimum(cosine, 1.0)))


def test_the_balance_is_one_in_both_engines():
    world, params, hover = carrying()
    end, _, ours, theirs = both(world, in_vacuum(params), np.tile(hover, (100, 1, 1)), "spring")
    assert np.abs(ours / ours[0] - 1.0).max() < 1e-3 and np.abs(theirs / ours[0] - 1.0).max() < 1e-3
    assert np.linalg.norm(rows(end.load.body.vel_w)[0].numpy()) < 1e-3


@pytest.mark.parametrize("kind", ["spring", "limit"])
def test_a_second_of_flight_with_a_load_agrees(kind: Literal["spring", "limit"]):
    """Doublets on all drones: load within 2 cm and 2°, tensions within 5 % RMS, as the project promises.

    Against cables that do not stretch, only motion is compared: their tension jumps with every change of thrust.
    """
    world, params, hover = carrying()
    rng, ticks, hold = np.random.default_rng(4), 500, 25
    commands, torque, collective = np.zeros((ticks, 3, 4)), np.zeros((3, 3)), np.ones((3, 1))
    effects = np.array([[-1, 1, 1, -1], [-1, 1, -1, 1], [-1, -1, 1, 1]])
    for tick in range(ticks):
        if tick % (2 * hold) == 0:
            torque = rng.uniform(-0.06, 0.06, (3, 3))
        elif tick % hold == 0:
            torque = -torque
        if tick % hold == 0:
            collective = rng.uniform(0.85, 1.15, (3, 1))
        commands[tick] = hover * (collective + torque @ effects)
    start = world.load.body.pos_w
    end, mujoco, ours, theirs = both(world, params, np.clip(commands, 0.0, 1.0), kind)
    place, angle = apart(end, mujoco)
    rms = np.sqrt(np.mean((ours - theirs) ** 2, axis=0)) / np.sqrt(np.mean(theirs**2, axis=0))
    moved = rows(end.load.body.pos_w - start).norm().item()
    report = {
        "load_mm": 1e3 * place[-1],
        "load_deg": angle[-1],
        "drones_mm": 1e3 * place[:-1].max(),
        "drones_deg": angle[:-1].max(),
        "tension_rms_percent": 100 * rms.max(),
        "moved_m": moved,
        "slack_share": np.mean(ours == 0.0),
    }
    print(kind, {name: round(float(value), 4) for name, value in report.items()})
    assert moved > 0.05 and np.ptp(ours, axis=0).min() > 0.5
    assert place[-1] < 0.02 and angle[-1] < 2.0
    assert kind == "limit" or rms.max() < 0.05


def test_a_cut_cable_is_cut_in_both_engines():
    world, params, hover = carrying()
    attached = torch.tensor([[1.0, 0.0, 1.0]]).double()
    params = params._replace(
        drones=params.drones._replace(cable=params.drones.cable._replace(attached=attached))
    )
    end, mujoco, ours, theirs = both(world, params, np.tile(hover, (100, 1, 1)), "spring")
    place, angle = apart(end, mujoco)
    assert (ours[:, 1] == 0.0).all() and (theirs[:, 1] == 0.0).all() and ours[:, 0].max() > 1.0
    assert place.max() < 2e-3 and angle.max() < 0.5


def test_a_team_without_steps_is_refused():
    _, params, _ = carrying()
    with pytest.raises(CorvidsError, match="steps_per_tick = 0 must be 1 or more"):
        MujocoTeam(params, steps_per_tick=0)
