"""World parameters of a vehicle file and a ball, before randomization."""

from __future__ import annotations

import dataclasses
import math

from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Vec3
from corvids.envs.physics.ball import BallParams, DiscParams
from corvids.envs.physics.vehicle_dynamics import VehicleParams
from corvids.envs.physics.world import WorldParams
from corvids.errors import CorvidsError
from corvids.vehicle import Racket, Vehicle


@dataclasses.dataclass(frozen=True)
class BallConfig:
    """The ball to juggle. Defaults: JuggleRL's ball (arXiv 2509.24892)."""

    mass_kg: float = 0.0472
    """Mass [kg]."""
    radius_m: float = 0.04
    """Radius [m]."""
    drag_per_m: float = 0.032
    """Quadratic drag ½ρC_dA/m [1/m]; derived with C_d = 0.5."""
    magnus: float = 0.0028
    """Magnus acceleration per ω × v; ½ρAr·C_l/m with a lift slope of 1 (assumed), i.e. drag · r · C_l / C_d."""
    inertia_factor: float = 0.5
    """Moment of inertia over m·r²: between a solid ball (0.4) and a hollow one (0.67)."""
    ground_restitution: float = 0.6
    """Coefficient of restitution on the ground."""


def vehicle_params(vehicle: Vehicle, dt_s: float) -> VehicleParams:
    """Physics of ``vehicle`` (leaves are floats) for a simulation stepped every ``dt_s`` [s].

    Raises :class:`~corvids.errors.CorvidsError` if its rotors have inertia, but only their thrust is simulated.
    """
    body, rotors = vehicle.body, vehicle.rotors
    thrust_n = rotors.thrust_coeff_ns2prad2 * rotors.speed_max_radps**2
    idle = rotors.speed_min_radps / rotors.speed_max_radps
    lag_is_speed = rotors.thrust_lag == "speed"
    if not lag_is_speed and rotors.inertia_kgm2 > 0.0:
        raise CorvidsError(
            f"vehicle {vehicle.name!r}: rotors.inertia_kgm2 = {rotors.inertia_kgm2:g} kg m2 must be 0 where"
            " rotors.thrust_lag is 'thrust', because such rotors have no speed of their own"
        )
    return VehicleParams(
        mass_kg=body.mass_kg,
        inertia_kgm2=Vec3(*body.inertia_kgm2),
        linear_drag_nspm=Vec3(*body.linear_drag_nspm),
        quadratic_drag_ns2pm2=Vec3(*body.quadratic_drag_ns2pm2),
        angular_drag_nmsprad=Vec3(*body.angular_drag_nmsprad),
        rotor_x_b_m=Four(*(position[0] for position in rotors.position_b_m)),
        rotor_y_b_m=Four(*(position[1] for position in rotors.position_b_m)),
        spin=Four(*(float(spin) for spin in rotors.spin)),
        thrust_max_n=Four(*(thrust_n,) * 4),
        torque_per_thrust_m=rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2,
        rotor_speed_max_radps=rotors.speed_max_radps,
        rotor_inertia_kgm2=rotors.inertia_kgm2,
        rise_fraction=lag_fraction(rotors.tau_rise_s, dt_s),
        fall_fraction=lag_fraction(rotors.tau_fall_s, dt_s),
        command_curve=rotors.thrust_curve,
        lag_curve=1.0 if lag_is_speed else 0.0,
        idle=idle if lag_is_speed else idle * idle,
        ground_clearance_m=vehicle.airframe.ground_clearance_m,
    )


def lag_fraction(tau_s: float, dt_s: float) -> float:
    """Part of the distance to its target that a first-order lag covers in one step: ``1 - exp(-dt/τ)``."""
    return 1.0 - math.exp(-dt_s / tau_s)


def world_params(vehicle: Vehicle, ball: BallConfig, dt_s: float, with_ball: bool = True) -> WorldParams:
    """Parameters (leaves are floats) of a world with ``vehicle`` and ``ball``, in still air.

    Raises :class:`~corvids.errors.CorvidsError` if there is a ball but no racket for it.
    """
    racket, airframe = vehicle.racket, vehicle.airframe
    frame = DiscParams(
        center_b=Vec3(0.0, 0.0, airframe.disc_height_m),
        normal_b=Vec3(0.0, 0.0, 1.0),
        radius_m=airframe.disc_radius_m - airframe.half_thickness_m,
        half_thickness_m=airframe.half_thickness_m,
        sweet_radius_m=airframe.disc_radius_m,
        restitution=airframe.restitution,
        restitution_rim=airframe.restitution,
        friction=airframe.friction,
    )
    if racket is None and with_ball:
        raise CorvidsError(f"vehicle {vehicle.name!r} has no [racket] table; juggling needs one (try 'air')")
    return WorldParams(
        vehicle=vehicle_params(vehicle, dt_s),
        racket=frame if racket is None else _racket(racket),
        airframe=frame,
        ball=BallParams(*dataclasses.astuple(ball)),
        wind_w=Vec3(0.0, 0.0, 0.0),
    )


def _racket(racket: Racket) -> DiscParams:
    return DiscParams(
        center_b=Vec3(*racket.position_b_m),
        normal_b=Vec3(*racket.normal_b),
        radius_m=racket.radius_m,
        half_thickness_m=0.0,
        sweet_radius_m=racket.sweet_radius_m,
        restitution=racket.restitution,
        restitution_rim=racket.restitution_rim,
        friction=racket.friction,
    )
