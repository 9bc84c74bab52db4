"""What a team's flight can tell of its load and cables, and what the simulator makes of it."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Scalar, Vec3
from corvids.envs.physics.load import LoadParams
from corvids.envs.physics.team_nominal import lump, team_params
from corvids.envs.physics.team_world import DroneParams, each_drone
from corvids.team import Team, load_team
from corvids.vehicle import GRAVITY_MPS2

HIGH_M = 1e6
"""Ground clearance and floor are put so far below that nothing touches them."""
LEAST_STRETCH_M = 1e-4
"""A cable that the load stretches by less is flown as one that it stretches by so much."""


class SiblingDrone(NamedTuple):
    """One drone and its cable, of one sibling."""

    drone: DroneParams
    thrust_factor: Scalar
    """Its thrust over that of the vehicle file."""
    tilt_x_rad: Scalar
    """How its thrust leans against the attitude that motion capture reports, about x."""
    tilt_y_rad: Scalar


class SiblingTeam(NamedTuple):
    """One sibling."""

    drones: tuple[SiblingDrone, ...]
    load: LoadParams
    delay_s: Scalar
    """How late thrust comes after its motor commands' time stamps, the rotors' lag apart."""


@dataclasses.dataclass(frozen=True)
class TeamUnknowns:
    """Names, sizes and meaning of a team fit's unknowns."""

    team: Team

    @property
    def names(self) -> tuple[str, ...]:
        """All of them: of the load, of the cables' material, and of each member."""
        shared = ("log_mass", "log_inertia_x", "log_inertia_y", "log_inertia_z", "center_x_m", "center_y_m")
        own = ("length{}_m", "log_thrust{}", "tilt_x{}_rad", "tilt_y{}_rad")
        own += ("hook_x{}_m", "hook_y{}_m", "hook_z{}_m")
        members = range(1, len(self.team.members) + 1)
        return (
            *shared,
            "center_z_m",
            "log_stiffness",
            "log_damping",
            "delay_s",
            *(name.format(index) for index in members for name in own),
        )

    def scales(self) -> np.ndarray:
        """Natural size of each."""
        ending = {"_m": 0.1, "_s": 0.01}
        return np.array([ending.get(name[-2:], 1.0) for name in self.names])

    def start(self) -> np.ndarray:
        """The team file's own numbers."""
        load = self.team.load
        values = {f"center_{axis}_m": place for axis, place in zip("xyz", load.center_of_mass_m, strict=True)}
        for index, member in enumerate(self.team.members, 1):
            values[f"length{index}_m"] = member.rigging.cable_length_m
        return np.array([values.get(name, 0.0) for name in self.names])

    @property
    def share_n(self) -> float:
        """Mean part of the load's weight that one cable bears [N]."""
        return self.team.load.mass_kg * GRAVITY_MPS2 / len(self.team.members)

    def log_stiffness_of(self, stretch_m: float) -> float:
        """The unknown at which the load's weight stretches a cable of mean length by so much."""
        return math.log(self.share_n * self.mean_length_m / stretch_m / self.team.cable.axial_stiffness_n)

    @property
    def mean_length_m(self) -> float:
        """Mean length of the cables."""
        return sum(member.rigging.cable_length_m for member in self.team.members) / len(self.team.members)

    def physics(self, theta: torch.Tensor, dt_s: float) -> SiblingTeam:
        """The simulator's parameters of siblings ``theta`` (S, P); leaves have shape (S, 1)."""
        of = dict(zip(self.names, (column[:, None] for column in theta.unbind(-1)), strict=True))
        nominal = team_params(self.team, dt_s)
        load = self.team.load
        inertia = [
            moment * torch.exp(of[f"log_inertia_{axis}"])
            for axis, moment in zip("xyz", load.inertia_kgm2, strict=True)
        ]
        x, y, z = (of[f"center_{axis}_m"] for axis in "xyz")
        hooks = [
            Vec3(*member.rigging.load_point_m) + Vec3(*(of[f"hook_{axis}{index}_m"] for axis in "xyz"))
            for index, member in enumerate(self.team.members, 1)
        ]
        # Half of each cable rides on the load, where the cable is fixed, and half on the drone.
        halves = [
            0.5 * self.team.cable.linear_density_kgpm * of[f"length{index}_m"]
            for index in range(1, len(hooks) + 1)
        ]
        whole = lump(
            load.mass_kg * torch.exp(of["log_mass"]),
            (x, y, z),
            (inertia[0], inertia[1], inertia[2]),
            [(half, (hook.x, hook.y, hook.z)) for half, hook in zip(halves, hooks, strict=True)],
        )
        center = Vec3(*whole.center_m)
        nothing = 0.0 * x
        carried = map_leaves(lambda leaf: leaf + nothing, nominal.load)._replace(
            mass_kg=whole.mass_kg,
            inertia_kgm2=Vec3(*whole.inertia_kgm2),
            center_b_m=-center,
            pose_point_b_m=-center,
        )
        log_stiffness = torch.clamp(of["log_stiffness"], max=self.log_stiffness_of(LEAST_STRETCH_M))
        axial_n = self.team.cable.axial_stiffness_n * torch.exp(log_stiffness)
        damping_s = max(self.team.cable.damping_time_s, 1e-5) * torch.exp(of["log_damping"])
        drones = []
        for index, (member, one) in enumerate(
            zip(self.team.members, each_drone(nominal.drones), strict=True), 1
        ):
            length = of[f"length{index}_m"]
            cable = one.cable._replace(
                load_point_b=hooks[index - 1] - center,
                length_m=length,
                stiffness_npm=axial_n / length,
                damping_nspm=axial_n / length * damping_s,
            )
            # Attitude is imposed: no cable turns the drone, nor does gravity's ground hold it.
            heavy = one.vehicle._replace(
                mass_kg=member.vehicle.body.mass_kg + halves[index - 1],
                inertia_kgm2=Vec3(nothing + 1e9, nothing + 1e9, nothing + 1e9),
                ground_clearance_m=-HIGH_M,
            )
            drone = map_leaves(lambda leaf: leaf + nothing, DroneParams(heavy, cable, one.wind_w))
            drones.append(
                SiblingDrone(
                    drone,
                    torch.exp(of[f"log_thrust{index}"]),
                    of[f"tilt_x{index}_rad"],
                    of[f"tilt_y{index}_rad"],
                )
            )
        return SiblingTeam(tuple(drones), carried, of["delay_s"])


def no_team(drones: int) -> SiblingTeam:
    """A tree of numbers of the same shape: its leaves mean nothing."""
    team = load_team("falcon1")
    nominal = map_leaves(lambda _: 0.0, team_params(team, 0.002))
    return SiblingTeam((SiblingDrone(nominal.drones, 0.0, 0.0, 0.0),) * drones, nominal.load, 0.0)
