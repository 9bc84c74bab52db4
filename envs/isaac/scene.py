"""The bodies in every world of an Isaac Lab scene: how they are made, pushed, read and placed."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import isaaclab.sim as sim_utils
import torch
from isaaclab.assets import RigidObject, RigidObjectCfg
from isaaclab.scene import InteractiveScene, InteractiveSceneCfg
from isaaclab.sim import SimulationCfg, SimulationContext
from isaaclab.sim.schemas import MassCfg, UsdPhysicsRigidBodyCfg
from isaaclab.sim.spawners.shapes import spawn_cuboid, spawn_sphere
from isaaclab_newton.physics import NewtonCfg
from pxr import Gf, UsdPhysics

from corvids.controllers.spatial import Vec3
from corvids.envs.isaac.colliders import solid, with_discs
from corvids.envs.isaac.solver import solver_cfg
from corvids.envs.isaac.substep import Inertias
from corvids.envs.physics.world import WorldParams
from corvids.vehicle import GRAVITY_MPS2

ROWS = 13
"""Numbers of a body: position, quaternion (x, y, z, w), velocity, angular velocity."""


def inertias_of(params: WorldParams) -> Inertias:
    """What the bodies of a scene weigh, from nominal parameters (leaves are floats)."""
    return Inertias(params.vehicle.mass_kg, Vec3(*params.vehicle.inertia_kgm2), params.ball.mass_kg)


def simulation_cfg(dt_s: float, device: str = "cpu", solver: str = "semi-implicit") -> SimulationCfg:
    """Physics steps of ``dt_s`` by one of Newton's solvers."""
    return SimulationCfg(
        device=device,
        dt=dt_s,
        gravity=(0.0, 0.0, -GRAVITY_MPS2),
        physics=NewtonCfg(solver_cfg=solver_cfg(solver)),
    )


def scene_cfg(
    params: WorldParams, worlds: int, with_ball: bool, colliding: bool = False
) -> InteractiveSceneCfg:
    """A scene of ``worlds`` worlds with a vehicle, and a ball where asked for; the solver has them collide if told."""
    vehicle, ball = params.vehicle, params.ball
    arm_m = 2.0 * max(abs(x) for x in (*vehicle.rotor_x_b_m, *vehicle.rotor_y_b_m))
    bodies = {"vehicle": box((arm_m, arm_m, 0.2 * arm_m), vehicle.mass_kg, vehicle.inertia_kgm2)}
    if with_ball:
        inertia = ball.inertia_factor * ball.mass_kg * ball.radius_m**2
        bodies["ball"] = sim_utils.SphereCfg(
            func=_weighing(spawn_sphere, (inertia,) * 3), radius=ball.radius_m, **_mass(ball.mass_kg)
        )
    if with_ball and colliding:
        bodies["vehicle"].func = with_discs(bodies["vehicle"].func, params)
        bodies["ball"].func = solid(bodies["ball"].func)
    return scene_of(bodies, worlds)


def scene_of(bodies: dict[str, Any], worlds: int) -> InteractiveSceneCfg:
    """``worlds`` worlds of bodies, all about one origin: single precision is best there, and nothing collides."""
    cfg = InteractiveSceneCfg(num_envs=worlds, env_spacing=0.0)
    for index, (name, spawn) in enumerate(bodies.items()):
        start = RigidObjectCfg.InitialStateCfg(pos=(0.0, 0.0, 1.0 + index))
        prim_path = f"{{ENV_REGEX_NS}}/{name.capitalize()}"
        setattr(cfg, name, RigidObjectCfg(prim_path=prim_path, spawn=spawn, init_state=start))
    return cfg


def open_scene(
    cfg: InteractiveSceneCfg, dt_s: float, device: str = "cpu", solver: str = "semi-implicit"
) -> tuple[SimulationContext, InteractiveScene]:
    """A running simulation of a scene; ends the one before, of which a process has one at most."""
    SimulationContext.clear_instance()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        simulation = SimulationContext(simulation_cfg(dt_s, device, solver))
        scene = InteractiveScene(cfg)
        simulation.reset()
    return simulation, scene


