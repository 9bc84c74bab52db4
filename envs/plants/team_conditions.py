"""The conditions under which teams are judged: one frozen table of numbers, the same for every plant and team.

As in :mod:`corvids.envs.plants.conditions`, draws belong to a trial, not to a run. All conditions are noisy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from corvids.controllers.packing import map_leaves
from corvids.envs.engines.engine import TICK_S, Array
from corvids.envs.engines.team_engine import Bodies, TeamState
from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.hanging import hanging_places
from corvids.envs.mdp.pose_features import rotated
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import TeamParams
from corvids.envs.plants.conditions import VEHICLE_RATE_HZ
from corvids.envs.plants.team_goals import Goals, figure, quaternions, standing
from corvids.envs.sensors.instruments import Sensors, Signal
from corvids.errors import CorvidsError
from corvids.quantities import nearest
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2


@dataclasses.dataclass(frozen=True)
class TeamCondition:
    """Ranges (low, high) are drawn uniformly; a spread of 0.1 draws a factor from 0.9 to 1.1."""

    goal: Literal["step", "random", "figure", "hold"] = "step"
    """A step of the pose; a random pose; a figure of eight; or the pose at the start, higher up."""
    figure: tuple[float, float] = (0.0, 0.0)
    """Largest speed [m/s] and acceleration [m/s²] of the figure."""
    load_mass_factor: float = 1.0
    """Load's mass and inertia, over those of the team file."""
    wind_mps: float = 0.0
    """Speed of a steady wind from a drawn direction."""
    lost: Literal["", "hang", "cut"] = ""
    """Whether a member's thrust is lost in flight, and what becomes of its cable."""
    mixed: bool = False
    """Whether one member is flown by the geometric controller at its own constant share of the load."""
    slack: bool = False
    """Whether the load lies on the ground at the start, on slack cables."""
    delay_s: tuple[float, float] = (0.020, 0.060)
    """Age at arrival of each member's own state."""
    load_delay_s: tuple[float, float] = (0.010, 0.040)
    """Age at arrival of the load's pose, of each member by itself."""
    load_pos_std_m: float = 0.002
    load_attitude_std_deg: float = 0.3
    pos_std_m: float = 0.002
    attitude_std_deg: float = 0.3
    vel_std_mps: float = 0.03
    rate_std_radps: float = 0.02
    spread: float = 0.10
    """Spread of mass, inertia, thrust, motor lag and cable stiffness of each member, of the load's mass and inertia."""
    cable_length_m: float = 0.01
    """Largest error of each cable's length."""


CONDITIONS: Mapping[str, TeamCondition] = MappingProxyType(
    {
        "step": TeamCondition(),
        "random-steps": TeamCondition(goal="random"),
        "track1": TeamCondition(goal="figure", figure=(1.0, 0.5)),
        "track2": TeamCondition(goal="figure", figure=(2.0, 2.0)),
        "track2a4": TeamCondition(goal="figure", figure=(2.0, 4.0)),
        "track5": TeamCondition(goal="figure", figure=(5.0, 8.0)),
        "heavy15": TeamCondition(load_mass_factor=1.15),
        "heavy50": TeamCondition(load_mass_factor=1.5),
        "lost-hang": TeamCondition(goal="hold", lost="hang"),
        "lost-cut": TeamCondition(goal="hold", lost="cut"),
        "mixed": TeamCondition(mixed=True),
        "slack-start": TeamCondition(goal="hold", slack=True),
        "wind5": TeamCondition(wind_mps=5.0),
    }
)
"""Every condition by name."""

