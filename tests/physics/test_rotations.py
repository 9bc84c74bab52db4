"""Rotations: the axioms of the group, and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from physics_lab import column, directions, draw, matrices, quat_about, rows, uniform, vec

from corvids.controllers.spatial import Quat, Vec3, clip, larger, smaller

coordinate = st.floats(-10.0, 10.0)
vectors = st.builds(lambda x, y, z: vec((x, y, z)), coordinate, coordinate, coordinate)
quats = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4)
    .filter(lambda q: sum(c * c for c in q) > 0.01)
    .map(lambda q: Quat(*(column(c / math.sqrt(sum(d * d for d in q))) for c in q)))
)


def same(a: Vec3 | Quat, b: Vec3 | Quat, tolerance: float = 1e-12) -> None:
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=tolerance)


def grid() -> tuple[Quat, torch.Tensor]:
    """Every sign and permutation of a few quaternions, each with its antipode; and their matrices."""
    corners = {
        tuple(sign * c for sign, c in zip(signs, components, strict=True))
        for shape in ((1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 1), (1, 2, 3, 4), (1, 1e-6, 0, 0))
        for components in itertools.permutations(shape)
        for signs in itertools.product((1.0, -1.0), repeat=4)
    }
    table = torch.nn.functional.normalize(torch.tensor(sorted(corners), dtype=torch.float64), dim=1)
    quat = Quat(*(table[:, k : k + 1] for k in range(4)))
    return quat, matrices(quat)


@given(quats, vectors, vectors)
def test_rotation_keeps_lengths_angles_and_handedness(q: Quat, a: Vec3, b: Vec3):
    ra, rb = q.rotate(a), q.rotate(b)
    torch.testing.assert_close(ra.dot(rb), a.dot(b), rtol=0.0, atol=1e-11)
    same(ra.cross(rb), q.rotate(a.cross(b)), 1e-11)


@given(quats, quats, quats, vectors)
def test_product_is_composition_right_to_left_and_associative(p: Quat, q: Quat, r: Quat, v: Vec3):
    same(p.multiply(q).rotate(v), p.rotate(q.rotate(v)), 1e-11)
    same(p.multiply(q).multiply(r), p.multiply(q.multiply(r)))


@given(quats, vectors)
def test_conjugate_and_unrotate_undo_a_rotation(q: Quat, v: Vec3):
    same(q.multiply(q.conjugate()), Quat(*(column(c) for c in (1.0, 0.0, 0.0, 0.0))))
    same(q.unrotate(q.rotate(v)), v, 1e-11)


def test_matrix_and_rotate_agree_on_a_grid_with_antipodes():
    quat, matrix = grid()
    turned = quat.matrix()
    for axis, col in enumerate(turned):
        torch.testing.assert_close(rows(col), matrix[:, :, axis], rtol=0.0, atol=1e-12)
    count = len(matrix)
    v = vec((0.3, -1.7, 2.9), count)
    want = matrix @ torch.tensor([0.3, -1.7, 2.9], dtype=torch.float64)
    for got in (quat.rotate(v), turned.rotate(v)):
        torch.testing.assert_close(rows(got), want, rtol=0.0, atol=1e-12)
    same(turned.unrotate(quat.rotate(v)), v)
    same(quat.body_z(), turned.z)


def test_a_quaternion_and_its_antipode_are_one_attitude():
    quat, _ = grid()
    negative = Quat(*(-c for c in quat))
    for a, b in zip(quat.matrix(), negative.matrix(), strict=True):
        same(a, b)
    torch.testing.assert_close(quat.yaw().cos(), negative.yaw().cos())
    torch.testing.assert_close(quat.yaw().sin(), negative.yaw().sin())


def test_a_quarter_turn_about_z_takes_x_to_y():
    q = quat_about(torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64), column(math.pi / 2))
    same(q.rotate(vec((1, 0, 0))), vec((0, 1, 0)))
    torch.testing.assert_close(q.yaw(), column(math.pi / 2))


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_euler_angles_are_yaw_then_pitch_then_roll(roll: float, pitch: float, yaw: float):
    def about(axis: int, angle: float) -> Quat:
        unit = torch.zeros(1, 3, dtype=torch.float64)
        unit[0, axis] = 1.0
        return quat_about(unit, column(angle))

    got = Quat.from_roll_pitch_yaw(column(roll), column(pitch), column(yaw))
    same(got, about(2, yaw).multiply(about(1, pitch)).multiply(about(0, roll)))
    torch.testing.assert_close(got.yaw(), column(yaw), rtol=0.0, atol=1e-9)


@given(quats, st.floats(0.5, 2.0))
def test_normalized_has_length_one_and_the_same_direction(q: Quat, length: float):
    same(Quat(*(c * length for c in q)).normalized(), q)


@pytest.mark.parametrize(
    ("angle", "tolerance"), [(0.0, 1e-15), (1e-7, 1e-15), (0.02, 1e-15), (0.24, 1e-9), (0.35, 2e-8)]
)
def test_turned_is_the_exponential_map(angle: float, tolerance: float):
    count = 64
    random = draw(1)
    start = quat_about(directions(count, random), uniform(0.0, 2 * math.pi, (count,), random))
    axis = directions(count, random)
    # By Rodrigues: turning by φ about the body's axis a is the product with (cos φ/2, sin φ/2 · a) on the right.
    want = start.multiply(quat_about(axis, torch.full((count,), angle, dtype=torch.float64)))
    same(start.turned(vec(axis * angle, count)), want, tolerance)


def test_turned_keeps_a_quaternion_of_length_one_and_repairs_one_that_is_not():
    q = Quat(*(column(c * 1.001) for c in (0.6, 0.0, 0.8, 0.0)))
    for _ in range(4):
        q = q.turned(vec((0.1, 0.2, -0.1)))
    # Newton's step squares the error in length: 1e-3 → 1.5e-6 → 3.4e-12 → rounding.
    torch.testing.assert_close(sum(c * c for c in q), column(1.0), rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("angle", [1e-2, 1e-3])
def test_turned_slightly_errs_by_the_square_of_the_angle(angle: float):
    q = quat_about(directions(8, draw(2)), uniform(0.0, 3.0, (8,), draw(3)))
    turn = vec(directions(8, draw(4)) * angle, 8)
    same(q.turned_slightly(turn), q.turned(turn), angle**2 / 8 * 1.01)


number = st.floats(-1e3, 1e3)


@given(number, number, st.floats(0.0, 1e3))
@settings(max_examples=200)
def test_larger_smaller_and_clip(a: float, b: float, span: float):
    one, other = column(a), column(b)
    assert larger(one, other).item() == pytest.approx(max(a, b), abs=1e-12)
    assert smaller(one, other).item() == pytest.approx(min(a, b), abs=1e-12)
    assert clip(one, b, b + span).item() == pytest.approx(min(max(a, b), b + span), abs=1e-12)
