"""A simulated ball over a vehicle that flies elsewhere: in PX4's own simulator, or for real.

The ball flies by the physics that policies train with, against the poses that the vehicle reports. Until it is released
it is held over the racket, wherever that goes; once it has dropped it is held there again, as if somebody brought it
back. The vehicle feels nothing of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from corvids.controllers.packing import leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.compiled.float_functions import on_floats
from corvids.envs.physics.ball import Ball, DiscParams, Impact, collide, step_flight
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import WorldParams
from corvids.envs.plants.hits import DROP_M, HitCounter
from corvids.envs.sensors.ball_sightings import BallSightings
from corvids.vehicle import Vehicle

STEP_MAX_S = 0.008
"""Longest step: a ball at 4 m/s then moves by less than its radius."""
GAP_MAX_S = 0.1
"""After a longer gap between poses the ball is held again."""
AWAY_S = 1.5
"""How long a dropped ball is out of sight [s]."""


Triple: TypeAlias = tuple[float, float, float]
"""x, y, z."""
Numbers: TypeAlias = tuple[float, ...]
"""A ball's place, velocity and spin; a vehicle's place, velocity, attitude and rates. The place comes first."""
_BALL, _BODY = 9, 13
_AT_REST = (0.0,) * 6


class Pose(Protocol):
    """What the vehicle reports: world ENU, body FLU."""

    @property
    def stamp_s(self) -> float: ...
    @property
    def pos_w(self) -> tuple[float, float, float]: ...
    @property
    def vel_w(self) -> tuple[float, float, float]: ...
    @property
    def quat_wb(self) -> tuple[float, float, float, float]: ...
    @property
    def omega_b(self) -> tuple[float, float, float]: ...


class VirtualBall:
    """One ball, its measurements and its hits."""

    def __init__(self, vehicle: Vehicle, height_m: float, ball: BallConfig, seed: int) -> None:
        """``height_m``: how far above where it would lie on the racket the ball is held [m]."""
        self.drops = 0
        """How often it was dropped."""
        params = world_params(vehicle, ball, STEP_MAX_S)
        self._flown, self._collided = _flight(params), _collision(params)
        x, y, self._racket_z = vehicle.racket.position_b_m if vehicle.racket else (0.0, 0.0, 0.0)
        self._held_b = (x, y, self._racket_z + ball.radius_m + height_m)
        self._reach_m = max(map(_reach_m, (params.racket, params.airframe))) + ball.radius_m
        self._sightings = BallSightings(seed)
        self._counter = HitCounter(1)
        self._is_released = False
        self._hand_w: Triple | None = None
        self._away_until_s = -math.inf
        self._body: Numbers | None = None
        self._stamp_s = -math.inf
        self._ball: Numbers = (*self._held_b, *_AT_REST)

    @property
    def hits(self) -> int:
        """Counted hits."""
        return int(self._counter.hits[0])

    @property
    def seen_pos_w(self) -> Triple | None:
        """Where it truly is [m], world ENU; None before the first pose, and while it is out of sight."""
        if self._body is None or self._stamp_s < self._away_until_s:
            return None
        return _place(self._ball)

    def keep_in_place(self) -> None:
        """From now on the hand that holds it stays where it is, whatever the vehicle does."""
        if not self._is_released:
            self._hand_w = _place(self._ball)

    def release(self) -> None:
        """Let go of it, if it is held."""
        self._is_released, self._hand_w = True, None

    def measure(self, now_s: float, state: Pose) -> list[tuple[float, tuple[float, float, float]]]:
        """Fly up to the newest pose; stamps [s] and places [m] measured that have arrived by ``now_s``."""
        stamp_s = state.stamp_s
        if stamp_s > self._stamp_s:
            body = (*state.pos_w, *state.vel_w, *state.quat_wb, *state.omega_b)
            gap_s = stamp_s - self._stamp_s
            if self._body is not None and self._is_released:
                if gap_s <= GAP_MAX_S:
                    self._fly(self._body, body, gap_s)
                else:
                    self._drop(stamp_s)
            if not self._is_released:
                over = tuple(a + b for a, b in zip(_place(body), self._held_b, strict=True))
                self._ball = (*(self._hand_w or over), *_AT_REST)
            self._body, self._stamp_s = body, stamp_s
            if (place := self.seen_pos_w) is not None:
                self._sightings.look(stamp_s, place)
        return self._sightings.arrived(now_s)

    def _fly(self, before: Numbers, after: Numbers, gap_s: float) -> None:
        steps = math.ceil(gap_s / STEP_MAX_S)
        dt_s = gap_s / steps
        for step in range(steps):
            flown = self._flown(*self._ball, dt_s)
            racket_count, struck_z = 0.0, 0.0
            if self._is_near(before, after, flown):
                shares = step / steps, (step + 1) / steps
                *flown, racket_count, struck_z = self._collided(
                    *self._ball, *flown, *before, *after, *shares, dt_s
                )
            self._ball = tuple(flown)
            self._counter.update(
                np.array([int(racket_count)]), np.array([struck_z]), np.array([_place(self._ball)[2]])
            )
        if _place(self._ball)[2] < _place(after)[2] + self._racket_z - DROP_M:
            self._drop(self._stamp_s + gap_s)

    def _is_near(self, before: Numbers, after: Numbers, flown: Numbers) -> bool:
        """Whether they can touch on the way. Mostly they cannot, and then four fifths of the work need not be done."""
        moved_m = math.dist(_place(self._ball), _place(flown)) + math.dist(_place(before), _place(after))
        return math.dist(_place(flown), _place(after)) < self._reach_m + moved_m

    def _drop(self, stamp_s: float) -> None:
        self.drops += 1
        self._away_until_s = stamp_s + AWAY_S
        self._sightings.forget()
        self._is_released = False


def _reach_m(disc: DiscParams) -> float:
    """How far from the vehicle's centre of mass a disc reaches [m]."""
    return math.hypot(*disc.center_b) + math.hypot(disc.radius_m, disc.half_thickness_m)