LOAD_RATE_HZ = 100.0
"""How often each member is told the load's pose."""
START = (-1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
"""Pose from which steps begin."""
STEP = (1.0, 0.0, 1.0, *(math.radians(angle) for angle in (30.0, -20.0, -90.0)))
"""Pose that they lead to: 2 m away, turned by (30°, -20°, -90°) (Zeng et al., arXiv 2508.01522)."""
PLACE_M = ((-1.0, 1.0), (-1.0, 1.0), (0.5, 1.5))
"""Where random goals lie, as in theirs."""
TILT_RAD = math.radians(45.0)
"""Largest roll and pitch of random goals."""
HOLD = (0.0, 0.0, 2.0, 0.0, 0.0, 0.0)
"""Pose that is held while a member is lost."""
LOST_S = (5.0, 10.0)
"""When a member is lost."""
AFTER_S = 10.0
"""How long a trial goes on after that."""
TAKE_OFF = (0.0, 0.0, 1.2, 0.0, 0.0, 0.0)
"""Pose that is taken off to."""
SLACK_SHARE = 0.3
"""Part of their length by which cables are slack before take-off."""


class TeamTrials(NamedTuple):
    """What is drawn before trials begin; rows as in :mod:`corvids.envs.engines.team_engine`."""

    start: TeamState
    thrust_n: Array
    """What each member's rotors give at the start, (rows,)."""
    params: TeamParams
    """Leaves are tensors (trials, members), the load's (trials, 1)."""
    pose_point_b_m: Array
    """The load's pose point from its centre of mass, (trials, 3)."""
    sensors: Sensors
    """Of every member: ``vehicle`` its own state, ``ball`` the load's pose, (rows,)."""
    load_attitude_std_rad: Array
    """Noise of the load's attitude about each axis, (rows,)."""
    goals: Goals
    loss_s: Array
    """When a member is lost, (trials,); infinite where none is."""
    is_cut: bool
    """Whether the cable of a member that is lost is released."""
    chosen: NDArray[np.bool_]
    """The member that is lost, or that the geometric controller flies, as a mask (trials, members)."""


def condition_named(name: str) -> TeamCondition:
    """The condition called so."""
    if name not in CONDITIONS:
        raise CorvidsError(f"no condition of a team is called {name!r}{nearest(name, list(CONDITIONS))}")
    return CONDITIONS[name]


def draw(condition: TeamCondition, team: Team, trials: int, seed: int) -> TeamTrials:
    """Draw ``trials`` trials of ``team``."""
    members = len(team.members)
    draws = [_Draw(condition, members, np.random.default_rng((seed, trial))) for trial in range(trials)]
    of = {field: np.array([getattr(one, field) for one in draws]) for field in vars(draws[0])}
    params = _params(team, condition, of)
    offset = np.stack([part[:, 0].numpy() for part in params.load.pose_point_b_m], axis=1)
    goals, start_pose = _goals(condition, of)
    start = _start(condition, team, params, start_pose, offset)
    share = params.load.mass_kg / members * (0.0 if condition.slack else 1.0)
    thrust_n = ((params.drones.vehicle.mass_kg + share) * GRAVITY_MPS2).reshape(-1).numpy()
    loss_s = of["loss_s"] if condition.lost else np.full(trials, np.inf)
    chosen = of["member"][:, None] == np.arange(members)
    attitude_std = np.full(trials * members, math.radians(condition.load_attitude_std_deg))
    return TeamTrials(
        start,
        thrust_n,
        params,
        offset,
        _sensors(condition, of),
        attitude_std,
        goals,
        loss_s,
        condition.lost == "cut",
        chosen,
    )


class _Draw:
    """All random numbers of one trial. The order of the draws is part of what a seed means."""

    def __init__(self, condition: TeamCondition, members: int, rng: np.random.Generator) -> None:
        spread = condition.spread

        def factors() -> Array:
            return rng.uniform(1.0 - spread, 1.0 + spread, members)

        self.mass, self.inertia, self.thrust, self.lag, self.stiffness = (factors() for _ in range(5))
        self.length_m = rng.uniform(-condition.cable_length_m, condition.cable_length_m, members)
        self.load_mass, self.load_inertia = rng.uniform(1.0 - spread, 1.0 + spread, 2)
        self.delay_s = rng.uniform(*condition.delay_s, members)
        self.load_delay_s = rng.uniform(*condition.load_delay_s, members)
        self.phase, self.load_phase = rng.random(members), rng.random(members)
        self.place_m = np.array([rng.uniform(*bounds) for bounds in PLACE_M])
        self.angles = rng.uniform(-1.0, 1.0, 3) * (TILT_RAD, TILT_RAD, math.pi)
        self.wind_rad = rng.uniform(-math.pi, math.pi)
        self.loss_s = rng.uniform(*LOST_S)
        self.member = rng.integers(members)


def _params(team: Team, condition: TeamCondition, of: Mapping[str, Array]) -> TeamParams:
    trials = len(of["mass"])
    nominal = map_leaves(lambda leaf: leaf.expand(trials, -1).clone(), team_params(team, TICK_S))
    mass, inertia, thrust, lag, stiffness, length_m = (
        torch.from_numpy(of[name]) for name in ("mass", "inertia", "thrust", "lag", "stiffness", "length_m")
    )
    vehicle, cable, load = nominal.drones.vehicle, nominal.drones.cable, nominal.load
    vehicle = vehicle._replace(
        mass_kg=vehicle.mass_kg * mass,
        inertia_kgm2=map_leaves(lambda moment: moment * inertia, vehicle.inertia_kgm2),
        thrust_max_n=map_leaves(lambda full: full * thrust, vehicle.thrust_max_n),
        rise_fraction=1.0 - (1.0 - vehicle.rise_fraction) ** (1.0 / lag),
        fall_fraction=1.0 - (1.0 - vehicle.fall_fraction) ** (1.0 / lag),
    )
    cable = cable._replace(
        length_m=cable.length_m + length_m,
        stiffness_npm=cable.stiffness_npm * stiffness,
        damping_nspm=cable.damping_nspm * stiffness,
    )
    load_mass = torch.from_numpy(of["load_mass"])[:, None] * condition.load_mass_factor
    load_inertia = torch.from_numpy(of["load_inertia"])[:, None] * condition.load_mass_factor
    azimuth = torch.from_numpy(of["wind_rad"])[:, None]

    def wind(like):
        x, y = condition.wind_mps * torch.cos(azimuth), condition.wind_mps * torch.sin(azimuth)
        return like._replace(x=x.expand_as(like.x), y=y.expand_as(like.y))

    load = load._replace(
        mass_kg=load.mass_kg * load_mass,
        inertia_kgm2=map_leaves(lambda moment: moment * load_inertia, load.inertia_kgm2),
        wind_w=wind(load.wind_w),
    )
    drones = nominal.drones._replace(vehicle=vehicle, cable=cable, wind_w=wind(nominal.drones.wind_w))
    return TeamParams(drones, load)


def _goals(condition: TeamCondition, of: Mapping[str, Array]) -> tuple[Goals, Array]:
    """Goals, and poses (trials, 6) at which loads are at the start."""
    trials = len(of["mass"])

    def everyone(pose: tuple[float, ...]) -> Array:
        return np.tile(pose, (trials, 1))

    if condition.slack:
        return standing(everyone(TAKE_OFF)), everyone((0.0,) * 6)
    if condition.goal == "hold":
        return standing(everyone(HOLD)), everyone(HOLD)
    if condition.goal == "figure":
        goals = figure(trials, *condition.figure)
        return goals, goals.pose
    if condition.goal == "random":
        return standing(np.concatenate((of["place_m"], of["angles"]), axis=1)), everyone(
            (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        )
    return standing(everyone(STEP)), everyone(START)


def _start(
    condition: TeamCondition, team: Team, params: TeamParams, pose: Array, offset_b_m: Array
) -> TeamState:
    """Loads at rest at ``pose`` (trials, 6), members at rest above them on cables that are just taut, or slack."""
    trials, members = len(pose), len(team.members)
    quat = quaternions(pose[:, 3:])
    place = pose[:, :3].copy()
    if condition.slack:
        place[:, 2] = 0.5 * team.load.size_m[2]
    facts = team_facts(team).double().repeat(trials, 1)
    facts[:, 11] = params.drones.cable.length_m.reshape(-1) * (1.0 - SLACK_SHARE * condition.slack)
    axes = rotation_matrix(torch.from_numpy(quat))
    each = [torch.from_numpy(part).repeat_interleave(members, dim=0) for part in (place, axes.numpy())]
    along = hanging_places(each[0], each[1], facts) - each[0] - rotated(each[1], facts[:, :3])
    along = along / along.norm(dim=1, keepdim=True)
    held = [member.rigging.drone_point_m for member in team.members] * trials
    above = each[0] + rotated(each[1], facts[:, :3]) + along * facts[:, 11:12] - torch.tensor(held)
    still = np.zeros((trials * members, 3))
    drones = Bodies(above.numpy(), still, np.tile((1.0, 0.0, 0.0, 0.0), (len(still), 1)), still)
    turned = (axes.reshape(-1, 3, 3) @ torch.from_numpy(offset_b_m)[:, :, None])[:, :, 0].numpy()
    load = Bodies(place - turned, still[:trials], quat, still[:trials])
    return TeamState(drones, load, np.add(still, (0.0, 0.0, GRAVITY_MPS2)), still[:, 0])


def _sensors(condition: TeamCondition, of: Mapping[str, Array]) -> Sensors:
    ones = np.ones(of["mass"].size)
    own_s, load_s = ones / VEHICLE_RATE_HZ, ones / LOAD_RATE_HZ
    unbiased = np.zeros((len(ones), 3))
    return Sensors(
        vehicle=Signal(own_s, of["phase"].reshape(-1) * own_s, of["delay_s"].reshape(-1), 0.0 * ones),
        ball=Signal(load_s, of["load_phase"].reshape(-1) * load_s, of["load_delay_s"].reshape(-1), 0.0 * ones),
        clock_error_s=0.0 * ones,
        pos_std_m=ones * condition.pos_std_m,
        vel_std_mps=ones * condition.vel_std_mps,
        attitude_std_rad=ones * math.radians(condition.attitude_std_deg),
        rate_std_radps=ones * condition.rate_std_radps,
        ball_std_m=ones * condition.load_pos_std_m,
        is_seen_held=ones,
        pos_bias_w_m=unbiased,
        attitude_bias_b_rad=unbiased,
        ball_bias_w_m=unbiased,
    )  # fmt: skip
