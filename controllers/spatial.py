"""Vectors and rotations whose components are plain tensors.

A :class:`Vec3` holds three tensors of equal shape, usually ``(worlds, drones)``; a :class:`Quat` holds four. Formulas
read as mathematics, run eagerly, and fuse into one vectorised kernel under ``torch.compile``, because no operation
ever gathers components along a short trailing axis. Every function also accepts Python floats as components.

Conventions: ``quat_wb`` rotates body coordinates into world coordinates, scalar part first; ``Quat`` products compose
rotations right to left, as rotation matrices do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

Scalar = Any
"""A tensor of any shape, or a float: one component."""


def larger(a: Scalar, b: Scalar) -> Scalar:
    """The larger of two tensors, component by component.

    ``torch.maximum`` promises to propagate NaN from either side, which costs three more instructions in a vectorised
    kernel; a rectifier is one instruction, so this is the form for the physics' inner loop.
    """
    return a + torch.relu(b - a)


def smaller(a: Scalar, b: Scalar) -> Scalar:
    """The smaller of two tensors (see :func:`larger`)."""
    return a - torch.relu(a - b)


def clip(value: Scalar, low: Scalar, high: Scalar) -> Scalar:
    """``value`` limited to ``low..high`` (see :func:`larger`); ``low <= high``."""
    return smaller(high, larger(low, value))


def seldom(mask: Scalar) -> Scalar:
    """``mask``, with the remark that it holds in few worlds at a time.

    Traced into C++ (see ``envs/compiled/tracing.py``), what is chosen where it holds, and is used for nothing else, is
    worked out only if it holds in any world at hand.
    """
    return mask.seldom() if hasattr(mask, "seldom") else mask


class Vec3(NamedTuple):
    """Three components ``x, y, z`` [unit and frame: said by the name of the variable], each of one shape."""

    x: Scalar
    y: Scalar
    z: Scalar

    def __add__(self, other: Vec3) -> Vec3:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Vec3(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other: Vec3) -> Vec3:
        return Vec3(self.x - other.x, self.y - other.y, self.z - other.z)

    def __neg__(self) -> Vec3:
        return Vec3(-self.x, -self.y, -self.z)

    def __mul__(self, factor: Scalar) -> Vec3:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Vec3(self.x * factor, self.y * factor, self.z * factor)

    __rmul__ = __mul__  # pyright: ignore[reportAssignmentType]

    def __truediv__(self, divisor: Scalar) -> Vec3:
        return Vec3(self.x / divisor, self.y / divisor, self.z / divisor)

    def dot(self, other: Vec3) -> Scalar:
        """Scalar product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def cross(self, other: Vec3) -> Vec3:
        """Vector product ``self × other``."""
        return Vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )

    def scale(self, other: Vec3) -> Vec3:
        """Product component by component: a diagonal matrix times a vector."""
        return Vec3(self.x * other.x, self.y * other.y, self.z * other.z)

    def norm2(self) -> Scalar:
        """Squared length."""
        return self.dot(self)

    def norm(self, tiny: float = 1e-12) -> Scalar:
        """Length; ``tiny`` is added under the root so that its gradient exists at zero."""
        return torch.sqrt(self.norm2() + tiny)

    def stack(self) -> torch.Tensor:
        """One tensor with the components along a new last axis: shape ``(..., 3)``."""
        return torch.stack(tuple(self), dim=-1)

    @staticmethod
    def unstack(tensor: torch.Tensor) -> Vec3:
        """The vector whose components lie along the last axis (length 3) of ``tensor``."""
        return Vec3(tensor[..., 0], tensor[..., 1], tensor[..., 2])


def where(mask: torch.Tensor, chosen: Vec3, otherwise: Vec3) -> Vec3:
    """``chosen`` where ``mask`` holds, ``otherwise`` elsewhere."""
    return Vec3(*(torch.where(mask, a, b) for a, b in zip(chosen, otherwise, strict=True)))


class Rotation(NamedTuple):
    """Rotation matrix by its columns: the body's axes in world coordinates."""

    x: Vec3
    y: Vec3
    z: Vec3

    def rotate(self, v: Vec3) -> Vec3:
        """``v_w = matrix · v_b``."""
        return self.x * v.x + self.y * v.y + self.z * v.z

    def unrotate(self, v: Vec3) -> Vec3:
        """``v_b = matrixᵀ · v_w``."""
        return Vec3(self.x.dot(v), self.y.dot(v), self.z.dot(v))


