"""The conditions under which policies are judged: one frozen table of numbers, the same for every plant.

Draws belong to a trial, not to a run: trial 7 of seed 1 is the same whether ten trials are flown or a thousand, and in
whatever engine. (Sensor noise in flight is drawn by the plant.)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from corvids.controllers.spatial import Vec3
from corvids.envs.engines.engine import TICK_S, Array, State, spread
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import WorldParams
from corvids.envs.sensors.instruments import Sensors, Signal
from corvids.errors import CorvidsError
from corvids.quantities import nearest
from corvids.vehicle import GRAVITY_MPS2, Vehicle


@dataclasses.dataclass(frozen=True)
class Condition:
    """Ranges (low, high) are drawn uniformly, once per trial; a spread of 0.1 draws a factor from 0.9 to 1.1."""

    delay_s: tuple[float, float]
    """Age at arrival of the vehicle's state, and, drawn anew, of a ball measurement."""
    pos_std_m: float
    """Noise of the vehicle's position, each axis."""
    attitude_std_deg: float
    """Noise of the attitude about each axis."""
    vel_std_mps: float
    """Noise of the vehicle's velocity, each axis."""
    rate_std_radps: float
    """Noise of the body rates, each axis."""
    ball_std_m: float
    """Noise of the ball's position, each axis."""
    ball_drop_rate: float
    """Part of the ball measurements that are lost."""
    body_spread: float
    """Spread of mass, inertia, thrust and motor lag: four factors."""
    restitution_spread: float
    """Spread of both coefficients of restitution: one factor."""
    ball_mass_kg: float | None = None
    """Ball's mass; None is the ball that policies train with. Magnus acceleration changes with 1/mass."""
    ball_drag_per_m: float | None = None
    """Ball's quadratic drag ½ρC_dA/m; None is that of the ball that policies train with."""
    release_height_m: tuple[float, float] | None = None
    """Height at which the ball is released, above where it would lie on the racket; None is the commanded apex."""
    release_aside_m: float = 0.0
    """Radius of the disc over the racket from which the ball's place is drawn."""
    release_speed_mps: float = 0.0
    """Radius of the disc from which the ball's horizontal velocity is drawn."""
    is_seen_held: bool = True
    """Whether sensors see the ball in the thrower's hand, which carries it as fast as it then flies; else from its
    release on only, and late by its delay."""


_NOISY = Condition(
    delay_s=(0.020, 0.060),
    pos_std_m=0.002,
    attitude_std_deg=0.3,
    vel_std_mps=0.03,
    rate_std_radps=0.02,
    ball_std_m=0.003,
    ball_drop_rate=0.01,
    body_spread=0.10,
    restitution_spread=0.05,
)
CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "nominal": Condition(
            delay_s=(0.0, 0.0),
            pos_std_m=0.0,
            attitude_std_deg=0.0,
            vel_std_mps=0.0,
            rate_std_radps=0.0,
            ball_std_m=0.0,
            ball_drop_rate=0.0,
            body_spread=0.0,
            restitution_spread=0.0,
        ),
        "noisy": _NOISY,
        "ball5g": dataclasses.replace(_NOISY, ball_mass_kg=0.005, ball_drag_per_m=0.30),
        "throws": dataclasses.replace(
            _NOISY, release_height_m=(0.5, 1.2), release_aside_m=0.4, release_speed_mps=1.0
        ),
        "throws-unseen": dataclasses.replace(
            _NOISY,
            release_height_m=(0.5, 1.2),
            release_aside_m=0.4,
            release_speed_mps=1.0,
            is_seen_held=False,
        ),
    }
)
"""Every condition by name."""

APEX_M = 0.6
"""Commanded apex of the ball's centre above its point of impact, in every condition."""
PLACE_W_M = (0.0, 0.0, 1.0)
"""Commanded place of the vehicle, in every condition."""
FAR_W_M = (100.0, 100.0)
"""Where the ball lies when nobody plays with it, x and y."""
VEHICLE_RATE_HZ = 250.0
"""How often the vehicle's state is sampled, in every condition."""
BALL_RATE_HZ = 120.0
"""How often the ball's position is sampled, in every condition."""


class Trials(NamedTuple):
    """What is drawn before trials begin."""

    start: State
    params: WorldParams
    """Leaves (trials,)."""
    sensors: Sensors


def condition_named(name: str) -> Condition:
    """The condition called so."""
    if name not in CONDITIONS:
        raise CorvidsError(f"no condition is called {name!r}{nearest(name, list(CONDITIONS))}")
    return CONDITIONS[name]


def draw(
    condition: Condition,
    vehicle: Vehicle,
    trials: int,
    seed: int,
    *,
    apex_m: float = APEX_M,
    place_w_m: tuple[float, float, float] = PLACE_W_M,
    ball: BallConfig | None = None,
    with_ball: bool = True,
) -> Trials:
    """Draw ``trials`` trials in which ``vehicle`` hovers at ``place_w_m`` and the ball is released above its racket.

    Without ``with_ball`` the ball lies on the ground, far away, and the vehicle needs no racket.
    """
    draws = [_Draw(condition, np.random.default_rng((seed, trial))) for trial in range(trials)]
    of = {field: np.array([getattr(one, field) for one in draws]) for field in _Draw.FIELDS}
    ball = ball or BallConfig()
    mass, drag = condition.ball_mass_kg, condition.ball_drag_per_m
    if mass is not None:
        ball = dataclasses.replace(ball, mass_kg=mass, magnus=ball.magnus * ball.mass_kg / mass)
    if drag is not None:
        ball = dataclasses.replace(ball, drag_per_m=drag)
    params = _params(world_params(vehicle, ball, TICK_S, with_ball), of)
    height = np.full(trials, apex_m) if condition.release_height_m is None else of["release_height_m"]
    start = _start(params, np.broadcast_to(place_w_m, (trials, 3)), height, of)
    if not with_ball:
        start = start._replace(
            ball_pos_w=np.tile((*FAR_W_M, ball.radius_m), (trials, 1)), ball_vel_w=np.zeros((trials, 3))
        )
    return Trials(start, spread(params, trials), _sensors(condition, of))


