"""Randomization from calibration: draws from what the vehicle file says of its own numbers and their errors.

Numbers with a standard deviation are drawn together, with the correlations that a calibration wrote, from a normal
distribution cut off at three standard deviations and at what the file format allows. Everything else keeps the ranges
of :class:`~corvids.envs.episodes.randomization.Randomization`; :func:`describe` says which is which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from corvids.correlations import AXES, numbers
from corvids.envs.episodes.randomization import Draws, Randomization
from corvids.envs.physics.world import WorldParams
from corvids.quantities import specs_of
from corvids.vehicle import Vehicle

CUT_OFF = 3.0
"""Draws are kept within so many standard deviations."""
LEAST_SHARE = 0.1
"""What cannot be zero is not drawn below this share of its value."""

_ROW_OF = {
    "body.mass_kg": "vehicle.mass_kg",
    **{
        f"body.{field}.{axis}": f"vehicle.{field}.{axis}"
        for field in ("inertia_kgm2", "linear_drag_nspm", "quadratic_drag_ns2pm2", "angular_drag_nmsprad")
        for axis in AXES
    },
    "rotors.inertia_kgm2": "vehicle.rotor_inertia_kgm2",
    **{f"racket.position_b_m.{axis}": f"racket.center_b.{axis}" for axis in AXES},
    "racket.restitution": "racket.restitution",
    "racket.restitution_rim": "racket.restitution_rim",
    "racket.friction": "racket.friction",
}
"""Rows of packed parameters that are numbers of the vehicle file as they stand there."""
_LAG_ROW = {"rotors.tau_rise_s": "vehicle.rise_fraction", "rotors.tau_fall_s": "vehicle.fall_fraction"}
_THRUST, _TORQUE = "rotors.thrust_coeff_ns2prad2", "rotors.torque_coeff_nms2prad2"
_NORMAL = tuple(f"racket.normal_b.{axis}" for axis in AXES)
_RANGE_OF = {
    "mass_factor": ("body.mass_kg",),
    "inertia_factor": tuple(f"body.inertia_kgm2.{axis}" for axis in AXES),
    "thrust_factor": (_THRUST,),
    "torque_factor": (_TORQUE,),
    "lag_factor": tuple(_LAG_ROW),
    "drag_factor": tuple(
        f"body.{field}.{axis}"
        for field in ("linear_drag_nspm", "quadratic_drag_ns2pm2", "angular_drag_nmsprad")
        for axis in AXES
    ),
    "restitution_factor": ("racket.restitution", "racket.restitution_rim"),
    "friction_factor": ("racket.friction",),
    "racket_tilt_rad": _NORMAL,
}
"""Numbers that each range stands for where the vehicle file has no standard deviation of them."""


class CalibratedDraws(Draws):
    """As :class:`Draws`, but the numbers that ``vehicle`` knows with an error are drawn from that error."""

    def __init__(
        self,
        config: Randomization,
        nominal: WorldParams,
        device: torch.device,
        generator: torch.Generator,
        vehicle: Vehicle,
    ) -> None:
        super().__init__(config, nominal, device, generator)
        self._joint = _Joint(vehicle, device)
        self._sag = 0.0 if vehicle.battery is None else vehicle.battery.thrust_loss_full_to_empty

    def params(self, count: int) -> torch.Tensor:
        """Packed :class:`WorldParams` of ``count`` worlds: shape ``(rows, count, 1)``."""
        drawn, nominal = super().params(count)[..., 0], self._nominal[:, 0]
        known = self._joint.draw(count, self._generator)
        for name, row_name in _ROW_OF.items():
            if name in known:
                drawn[self._names.index(row_name)] = known[name]
        for name, row_name in _LAG_ROW.items():
            if name in known:
                row = self._names.index(row_name)
                # 1 - exp(-dt/τ) of another τ, whatever the step.
                drawn[row] = 1.0 - (1.0 - nominal[row]) ** (self._joint.mean(name) / known[name])
        thrust_factor = torch.ones(count, device=self.device)
        if _THRUST in known:
            thrust_factor = known[_THRUST] / self._joint.mean(_THRUST)
            rows = self._rows("vehicle.thrust_max_n.r1", 4)
            # Rotors that differ, and a battery that empties, remain: neither is in the thrust coefficient.
            drawn[rows] = (
                nominal[rows, None] * thrust_factor * self.uniform(self.config.rotor_factor, 4, count)
            )
            drawn[rows] *= self.uniform((1.0 - self._sag, 1.0), 1, count)
        if _TORQUE in known:
            torque = self._names.index("vehicle.torque_per_thrust_m")
            drawn[torque] = nominal[torque] * (known[_TORQUE] / self._joint.mean(_TORQUE)) / thrust_factor
        if all(name in known for name in _NORMAL):
            normal = torch.stack([known[name] for name in _NORMAL])
            drawn[self._rows("racket.normal_b.x", 3)] = torch.nn.functional.normalize(normal, dim=0)
        moments = self._rows("vehicle.inertia_kgm2.x", 3)
        others = drawn[moments].sum(0, keepdim=True) - drawn[moments]
        drawn[moments] = torch.minimum(drawn[moments], 0.999 * others)
        return drawn[..., None]


def draws_of(
    kind: str,
    config: Randomization,
    nominal: WorldParams,
    device: torch.device,
    generator: torch.Generator,
    vehicle: Vehicle,
) -> Draws:
    """Draws of the ``kind`` that a configuration names: ``ranges`` or ``calibrated``."""
    if kind == "calibrated":
        return CalibratedDraws(config, nominal, device, generator, vehicle)
    return Draws(config, nominal, device, generator)


class _Joint:
    """The joint distribution of the numbers of a vehicle file that have a standard deviation."""

    def __init__(self, vehicle: Vehicle, device: torch.device) -> None:
        std = {name: value for name, value in numbers(vehicle.provenance).items() if value > 0.0}
        self._names = list(std)
        table = [_value_and_range(vehicle, name) for name in std]
        self._mean, low, high = torch.tensor(table, device=device).reshape(-1, 3).unbind(1)
        self._std = torch.tensor(list(std.values()), device=device)
        self._low = torch.maximum(low, self._mean - CUT_OFF * self._std)
        self._high = torch.minimum(high, self._mean + CUT_OFF * self._std)
        self._root = _root(self._names, vehicle.correlations).to(device)

    def mean(self, name: str) -> torch.Tensor:
        """The file's value."""
        return self._mean[self._names.index(name)]

    def draw(self, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Values of ``count`` worlds by name."""
        if not self._names:
            return {}
        normal = torch.randn(len(self._names), count, device=self._mean.device, generator=generator)
        drawn = self._mean[:, None] + self._std[:, None] * (self._root @ normal)
        drawn = torch.minimum(torch.maximum(drawn, self._low[:, None]), self._high[:, None])
        return dict(zip(self._names, drawn, strict=True))


def _root(names: list[str], correlations: Mapping[tuple[str, str], float]) -> torch.Tensor:
    """A root of the correlation matrix; what rounding or a careless edit made negative of it is taken as zero."""
    matrix = torch.eye(len(names), dtype=torch.float64)
    for (one, other), value in correlations.items():
        if one in names and other in names:
            i, j = names.index(one), names.index(other)
            matrix[i, j] = matrix[j, i] = value
    values, vectors = torch.linalg.eigh(matrix)
    root = vectors * values.clamp_min(0.0).sqrt()
    return (root / root.norm(dim=1, keepdim=True)).float()


def _value_and_range(vehicle: Vehicle, name: str) -> tuple[float, float, float]:
    """Value of a number of the vehicle file, and its range."""
    section_name, _, rest = name.partition(".")
    field, _, axis = rest.partition(".")
    section = getattr(vehicle, section_name)
    value = getattr(section, field)
    value = float(value[AXES.index(axis)] if axis else value)
    _, low, high = specs_of(type(section))[field].quantity
    return value, max(low, LEAST_SHARE * value) if low > 0.0 else low, high


def describe(vehicle: Vehicle, config: Randomization) -> list[str]:
    """What is drawn from the vehicle file's errors and what keeps its wide range, a line each."""
    std = {name: value for name, value in numbers(vehicle.provenance).items() if value > 0.0}
    lines = []
    for field in dataclasses.fields(config):
        wanted = [
            name
            for name in _RANGE_OF.get(field.name, ())
            if vehicle.racket is not None or not name.startswith("racket.")
        ]
        known = [name for name in wanted if name in std]
        if not wanted:
            continue
        if known:
            errors = ", ".join(f"{name} ± {std[name]:.2g}" for name in known)
            lines.append(f"{field.name}: calibrated: {errors}")
        unknown = [name for name in wanted if name not in std]
        if unknown:
            lines.append(
                f"{field.name}: {getattr(config, field.name)}, wide, for the file has no error of {', '.join(unknown)}"
            )
    lines.append(f"{len(vehicle.correlations)} correlations; ball, wind, noise and delays keep their ranges")
    return lines
