"""Pieces of a team's flight on one uniform time base: poses smoothed for their starts, thrust from motor commands."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from scipy.signal import savgol_filter

from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.rollout import Rollout
from corvids.calibration.flight.segments import free_starts
from corvids.calibration.readers.record import Channel
from corvids.calibration.readers.team_record import TeamRecord
from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import Four
from corvids.envs.physics.nominal import vehicle_params
from corvids.envs.physics.vehicle_dynamics import step_rotors
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2, Vehicle

LENGTH_S = 0.5
"""Of a piece. What a fit does not know (gusts) adds up over a piece, so that pieces of 1 s tell less."""
PHYSICS_DT_S = 0.0021
"""The simulator's step is the sampling interval, or the part of it that is no longer than this."""
LEAD_S = 0.3
"""So long before each piece the rotors' past counts."""
SPARE_S = 0.03
"""Thrust is known for so long before and after each piece, for it may come late, or early."""
MARGIN_S = 0.06
"""Starts are smoothed over this to each side."""
ATTITUDE_S = 0.02
"""Drones' attitudes are smoothed over this to each side: over 60 ms, 3 Hz would lose 0.7 %."""
LIFTED = 0.4
"""With less than this part of the load's weight on the rotors, beyond the drones' own, the load stands."""


@dataclasses.dataclass(frozen=True)
class TeamPieces:
    """N pieces of T intervals between samples, each of ``every`` physics steps; D drones."""

    dt_s: float
    """Physics step [s]."""
    every: int
    """Physics steps between two samples."""
    start_s: np.ndarray
    """Shape (N,)."""
    load_pose: np.ndarray
    """Shape (N, T + 1, 7), as measured."""
    drone_pos: np.ndarray
    """Shape (D, N, T + 1, 3), as measured."""
    load_start: np.ndarray
    """Shape (N, 16): smoothed position, velocity, acceleration, attitude, body rate at each piece's start."""
    drone_start: np.ndarray
    """Shape (D, N, 9): smoothed position, velocity, acceleration."""
    quat_wb: np.ndarray
    """Shape (D, N, T · every + 1, 4): smoothed attitudes at each physics step."""
    thrust_n: np.ndarray
    """Shape (D, N, T · every + 2 · spare): collective thrust of each physics step, by the vehicle files."""
    spare: int
    """Physics steps before and after each piece of which the thrust is known."""

    def __len__(self) -> int:
        return len(self.start_s)

    def take(self, chosen: np.ndarray | slice) -> TeamPieces:
        """The pieces that ``chosen`` (indices, mask or slice) selects."""
        first = {name: getattr(self, name)[chosen] for name in ("start_s", "load_pose", "load_start")}
        second = {
            name: getattr(self, name)[:, chosen]
            for name in ("drone_pos", "drone_start", "quat_wb", "thrust_n")
        }
        return dataclasses.replace(self, **first, **second)

    def first(self, samples: int) -> TeamPieces:
        """The beginning of every piece, ``samples`` intervals long."""
        steps = samples * self.every
        return dataclasses.replace(
            self,
            load_pose=self.load_pose[:, : samples + 1],
            drone_pos=self.drone_pos[:, :, : samples + 1],
            quat_wb=self.quat_wb[:, :, : steps + 1],
            thrust_n=self.thrust_n[:, :, : steps + 2 * self.spare],
        )


def cut_team(record: TeamRecord, team: Team) -> TeamPieces:
    """The stretches in which the load hangs, in pieces; perhaps none."""
    interval_s = round(record.load.interval_s, 6)
    every = math.ceil(interval_s / PHYSICS_DT_S)
    dt_s, count = interval_s / every, round(LENGTH_S / interval_s)
    channels = [record.load, *record.drones, *record.motors]
    margin = max(3, round(MARGIN_S / interval_s))
    lead_s, tail_s = (max(one, (margin + 1) * interval_s) for one in (LEAD_S + SPARE_S, SPARE_S))
    blocked = np.concatenate([one.gaps() for one in channels])
    begin = max(one.time_s[0] for one in channels) + lead_s
    end = min(one.time_s[-1] for one in channels) - tail_s
    starts = free_starts(begin, end, count * interval_s, lead_s, tail_s, blocked)
    at = starts[:, None] + interval_s * np.arange(-margin, count + margin + 1)
    load = _poses(record.load, at)
    inside = slice(margin, margin + count + 1)
    drones = [_poses(one, at) for one in record.drones]
    steps, spare = np.arange(count * every + 1) / every, round(SPARE_S / dt_s)
    near = max(2, round(ATTITUDE_S / interval_s))
    quats = np.stack([_between(_smooth(one[..., 3:], near)[:, inside], steps) for one in drones])
    thrust = np.stack(
        [
            _thrust(member.vehicle, motors, starts - spare * dt_s, dt_s, count * every + 2 * spare)
            for member, motors in zip(team.members, record.motors, strict=True)
        ]
    )
    pieces = TeamPieces(
        dt_s=dt_s,
        every=every,
        start_s=starts,
        load_pose=load[:, inside],
        drone_pos=np.stack([one[:, inside, :3] for one in drones]),
        load_start=_load_start(load, margin, interval_s),
        drone_start=np.stack([_rise(one[..., :3], margin, interval_s) for one in drones]),
        quat_wb=quats / np.linalg.norm(quats, axis=-1, keepdims=True),
        thrust_n=thrust,
        spare=spare,
    )
    own_n = sum(member.vehicle.weight_n for member in team.members)
    flown = thrust.mean(axis=-1).sum(axis=0) > own_n + LIFTED * team.load.mass_kg * GRAVITY_MPS2
    return pieces.take(flown)