def _place(numbers: Numbers) -> Triple:
    x, y, z, *_ = numbers
    return x, y, z


def _flight(params: WorldParams) -> Callable[..., Numbers]:
    """On floats: the ball, and a step's length [s], to the ball a step later, had it met nothing but the ground."""

    def fly(*numbers: Any) -> Iterator[Any]:
        given = iter(numbers)
        return leaves(step_flight(_ball(given), params.wind_w, params.ball, next(given)))

    return on_floats(fly, _BALL + 1)


def _collision(params: WorldParams) -> Callable[..., Numbers]:
    """On floats: what an impact, if any, makes of the end of a step.

    From the ball at both its ends, the vehicle at two poses, which shares of the way between them the ends are, and the
    step's length [s]; to the ball, the impacts on the racket, and how high the ball was then [m].
    """

    def meet(*numbers: Any) -> Iterator[Any]:
        given = iter(numbers)
        ball, flown, before, after = _ball(given), _ball(given), _body(given), _body(given)
        start, end = (_between(before, after, next(given)) for _ in range(2))
        _, struck, impact = collide(
            (start, ball),
            (end, flown),
            params.racket,
            params.airframe,
            params.vehicle,
            params.ball,
            Impact(0.0, 0.0, Vec3(0.0, 0.0, 0.0), Vec3(0.0, 0.0, 0.0), 0.0),
            next(given),
        )
        return leaves((struck, impact.racket_count, impact.pos_w.z))

    return on_floats(meet, 2 * _BALL + 2 * _BODY + 3)


def _ball(given: Iterator[Any]) -> Ball:
    return Ball(*(Vec3(*itertools.islice(given, 3)) for _ in range(3)))


def _body(given: Iterator[Any]) -> RigidBody:
    pos_w, vel_w = (Vec3(*itertools.islice(given, 3)) for _ in range(2))
    return RigidBody(pos_w, vel_w, Quat(*itertools.islice(given, 4)), Vec3(*itertools.islice(given, 3)))


def _between(before: RigidBody, after: RigidBody, share: Any) -> RigidBody:
    """The body between two poses, by straight lines; they are a few milliseconds apart."""
    same: Any = sum(a * b for a, b in zip(before.quat_wb, after.quat_wb, strict=True)) >= 0.0
    sign = torch.where(same, 1.0, -1.0)  # q and -q are one attitude
    quat = Quat(*(a + (sign * b - a) * share for a, b in zip(before.quat_wb, after.quat_wb, strict=True)))
    pos_w, vel_w, omega_b = (
        a + (b - a) * share
        for a, b in (
            (before.pos_w, after.pos_w),
            (before.vel_w, after.vel_w),
            (before.omega_b, after.omega_b),
        )
    )
    return RigidBody(pos_w, vel_w, quat.normalized(), omega_b)
