"""One world whose vehicle is flown by a real autopilot: motor commands in, what its sensors feel out.

The vehicle starts on the ground. The ball is held over the racket until it is released, flies and bounces by the
engine's physics, and is held again some time after it was dropped.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from corvids.envs.engines.engine import Array, Engine, State
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.plants.hits import DROP_M, GROUND_MARGIN_M, HitCounter
from corvids.envs.sensors.ball_sightings import BallSightings, Triple
from corvids.envs.sensors.gps import Fix, GpsReceiver, Grade
from corvids.vehicle import Vehicle

TICKS = 2
"""Engine ticks between two readings of the sensors: 250 Hz, PX4's rate in simulation."""
AWAY_S = 1.5
"""How long a dropped ball is out of sight [s]."""
PARKED_W = (50.0, 0.0)
"""Where the ball lies while it is not in flight [m]."""
ACCEL_STD_MPS2, GYRO_STD_RADPS = 0.1, 0.01
"""Noise of a reading of the IMU, each axis; assumed, like that of a vehicle with soft-mounted electronics."""
TRACKER_POS_STD_M, TRACKER_ANGLE_STD_RAD = 0.002, math.radians(0.3)
"""Noise of the external tracker: as in the condition ``noisy``."""
TRACKER_STEPS = 2
"""It sees the vehicle at every second step: 125 Hz."""
TRACKER_DELAY_S = 0.02
"""How old a pose is when it reaches the autopilot [s], which stamps what its simulator sends by its arrival."""
COMPASS_STD_RAD, COMPASS_BIAS_STD_RAD = math.radians(0.5), math.radians(1.0)
"""Of a magnetometer, where the autopilot lives on it: noise of a reading about each axis, and of what stays about the
vertical, which is what a calibration leaves."""
BAROMETER_STD_M = 0.1
"""Noise of a barometer's reading, where the autopilot lives on it."""


class Felt(NamedTuple):
    """What sensors feel at one instant, with noise. World ENU, body FLU."""

    specific_force_b_mps2: Triple
    omega_b_radps: Triple
    quat_wb: tuple[float, float, float, float]
    """Attitude by which the magnetometer turns: the true one, but for its errors."""
    height_w_m: float
    """Height by which the barometer reads, likewise."""
    tracked_pos_w_m: Triple | None
    """Position from the external tracker; None where it sends nothing now."""
    tracked_quat_wb: tuple[float, float, float, float]
    """Attitude from it."""
    fix: Fix | None = None
    """From the satellite navigation receiver; None where it sends nothing now."""


