"""A team and its load in every world of an Isaac Lab scene."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

from isaaclab.scene import InteractiveSceneCfg

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Vec3
from corvids.envs.isaac.scene import box, scene_of
from corvids.envs.isaac.team_substep import Weight
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import TeamParams
from corvids.team import Team


def weights_of(params: TeamParams) -> list[Weight]:
    """What the drones of a scene weigh, and last the load; from nominal parameters."""
    drones, load = params
    members = [
        map_leaves(lambda leaf, i=i: float(leaf[0, i]), drones.vehicle)
        for i in range(drones.vehicle.mass_kg.shape[1])
    ]
    carried = Weight(float(load.mass_kg), Vec3(*map(float, load.inertia_kgm2)))
    return [*(Weight(member.mass_kg, member.inertia_kgm2) for member in members), carried]


def team_scene_cfg(team: Team, worlds: int, dt_s: float) -> InteractiveSceneCfg:
    """A scene of ``worlds`` teams: bodies ``drone0``, …, ``load``, without cables, which are ours."""
    params = team_params(team, dt_s)
    *members, load = weights_of(params)
    arms = params.drones.vehicle.rotor_x_b_m
    bodies = {}
    for i, weight in enumerate(members):
        arm_m = 2.0 * max(abs(float(x[0, i])) for x in arms)
        bodies[f"drone{i}"] = box((arm_m, arm_m, 0.2 * arm_m), weight.mass_kg, weight.inertia_kgm2)
    x, y, z = (2.0 * max(float(half), 0.01) for half in params.load.half_size_m)
    bodies["load"] = box((x, y, z), load.mass_kg, load.inertia_kgm2)
    return scene_of(bodies, worlds)
