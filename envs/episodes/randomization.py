"""Domain randomization: what is drawn anew in every world at every reset."""

from __future__ import annotations

import dataclasses
from statistics import NormalDist
from typing import Any

import torch

from corvids.controllers.packing import leaf_names, leaves, pack
from corvids.envs.physics.team_world import DroneParams
from corvids.envs.physics.world import WorldParams
from corvids.envs.sensors.sensing import SensorParams

Range = tuple[float, float]
"""Smallest and largest value of a uniform draw."""


@dataclasses.dataclass(frozen=True)
class Randomization:
    """Ranges of all draws. A *factor* multiplies the nominal value."""

    command_share: float = 1.0
    """Share of a task's range of commands that is drawn from."""
    wild_share: float = 0.7
    """Share of the worlds in which every episode starts badly: thrown, tumbling."""
    mass_factor: Range = (0.85, 1.15)
    """Vehicle mass."""
    inertia_factor: Range = (0.8, 1.2)
    """Each principal moment of inertia."""
    thrust_factor: Range = (0.85, 1.1)
    """Thrust of all rotors at a given command: model error and battery sag."""
    rotor_factor: Range = (0.97, 1.03)
    """Thrust of each rotor besides."""
    torque_factor: Range = (0.8, 1.2)
    """Drag torque per thrust."""
    lag_factor: Range = (0.8, 1.25)
    """Fraction of the way that a rotor covers in a step (the inverse of its time constant, nearly)."""
    drag_factor: Range = (0.5, 1.5)
    """Linear, quadratic and angular drag of the vehicle."""
    restitution_factor: Range = (0.9, 1.08)
    """Both restitution coefficients of the racket."""
    friction_factor: Range = (0.3, 2.0)
    """Racket's friction."""
    racket_tilt_rad: Range = (-0.012, 0.012)
    """Tilt of the racket's normal about each horizontal body axis."""
    ball_mass_factor: Range = (0.5, 1.3)
    """Ball mass."""
    ball_radius_factor: Range = (0.85, 1.1)
    """Ball radius."""
    ball_drag_factor: Range = (0.3, 3.0)
    """Ball drag."""
    magnus_factor: Range = (0.0, 10.0)
    """Magnus force on the ball: up to that on a ball ten times lighter."""
    wind_mps: Range = (-1.0, 1.0)
    """Mean wind along each horizontal axis."""
    gust_std_mps: Range = (0.0, 0.5)
    """Standard deviation of the gusts along each axis."""
    command_delay_s: Range = (0.0, 0.012)
    """From the policy's decision to the autopilot's."""
    vehicle_delay_s: Range = (0.01, 0.07)
    """Age of the vehicle's state when it arrives."""
    vehicle_period_s: Range = (0.004, 0.01)
    """Sampling period of the vehicle's state."""
    ball_delay_s: Range = (0.01, 0.07)
    """Age of a ball measurement when it arrives."""
    ball_period_s: Range = (0.0078, 0.01)
    """Sampling period of the ball."""
    ball_drop_rate: float = 0.02
    """Part of the ball measurements that are lost."""
    clock_error_s: Range = (-0.003, 0.003)
    """Error of all reported ages."""
    noise_factor: Range = (0.3, 1.5)
    """All standard deviations below."""
    pos_std_m: float = 0.002
    """Vehicle position."""
    vel_std_mps: float = 0.03
    """Vehicle velocity."""
    attitude_std_rad: float = 0.0052
    """Vehicle attitude about each axis (0.3°)."""
    rate_std_radps: float = 0.02
    """Body rates."""
    ball_std_m: float = 0.003
    """Ball position."""


_POINTS: dict[str, Any] = {
    field.name: (1.0, 1.0) if field.name.endswith("_factor") else (0.0, 0.0)
    for field in dataclasses.fields(Randomization)
    if field.type == "Range" and not field.name.endswith("_period_s")
}
NO_RANDOMIZATION = Randomization(
    **_POINTS,
    ball_drop_rate=0.0,
    pos_std_m=0.0,
    vel_std_mps=0.0,
    attitude_std_rad=0.0,
    rate_std_radps=0.0,
    ball_std_m=0.0,
)
"""Every world nominal, every signal exact and fresh."""

