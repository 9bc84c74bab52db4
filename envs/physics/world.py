"""What one world of the juggling simulator holds, and one physics step of it."""

from __future__ import annotations

from typing import NamedTuple

from corvids.controllers.rate_loop import Four, RateCommand, RateGains, RateLoopState, rate_loop
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.ball import Ball, BallParams, DiscParams, Impact, collide, step_flight
from corvids.envs.physics.vehicle_dynamics import RigidBody, VehicleParams, step_body, step_rotors

_ZERO = Vec3(0.0, 0.0, 0.0)


class World(NamedTuple):
    """State of a world; leaves have shape ``(worlds, drones)``."""

    body: RigidBody
    ball: Ball
    rotors: Four
    """Lagged quantity of each rotor, fraction of its maximum."""
    rate_loop: RateLoopState
    command: Four
    """Motor commands 0..1 that the rate loop last gave."""
    impact: Impact
    specific_force_w: Vec3
    """Mean of the last step [m/s²]: what an accelerometer measures, in world axes."""


class WorldParams(NamedTuple):
    """Everything that randomization may draw."""

    vehicle: VehicleParams
    racket: DiscParams
    airframe: DiscParams
    ball: BallParams
    wind_w: Vec3
    """Wind velocity [m/s], world; constant within a control step."""


AT_REST = World(
    body=RigidBody(_ZERO, _ZERO, Quat(1.0, 0.0, 0.0, 0.0), _ZERO),
    ball=Ball(_ZERO, _ZERO, _ZERO),
    rotors=Four(0.0, 0.0, 0.0, 0.0),
    rate_loop=RateLoopState(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO),
    command=Four(0.0, 0.0, 0.0, 0.0),
    impact=Impact(0.0, 0.0, _ZERO, _ZERO, 0.0),
    specific_force_w=_ZERO,
)
"""Template of a world: its leaves say the order in which states are packed."""


def fly(world: World, params: WorldParams, dt_s: float, with_ball: bool = True) -> World:
    """One physics step under the motor commands that ``world`` holds; without the ball, that stays where it is."""
    rotors, forces = step_rotors(world.rotors, world.command, params.vehicle, dt_s)
    body, specific_force_w = step_body(
        world.body, world.specific_force_w, forces, params.wind_w, params.vehicle, dt_s
    )
    if not with_ball:
        return world._replace(body=body, rotors=rotors, specific_force_w=specific_force_w)
    ball = step_flight(world.ball, params.wind_w, params.ball, dt_s)
    body, ball, impact = collide(
        (world.body, world.ball),
        (body, ball),
        params.racket,
        params.airframe,
        params.vehicle,
        params.ball,
        world.impact,
        dt_s,
    )
    return world._replace(
        body=body, ball=ball, rotors=rotors, impact=impact, specific_force_w=specific_force_w
    )


def control(world: World, command: RateCommand, gains: RateGains, dt_s: float) -> World:
    """One step of the rate loop on the body rates; sets the motor commands."""
    memory, motors = rate_loop(world.rate_loop, command, world.body.omega_b, gains, dt_s)
    return world._replace(rate_loop=memory, command=motors)