class Quat(NamedTuple):
    """Unit quaternion, scalar part first."""

    w: Scalar
    x: Scalar
    y: Scalar
    z: Scalar

    def multiply(self, other: Quat) -> Quat:
        """Hamilton product: the rotation ``other`` followed by ``self``."""
        a, b = self, other
        return Quat(
            a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
            a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
            a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
            a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
        )

    def conjugate(self) -> Quat:
        """The inverse rotation."""
        return Quat(self.w, -self.x, -self.y, -self.z)

    def rotate(self, v: Vec3) -> Vec3:
        """Rotate ``v`` by this quaternion (``v_w = quat_wb.rotate(v_b)``)."""
        u = Vec3(self.x, self.y, self.z)
        t = u.cross(v) * 2.0
        return v + t * self.w + u.cross(t)

    def unrotate(self, v: Vec3) -> Vec3:
        """Rotate ``v`` by the inverse (``v_b = quat_wb.unrotate(v_w)``)."""
        return self.conjugate().rotate(v)

    def body_z(self) -> Vec3:
        """Third column of the rotation matrix: the body's z axis in world coordinates."""
        return Vec3(
            2.0 * (self.x * self.z + self.w * self.y),
            2.0 * (self.y * self.z - self.w * self.x),
            1.0 - 2.0 * (self.x * self.x + self.y * self.y),
        )

    def yaw(self) -> Scalar:
        """Heading [rad] of the body's x axis in the world's horizontal plane."""
        return torch.atan2(
            2.0 * (self.x * self.y + self.w * self.z), 1.0 - 2.0 * (self.y * self.y + self.z * self.z)
        )

    def matrix(self) -> Rotation:
        """The same rotation as a matrix, cheaper where many vectors are rotated."""
        w, x, y, z = self
        return Rotation(
            Vec3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)),
            Vec3(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)),
            Vec3(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)),
        )

    def normalized(self) -> Quat:
        """The nearest unit quaternion."""
        return self._scaled(torch.rsqrt(self._norm2()))

    def turned(self, rotation_b: Vec3) -> Quat:
        """This attitude turned by the rotation vector ``rotation_b`` [rad, body frame].

        The exponential map by its Taylor series to fifth order in the half angle: exact to 1e-9 below 0.24 rad, far
        more than any body turns in one physics step, and free of branches at zero. Rounding is kept from adding up by
        one Newton step towards unit length.
        """
        h2 = rotation_b.norm2() * 0.25
        cos = 1.0 - h2 * (0.5 - h2 * (1.0 / 24.0))
        sinc = 0.5 - h2 * (1.0 / 12.0 - h2 * (1.0 / 240.0))
        turned = self.multiply(Quat(cos, rotation_b.x * sinc, rotation_b.y * sinc, rotation_b.z * sinc))
        return turned._scaled(1.5 - 0.5 * turned._norm2())

    def turned_slightly(self, rotation_b: Vec3) -> Quat:
        """As :meth:`turned` to first order: for corrections of less than a hundredth of a radian."""
        x, y, z = rotation_b.x * 0.5, rotation_b.y * 0.5, rotation_b.z * 0.5
        return Quat(
            self.w - self.x * x - self.y * y - self.z * z,
            self.x + self.w * x + self.y * z - self.z * y,
            self.y + self.w * y + self.z * x - self.x * z,
            self.z + self.w * z + self.x * y - self.y * x,
        )

    def _norm2(self) -> Scalar:
        return self.w * self.w + self.x * self.x + self.y * self.y + self.z * self.z

    def _scaled(self, factor: Scalar) -> Quat:
        return Quat(self.w * factor, self.x * factor, self.y * factor, self.z * factor)

    @staticmethod
    def from_roll_pitch_yaw(roll: Scalar, pitch: Scalar, yaw: Scalar) -> Quat:
        """Attitude from intrinsic z-y-x Euler angles [rad]."""
        cr, sr = torch.cos(roll / 2), torch.sin(roll / 2)
        cp, sp = torch.cos(pitch / 2), torch.sin(pitch / 2)
        cy, sy = torch.cos(yaw / 2), torch.sin(yaw / 2)
        return Quat(
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        )
