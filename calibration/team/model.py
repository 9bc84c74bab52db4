"""A team's flight simulated beside the recorded one: cables, load and drones by the simulator that trains teams.

What turns a drone is not what is asked here, so its attitude is the recorded one; its thrust is that of its motor
commands. Its place, the load and the tension of every cable are simulated, with the cables' implicit solver. Siblings
and their use are as in :mod:`corvids.calibration.flight.model`.

A stiff cable would answer a start whose stretch is wrong by a millimetre with hundreds of newtons. So a piece begins
with every cable under its share of the load: a drone's start is said by its direction from the load, and by how far
the stretch is from that of the share.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import torch

from corvids.calibration.flight.rollout import Rollout
from corvids.calibration.statistics.projection import Comparison
from corvids.calibration.team.parameters import SiblingTeam, TeamUnknowns, no_team
from corvids.calibration.team.pieces import TeamPieces
from corvids.controllers.spatial import Quat, Scalar, Vec3
from corvids.envs.physics.cables import Wrench
from corvids.envs.physics.load import Load
from corvids.envs.physics.team_world import Flight, Motion, haul_each, settle
from corvids.envs.physics.vehicle_dynamics import RigidBody, RotorForces, fly_free
from corvids.vehicle import GRAVITY_MPS2

_NUDGE = 1e-6
_LIFT_M = 100.0
"""Everything is simulated so much higher, where no ground is."""
WIND_STD_MPS = 1.0
"""Of the air's mean speed over a piece, along each axis: gusts outlast pieces, so that each has a wind of its own."""
_SPARE_M = 0.0005
"""A start's stretch may be off by the share's and by so much [m], one standard deviation."""
_NONE = Vec3(0.0, 0.0, 0.0)


class _Drone(NamedTuple):
    """One drone in flight."""

    pos_w: Vec3
    vel_w: Vec3
    force_w: Vec3
    pull: Wrench
    tension_n: Scalar


class _State(NamedTuple):
    drones: tuple[_Drone, ...]
    load: Load
    wind_w: Vec3
    """Of the piece: it does not change."""


class _Given(NamedTuple):
    """What is known of one drone in one step."""

    quat_wb: Quat
    omega_b: Vec3
    thrust_n: Scalar
    thrust_slope_nps: Scalar
    """How its thrust changes with time [N/s]."""


def locals_of(drones: int) -> np.ndarray:
    """How far each of a piece's own unknowns may be from 0: of the load, of the wind, then of each drone."""
    load = [0.02] * 3 + [0.5] * 3 + [0.1] * 3 + [1.0] * 3
    wind = [WIND_STD_MPS] * 3
    # Direction from the load (across, twice), stretch (relative to that of the share, see _start), velocity.
    return np.array(load + wind + ([0.05] * 2 + [1.0] + [0.5] * 3) * drones)


def channels_of(drones: int) -> tuple[str, ...]:
    """The compared signals, in the order of the rows: one sample each at every sample of a piece."""
    load = [f"load {what} {axis}" for what in ("place", "attitude") for axis in "xyz"]
    return (*load, *(f"drone {index} place {axis}" for index in range(1, drones + 1) for axis in "xyz"))


def row_slices(pieces: TeamPieces) -> list[slice]:
    """The rows of each of :func:`channels_of`."""
    length = pieces.load_pose.shape[1]
    channels = len(channels_of(len(pieces.drone_pos)))
    return [slice(index * length, (index + 1) * length) for index in range(channels)]


