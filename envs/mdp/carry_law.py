"""A law by which each member of a team carries its load alone: what a policy of carrying begins from.

A member flies to where it would hang (:mod:`corvids.envs.mdp.hanging`) above its load, were that a little nearer to its
goal than it is; and it moves as it would have to if the load were on its goal's path. A load that is hung up right
follows that path by itself, to millimetres; what is left to feedback are errors. On feature tensors of shape
``(n, ·)``; its operations are exported.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from corvids.envs.mdp.features import rotation_matrix, turned
from corvids.envs.mdp.goal_ahead import AHEAD_S, goal_ahead
from corvids.envs.mdp.hanging import hanging
from corvids.envs.mdp.pose_features import crossed, turn_between
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.vehicle import GRAVITY_MPS2

STIFFNESS_PS2 = 4.9
"""Acceleration per distance of a member from where it wants to be."""
DAMPING_PS = 6.5
"""Acceleration per velocity error."""
FOLLOWED = 0.3
"""Part of the load's velocity error that a member takes for what it should have."""
LEAD_M = 1.2
"""How far ahead of the load its goal is taken to be, at most."""
LEAD_RAD = 0.57
"""The same for the rotation that is left."""
SWING_S = 0.2
"""A load hangs below members whose inner loops cancel its pull, so nothing damps its swing; they do, by standing back
by its velocity error times this."""
SPIN_S = 0.03
"""The same for its rotation, by leaning cables."""
URGED, URGED_RAD = 0.3, 0.3
"""Part by which small turns that are left count more."""
SUMMED_S = 3.5
"""Time in which a constant error of the load is added to its goal once."""
FORGOTTEN_S = 12.0
"""Time constant with which that sum fades."""
NEAR_M, NEAR_RAD = 0.5, 0.3
"""Errors beyond these are on the way to the goal, and not summed up."""
FILTERED_S = 0.055
"""How far the load filter's velocity lags behind that of a load that accelerates evenly (30 ms of memory at 100 Hz)."""
RATE_LAG_S = 0.08
"""How far body rates lag behind what a member turns its thrust by."""
LEAST_N = 2.0
"""Thrust below which its direction means little, and is not turned fast."""


def _of_cubic(derivative: int, at_s: float) -> list[float]:
    """What values at :data:`AHEAD_S` are multiplied by for this derivative, at ``at_s``, of the cubic through them."""
    powers = torch.tensor([[t**n for t in AHEAD_S] for n in range(4)], dtype=torch.float64)
    terms = [
        math.perm(n, derivative) * at_s ** (n - derivative) if n >= derivative else 0.0 for n in range(4)
    ]
    return torch.linalg.solve(powers, torch.tensor(terms, dtype=torch.float64)).tolist()


_MOMENTS = torch.tensor(
    [
        *([*_of_cubic(n, 0.0), 0.0] for n in (1, 2)),
        *([*_of_cubic(n, RATE_LAG_S), 0.0] for n in (0, 1, 2, 3)),
    ],
    dtype=torch.float64,
)
"""Of places and pulls along the path (and last, above the load): velocity and acceleration now; value, and first to
third derivative, when body rates come into force."""


class Present(NamedTuple):
    """The load as it is by now, (n, ·)."""

    pos_w: torch.Tensor
    vel_w: torch.Tensor
    quat_wb: torch.Tensor


