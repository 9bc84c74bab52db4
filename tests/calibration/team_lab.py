"""Teams whose load and cables are planted, flown by rate loops in the native simulator, seen by motion capture.

Flown in steps of 1 ms, half of those that a fit takes, in wandering wind, by thrust and mountings that are a little
off what the vehicle files say.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from corvids.calibration.flight.rollout import Rollout
from corvids.calibration.readers.csv_table import Table
from corvids.calibration.readers.team_record import TeamRecord, columns_of, team_record
from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import RateCommand, RateGains, gains_of
from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.physics.load import Load, LoadParams
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    Drive,
    DroneParams,
    Motion,
    control,
    each_drone,
    fly_drones,
    haul_each,
    settle,
)
from corvids.team import Rigging, Team, load_team
from corvids.vehicle import GRAVITY_MPS2

DT_S, LOG_EVERY = 0.001, 5
POSITION_STD_M, ATTITUDE_STD_RAD, WIND_STD_MPS = 0.0005, 0.002, 0.3
THRUST_STD, TILT_STD_RAD = 0.02, 0.01
HEIGHT_M = 5.0


@dataclasses.dataclass(frozen=True)
class Planted:
    """What is true beyond the team."""

    team: Team
    thrust_factor: np.ndarray
    """Shape (D,): each drone's thrust over its file's."""
    tilt_rad: np.ndarray
    """Shape (D, 2): how motion capture's attitudes lean against the drone."""


def planted(file: Team, rng: np.random.Generator, elastic: bool = True) -> Planted:
    """``file`` with mass, inertia and centre of the load off, and cables of another length and stiffness."""
    load, count = file.load, len(file.members)
    x, y, z = load.inertia_kgm2
    size = rng.uniform(0.85, 1.15)  # together, for no moment may exceed the sum of the other two
    share_n = load.mass_kg * GRAVITY_MPS2 / count
    length = file.members[0].rigging.cable_length_m
    axial_n = share_n * length / rng.uniform(0.006, 0.025) if elastic else file.cable.axial_stiffness_n
    # Damping ratio 0.03 to 0.1 of the mode in which load and drones move against each other.
    own = file.members[0].vehicle.body.mass_kg
    reduced = 1.0 / (count / load.mass_kg + 1.0 / own)
    omega = math.sqrt(axial_n / length / reduced)
    damping = 2.0 * rng.uniform(0.03, 0.1) / omega if elastic else file.cable.damping_time_s
    reach = [0.08 * side for side in load.size_m]
    center = tuple(float(c + rng.uniform(-r, r)) for c, r in zip(load.center_of_mass_m, reach, strict=True))
    team = dataclasses.replace(
        file,
        load=dataclasses.replace(
            load,
            mass_kg=load.mass_kg * rng.uniform(0.85, 1.15),
            inertia_kgm2=tuple(float(size * one * rng.uniform(0.98, 1.02)) for one in (x, y, z)),
            center_of_mass_m=center,
        ),
        cable=dataclasses.replace(file.cable, axial_stiffness_n=axial_n, damping_time_s=damping),
        members=tuple(
            dataclasses.replace(
                member,
                rigging=dataclasses.replace(
                    member.rigging, cable_length_m=float(length * rng.uniform(0.97, 1.03))
                ),
            )
            for member in file.members
        ),
    )
    team = dataclasses.replace(
        team,
        members=tuple(
            dataclasses.replace(one, rigging=_hooked(file, index, one.rigging, rng))
            for index, one in enumerate(team.members)
        ),
    )
    return Planted(team, rng.normal(1.0, THRUST_STD, count), rng.normal(0.0, TILT_STD_RAD, (count, 2)))


def _hooked(file: Team, index: int, rigging: Rigging, rng: np.random.Generator) -> Rigging:
    """The cable fixed to the load where the file says, but for the error that the file says of that; not outside."""
    place = rng.normal(rigging.load_point_m, file.provenance[f"members[{index}].load_point_m"].std or 0.0)
    half = 0.5 * np.array(file.load.size_m)
    return dataclasses.replace(rigging, load_point_m=tuple(map(float, np.clip(place, -half, half))))


class _Member(NamedTuple):
    motion: Motion
    drive: Drive


class _State(NamedTuple):
    members: tuple[_Member, ...]
    load: Load


class _Params(NamedTuple):
    members: tuple[DroneParams, ...]
    load: LoadParams
    gains: RateGains
    hover_n: Scalar