def _poses(channel: Channel, at: np.ndarray) -> np.ndarray:
    """Shape (N, n, 7): the channel at times ``at`` (N, n), attitudes without jumps between q and -q."""
    values = channel.values.copy()
    turns = np.sum(values[1:, 3:] * values[:-1, 3:], axis=-1) < 0.0
    values[:, 3:] *= np.where(np.cumsum(np.concatenate(([False], turns))) % 2, -1.0, 1.0)[:, None]
    return np.stack([np.interp(at, channel.time_s, one) for one in values.T], -1)


def _smooth(values: np.ndarray, margin: int, derivative: int = 0, interval_s: float = 1.0) -> np.ndarray:
    """Values (N, n, k) by cubics fitted over ``margin`` samples to each side, or their derivative."""
    width = 2 * margin + 1
    return np.asarray(
        savgol_filter(values, width, 3, deriv=derivative, delta=interval_s, axis=1, mode="nearest")
    )


def _rise(pos: np.ndarray, margin: int, interval_s: float) -> np.ndarray:
    """Shape (N, 9): smoothed position, velocity and acceleration at each piece's start."""
    parts = [_smooth(pos, margin, order, interval_s)[:, margin] for order in range(3)]
    return np.concatenate(parts, -1)


def _load_start(pose: np.ndarray, margin: int, interval_s: float) -> np.ndarray:
    quat = _smooth(pose[..., 3:], margin)[:, margin]
    size = np.linalg.norm(quat, axis=-1, keepdims=True)
    (w, v), slope = (quat[:, :1], quat[:, 1:]), _smooth(pose[..., 3:], margin, 1, interval_s)[:, margin]
    # omega_b = 2 · vector part of (conjugate(q) · dq/dt)
    omega_b = 2.0 * (w * slope[:, 1:] - slope[:, :1] * v - np.cross(v, slope[:, 1:])) / size**2
    return np.concatenate((_rise(pose[..., :3], margin, interval_s), quat / size, omega_b), -1)


def _between(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Values (N, n, k) at fractional samples ``steps``."""
    index = np.minimum(steps.astype(int), values.shape[1] - 2)
    part = (steps - index)[:, None]
    return values[:, index] * (1.0 - part) + values[:, index + 1] * part


def _thrust(vehicle: Vehicle, motors: Channel, starts: np.ndarray, dt_s: float, steps: int) -> np.ndarray:
    """Collective thrust (N, steps) [N] of rotors that follow the commands held, the lead's as well."""
    lead = round(LEAD_S / dt_s)
    middle = starts[:, None] + dt_s * (np.arange(-lead, steps) + 0.5)
    held = motors.values[np.clip(np.searchsorted(motors.time_s, middle, "right") - 1, 0, None)]
    params = vehicle_params(vehicle, dt_s)
    numbers = map_leaves(float, params)
    none = Four(0.0, 0.0, 0.0, 0.0)

    def turn(rotors: Four, of, command: Four):
        rotors, forces = step_rotors(rotors, command, of, dt_s)
        return rotors, (forces.thrust_n,)

    roll = Rollout(turn, none, map_leaves(lambda _: 0.0, params), none)
    start = Four(*torch.as_tensor(Airframe(vehicle).lagged(held[:, 0])).T)
    of = map_leaves(lambda leaf: torch.full((1, 1), leaf, dtype=torch.float64), numbers)
    _, thrust = roll(start, of, torch.as_tensor(held).permute(1, 2, 0).clamp_min(0.0))
    return thrust[0, lead:, 0].T.numpy()
