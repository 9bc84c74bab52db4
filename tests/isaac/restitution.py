"""What Newton's solvers make of the restitution that a racket is given.

.venv-isaac/bin/python tests/isaac/restitution.py [SOLVER …]
"""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import itertools
import subprocess
import sys
from typing import NamedTuple

import torch

from corvids.envs.engines.engine import TICK_S
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.vehicle import GRAVITY_MPS2, load_vehicle

SOLVERS = ("kamino", "xpbd", "featherstone", "mjwarp")
SPEEDS_MPS, RISES_MPS, RESTITUTIONS = (1.0, 3.0, 6.0), (0.0, 1.0), (0.4, 0.6, 0.8)


class Bounces(NamedTuple):
    """Impacts of a ball in the middle of a racket, all (cases,)."""

    speed_mps: torch.Tensor
    """Of the ball towards the racket, before [m/s]."""
    rise_mps: torch.Tensor
    """Of the racket, before [m/s]."""
    asked: torch.Tensor
    """Restitution that the racket was given."""
    found: torch.Tensor
    """Relative speed after the impact over that before; nan where the ball went through."""
    momentum_kgmps: torch.Tensor
    """Change by the impact of the momentum of both together [kg m/s]."""


def bounce(solver: str) -> Bounces:
    """Ball and vehicle meet without gravity, in every combination of speeds and restitutions; a world each."""
    from corvids.envs.isaac.colliders import Materials
    from corvids.envs.isaac.scene import ROWS, SceneBodies, open_scene, scene_cfg

    speed, rise, asked = torch.tensor(list(itertools.product(SPEEDS_MPS, RISES_MPS, RESTITUTIONS))).T
    worlds, params = len(asked), world_params(load_vehicle("air"), BallConfig(), TICK_S)
    simulation, scene = open_scene(scene_cfg(params, worlds, True, colliding=True), TICK_S, solver=solver)
    bodies, racket = SceneBodies(scene, 32), params.racket
    disc = racket._replace(restitution=asked[:, None], friction=torch.full((worlds, 1), racket.friction))
    Materials().set(torch.arange(worlds), params._replace(racket=disc, airframe=disc))
    at = torch.zeros((2 * ROWS, worlds))
    at[2], at[6], at[ROWS + 6] = 1.0, 1.0, 1.0
    at[9], at[ROWS + 9] = rise, rise - speed
    at[ROWS], at[ROWS + 1] = racket.center_b.x, racket.center_b.y
    touching_m = racket.center_b.z + params.ball.radius_m
    at[ROWS + 2] = 1.0 + touching_m + speed * (30.3 * TICK_S)  # they meet in the 31st step
    bodies.place(torch.arange(worlds), at)
    loads = torch.zeros((12, 32, 1))
    loads[2], loads[8] = params.vehicle.mass_kg * GRAVITY_MPS2, params.ball.mass_kg * GRAVITY_MPS2
    seen = []
    for _ in range(60):
        bodies.push(loads)
        scene.write_data_to_sim()
        simulation.step(render=False)
        scene.update(TICK_S)
        seen.append(bodies.read()[:, :worlds, 0].clone())
    before, after = seen[25], seen[-1]
    # Of the point that was met: the vehicle turns where its racket is not over its centre of mass.
    surface = after[9] + after[10] * racket.center_b.y - after[11] * racket.center_b.x
    found = (after[ROWS + 9] - surface) / (before[9] - before[ROWS + 9])
    is_above = after[ROWS + 2] - after[2] > 0.5 * touching_m
    masses = (params.vehicle.mass_kg, params.ball.mass_kg)
    total = [masses[0] * one[9] + masses[1] * one[ROWS + 9] for one in (before, after)]
    return Bounces(speed, rise, asked, torch.where(is_above, found, torch.nan), total[1] - total[0])


def main(solvers: list[str]) -> None:
    """Print a line for each speed of the ball and of the racket; a solver has a process of its own."""
    if len(solvers) != 1:
        for solver in solvers or SOLVERS:
            subprocess.run([sys.executable, __file__, solver], check=False)
        return
    cases = bounce(solvers[0])
    print(f"{solvers[0]}: momentum kept to {float(cases.momentum_kgmps.abs().max()):.0e} kg m/s")
    count = len(RESTITUTIONS)
    for first in range(0, len(cases.asked), count):
        speed, rise = float(cases.speed_mps[first]), float(cases.rise_mps[first])
        made = ", ".join(
            f"{asked:.1f} -> {found:.3f}"
            for asked, found in zip(RESTITUTIONS, cases.found[first : first + count].tolist(), strict=True)
        )
        print(f"  ball {speed:.0f} m/s towards the racket, which rises at {rise:.0f} m/s: {made}")


if __name__ == "__main__":
    main(sys.argv[1:])