class _Wish(NamedTuple):
    """Where a drone shall be, and how fast."""

    pos_w: Vec3
    vel_w: Vec3
    accel_w: Vec3


class _Inputs(NamedTuple):
    wishes: tuple[_Wish, ...]
    wind_w: Vec3


def _rollout(team: Team) -> Rollout:
    count = len(team.members)
    none = Vec3(0.0, 0.0, 0.0)

    def step(at: _State, of: _Params, given: _Inputs) -> tuple[_State, Any]:
        starts, ends, drives = [], [], []
        params = [one._replace(wind_w=given.wind_w) for one in of.members]
        for member, one, wish in zip(at.members, params, given.wishes, strict=True):
            body = member.motion.body
            accel = (wish.pos_w - body.pos_w) * 6.0 + (wish.vel_w - body.vel_w) * 4.0 + wish.accel_w
            want = Vec3(accel.x, accel.y, accel.z + GRAVITY_MPS2)
            up = body.quat_wb.body_z()
            error_b = body.quat_wb.unrotate(up.cross(want / want.norm())) * 8.0
            thrust_n = (of.hover_n / GRAVITY_MPS2) * want.dot(up)
            order = RateCommand(thrust_n, Vec3(error_b.x, error_b.y, -0.5 * body.quat_wb.z))
            driven = control(member.motion, member.drive, order, of.gains, DT_S)
            flown, driven = fly_drones(member.motion, driven, one, DT_S)
            starts.append(member.motion)
            ends.append(flown)
            drives.append(driven)
        load_params = of.load._replace(wind_w=given.wind_w)
        load, pulls = haul_each(starts, ends, at.load, params, load_params, DT_S, sweeps=10)
        members = [
            _Member(settle(start, end, pull, one.vehicle, DT_S), drive)
            for start, end, pull, one, drive in zip(starts, ends, pulls, params, drives, strict=True)
        ]
        pose = load.body.pos_w + load.body.quat_wb.rotate(of.load.pose_point_b_m)
        told = [*pose, *load.body.quat_wb]
        for member in members:
            body = member.motion.body
            told += [*body.pos_w, *body.quat_wb, *member.drive.command, member.motion.tension_n]
        return _State(tuple(members), load), tuple(told)

    nominal = map_leaves(lambda _: 0.0, team_params(team, DT_S))
    params = _Params((nominal.drones,) * count, nominal.load, map_leaves(lambda _: 0.0, _gains(team)), 0.0)
    state = _State((_Member(MOTION_AT_REST, DRIVE_AT_REST),) * count, LOAD_AT_REST)
    return Rollout(step, state, params, _Inputs((_Wish(none, none, none),) * count, none), every=LOG_EVERY)


def _gains(team: Team) -> RateGains:
    return gains_of(team.members[0].vehicle, DT_S, dtype=torch.float64)


def fly(truths: list[Planted], seconds: float, seed: int) -> list[TeamRecord]:
    """What motion capture and the drones' logs hold of one flight of each team."""
    rng = np.random.default_rng(seed)
    roll = _rollout(truths[0].team)
    return [_fly(roll, truth, seconds, rng) for truth in truths]


def _fly(roll: Rollout, truth: Planted, seconds: float, rng: np.random.Generator) -> TeamRecord:
    team, count = truth.team, len(truth.team.members)
    params = team_params(team, DT_S)
    members = []
    for one, factor in zip(each_drone(params.drones), truth.thrust_factor, strict=True):
        vehicle = one.vehicle
        stronger = map_leaves(lambda leaf, factor=factor: leaf * factor, vehicle.thrust_max_n)
        members.append(one._replace(vehicle=vehicle._replace(thrust_max_n=stronger)))
    own_kg = team.members[0].vehicle.body.mass_kg
    share_kg = team.load.mass_kg / count
    of = _Params(tuple(members), params.load, _gains(team), (own_kg + share_kg) * GRAVITY_MPS2)
    state, inputs = _start_and_wishes(team, members, of, seconds, rng)
    _, told = roll(state, of, inputs)
    rows = told[0, :, :, 0].numpy()
    return _seen(rows, truth, rng)


