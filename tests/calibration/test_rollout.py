"""Simulations by traced C++: a motion known in closed form, siblings and pieces kept apart, and the same on tensors."""

from __future__ import annotations

import pytest
import torch

from corvids.calibration.flight.rollout import Rollout
from corvids.envs.compiled.native_code import find_compiler

DT_S = 0.01
STEPS = 60


def oscillate(state, params, pushed):
    """A mass on a spring, pushed, by the symplectic Euler scheme; told: its place before and after the step."""
    (place, speed), (rate,), (push,) = state, params, pushed
    speed = speed + (push - rate * rate * place) * DT_S
    return (place + speed * DT_S, speed), (place, place + speed * DT_S)


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    return Rollout(oscillate, (0.0, 0.0), (0.0,), (0.0,))


def test_pieces_and_siblings_follow_their_own_law(rollout: Rollout):
    """The scheme is xₖ₊₁ = (2 - ω²dt²)·xₖ - xₖ₋₁, begun with x₋₁ = x₀, for the mass is at rest: so it is
    xₖ = x₀·cos(θ(k + ½)) / cos(θ/2) with cos θ = 1 - ω²dt²/2."""
    places = torch.linspace(-1.0, 1.0, 11, dtype=torch.float64)
    rates = torch.tensor([[2.0], [5.0], [11.0]], dtype=torch.float64)
    state, told = rollout((places.expand(3, -1), 0.0), (rates,), torch.zeros(STEPS, 1, 11).double())
    assert told.shape == (3, STEPS, 2, 11)
    theta = torch.acos(1.0 - 0.5 * (rates * DT_S) ** 2)
    k = torch.arange(STEPS + 1)[None]
    exact = torch.cos(theta * (k + 0.5)) / torch.cos(0.5 * theta)
    expected = exact[:, :-1, None] * places
    torch.testing.assert_close(told[:, :, 0], expected, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(state[0], exact[:, -1:] * places, rtol=0.0, atol=1e-12)


@pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")
def test_compiled_code_and_tensors_agree(rollout: Rollout):
    random = torch.Generator().manual_seed(0)
    push = torch.randn(STEPS, 1, 5, generator=random, dtype=torch.float64)
    arguments = (torch.ones(2, 5).double(), 0.5), (torch.tensor([[3.0], [4.0]]).double(),), push
    compiled, eager = rollout(*arguments), rollout.on_tensors(*arguments)
    torch.testing.assert_close(compiled[1], eager[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(compiled[0], eager[0], rtol=1e-12, atol=1e-12)


def test_every_third_step_is_told(rollout: Rollout):
    push = torch.ones(10, 1, 3, dtype=torch.float64)
    arguments = (torch.ones(1, 3).double(), 0.5), (torch.tensor([[3.0]]).double(),), push
    sparse = Rollout(oscillate, (0.0, 0.0), (0.0,), (0.0,), every=3)
    _, told = rollout(*arguments)
    for run in (sparse, sparse.on_tensors):
        torch.testing.assert_close(run(*arguments)[1], told[:, [2, 5, 8]], rtol=0.0, atol=1e-12)
