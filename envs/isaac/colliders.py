"""What the solver has to know of bodies that it is to collide: their shapes, and how they rebound and rub, by world."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import warp
from isaaclab_newton.physics import NewtonManager
from pxr import Gf, UsdGeom, UsdPhysics

from corvids.envs.physics.ball import DiscParams
from corvids.envs.physics.world import WorldParams

Spawn = Callable[..., Any]
THINNEST_M = 0.002
"""Height of a disc that has none: a shape must have some."""


def with_discs(spawn: Spawn, params: WorldParams) -> Spawn:
    """``spawn`` of a vehicle, with racket and airframe as cylinders; nominal parameters (leaves are floats)."""

    def spawn_with_discs(prim_path: str, cfg: Any, *place: Any, **options: Any) -> Any:
        prim = spawn(prim_path, cfg, *place, **options)
        for name, disc in (("racket", params.racket), ("airframe", params.airframe)):
            _add_disc(prim.GetStage(), f"{prim.GetPath()}/{name}", disc)
        return prim

    return spawn_with_discs


def solid(spawn: Spawn) -> Spawn:
    """``spawn`` of a ball that collides."""

    def spawn_solid(prim_path: str, cfg: Any, *place: Any, **options: Any) -> Any:
        prim = spawn(prim_path, cfg, *place, **options)
        shape = prim.GetStage().GetPrimAtPath(f"{prim.GetPath()}/geometry/mesh")
        UsdPhysics.CollisionAPI.Apply(shape)
        return prim

    return spawn_solid


class Materials:
    """Restitution and friction of the discs of every world of a running simulation, which may be drawn anew.

    Solvers take the mean of the two bodies that touch, so a disc has twice what is asked for, and the ball nothing.
    """

    def __init__(self) -> None:
        model = NewtonManager.backend.model
        self._restitution = warp.to_torch(model.shape_material_restitution)
        self._friction = warp.to_torch(model.shape_material_mu)
        self._shapes = {
            disc: torch.tensor([i for i, label in enumerate(model.shape_label) if label.endswith(f"/{disc}")])
            for disc in ("racket", "airframe")
        }
        for number in (self._restitution, self._friction):
            number.zero_()

    def set(self, ids: torch.Tensor, params: WorldParams) -> None:
        """Those of worlds ``ids`` (n,), as drawn: leaves of ``params`` are (n, 1). A disc has one restitution here."""
        for name, disc in (("racket", params.racket), ("airframe", params.airframe)):
            shapes = self._shapes[name][ids]
            self._restitution[shapes] = 2.0 * disc.restitution.reshape(-1).float()
            self._friction[shapes] = 2.0 * disc.friction.reshape(-1).float()


def _add_disc(stage: Any, path: str, disc: DiscParams) -> None:
    height_m = max(2.0 * disc.half_thickness_m, THINNEST_M)
    shape = UsdGeom.Cylinder.Define(stage, path)
    shape.CreateAxisAttr("Z")
    shape.CreateRadiusAttr(disc.radius_m)
    shape.CreateHeightAttr(height_m)
    # The ball meets the upper face where it meets our disc's.
    lowered_m = 0.5 * height_m - disc.half_thickness_m
    center = [at - lowered_m * along for at, along in zip(disc.center_b, disc.normal_b, strict=True)]
    shape.AddTranslateOp().Set(Gf.Vec3d(*center))
    turn = Gf.Rotation(Gf.Vec3d(0.0, 0.0, 1.0), Gf.Vec3d(*disc.normal_b)).GetQuat()
    shape.AddOrientOp().Set(Gf.Quatf(turn))
    UsdPhysics.CollisionAPI.Apply(shape.GetPrim())
