"""A simulated ball over a vehicle that flies elsewhere: in PX4's own simulator, or for real.

The ball flies by the physics that policies train with, against the poses that the vehicle reports. Until it is released
it is held over the racket, wherever that goes; once it has dropped it is held there again, as if somebody brought it
back. The vehicle feels nothing of it.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.ball import Ball, DiscParams, Impact, collide, step_flight
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.plants.hits import DROP_M, HitCounter
from corvids.envs.sensors.ball_sightings import BallSightings
from corvids.vehicle import Vehicle

STEP_MAX_S = 0.008
"""Longest step: a ball at 4 m/s then moves by less than its radius."""
GAP_MAX_S = 0.1
"""After a longer gap between poses the ball is held again."""
AWAY_S = 1.5
"""How long a dropped ball is out of sight [s]."""


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
        self._params = map_leaves(_scalar, world_params(vehicle, ball, STEP_MAX_S))
        x, y, self._racket_z = vehicle.racket.position_b_m if vehicle.racket else (0.0, 0.0, 0.0)
        self._held_b = Vec3(_scalar(x), _scalar(y), _scalar(self._racket_z + ball.radius_m + height_m))
        self._reach_m = max(map(_reach_m, (self._params.racket, self._params.airframe))) + ball.radius_m
        self._sightings = BallSightings(seed)
        self._counter = HitCounter(1)
        self._is_released = False
        self._hand_w: Vec3 | None = None
        self._away_until_s = -math.inf
        self._body: RigidBody | None = None
        self._stamp_s = -math.inf
        self._ball = Ball(self._held_b, _ZERO, _ZERO)
        self._warm_up()

    @property
    def hits(self) -> int:
        """Counted hits."""
        return int(self._counter.hits[0])

    @property
    def seen_pos_w(self) -> tuple[float, float, float] | None:
        """Where it truly is [m], world ENU; None before the first pose, and while it is out of sight."""
        if self._body is None or self._stamp_s < self._away_until_s:
            return None
        x, y, z = (float(component) for component in self._ball.pos_w)
        return x, y, z

    def keep_in_place(self) -> None:
        """From now on the hand that holds it stays where it is, whatever the vehicle does."""
        if not self._is_released:
            self._hand_w = self._ball.pos_w

    def release(self) -> None:
        """Let go of it, if it is held."""
        self._is_released, self._hand_w = True, None

    def measure(self, now_s: float, state: Pose) -> list[tuple[float, tuple[float, float, float]]]:
        """Fly up to the newest pose; stamps [s] and places [m] measured that have arrived by ``now_s``."""
        stamp_s = state.stamp_s
        if stamp_s > self._stamp_s:
            body = RigidBody(
                Vec3(*map(_scalar, state.pos_w)),
                Vec3(*map(_scalar, state.vel_w)),
                Quat(*map(_scalar, state.quat_wb)),
                Vec3(*map(_scalar, state.omega_b)),
            )
            gap_s = stamp_s - self._stamp_s
            if self._body is not None and self._is_released:
                if gap_s <= GAP_MAX_S:
                    self._fly(self._body, body, gap_s)
                else:
                    self._drop(stamp_s)
            if not self._is_released:
                self._ball = Ball(self._hand_w or body.pos_w + self._held_b, _ZERO, _ZERO)
            self._body, self._stamp_s = body, stamp_s
            if (place := self.seen_pos_w) is not None:
                self._sightings.look(stamp_s, place)
        return self._sightings.arrived(now_s)

    def _fly(self, before: RigidBody, after: RigidBody, gap_s: float) -> None:
        steps = math.ceil(gap_s / STEP_MAX_S)
        dt_s, params = gap_s / steps, self._params
        for step in range(steps):
            flown = step_flight(self._ball, params.wind_w, params.ball, dt_s)
            racket_count, struck_z = 0, 0.0
            if self._is_near(before, after, flown):
                start, end = (_between(before, after, (step + part) / steps) for part in (0, 1))
                _, flown, impact = collide(
                    (start, self._ball),
                    (end, flown),
                    params.racket,
                    params.airframe,
                    params.vehicle,
                    params.ball,
                    _NO_IMPACT,
                    dt_s,
                )
                racket_count, struck_z = int(impact.racket_count), float(impact.pos_w.z)
            self._ball = flown
            self._counter.update(
                np.array([racket_count]), np.array([struck_z]), np.array([float(self._ball.pos_w.z)])
            )
        if float(self._ball.pos_w.z) < float(after.pos_w.z) + self._racket_z - DROP_M:
            self._drop(self._stamp_s + gap_s)

    def _is_near(self, before: RigidBody, after: RigidBody, flown: Ball) -> bool:
        """Whether they can touch on the way. Mostly they cannot, and then four fifths of the work need not be done."""
        moved_m = math.dist(self._ball.pos_w, flown.pos_w) + math.dist(before.pos_w, after.pos_w)
        return math.dist(flown.pos_w, after.pos_w) < self._reach_m + moved_m

    def _drop(self, stamp_s: float) -> None:
        self.drops += 1
        self._away_until_s = stamp_s + AWAY_S
        self._sightings.forget()
        self._is_released = False

    def _warm_up(self) -> None:
        """Do everything once: torch's first calls take a tenth of a second, which a flight does not have."""
        # The vehicle is where the ball is, so that they may touch.
        body = RigidBody(self._held_b, _ZERO, Quat(*map(_scalar, (1.0, 0.0, 0.0, 0.0))), _ZERO)
        self._fly(body, body, STEP_MAX_S)


def _reach_m(disc: DiscParams) -> float:
    """How far from the vehicle's centre of mass a disc reaches [m]."""
    return math.hypot(*disc.center_b) + math.hypot(disc.radius_m, disc.half_thickness_m)


def _scalar(value: Any) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def _between(before: RigidBody, after: RigidBody, share: float) -> RigidBody:
    """The body between two poses, by straight lines; they are a few milliseconds apart."""
    sign = 1.0 if sum(a * b for a, b in zip(before.quat_wb, after.quat_wb, strict=True)) >= 0.0 else -1.0
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


_ZERO = Vec3(_scalar(0.0), _scalar(0.0), _scalar(0.0))
_NO_IMPACT = Impact(_scalar(0.0), _scalar(0.0), _ZERO, _ZERO, _scalar(0.0))
