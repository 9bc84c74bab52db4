"""What the tests of the tasks share: one world to be judged, and what a policy is given of it."""

from __future__ import annotations

import torch

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.episodes.randomization import Draws, Randomization
from corvids.envs.mdp.task import PolicyInputs
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import AT_REST, World, WorldParams
from corvids.vehicle import load_vehicle

TICK_S = 0.02
AIR, X500 = load_vehicle("air"), load_vehicle("x500")


def number(value: float) -> torch.Tensor:
    """One world's component, shape (1, 1)."""
    return torch.full((1, 1), value, dtype=torch.float64)


def vec(x: float, y: float, z: float) -> Vec3:
    return Vec3(number(x), number(y), number(z))


def command(*values: float) -> tuple[torch.Tensor, ...]:
    return tuple(number(value) for value in values)


def params(ball: BallConfig | None = None) -> WorldParams:
    return map_leaves(number, world_params(AIR, ball or BallConfig(), 0.002))


def world(
    pos: tuple[float, float, float],
    *,
    vel: tuple[float, float, float] = (0.0, 0.0, 0.0),
    roll_pitch_yaw: tuple[float, float, float] = (0.0, 0.0, 0.0),
    omega: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> World:
    """A vehicle, and no ball near it."""
    quat = Quat(*Quat.from_roll_pitch_yaw(*(number(angle) for angle in roll_pitch_yaw)))
    body = RigidBody(vec(*pos), vec(*vel), quat, vec(*omega))
    return map_leaves(number, AT_REST)._replace(body=body)


def draws(seed: int = 0, vehicle=AIR, **ranges) -> Draws:
    nominal = world_params(vehicle, BallConfig(), 0.002, vehicle.racket is not None)
    config = Randomization(**ranges)
    return Draws(config, nominal, torch.device("cpu"), torch.Generator().manual_seed(seed))


def inputs(count: int, commands: int, seed: int = 0, **given: torch.Tensor) -> PolicyInputs:
    """Random inputs (count, ·), fresh but for what is ``given``."""
    random = torch.Generator().manual_seed(seed)

    def some(width: int) -> torch.Tensor:
        return torch.randn(count, width, dtype=torch.float64, generator=random)

    age = torch.zeros(count, 1, dtype=torch.float64)
    quat = torch.nn.functional.normalize(some(4), dim=1)
    wanted = some(commands)
    wanted[:, 3:] = wanted[:, 3:].abs() + 0.3
    made = PolicyInputs(some(3), some(3), quat, some(3), age, some(3), some(3), age, wanted)
    return made._replace(**given)