_FACTOR_OF = {
    "vehicle.mass_kg": "mass_factor",
    "vehicle.inertia_kgm2": "inertia_factor",
    "vehicle.torque_per_thrust_m": "torque_factor",
    "vehicle.rise_fraction": "lag_factor",
    "vehicle.fall_fraction": "lag_factor",
    "vehicle.linear_drag_nspm": "drag_factor",
    "vehicle.quadratic_drag_ns2pm2": "drag_factor",
    "vehicle.angular_drag_nmsprad": "drag_factor",
    "racket.restitution": "restitution_factor",
    "racket.friction": "friction_factor",
    "ball.mass_kg": "ball_mass_factor",
    "ball.radius_m": "ball_radius_factor",
    "ball.drag_per_m": "ball_drag_factor",
    "ball.magnus": "magnus_factor",
}
"""Which factor multiplies the rows of packed parameters whose names begin so."""
_SHARED = ("thrust_factor", "lag_factor", "drag_factor", "restitution_factor")
"""Factors that are one draw for all rows that they multiply."""


class Draws:
    """Draws packed parameters and sensors for worlds about to start an episode."""

    def __init__(
        self,
        config: Randomization,
        nominal: WorldParams | DroneParams,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        """``nominal``: parameters before randomization; leaves are floats, or (1, drones) where members differ."""
        self.config = config
        self.device, self._generator = device, generator
        self._names = leaf_names(nominal)
        columns = [torch.as_tensor(leaf, dtype=torch.float32).reshape(-1) for leaf in leaves(nominal)]
        self._nominal = torch.stack(torch.broadcast_tensors(*columns)).to(device)
        low, high, column, shared = [], [], [], {}
        for row, name in enumerate(self._names):
            factor = next((f for start, f in _FACTOR_OF.items() if name.startswith(start)), None)
            bounds = getattr(config, factor) if factor else (1.0, 1.0)
            low.append(bounds[0])
            high.append(bounds[1])
            column.append(shared.setdefault(factor, row) if factor in _SHARED else row)
        self._low = torch.tensor(low, device=device)[:, None, None]
        self._high = torch.tensor(high, device=device)[:, None, None]
        self._column = torch.tensor(column, device=device)

    def uniform(self, bounds: Range, *shape: int) -> torch.Tensor:
        """Uniform draws within ``bounds``."""
        share = torch.rand(shape, device=self.device, generator=self._generator)
        return bounds[0] + (bounds[1] - bounds[0]) * share

    def params(self, count: int) -> torch.Tensor:
        """Packed parameters of ``count`` worlds: shape ``(rows, count, drones)``."""
        config, drones = self.config, self._nominal.shape[1]
        share = self.uniform((0.0, 1.0), len(self._names), count, drones)[self._column]
        drawn = self._nominal[:, None] * (self._low + (self._high - self._low) * share)
        thrust = self._rows("vehicle.thrust_max_n.r1", 4)
        drawn[thrust] *= self.uniform(config.thrust_factor, 1, count, drones) * self.uniform(
            config.rotor_factor, 4, count, drones
        )
        moments = self._rows("vehicle.inertia_kgm2.x", 3)
        others = drawn[moments].sum(0, keepdim=True) - drawn[moments]
        drawn[moments] = torch.minimum(
            drawn[moments], 0.999 * others
        )  # no body has a moment above the others' sum
        if "racket.normal_b.x" in self._names:
            tilt = self.uniform(config.racket_tilt_rad, 2, count, 1)
            normal = self._rows("racket.normal_b.x", 3)
            tilted = drawn[normal] + torch.cat((tilt, torch.zeros_like(tilt[:1])))
            drawn[normal] = tilted / tilted.square().sum(0, keepdim=True).sqrt()
        drawn[self._rows("wind_w.x", 2)] = self.uniform(config.wind_mps, 2, count, 1)
        return drawn

    def sensors(self, count: int) -> torch.Tensor:
        """Packed :class:`SensorParams` of ``count`` worlds: shape ``(rows, count, 1)``."""
        config = self.config
        scale = self.uniform(config.noise_factor, count)
        ones = torch.ones(count, device=self.device)
        rate = min(max(config.ball_drop_rate, 1e-9), 0.99)
        drawn = SensorParams(
            vehicle_delay_s=self.uniform(config.vehicle_delay_s, count),
            vehicle_period_s=self.uniform(config.vehicle_period_s, count),
            ball_delay_s=self.uniform(config.ball_delay_s, count),
            ball_period_s=self.uniform(config.ball_period_s, count),
            clock_error_s=self.uniform(config.clock_error_s, count),
            drop_quantile=ones * NormalDist().inv_cdf(rate),
            pos_std_m=scale * config.pos_std_m,
            vel_std_mps=scale * config.vel_std_mps,
            attitude_std_rad=scale * config.attitude_std_rad,
            rate_std_radps=scale * config.rate_std_radps,
            ball_std_m=scale * config.ball_std_m,
        )
        return pack(drawn)[..., None]

    def _rows(self, first: str, count: int) -> slice:
        start = self._names.index(first)
        return slice(start, start + count)
