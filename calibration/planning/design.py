"""Which manoeuvres a flight for calibration should have, and how well it will tell each figure.

Greedy D-like design: the next manoeuvre is the one that brings the figures still short of their target furthest, in the
sum of logarithms of their standard deviations. It ends when every target is met, time is up, or nothing helps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from corvids.calibration.flight.groups import GROUPS
from corvids.calibration.flight.parameters import Airframe, FlightParameters

TARGETS = {
    "accel_max_mps2": 0.005,
    "roll_accel_max_radps2": 0.015,
    "pitch_accel_max_radps2": 0.015,
    "yaw_accel_max_radps2": 0.015,
    "motor_tau_s": 0.025,
    "drag_per_mass_1ps": 0.05,
}
"""Relative standard deviation that is aimed at for each figure."""
MARGIN = 0.5
"""The bound is aimed at this part of the targets: real fits do not reach it, and vehicles differ from their files."""
_LEAST_GAIN = 0.01
"""What does not shrink the standard deviations by so much together is not flown."""


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a plan promises for one figure."""

    value: float
    """Of the vehicle file."""
    std: float
    """Least standard deviation that a fit of the flight can have (Cramér-Rao)."""
    target: float
    """What was aimed at, in the same unit."""
    paid_by: str
    """The manoeuvre without which it would be least certain; empty where none matters."""
    std_without: float
    """How uncertain it would be then."""

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        return self.std <= self.target


@dataclasses.dataclass(frozen=True)
class Design:
    """Manoeuvres in the order of flight, and what they promise."""

    manoeuvres: tuple[str, ...]
    expected: dict[str, Expected]


def design(
    airframe: Airframe,
    prior: np.ndarray,
    offered: Mapping[str, np.ndarray],
    wanted: Sequence[str],
    most: int,
) -> Design:
    """Choose at most ``most`` of the ``offered`` manoeuvres, repeats allowed, for the figures ``wanted``.

    ``prior`` and the information that each manoeuvre brings: (P, P), ordered as the unknowns of
    :func:`~corvids.calibration.planning.information.names_of`.
    """
    figures = {name: _figure(airframe, name) for name in wanted}
    chosen: list[str] = []
    total = prior
    while len(chosen) < most:
        short = [name for name in wanted if _std(total, figures[name][1]) > MARGIN * _target(figures, name)]
        if not short or not offered:
            break
        gains = {
            one: sum(
                math.log(_std(total, figures[name][1]) / _std(total + information, figures[name][1]))
                for name in short
            )
            for one, information in offered.items()
        }
        best = max(gains, key=lambda one: gains[one])
        if gains[best] < _LEAST_GAIN:
            break
        chosen.append(best)
        total = total + offered[best]
    # Alike manoeuvres follow one another, in the order of the table.
    order = tuple(sorted(chosen, key=list(offered).index))
    return Design(order, {name: _expected(prior, offered, order, figures, name) for name in wanted})


def _expected(
    prior: np.ndarray,
    offered: Mapping[str, np.ndarray],
    order: Sequence[str],
    figures: Mapping[str, tuple[float, np.ndarray]],
    name: str,
) -> Expected:
    def std(without: str | None) -> float:
        return _std(prior + sum(offered[one] for one in order if one != without), figures[name][1])

    others = {one: std(one) for one in dict.fromkeys(order)}
    worst = max(others, key=lambda one: others[one], default="")
    return Expected(
        value=figures[name][0],
        std=std(None),
        target=_target(figures, name),
        paid_by=worst,
        std_without=others.get(worst, std(None)),
    )


def _target(figures: Mapping[str, tuple[float, np.ndarray]], name: str) -> float:
    """Standard deviation that is aimed at; of a figure that the file says is zero, as if it were one."""
    return TARGETS[name] * (abs(figures[name][0]) or 1.0)


def _figure(airframe: Airframe, name: str) -> tuple[float, np.ndarray]:
    """Value of a figure, and its slopes by the unknowns (the vehicle's; biases have none)."""
    start, free = airframe.start(), airframe.free()
    slopes = np.zeros(len(free))
    unknown = GROUPS[name][0]
    if unknown == "log_tau_rise" and "log_tau_fall" in free:
        taus = {one: math.exp(getattr(start, one)) for one in ("log_tau_rise", "log_tau_fall")}
        for one, tau in taus.items():
            slopes[free.index(one)] = 0.5 * tau
        return 0.5 * sum(taus.values()), slopes
    raw = _of(start, unknown)
    value = math.exp(raw) if unknown.startswith("log_") else raw
    slopes[free.index(unknown)] = value if unknown.startswith("log_") else 1.0
    return value, slopes


def _of(parameters: FlightParameters, name: str) -> float:
    return float(getattr(parameters, name))


def _std(information: np.ndarray, slopes: np.ndarray) -> float:
    direction = np.concatenate((slopes, np.zeros(len(information) - len(slopes))))
    return math.sqrt(float(direction @ np.linalg.solve(information, direction)))