def carrying(inputs: TeamInputs, memory: torch.Tensor, mass_kg: float) -> torch.Tensor:
    """Wanted acceleration [m/s², world] and roll and pitch rates of its thrust [rad/s], (n, 5), of a member.

    ``memory`` (n, 6): sums of the load's errors, as of :func:`summed`. The inner loop leaves a part of the cable's pull
    to be felt, so that members yield to each other; of that part, the law takes off what should be there.
    """
    age, command = inputs.vehicle_age_s, inputs.command
    ahead = goal_ahead(command)
    load = _present(inputs, ahead.accel_w[:, 0])
    swing, spin = load.vel_w - command[:, 7:10], inputs.load_omega_b - command[:, 10:13]
    place_left, turn_left = command[:, :3] - load.pos_w, turn_between(load.quat_wb, command[:, 3:7])
    nearer = _within(place_left + memory[:, :3], LEAD_M) - place_left - swing * SWING_S
    turn = (
        _within(turn_left + memory[:, 3:], LEAD_RAD) + _within(turn_left, URGED_RAD) * URGED - spin * SPIN_S
    )
    # A row for each moment on the goal's path, and one above the load; from where the goal is, since what is told from
    # differences between places needs all of their digits.
    rows = len(AHEAD_S) + 1
    places = torch.cat((ahead.pos_w, nearer[:, None]), dim=1).reshape(-1, 3)
    from_quats = torch.stack((*(command[:, 3:7],) * len(AHEAD_S), load.quat_wb), dim=1).reshape(-1, 4)
    turns = torch.cat((ahead.turn_b, turn[:, None]), dim=1).reshape(-1, 3)
    accels = torch.cat((ahead.accel_w, ahead.accel_w[:, :1]), dim=1).reshape(-1, 3)
    facts = torch.stack((inputs.facts,) * rows, dim=1).reshape(-1, inputs.facts.shape[-1])
    hang = hanging(places, rotation_matrix(turned(from_quats, turns)), facts, accels)
    both = torch.cat(hang, dim=-1).reshape(-1, rows, 6)
    vel, accel, later, later_1, later_2, later_3 = (_MOMENTS.to(both) @ both).unbind(1)
    place, pull = both[:, -1, :3], both[:, -1, 3:]

    seen_pos = inputs.pos_w - command[:, :3] + inputs.vel_w * age
    seen_vel = inputs.vel_w + accel[:, :3] * age
    accel_w = (
        accel[:, :3]
        + (place - seen_pos) * STIFFNESS_PS2
        + (vel[:, :3] + swing * FOLLOWED - seen_vel) * DAMPING_PS
        + pull * ((1.0 - CANCELLED_PART) / mass_kg)
    )
    gravity = torch.tensor((0.0, 0.0, GRAVITY_MPS2), dtype=accel_w.dtype, device=accel_w.device)
    thrust_n = (later_2[:, :3] + gravity) * mass_kg + later[:, 3:]
    change = later_3[:, :3] * mass_kg + later_1[:, 3:]
    turn_w = crossed(thrust_n, change) / thrust_n.square().sum(-1, keepdim=True).clamp(min=LEAST_N**2)
    attitude = rotation_matrix(turned(inputs.quat_wb, inputs.omega_b * age)).reshape(-1, 3, 3)
    turn_b = (attitude * turn_w[:, :, None]).sum(1)
    return torch.cat((accel_w, turn_b[:, :2]), dim=-1)


def summed(inputs: TeamInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
    """``memory`` (n, 6) a tick later: what a law of one drone alone needs to remove what is constantly off.

    Errors of place and attitude are summed up only when they are small, and slowly forgotten.
    """
    age, command = inputs.load_age_s, inputs.command
    place = command[:, :3] - inputs.load_pos_w - inputs.load_vel_w * age
    turn = turn_between(turned(inputs.load_quat_wb, inputs.load_omega_b * age), command[:, 3:7])
    off = torch.cat((_if_small(place, NEAR_M), _if_small(turn, NEAR_RAD)), dim=-1)
    return memory * (1.0 - tick_s / FORGOTTEN_S) + off * (tick_s / SUMMED_S)


def _present(inputs: TeamInputs, accel_w: torch.Tensor) -> Present:
    """What was seen of the load, brought to the present as if it had accelerated by ``accel_w`` (n, 3)."""
    age = inputs.load_age_s
    vel = inputs.load_vel_w + accel_w * (age + FILTERED_S)
    quat = turned(inputs.load_quat_wb, inputs.load_omega_b * age)
    return Present(inputs.load_pos_w + vel * age, vel, quat)


def _if_small(vector: torch.Tensor, most: float) -> torch.Tensor:
    """``vector`` (n, 3), smaller and smaller as it nears ``most``, and 0 beyond."""
    size = vector.square().sum(-1, keepdim=True) * (1.0 / most**2)
    return vector * torch.relu(1.0 - size)


def _within(vector: torch.Tensor, most: float) -> torch.Tensor:
    """``vector`` (n, 3), shortened to ``most``."""
    size = vector.square().sum(-1, keepdim=True).sqrt()
    return vector * (most / size.clamp(min=most))
