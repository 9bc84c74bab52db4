"""Cables that pull and never push, between drones and the load they carry.

A cable is a massless spring and damper of one side only: tension ``T = max(0, k·stretch + c·stretching rate)``, 0 while
it is slack. A real Dyneema cable is stiff (axial stiffness EA of some 10⁴ N), so tensions are solved implicitly, those
of one world together, because each of them moves the load and so the ends of all others.

The scheme is the midpoint rule: over a step from stretch ``s`` to ``s'`` the tension is ``k·(s⁺ + s'⁺)/2 + c·(s'⁺ -
s⁺)/dt``, with ``s⁺ = max(0, s)``, along the mean direction ``(r + r')/(|r| + |r'|)``, whose product with the change of
``r`` is exactly the change of length. So for translations the work of a tension is exactly what the cable's spring
gains and its damper burns, and a cable that goes slack or taut within the step can lose energy but never give any.
It is stable for every stiffness.

Cable mass and drag are lumped at the ends (see :mod:`corvids.envs.physics.team_nominal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from corvids.controllers.spatial import Rotation, Scalar, Vec3
from corvids.envs.physics.vehicle_dynamics import RigidBody

SWEEPS = 5
"""Projected Gauss-Seidel sweeps a step, begun at the last step's tensions."""


class CableParams(NamedTuple):
    """One cable for each drone, from it to the load; leaves have shape ``(worlds, drones)``."""

    drone_point_b: Vec3
    """Where it leaves the drone [m], drone's body frame, from its centre of mass."""
    load_point_b: Vec3
    """Where it holds the load [m], load's body frame, from its centre of mass."""
    length_m: Scalar
    """Unstretched length."""
    stiffness_npm: Scalar
    """EA over length [N/m]; above 0."""
    damping_nspm: Scalar
    """Along the cable [N s/m]."""
    attached: Scalar
    """1, or 0 from the moment on at which the cable is cut."""


class Wrench(NamedTuple):
    """What a cable (or several) does to a body."""

    force_w: Vec3
    """World axes [N]."""
    torque_b: Vec3
    """About the centre of mass, body axes [N m]."""


class Passage(NamedTuple):
    """Where a body is at both ends of a step, the end as predicted under the last step's tensions."""

    pos_w: Vec3
    axes: Rotation
    next_pos_w: Vec3
    next_axes: Rotation

    @staticmethod
    def between(before: RigidBody, after: RigidBody) -> Passage:
        """The passage from one state to the next."""
        return Passage(before.pos_w, before.quat_wb.matrix(), after.pos_w, after.quat_wb.matrix())

    def point(self, point_b: Vec3) -> tuple[Vec3, Vec3]:
        """Where a point of the body is, world [m], at both ends."""
        return self.pos_w + self.axes.rotate(point_b), self.next_pos_w + self.next_axes.rotate(point_b)

    def unrotate(self, v_w: Vec3) -> Vec3:
        """A world vector in body axes, in the mean of both ends."""
        return (self.axes.unrotate(v_w) + self.next_axes.unrotate(v_w)) * 0.5


class Inertia(NamedTuple):
    """How easily a body is moved."""

    inverse_mass_pkg: Scalar
    inverse_inertia_pkgm2: Vec3
    """About the body's principal axes."""


class Span(NamedTuple):
    """One cable during one step: how it lies and what it is stretched by. Leaves have shape ``(worlds, 1)``."""

    direction_w: Vec3
    """From load to drone, mean of the step."""
    drone_arm: Vec3
    """Torque on the drone per newton of a force along ``direction_w`` [m], drone's body axes."""
    load_arm: Vec3
    """The same on the load, load's body axes."""
    stretch_m: Scalar
    """Distance of the ends less the length, at the step's start; negative while slack."""
    next_stretch_m: Scalar
    """The same at the predicted end of the step."""


