"""A MuJoCo model of many juggling worlds, built from the same parameters as the native simulator.

All worlds lie in one model, on the same spot: geoms touch only in the pairs listed here, and no pair joins two worlds.
Stepping one model costs a third of stepping as many small ones, and the state of all worlds is one array.

Contact is set up in :mod:`corvids.envs.engines.mujoco_contact`.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo has no type stubs.)
from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from corvids.controllers.packing import map_leaves
from corvids.envs.engines.engine import Array
from corvids.envs.engines.mujoco_contact import STIFFNESS_PS2, solref
from corvids.envs.physics.ball import DiscParams
from corvids.envs.physics.world import WorldParams
from corvids.vehicle import GRAVITY_MPS2

CORE_M = 5e-4
"""Half the thickness of the cylinders that stand for flat discs [m]."""
RIGID = (0.9999, 0.9999, 0.001, 0.5, 2.0)
"""MuJoCo's ``solimp`` of a contact that follows its reference."""
GEAR_SIDE_M = 2e-3
"""Half the height of the landing gear's box [m]."""
GROUND_FRICTION = 0.8
"""Coulomb friction coefficient of everything on the ground."""

QPOS, QVEL = 14, 12
"""Coordinates of a world. Vehicle: position, quaternion; velocity (world), rates (body). Then the ball's, likewise."""
GEOMS = 4
"""Geoms of a world."""
RACKET, AIRFRAME, GEAR, BALL = range(GEOMS)
"""Their order."""


def build(
    params: WorldParams, worlds: int, timestep_s: float, integrator: mujoco.mjtIntegrator
) -> mujoco.MjModel:
    """The compiled model; leaves of ``params`` are arrays (worlds,). Contact is right for the Euler integrator only."""
    spec = mujoco.MjSpec()
    option = spec.option
    option.timestep, option.integrator = timestep_s, integrator
    option.gravity = (0.0, 0.0, -GRAVITY_MPS2)
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    # A world that diverges must not reset the others, which share the model with it.
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), **_UNTOUCHABLE)
    for i in range(worlds):
        _add_world(spec, map_leaves(lambda leaf, i=i: float(leaf[i]), params), i, timestep_s)
    return spec.compile()


def pairs_between(model: mujoco.MjModel, one: int, other: int) -> NDArray[np.int64]:
    """For each world, the row of the pair of these two parts (MuJoCo sorts pairs)."""
    low, high = np.sort(np.stack((model.pair_geom1, model.pair_geom2)), axis=0) - 1
    rows = np.flatnonzero((low % GEOMS == one) & (high % GEOMS == other) & (low >= 0))
    return rows[np.argsort(low[rows])]


_UNTOUCHABLE = {"contype": 0, "conaffinity": 0}
"""Geoms touch in the listed pairs only."""


def _add_world(spec: mujoco.MjSpec, world: WorldParams, index: int, timestep_s: float) -> None:
    """Bodies, geoms and pairs of one world; leaves of ``world`` are floats."""
    vehicle, ball, racket, airframe = world.vehicle, world.ball, world.racket, world.airframe
    body = spec.worldbody.add_body(name=f"vehicle{index}")
    body.add_freejoint()
    body.explicitinertial = True
    body.mass, body.inertia = vehicle.mass_kg, vehicle.inertia_kgm2
    # The racket's upper face lies in its disc's plane, the airframe's core about its own.
    _add_disc(body, f"racket{index}", racket, sunk_m=CORE_M)
    _add_disc(body, f"airframe{index}", airframe, sunk_m=0.0)
    arms = (max(map(abs, arm)) for arm in (vehicle.rotor_x_b_m, vehicle.rotor_y_b_m))
    body.add_geom(
        name=f"gear{index}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(*arms, GEAR_SIDE_M),
        pos=(0.0, 0.0, GEAR_SIDE_M - vehicle.ground_clearance_m),
        **_UNTOUCHABLE,
    )
    body = spec.worldbody.add_body(name=f"ball{index}")
    body.add_freejoint()
    body.explicitinertial = True
    body.mass, body.inertia = ball.mass_kg, (ball.inertia_factor * ball.mass_kg * ball.radius_m**2,) * 3
    body.add_geom(
        name=f"ball{index}", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(ball.radius_m, 0, 0), **_UNTOUCHABLE
    )
    # A margin rounds the airframe: its thin core is touched at a distance.
    margin = max(airframe.half_thickness_m - CORE_M, 0.0)
    for one, other, restitution, friction, distance in (
        (f"racket{index}", f"ball{index}", racket.restitution, racket.friction, 0.0),
        (f"airframe{index}", f"ball{index}", airframe.restitution, airframe.friction, margin),
        ("ground", f"ball{index}", ball.ground_restitution, GROUND_FRICTION, 0.0),
        ("ground", f"airframe{index}", 0.0, GROUND_FRICTION, margin),
        ("ground", f"gear{index}", 0.0, GROUND_FRICTION, 0.0),
    ):
        pair = spec.add_pair(geomname1=one, geomname2=other)
        pair.condim = 3
        pair.friction = (friction, friction, 0.0, 0.0, 0.0)
        pair.solref = solref((1.0 + restitution) / timestep_s, STIFFNESS_PS2)
        pair.solreffriction = solref(1.0 / timestep_s)
        pair.solimp = RIGID
        pair.margin = distance


def _add_disc(body: mujoco.MjsBody, name: str, disc: DiscParams, sunk_m: float) -> None:
    """A thin cylinder, its middle ``sunk_m`` below the plane of ``disc``."""
    normal = np.array(disc.normal_b)
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=(disc.radius_m, CORE_M, 0.0),
        pos=np.array(disc.center_b) - normal * sunk_m,
        quat=_from_z(normal),
        **_UNTOUCHABLE,
    )


def _from_z(axis: Array) -> Array:
    """The quaternion that turns the z axis into the unit vector ``axis``, which must not point straight down."""
    quat = np.array([1.0 + axis[2], -axis[1], axis[0], 0.0])
    return quat / np.linalg.norm(quat)
