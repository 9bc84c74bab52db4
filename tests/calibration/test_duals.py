"""Derivatives carried along are the derivatives: against torch's own forward mode, and through the simulator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flight_lab import fly, planted_vehicle

from corvids.calibration.duals import Dual
from corvids.calibration.flight_model import LOCALS, compare
from corvids.calibration.parameters import Airframe
from corvids.calibration.segments import cut
from corvids.vehicle import load_vehicle


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a * b - b / a + 2.0 / a - (3.0 - b),
        lambda a, b: torch.sqrt(a) * torch.exp(b) + torch.rsqrt(a),
        lambda a, b: torch.relu(b - a) + torch.abs(b),
        lambda a, b: torch.where(a > b, a * a, -b) + torch.where(a <= b, 0.0, a),
        lambda a, b: torch.full_like(C, 2.0) * a + C / b + (C - a) + (C + b),
    ],
)
def test_a_dual_follows_torch(function):
    a, b = (
        torch.tensor([0.7, 2.0, 1.3], dtype=torch.float64),
        torch.tensor([1.1, -0.4, 1.2], dtype=torch.float64),
    )
    slopes = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = function(Dual(a, slopes), Dual(b, slopes.flip(0)))
    for index, direction in enumerate(slopes):
        value, slope = torch.func.jvp(function, (a, b), (direction, slopes.flip(0)[index]))[:2]
        torch.testing.assert_close(found.value, value)
        torch.testing.assert_close(found.slope[index], slope)


C = torch.tensor([0.5, 1.5, -2.0], dtype=torch.float64)


def test_derivatives_of_a_flight_are_those_of_finite_differences():
    """Central differences over ±1e-5 err by less than 1e-6 of the scale of the signals."""
    file = load_vehicle("air")
    (record,) = fly([planted_vehicle(file, np.random.default_rng(0))], 3.0, np.array([0.003]), 0)
    pieces = cut(record, length_s=0.2).take(np.arange(2))
    airframe = Airframe(file)
    start = airframe.start()._replace(delay_s=0.002)
    free = tuple(name for name in start._fields if name != "log_tau_fall")
    local = torch.full((2, LOCALS), 0.01, dtype=torch.float64)
    exact = compare(airframe, pieces, start, free, local)
    step = 1e-5
    for index, name in enumerate(free):
        ends = []
        for sign in (1.0, -1.0):
            moved = start._replace(**{name: getattr(start, name) + sign * step})
            if name == "log_tau_rise":
                moved = moved._replace(log_tau_fall=moved.log_tau_rise)
            ends.append(compare(airframe, pieces, moved, free, local).error)
        difference = (ends[0] - ends[1]) / (2.0 * step)
        torch.testing.assert_close(exact.by_global[..., index], difference, rtol=1e-4, atol=1e-4)
    for index in range(LOCALS):
        bump = torch.zeros_like(local)
        bump[:, index] = step
        ends = [compare(airframe, pieces, start, free, local + sign * bump).error for sign in (1.0, -1.0)]
        torch.testing.assert_close(
            exact.by_local[..., index], (ends[0] - ends[1]) / (2.0 * step), rtol=1e-4, atol=1e-4
        )