def span(drone: Passage, load: Passage, cable: CableParams) -> Span:
    """How a cable lies between two bodies during a step."""
    drone_from, drone_to = drone.point(cable.drone_point_b)
    load_from, load_to = load.point(cable.load_point_b)
    first, last = drone_from - load_from, drone_to - load_to
    first_m, last_m = first.norm(), last.norm()
    direction_w = (first + last) / (first_m + last_m)
    return Span(
        direction_w,
        cable.drone_point_b.cross(drone.unrotate(direction_w)),
        cable.load_point_b.cross(load.unrotate(direction_w)),
        first_m - cable.length_m,
        last_m - cable.length_m,
    )


def tensions(
    spans: Sequence[Span],
    cables: Sequence[CableParams],
    last_n: Sequence[Scalar],
    drones: Sequence[Inertia],
    load: Inertia,
    dt_s: float,
    sweeps: int = SWEEPS,
) -> list[Scalar]:
    """Mean tension of every cable of a world over the step [N].

    Per cable: how it lies, what it is, the tension ``last_n`` under which the end of the step was predicted, and the
    inertia of its drone. The linear complementarity problem ``T >= 0``, ``w = B·T - b >= 0``, ``T·w = 0`` by projected
    Gauss-Seidel, which always converges because ``B`` is symmetric and positive definite.
    """
    travel = 0.5 * dt_s * dt_s  # metres per metre/second² held over the step
    mobility = [
        [_mobility(spans, drones, load, i, j) * travel for j in range(i + 1)] for i in range(len(spans))
    ]

    def coupling(i: int, j: int) -> Scalar:
        return mobility[max(i, j)][min(i, j)]

    goals, inverses = [], []
    for i, (lie, cable) in enumerate(zip(spans, cables, strict=True)):
        # T = gain·s' + memory·s⁺, and s' = predicted s' - Σ coupling·(T - last T).
        gain = 0.5 * cable.stiffness_npm + cable.damping_nspm * (1.0 / dt_s)
        memory = cable.stiffness_npm - gain
        free_m = lie.next_stretch_m + sum(coupling(i, j) * last for j, last in enumerate(last_n))
        goals.append(gain * free_m + memory * torch.relu(lie.stretch_m))
        inverses.append((gain, cable.attached / (1.0 + gain * coupling(i, i))))
    tension = list(last_n)
    for _ in range(sweeps):
        for i, (goal, (gain, inverse)) in enumerate(zip(goals, inverses, strict=True)):
            others = sum(coupling(i, j) * tension[j] for j in range(len(tension)) if j != i)
            tension[i] = torch.relu((goal - gain * others) * inverse)
    return tension


def pull(lie: Span, tension_n: Scalar, on_load: bool) -> Wrench:
    """What a cable under ``tension_n`` does to its load, or to its drone."""
    force_n = tension_n if on_load else -tension_n
    return Wrench(lie.direction_w * force_n, (lie.load_arm if on_load else lie.drone_arm) * force_n)


def corrected(body: RigidBody, was: Wrench, true: Wrench, inertia: Inertia, dt_s: float) -> RigidBody:
    """The end of a step that was flown under the pull ``was``, had the pull been ``true``."""
    accel = (true.force_w - was.force_w) * inertia.inverse_mass_pkg
    turn = (true.torque_b - was.torque_b).scale(inertia.inverse_inertia_pkgm2) * dt_s
    return RigidBody(
        body.pos_w + accel * (0.5 * dt_s * dt_s),
        body.vel_w + accel * dt_s,
        body.quat_wb.turned_slightly(turn * (0.5 * dt_s)),
        body.omega_b + turn,
    )


def _mobility(spans: Sequence[Span], drones: Sequence[Inertia], load: Inertia, i: int, j: int) -> Scalar:
    """Acceleration [m/s²] by which 1 N in cable ``j`` shortens cable ``i``: through the load, and its own drone."""
    one, other = spans[i], spans[j]
    through = _reach(load, one.direction_w, one.load_arm, other.direction_w, other.load_arm)
    if i != j:
        return through
    return through + _reach(drones[i], one.direction_w, one.drone_arm, one.direction_w, one.drone_arm)


def _reach(body: Inertia, way: Vec3, arm: Vec3, other_way: Vec3, other_arm: Vec3) -> Scalar:
    turning = arm.dot(other_arm.scale(body.inverse_inertia_pkgm2))
    return way.dot(other_way) * body.inverse_mass_pkg + turning
