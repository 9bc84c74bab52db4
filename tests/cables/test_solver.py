"""The tension solver against an exact one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from corvids.controllers.spatial import Vec3
from corvids.envs.physics.cables import CableParams, Inertia, Span, tensions

DT_S = 0.002


def column(value: float) -> torch.Tensor:
    return torch.full((1, 1), float(value), dtype=torch.float64)


def vector(values: np.ndarray) -> Vec3:
    return Vec3(*(column(value) for value in values))


def problem(cables: int, stiffness_npm: float, seed: int):
    """Random cables of a load of 1.4 kg; and matrix and right-hand side of their complementarity problem in numpy."""
    random = np.random.default_rng(seed)
    ways = random.normal(size=(cables, 3)) + np.array([0.0, 0.0, 2.5])
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    points = random.uniform(-1.0, 1.0, (cables, 3)) * [0.27, 0.22, 0.08]
    load_arms, drone_arms = np.cross(points, ways), np.cross([0.0, 0.0, -0.03], ways)
    moments = np.array([0.026, 0.038, 0.059])
    now, later = random.uniform(-2e-4, 4e-4, (2, cables))
    damping = 5e-4 * stiffness_npm
    spans = [
        Span(vector(w), vector(d), vector(a), column(s), column(t))
        for w, d, a, s, t in zip(ways, drone_arms, load_arms, now, later, strict=True)
    ]
    origin = vector(np.zeros(3))
    parts = [
        CableParams(origin, origin, column(1.0), column(stiffness_npm), column(damping), column(1.0))
    ] * cables
    drones = [Inertia(column(1 / 0.63), vector(1 / np.array([0.0016, 0.0018, 0.003])))] * cables
    load = Inertia(column(1 / 1.4), vector(1 / moments))

    mobility = ways @ ways.T / 1.4 + load_arms @ np.diag(1 / moments) @ load_arms.T
    mobility += np.diag(1 / 0.63 + np.sum(drone_arms**2 / [0.0016, 0.0018, 0.003], axis=1))
    gain = 0.5 * stiffness_npm + damping / DT_S
    matrix = np.eye(cables) / gain + 0.5 * DT_S**2 * mobility
    right = later + (stiffness_npm - gain) / gain * np.maximum(now, 0.0)
    return spans, parts, drones, load, matrix, right


def exact(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The one set of taut cables for which no tension and no slack is negative."""
    size = len(right)
    for taut in itertools.product((False, True), repeat=size):
        on = np.array(taut)
        tension = np.zeros(size)
        tension[on] = np.linalg.solve(matrix[np.ix_(on, on)], right[on])
        if (tension >= -1e-12).all() and (matrix @ tension - right >= -1e-12).all():
            return tension
    raise AssertionError("a linear complementarity problem with a positive definite matrix has a solution")


@pytest.mark.parametrize(("cables", "limit"), [(1, 1e-12), (3, 1e-6), (5, 1e-5), (8, 1e-4)])
def test_tensions_solve_the_complementarity_problem(cables: int, limit: float):
    """From cold, with cables as stiff as real Dyneema; in flight the last step's tensions leave less to do."""
    worst, slack = 0.0, 0
    for seed in range(20):
        spans, parts, drones, load, matrix, right = problem(cables, 5e4, seed)
        solved = tensions(spans, parts, [column(0.0)] * cables, drones, load, DT_S)
        found, want = np.array([t.item() for t in solved]), exact(matrix, right)
        worst = max(worst, np.abs(found - want).max() / max(want.max(), 1.0))
        slack += int((want == 0.0).sum())
        assert (found >= 0.0).all()
    print("worst error, part of the largest tension:", worst)
    assert slack > 0
    assert worst < limit


def test_more_sweeps_come_closer_even_for_cables_a_hundred_times_stiffer():
    spans, parts, drones, load, matrix, right = problem(5, 5e6, seed=3)
    want = exact(matrix, right)

    def error(sweeps: int) -> float:
        found = tensions(spans, parts, [column(0.0)] * 5, drones, load, DT_S, sweeps)
        return float(np.abs(np.array([t.item() for t in found]) - want).max() / want.max())

    errors = [error(sweeps) for sweeps in (2, 8, 32, 256)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-9


def test_the_last_tensions_are_taken_out_of_the_prediction():
    """A stretch that was predicted under yesterday's tensions leads to the same answer as one predicted without."""
    spans, parts, drones, load, matrix, right = problem(3, 5e4, seed=5)
    want = exact(matrix, right)
    last = np.array([3.0, 8.0, 5.0])
    travel = (matrix - np.diag(1 / (0.5 * 5e4 + 5e4 * 5e-4 / DT_S) * np.ones(3))) @ last
    spans = [
        lie._replace(next_stretch_m=lie.next_stretch_m - column(moved))
        for lie, moved in zip(spans, travel, strict=True)
    ]
    found = tensions(spans, parts, [column(t) for t in last], drones, load, DT_S, 100)
    assert [t.item() for t in found] == pytest.approx(want, abs=1e-9)