def compare_team(
    unknowns: TeamUnknowns, pieces: TeamPieces, theta: np.ndarray, local: torch.Tensor, chunk: int = 16
) -> Comparison:
    """Simulate every piece with the unknowns ``theta`` (P,), its start corrected by ``local`` (N, L), and compare."""
    with torch.inference_mode():
        spans = [slice(begin, begin + chunk) for begin in range(0, len(pieces), chunk)]
        parts = [_compare(unknowns, pieces.take(span), torch.as_tensor(theta), local[span]) for span in spans]
        return Comparison(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _compare(
    unknowns: TeamUnknowns, pieces: TeamPieces, theta: torch.Tensor, local: torch.Tensor
) -> Comparison:
    shared, own = len(theta), local.shape[1]
    steps = torch.cat((_NUDGE * torch.as_tensor(unknowns.scales()), torch.full((own,), _NUDGE).double()))
    nudges = torch.cat((torch.zeros(1, shared + own), torch.diag(steps))).double()
    team = unknowns.physics(theta + nudges[:, :shared], pieces.dt_s)
    corrections = local.T[None] + nudges[:, shared:, None]  # siblings, L, pieces
    error = _predict(unknowns, pieces, team, corrections)
    slope = ((error[1:] - error[0]) / steps[:, None, None]).permute(1, 2, 0)
    return Comparison(error[0], slope[..., :shared], slope[..., shared:])


def _predict(
    unknowns: TeamUnknowns, pieces: TeamPieces, team: SiblingTeam, corrections: torch.Tensor
) -> torch.Tensor:
    """Prediction minus measurement (S, N, R)."""
    count = len(team.drones)
    state = _start(unknowns, pieces, team, corrections)
    # Thrust is taken as late as the first sibling has it; the others differ from that by so little that a line will do.
    limit_s = (pieces.spare - 2) * pieces.dt_s
    base_s = min(max(float(team.delay_s.flatten()[0]), -limit_s), limit_s)
    team = team._replace(delay_s=team.delay_s - base_s)
    given = []
    for index in range(count):
        quat = torch.as_tensor(pieces.quat_wb[index])
        now, later = Quat(*quat[:, :-1].unbind(-1)), Quat(*quat[:, 1:].unbind(-1))
        turn = now.conjugate().multiply(later)
        sign = torch.where(turn.w < 0.0, -2.0, 2.0) / pieces.dt_s
        rates = [turn.x * sign, turn.y * sign, turn.z * sign]
        thrust = late(torch.as_tensor(pieces.thrust_n[index]), pieces.spare, base_s / pieces.dt_s)
        given += [*now, *rates, thrust, torch.gradient(thrust, spacing=pieces.dt_s, dim=1)[0]]
    inputs = torch.stack(given).permute(2, 0, 1)
    roll = _rollout(count, pieces.dt_s, pieces.every)
    _, told = roll(state, team, inputs)
    told = torch.cat((_told(state, team), told), 1).permute(0, 3, 2, 1)  # siblings, pieces, rows, samples
    measured = torch.as_tensor(pieces.load_pose).permute(0, 2, 1)
    turned = (
        Quat(*measured[:, 3:].unbind(1)).normalized().conjugate().multiply(Quat(*told[:, :, 3:7].unbind(2)))
    )
    sign = torch.where(turned.w < 0.0, -2.0, 2.0)
    attitude = torch.stack((turned.x * sign, turned.y * sign, turned.z * sign), 2)
    places = torch.as_tensor(pieces.drone_pos).permute(1, 0, 3, 2).flatten(1, 2)
    errors = torch.cat((told[:, :, :3] - measured[:, :3], attitude, told[:, :, 7:] - places), 2)
    return errors.flatten(2)


def late(thrust_n: torch.Tensor, spare: int, delay: float) -> torch.Tensor:
    """Thrust (N, steps) of a piece's steps ``delay`` steps late, by lines between those known.

    ``thrust_n`` has ``spare`` more before and after.
    """
    steps = thrust_n.shape[1] - 2 * spare
    whole, part = divmod(spare - delay, 1.0)
    first = int(whole)
    return (1.0 - part) * thrust_n[:, first : first + steps] + part * thrust_n[
        :, first + 1 : first + 1 + steps
    ]


def _start(
    unknowns: TeamUnknowns, pieces: TeamPieces, team: SiblingTeam, corrections: torch.Tensor
) -> _State:
    pos, vel, accel, quat, rate = torch.as_tensor(pieces.load_start).T.split((3, 3, 3, 4, 3))
    c = iter(corrections.unbind(1))

    def three() -> Vec3:
        return Vec3(next(c), next(c), next(c))

    shift, speed, turn, spin, wind_w = three(), three(), three(), three(), three()
    quat_wb = Quat(*quat).turned(turn)
    omega_b = Vec3(*rate) + spin
    to_center_b = -team.load.pose_point_b_m
    center_w = Vec3(*pos) + shift + quat_wb.rotate(to_center_b) + Vec3(0.0, 0.0, _LIFT_M)
    vel_w = Vec3(*vel) + speed + quat_wb.rotate(omega_b.cross(to_center_b))
    nothing = 0.0 * center_w.x
    force_w = Vec3(accel[0] + nothing, accel[1] + nothing, accel[2] + GRAVITY_MPS2 + nothing)
    body = RigidBody(center_w, vel_w, quat_wb, omega_b)
    drones = []
    for index, one in enumerate(team.drones):
        cable = one.drone.cable
        place, way, push = (
            Vec3(*part) for part in torch.as_tensor(pieces.drone_start[index]).T.split((3, 3, 3))
        )
        hook_w = center_w + quat_wb.rotate(cable.load_point_b)
        hook_vel_w = vel_w + quat_wb.rotate(omega_b.cross(cable.load_point_b))
        axes = _lean(Quat(*torch.as_tensor(pieces.quat_wb[index][:, 0]).T), one)
        arm_w = axes.rotate(cable.drone_point_b)
        # The direction that was measured, turned by two corrections across it; the load's own do not count.
        along = place + arm_w - Vec3(*pos) - Quat(*quat).rotate(cable.load_point_b - team.load.pose_point_b_m)
        along = along / along.norm()
        across = Vec3(along.z, nothing, -along.x)
        across = across / across.norm()
        other = along.cross(across)
        along = along + across * next(c) + other * next(c)
        along = along / along.norm()
        share_m = unknowns.share_n / cable.stiffness_npm
        stretch = share_m + next(c) * (_SPARE_M + share_m)
        drone_w = hook_w + along * (cable.length_m + stretch) - arm_w
        # Relative to the load's hook, a taut cable's end moves across it; along it only as the correction says.
        relative = way - hook_vel_w
        relative = (
            relative - along * relative.dot(along) + across * next(c) + other * next(c) + along * next(c)
        )
        drones.append(
            _Drone(
                drone_w,
                hook_vel_w + relative,
                Vec3(push.x + nothing, push.y + nothing, push.z + GRAVITY_MPS2 + nothing),
                Wrench(along * (-unknowns.share_n), _NONE),
                nothing + unknowns.share_n,
            )
        )
    pulls = [one.pull.force_w for one in drones]
    pull_w = -Vec3(*(sum(parts) for parts in zip(*pulls, strict=True)))
    return _State(tuple(drones), Load(body, Wrench(pull_w, _NONE), force_w), wind_w)


def _lean(quat_wb: Quat, one: Any) -> Quat:
    return quat_wb.turned(Vec3(one.tilt_x_rad, one.tilt_y_rad, 0.0))


def _told(state: _State, team: SiblingTeam) -> torch.Tensor:
    """What the start shows, as outputs of one step: (S, 1, rows, N)."""
    rows = torch.broadcast_tensors(*_shown(state, team))
    return torch.stack(rows, 1)[:, None]


def _shown(state: _State, team: SiblingTeam) -> list[Scalar]:
    """Pose of the load's pose point, and the drones' places."""
    body = state.load.body
    pose = body.pos_w + body.quat_wb.rotate(team.load.pose_point_b_m)
    places = (
        component for one in state.drones for component in (one.pos_w.x, one.pos_w.y, one.pos_w.z - _LIFT_M)
    )
    return [pose.x, pose.y, pose.z - _LIFT_M, *body.quat_wb, *places]


@functools.lru_cache(maxsize=4)
def _rollout(count: int, dt_s: float, every: int) -> Rollout:
    def step(at: _State, of: SiblingTeam, given: tuple[_Given, ...]) -> tuple[_State, Any]:
        starts, ends = [], []
        for drone, known, one in zip(at.drones, given, of.drones, strict=True):
            tilt = Vec3(one.tilt_x_rad, one.tilt_y_rad, 0.0)
            omega_b = known.omega_b + known.omega_b.cross(tilt)
            body = RigidBody(drone.pos_w, drone.vel_w, _lean(known.quat_wb, one), omega_b)
            thrust_n = known.thrust_n - known.thrust_slope_nps * of.delay_s
            forces = RotorForces(thrust_n * one.thrust_factor, _NONE, 0.0)
            flown, force_w = fly_free(
                body, drone.force_w, forces, at.wind_w, one.drone.vehicle, dt_s, drone.pull.force_w
            )
            starts.append(Motion(body, drone.force_w, drone.pull, drone.tension_n))
            ends.append(Flight(flown, force_w))
        members = [one.drone for one in of.drones]
        blown = of.load._replace(wind_w=at.wind_w)
        load, pulls = haul_each(starts, ends, at.load, members, blown, dt_s)
        drones = []
        for start, end, pull, member in zip(starts, ends, pulls, members, strict=True):
            motion = settle(start, end, pull, member.vehicle, dt_s)
            drones.append(
                _Drone(
                    motion.body.pos_w,
                    motion.body.vel_w,
                    motion.specific_force_w,
                    motion.pull,
                    motion.tension_n,
                )
            )
        after = _State(tuple(drones), load, at.wind_w)
        return after, tuple(_shown(after, of))

    return Rollout(step, *_templates(count), every=every)


def _templates(count: int) -> tuple[_State, SiblingTeam, tuple[_Given, ...]]:
    level = Quat(1.0, 0.0, 0.0, 0.0)
    slack = Wrench(_NONE, _NONE)
    still = _Drone(_NONE, _NONE, _NONE, slack, 0.0)
    load = Load(RigidBody(_NONE, _NONE, level, _NONE), slack, _NONE)
    return _State((still,) * count, load, _NONE), no_team(count), (_Given(level, _NONE, 0.0, 0.0),) * count