class _Draw:
    """All random numbers of one trial. The order of the draws is part of what a seed means."""

    FIELDS = (
        "mass",
        "inertia",
        "thrust",
        "lag",
        "restitution",
        "vehicle_delay_s",
        "ball_delay_s",
        "vehicle_phase",
        "ball_phase",
        "release_height_m",
        "release_aside_m",
        "release_vel_mps",
    )

    def __init__(self, condition: Condition, rng: np.random.Generator) -> None:
        def factor(spread: float) -> float:
            return rng.uniform(1.0 - spread, 1.0 + spread)

        def in_disc(radius: float) -> tuple[float, float]:
            distance, angle = radius * math.sqrt(rng.random()), 2.0 * math.pi * rng.random()
            return distance * math.cos(angle), distance * math.sin(angle)

        self.mass, self.inertia, self.thrust, self.lag = (factor(condition.body_spread) for _ in range(4))
        self.restitution = factor(condition.restitution_spread)
        self.vehicle_delay_s, self.ball_delay_s = rng.uniform(*condition.delay_s, 2)
        self.vehicle_phase, self.ball_phase = rng.random(2)
        self.release_height_m = rng.uniform(*(condition.release_height_m or (0.0, 0.0)))
        self.release_aside_m = in_disc(condition.release_aside_m)
        self.release_vel_mps = in_disc(condition.release_speed_mps)


def _params(nominal: WorldParams, of: Mapping[str, Array]) -> WorldParams:
    vehicle, racket = nominal.vehicle, nominal.racket

    def lagged(fraction: float) -> Array:
        """Per-tick fraction of a lag whose time constant is multiplied by the drawn factor."""
        return 1.0 - (1.0 - fraction) ** (1.0 / of["lag"])

    return nominal._replace(
        vehicle=vehicle._replace(
            mass_kg=vehicle.mass_kg * of["mass"],
            inertia_kgm2=Vec3(*(moment * of["inertia"] for moment in vehicle.inertia_kgm2)),
            thrust_max_n=vehicle.thrust_max_n.map(lambda full: full * of["thrust"]),
            rise_fraction=lagged(vehicle.rise_fraction),
            fall_fraction=lagged(vehicle.fall_fraction),
        ),
        racket=racket._replace(
            restitution=np.minimum(racket.restitution * of["restitution"], 1.0),
            restitution_rim=np.minimum(racket.restitution_rim * of["restitution"], 1.0),
        ),
    )


def _start(params: WorldParams, place_w_m: Array, height_m: Array, of: Mapping[str, Array]) -> State:
    """Vehicle hovering at its place, ball in the air over the racket."""
    trials = len(height_m)
    still = np.zeros((trials, 3))
    vehicle, racket = params.vehicle, params.racket
    thrust_fraction = vehicle.mass_kg * GRAVITY_MPS2 / sum(vehicle.thrust_max_n)
    lagged = np.where(vehicle.lag_curve > 0.5, np.sqrt(thrust_fraction), thrust_fraction)
    over_face = params.ball.radius_m + height_m
    ball_pos_w = place_w_m + np.array([*racket.center_b]) + np.array([*racket.normal_b]) * over_face[:, None]
    ball_pos_w[:, :2] += of["release_aside_m"]
    return State(
        pos_w=np.array(place_w_m),
        vel_w=still,
        quat_wb=np.tile((1.0, 0.0, 0.0, 0.0), (trials, 1)),
        omega_b=still,
        rotors=np.tile(lagged[:, None], (1, 4)),
        ball_pos_w=ball_pos_w,
        ball_vel_w=np.column_stack((of["release_vel_mps"], np.zeros(trials))),
        ball_spin_w=still,
    )


def _sensors(condition: Condition, of: Mapping[str, Array]) -> Sensors:
    ones = np.ones(len(of["mass"]))
    vehicle_period_s, ball_period_s = 1.0 / VEHICLE_RATE_HZ, 1.0 / BALL_RATE_HZ
    unbiased = np.zeros((len(ones), 3))
    return Sensors(
        vehicle=Signal(
            period_s=ones * vehicle_period_s,
            phase_s=of["vehicle_phase"] * vehicle_period_s,
            delay_s=of["vehicle_delay_s"],
            drop_rate=0.0 * ones,
        ),
        ball=Signal(
            period_s=ones * ball_period_s,
            phase_s=of["ball_phase"] * ball_period_s,
            delay_s=of["ball_delay_s"],
            drop_rate=ones * condition.ball_drop_rate,
        ),
        clock_error_s=0.0 * ones,
        pos_std_m=ones * condition.pos_std_m,
        vel_std_mps=ones * condition.vel_std_mps,
        attitude_std_rad=ones * math.radians(condition.attitude_std_deg),
        rate_std_radps=ones * condition.rate_std_radps,
        ball_std_m=ones * condition.ball_std_m,
        is_seen_held=ones * condition.is_seen_held,
        pos_bias_w_m=unbiased,
        attitude_bias_b_rad=unbiased,
        ball_bias_w_m=unbiased,
    )