def _start_and_wishes(
    team: Team, members: list[DroneParams], of: _Params, seconds: float, rng: np.random.Generator
) -> tuple[_State, torch.Tensor]:
    """Hanging at rest; then all wander together, each a little by itself, and shake up and down."""
    steps, count = round(seconds / DT_S), len(team.members)
    time = DT_S * np.arange(steps)

    def sines(frequencies: list[float], amplitude: float) -> np.ndarray:
        """Shape (3, steps): place, velocity, acceleration; acceleration as large at each frequency."""
        found = np.zeros((3, steps))
        for hz in frequencies:
            omega, phase = 2.0 * np.pi * hz, rng.uniform(0.0, 2.0 * np.pi)
            size = amplitude / omega**2
            found += size * np.stack(
                (
                    np.sin(omega * time + phase),
                    omega * np.cos(omega * time + phase),
                    -(omega**2) * np.sin(omega * time + phase),
                )
            )
        return found

    def zero(tree: Any) -> Any:
        return map_leaves(lambda leaf: torch.full((1, 1), float(leaf), dtype=torch.float64), tree)

    load = zero(LOAD_AT_REST)
    load = load._replace(body=load.body._replace(pos_w=zero(Vec3(0.0, 0.0, HEIGHT_M))))
    shared = [sines([0.15, 0.31, 0.52], 0.5), sines([0.17, 0.37, 0.61], 0.5)]
    shared.append(sines([0.21, 0.8, 1.9, 3.1, 4.7, 6.3], 0.9))
    drones, columns = [], []
    share_n = team.load.mass_kg * GRAVITY_MPS2 / count
    hover = math.sqrt(float(of.hover_n) / team.members[0].vehicle.max_thrust_n)
    for one in members:
        above = one.cable.load_point_b - one.cable.drone_point_b
        stretch = share_n / one.cable.stiffness_npm
        place = Vec3(above.x, above.y, above.z + one.cable.length_m + HEIGHT_M + stretch)
        motion = zero(MOTION_AT_REST)
        motion = motion._replace(body=motion.body._replace(pos_w=place))
        drive = zero(DRIVE_AT_REST)
        turning = map_leaves(lambda leaf: leaf + hover, drive.command)
        drones.append(_Member(motion, drive._replace(command=turning, rotors=turning)))
        alone = [sines([0.4, 0.9], 0.25), sines([0.45, 1.0], 0.25), sines([0.7, 1.4, 2.3], 0.5)]
        if count == 1:
            alone = [sines([0.9, 1.6, 2.4], 0.8), sines([0.8, 1.5, 2.6], 0.8), 0.0 * alone[2]]
        paths = [together + own for together, own in zip(shared, alone, strict=True)]
        begin = [float(leaf) for leaf in place]
        for order in range(3):
            columns += [path[order] + (begin[axis] if order == 0 else 0.0) for axis, path in enumerate(paths)]
    keep = math.exp(-DT_S / 1.0)
    noise = rng.normal(0.0, WIND_STD_MPS * math.sqrt(1.0 - keep * keep), (steps, 3))
    wind = np.empty((steps, 3))
    now = np.zeros(3)
    for step in range(steps):
        now = keep * now + noise[step]
        wind[step] = now
    inputs = np.concatenate((np.stack(columns, -1), wind), -1)
    return _State(tuple(drones), load), torch.as_tensor(inputs)[..., None]


def _seen(rows: np.ndarray, truth: Planted, rng: np.random.Generator) -> TeamRecord:
    """The recording: noise on places and attitudes, mountings that lean."""
    count = len(truth.team.members)
    columns = [DT_S * LOG_EVERY * np.arange(1, len(rows) + 1)]
    columns += _noisy(rows[:, :7], (0.0, 0.0), rng)
    for index in range(count):
        own = rows[:, 7 + 12 * index : 19 + 12 * index]
        columns += _noisy(own[:, :7], tuple(truth.tilt_rad[index]), rng)
        columns += list(own[:, 7:11].T)
    names = columns_of(count)
    return team_record(Table("team.csv", "0" * 64, dict(zip(names, columns, strict=True))), count)


def _noisy(pose: np.ndarray, tilt_rad: tuple[float, float], rng: np.random.Generator) -> list[np.ndarray]:
    place = pose[:, :3] + rng.normal(0.0, POSITION_STD_M, (len(pose), 3))
    turn = torch.as_tensor(rng.normal(0.0, ATTITUDE_STD_RAD, (len(pose), 3)))
    # The drone's true attitude is the seen one turned by the tilt.
    turn = turn - torch.tensor([*tilt_rad, 0.0], dtype=torch.float64)
    quat = Quat(*torch.as_tensor(pose[:, 3:]).unbind(-1)).turned(Vec3(*turn.unbind(-1)))
    return [*place.T, *(component.numpy() for component in quat)]


def falcons(count: int) -> Team:
    """The team that comes with corvids."""
    return load_team(f"falcon{count}")
