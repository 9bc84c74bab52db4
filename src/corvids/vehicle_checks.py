"""What cannot be true together of a vehicle, although each of its numbers alone is in its range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corvids.vehicle import Airframe, Racket, Vehicle

MIN_THRUST_TO_WEIGHT = 1.1
"""A vehicle with less cannot hold its height while it turns."""
QUADRANTS = (("front right", 1, -1), ("rear left", -1, 1), ("front left", 1, 1), ("rear right", -1, -1))
"""Where PX4 has its rotors 1 to 4 in an X: name, sign of x, sign of y (FLU)."""


def contradictions(vehicle: Vehicle) -> Iterator[str]:
    """One message a contradiction: the field, its value, and what it would have to be."""
    *lesser, largest = sorted(vehicle.body.inertia_kgm2)
    if largest > sum(lesser) * (1.0 + 1e-9):
        yield (
            f"body.inertia_kgm2 = {vehicle.body.inertia_kgm2} kg m2 breaks the triangle inequality:"
            f" {largest:g} must not exceed the sum of the other two, {sum(lesser):g}"
        )
    yield from _in_layout(vehicle)
    yield from _in_thrust(vehicle)
    yield from _in_airframe(vehicle.airframe)
    if vehicle.racket is not None:
        yield from _in_racket(vehicle.racket, vehicle.airframe)
    if vehicle.battery is not None:
        full, empty = vehicle.battery.voltage_full_v, vehicle.battery.voltage_empty_v
        if empty >= full:
            yield f"battery.voltage_empty_v = {empty:g} V must be below voltage_full_v, {full:g} V"


def _in_layout(vehicle: Vehicle) -> Iterator[str]:
    for index, (position, quadrant) in enumerate(zip(vehicle.rotors.position_b_m, QUADRANTS, strict=True)):
        (x, y, _), (place, sign_x, sign_y) = position, quadrant
        if x * sign_x < 1e-3 or y * sign_y < 1e-3:
            yield (
                f"rotors.position_b_m[{index}] = ({x:g}, {y:g}) m must lie {place}, with x {'<>'[sign_x > 0]} 0 and"
                f" y {'<>'[sign_y > 0]} 0 by 1 mm at least; PX4's order is {', '.join(q[0] for q in QUADRANTS)}"
            )
    if tuple(vehicle.rotors.spin) not in ((1, 1, -1, -1), (-1, -1, 1, 1)):
        yield (
            f"rotors.spin = {vehicle.rotors.spin} must be (1, 1, -1, -1) or its opposite:"
            " diagonal rotors turn the same way and the four sum to zero"
        )


def _in_thrust(vehicle: Vehicle) -> Iterator[str]:
    full_n, weight_n = vehicle.max_thrust_n, vehicle.weight_n
    idle, limit_n = vehicle.rotors.speed_min_radps, vehicle.limits.thrust_max_n
    if vehicle.thrust_to_weight < MIN_THRUST_TO_WEIGHT:
        yield (
            f"rotors: full thrust {full_n:.4g} N (4 · thrust_coeff · speed_max²) over weight {weight_n:.4g} N"
            f" is {vehicle.thrust_to_weight:.3g}, must be at least {MIN_THRUST_TO_WEIGHT}"
        )
    if idle >= vehicle.hover_speed_radps:
        yield (
            f"rotors.speed_min_radps = {idle:g} rad/s must be below the hover speed,"
            f" {vehicle.hover_speed_radps:.4g} rad/s"
        )
    if not weight_n < limit_n <= full_n * (1.0 + 1e-9):
        yield (
            f"limits.thrust_max_n = {limit_n:g} N must be above the weight, {weight_n:.4g} N,"
            f" and at most the rotors' full thrust, {full_n:.4g} N"
        )


def _in_airframe(airframe: Airframe) -> Iterator[str]:
    thickness_m, clearance_m = airframe.half_thickness_m, airframe.ground_clearance_m
    depth_m = thickness_m - airframe.disc_height_m
    if thickness_m > airframe.disc_radius_m:
        yield (
            f"airframe.half_thickness_m = {thickness_m:g} m must be at most disc_radius_m,"
            f" {airframe.disc_radius_m:g} m"
        )
    if clearance_m < depth_m:
        yield (
            f"airframe.ground_clearance_m = {clearance_m:g} m puts the disc into the ground:"
            f" must be at least half_thickness_m - disc_height_m, {depth_m:g} m"
        )


def _in_racket(racket: Racket, airframe: Airframe) -> Iterator[str]:
    length, height_m = math.hypot(*racket.normal_b), racket.position_b_m[2]
    top_m = airframe.disc_height_m + airframe.half_thickness_m
    if abs(length - 1.0) > 1e-6 or racket.normal_b[2] <= 0.0:
        yield f"racket.normal_b = {racket.normal_b} must have length 1, not {length:g}, and point up (z > 0)"
    if height_m <= top_m:
        yield (
            f"racket.position_b_m: z = {height_m:g} m must be above the airframe's top,"
            f" disc_height_m + half_thickness_m = {top_m:g} m"
        )
    if racket.sweet_radius_m > 2.0 * racket.radius_m:
        yield (
            f"racket.sweet_radius_m = {racket.sweet_radius_m:g} m must be at most twice radius_m,"
            f" {racket.radius_m:g} m"
        )
    if racket.restitution_rim > racket.restitution:
        yield (
            f"racket.restitution_rim = {racket.restitution_rim:g} must be at most restitution,"
            f" {racket.restitution:g}"
        )