class SceneBodies:
    """The bodies of a scene as packed rows (13 each, rows, 1), of which only the scene's worlds mean anything.

    Bodies are in the order of the scene's configuration. ``round_ones``: those that look the same from all sides, whose
    attitude is not kept; what acts on them is in world axes.
    """

    def __init__(self, scene: InteractiveScene, rows: int, round_ones: tuple[str, ...] = ("ball",)) -> None:
        self.worlds = scene.num_envs
        self._objects: list[tuple[RigidObject, bool]] = [
            (body, name in round_ones) for name, body in scene.rigid_objects.items()
        ]
        self._origins = scene.env_origins
        count = max(2, len(self._objects))  # a ball that is left out lies at the origin
        self._seen = torch.zeros((count * ROWS, rows, 1), device=scene.device)
        self._seen[6::ROWS] = 1.0

    def push(self, loads: torch.Tensor) -> None:
        """Let packed loads, force and torque of each body (6 each, rows, 1), act during the next step."""
        columns = loads[:, : self.worlds, 0].t()[:, None]
        for (body, is_round), load in zip(self._objects, columns.split(6, dim=-1), strict=False):
            force, torque = (part.contiguous() for part in load.split(3, dim=-1))
            body.permanent_wrench_composer.set_forces_and_torques_index(
                forces=force, torques=torque, body_ids=[0], is_global=is_round
            )

    def read(self) -> torch.Tensor:
        """Packed bodies after a step; the same tensor every time."""
        for i, (body, _) in enumerate(self._objects):
            seen = self._seen[i * ROWS : (i + 1) * ROWS, : self.worlds, 0]
            pose = body.data.root_pose_w.torch
            seen[:3] = (pose[:, :3] - self._origins).t()
            seen[3:7] = pose[:, 3:].t()
            seen[7:] = body.data.root_vel_w.torch.t()
        # Padding lives like the first world, so that it stays finite.
        self._seen[:, self.worlds :] = self._seen[:, :1]
        return self._seen

    def place(self, ids: torch.Tensor, bodies: torch.Tensor) -> None:
        """Put worlds ``ids`` (n,) where packed ``bodies`` (13 each, n) say."""
        if len(ids) == 0:
            return
        numbers = ids.to(torch.int32)
        for i, (body, _) in enumerate(self._objects):
            rows = bodies[i * ROWS : (i + 1) * ROWS].t().contiguous()
            rows[:, :3] += self._origins[ids]
            body.write_root_pose_to_sim_index(root_pose=rows[:, :7].contiguous(), env_ids=numbers)
            body.write_root_velocity_to_sim_index(root_velocity=rows[:, 7:].contiguous(), env_ids=numbers)


def box(
    size_m: tuple[float, float, float], mass_kg: float, inertia_kgm2: tuple[float, float, float]
) -> sim_utils.CuboidCfg:
    """A cuboid with these principal moments of inertia, whatever those of one of its size are."""
    return sim_utils.CuboidCfg(func=_weighing(spawn_cuboid, inertia_kgm2), size=size_m, **_mass(mass_kg))


def _mass(mass_kg: float) -> dict[str, Any]:
    return {"rigid_props": [UsdPhysicsRigidBodyCfg()], "mass_props": [MassCfg(mass=mass_kg)]}


def _weighing(spawn: Callable[..., Any], inertia_kgm2: tuple[float, float, float]) -> Callable[..., Any]:
    """``spawn`` that also writes principal moments of inertia, for which Isaac Lab's spawners have no field."""

    def spawn_weighing(prim_path: str, cfg: Any, *place: Any, **options: Any) -> Any:
        prim = spawn(prim_path, cfg, *place, **options)
        mass = UsdPhysics.MassAPI.Apply(prim)
        mass.CreateDiagonalInertiaAttr(Gf.Vec3f(*inertia_kgm2))
        mass.CreatePrincipalAxesAttr(Gf.Quatf(1.0))
        mass.CreateCenterOfMassAttr(Gf.Vec3f(0.0))
        return prim

    return spawn_weighing