class HilWorld:
    """``engine`` with one world, advanced by the autopilot's steps."""

    def __init__(
        self,
        engine: Engine,
        vehicle: Vehicle,
        height_m: float,
        ball: BallConfig,
        seed: int,
        imu_noise: float = 1.0,
        gps: Grade | None = None,
    ) -> None:
        """``height_m``: how far above where it would lie on the racket the ball is held [m].

        ``imu_noise``: how many times as noisy as usual accelerometer and gyroscope are. With ``gps`` no tracker sees
        the vehicle: it carries such a receiver, and magnetometer and barometer err, too.
        """
        self._accel_std, self._gyro_std = imu_noise * ACCEL_STD_MPS2, imu_noise * GYRO_STD_RADPS
        self._engine, self._vehicle, self._ball = engine, vehicle, ball
        self._params = world_params(vehicle, ball, engine.dt_s)
        x, y, z = vehicle.racket.position_b_m if vehicle.racket else (0.0, 0.0, 0.0)
        self._racket_z = z
        self._held_b = np.array([x, y, z + ball.radius_m + height_m])
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        drawn = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
        self._gps = GpsReceiver(gps, drawn) if gps else None
        self._compass_bias_rad = drawn.normal(0.0, COMPASS_BIAS_STD_RAD)
        self._sightings = BallSightings(seed)
        self._counter = HitCounter(1)
        self.drops = 0
        """How often the ball was dropped."""
        self._is_released = False
        self._away_until_s = -math.inf
        self._steps = 0
        delay = round(TRACKER_DELAY_S / self.step_s)
        self._poses: deque[tuple[Array, Array]] = deque(maxlen=delay + 1)
        still = np.zeros((1, 3))
        self._start(
            State(
                pos_w=np.array([[0.0, 0.0, vehicle.airframe.ground_clearance_m]]),
                vel_w=still,
                quat_wb=np.array([[1.0, 0.0, 0.0, 0.0]]),
                omega_b=still,
                rotors=np.zeros((1, 4)),
                ball_pos_w=np.array([[*PARKED_W, ball.radius_m]]),
                ball_vel_w=still,
                ball_spin_w=still,
            )
        )

    @property
    def step_s(self) -> float:
        """Time between two readings of the sensors [s]."""
        return TICKS * self._engine.dt_s

    @property
    def now_s(self) -> float:
        """Time since the start [s]."""
        return self._steps * self.step_s

    @property
    def hits(self) -> int:
        """Counted hits."""
        return int(self._counter.hits[0])

    @property
    def state(self) -> State:
        """Truth."""
        return self._state

    def place(self) -> Triple:
        """Where the vehicle truly is [m]."""
        x, y, z = self._state.pos_w[0].tolist()
        return x, y, z

    def release(self) -> None:
        """Let go of the ball, if it is held."""
        if self._is_released or self.now_s < self._away_until_s:
            return
        self._is_released = True
        still = np.zeros((1, 3))
        self._start(self._state._replace(ball_pos_w=self._held_w[None], ball_vel_w=still, ball_spin_w=still))

    def advance(self, motors: Triple | tuple[float, ...]) -> Felt:
        """One step under motor commands (4,) 0 to 1, and what is felt at its end."""
        command, force_w = np.array([motors]), np.zeros(3)
        for _ in range(TICKS):
            self._engine.step_motors(command)
            force_w += self._engine.specific_force_w[0] / TICKS
            self._state = self._engine.state
            if self._is_released:
                self._referee()
        self._steps += 1
        if self.now_s >= self._away_until_s:
            x, y, z = (self._state.ball_pos_w[0] if self._is_released else self._held_w).tolist()
            self._sightings.look(self.now_s, (x, y, z))
        return self._feel(force_w)

    def measure(self, now_s: float, state: object) -> list[tuple[float, Triple]]:
        """Measurements of the ball that have arrived; what the autopilot thinks (``state``) plays no part."""
        return self._sightings.arrived(now_s)

    @property
    def _held_w(self) -> Array:
        return self._state.pos_w[0] + self._held_b

    def _start(self, state: State) -> None:
        self._engine.reset(state, self._params)
        self._state = self._engine.state

    def _referee(self) -> None:
        state, contacts = self._state, self._engine.contacts
        self._counter.update(contacts.racket, contacts.racket_ball_pos_w[:, 2], state.ball_pos_w[:, 2])
        ball_z, vehicle_z = state.ball_pos_w[0, 2], state.pos_w[0, 2]
        if ball_z < vehicle_z + self._racket_z - DROP_M or ball_z < self._ball.radius_m + GROUND_MARGIN_M:
            self.drops += 1
            self._is_released = False
            self._away_until_s = self.now_s + AWAY_S
            self._sightings.forget()

    def _feel(self, force_w: Array) -> Felt:
        state, rng = self._state, self._rng
        quat_wb = state.quat_wb[0]
        force_b = _rotation(quat_wb).T @ force_w + rng.normal(0.0, self._accel_std, 3)
        omega_b = state.omega_b[0] + rng.normal(0.0, self._gyro_std, 3)
        (fx, fy, fz), (wx, wy, wz) = force_b.tolist(), omega_b.tolist()
        if self._gps is not None:
            self._gps.look(self.now_s, state.pos_w[0], state.vel_w[0])
            turned = _turned(quat_wb, rng.normal(0.0, COMPASS_STD_RAD, 3))
            half = 0.5 * self._compass_bias_rad
            w, x, y, z = turned  # then by what stays, about the world's vertical
            c, s = math.cos(half), math.sin(half)
            quat = (c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w)
            height_m = float(state.pos_w[0, 2] + rng.normal(0.0, BAROMETER_STD_M))
            return Felt((fx, fy, fz), (wx, wy, wz), quat, height_m, None, quat, self._gps.arrived(self.now_s))
        self._poses.append((state.pos_w[0], quat_wb))
        tracked, tilted = None, self._poses[0][1]
        if self._steps % TRACKER_STEPS == 0:
            x, y, z = (self._poses[0][0] + rng.normal(0.0, TRACKER_POS_STD_M, 3)).tolist()
            tracked = (x, y, z)
            tilted = _turned(tilted, rng.normal(0.0, TRACKER_ANGLE_STD_RAD, 3))
        true, seen = (tuple(float(q) for q in quat) for quat in (quat_wb, tilted))
        return Felt((fx, fy, fz), (wx, wy, wz), _four(true), float(state.pos_w[0, 2]), tracked, _four(seen))


def _four(values: tuple[float, ...]) -> tuple[float, float, float, float]:
    w, x, y, z = values
    return w, x, y, z


def _rotation(quat: Array) -> Array:
    """The matrix (3, 3) that rotates body vectors into the world."""
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _turned(quat: Array, small_b: Array) -> Array:
    """``quat`` turned by a small rotation vector [rad, body]."""
    w, x, y, z = quat
    a, b, c = 0.5 * small_b
    turned = np.array(
        [
            w - x * a - y * b - z * c,
            w * a + x + y * c - z * b,
            w * b - x * c + y + z * a,
            w * c + x * b - y * a + z,
        ]
    )
    return turned / np.linalg.norm(turned)
