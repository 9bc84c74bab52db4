"""Features on tensors (n, ·) say the same as the physics' own vectors and rotations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.features import GRAVITY_MPS2, fallen, rotation_matrix, turned

seeds = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def attitudes(seed: int, count: int = 20) -> torch.Tensor:
    """Unit quaternions (n, 4), half a turn about each axis among them."""
    return torch.cat(
        (torch.nn.functional.normalize(normal(seed, count, 4), dim=1), torch.eye(4, dtype=torch.float64))
    )


@given(seeds)
def test_a_rotation_matrix_is_that_of_the_quaternion(seed: int):
    quat = attitudes(seed)
    matrix = rotation_matrix(quat).reshape(-1, 3, 3)
    columns = Quat(*quat.t()).matrix()
    torch.testing.assert_close(matrix, torch.stack([column.stack() for column in columns], dim=2))
    torch.testing.assert_close(rotation_matrix(-quat).reshape(-1, 3, 3), matrix)  # q and -q are one attitude
    vector = normal(seed + 1, 3)
    torch.testing.assert_close(matrix @ vector, Quat(*quat.t()).rotate(Vec3(*vector)).stack())


@given(seeds, st.floats(1e-6, 0.5))
def test_turning_errs_by_the_fourth_power_of_the_half_angle(seed: int, angle: float):
    """The exact turn is (cos φ/2, sin φ/2 · axis); what is left out of the series is below h⁴/24 + h⁵/120, h = φ/2."""
    quat = attitudes(seed)
    axis = torch.nn.functional.normalize(normal(seed + 1, len(quat), 3), dim=1)
    half = torch.tensor(angle / 2, dtype=torch.float64)
    exact = Quat(*quat.t()).multiply(Quat(half.cos(), *(half.sin() * axis).t()))
    error = (turned(quat, axis * angle) - torch.stack(tuple(exact), dim=1)).norm(dim=1).max()
    assert error <= (half**4 / 24) * (1 + half / 5) + 1e-15


def test_turning_agrees_with_the_physics_at_the_angles_of_a_signals_age():
    """6 rad/s over 80 ms, the most that `air` turns while a message travels: 0.48 rad."""
    quat, rotation = attitudes(0), torch.nn.functional.normalize(normal(1, 24, 3), dim=1) * 0.48
    physics = Quat(*quat.t()).turned(Vec3(*rotation.t()))
    torch.testing.assert_close(turned(quat, rotation), torch.stack(tuple(physics), dim=1), atol=2e-4, rtol=0)


@given(seeds, st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_a_ball_falls_as_galilei_says(seed: int, first_s: float, then_s: float):
    pos, vel = normal(seed, 2, 5, 3)
    ahead = torch.full((5, 1), first_s, dtype=torch.float64)
    new_pos, new_vel = fallen(pos, vel, ahead)
    down = torch.tensor([0.0, 0.0, -GRAVITY_MPS2], dtype=torch.float64)
    torch.testing.assert_close(new_pos, pos + vel * first_s + down * first_s**2 / 2)
    torch.testing.assert_close(new_vel, vel + down * first_s)
    once = fallen(pos, vel, ahead + then_s)
    torch.testing.assert_close(fallen(new_pos, new_vel, torch.full_like(ahead, then_s)), once)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_keep_the_precision_of_their_inputs(dtype: torch.dtype):
    quat, vec = attitudes(2).to(dtype), normal(3, 24, 3).to(dtype)
    outputs = (rotation_matrix(quat), turned(quat, vec), *fallen(vec, vec, vec[:, :1]))
    assert {output.dtype for output in outputs} == {dtype}
