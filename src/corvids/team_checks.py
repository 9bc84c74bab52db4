"""What cannot be true together of a team, although each of its numbers alone is in its range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from corvids.vehicle import GRAVITY_MPS2

if TYPE_CHECKING:
    from corvids.team import Team

RESERVE = 1.1
"""Full thrust over the thrust that holds the team's share: with less, nobody can keep the height while turning."""
TOLERANCE_M = 1e-3
"""How far outside its box a load may be held: a hook's worth."""


def contradictions(team: Team) -> Iterator[str]:
    """One message a contradiction: the field, its value, and what it would have to be."""
    *lesser, largest = sorted(team.load.inertia_kgm2)
    if largest > sum(lesser) * (1.0 + 1e-9):
        yield (
            f"load.inertia_kgm2 = {team.load.inertia_kgm2} kg m2 breaks the triangle inequality:"
            f" {largest:g} must not exceed the sum of the other two, {sum(lesser):g}"
        )
    yield from _outside("load.center_of_mass_m", team.load.center_of_mass_m, team)
    for index, member in enumerate(team.members):
        yield from _outside(f"members[{index}].load_point_m", member.rigging.load_point_m, team)
    most_kg = largest_load_kg(team)
    if team.load.mass_kg > most_kg:
        yield _too_heavy(team, most_kg)


def largest_load_kg(team: Team) -> float:
    """Mass of the heaviest load that the team holds level with vertical cables, each member within its thrust.

    The members' lifts must add up to the load's weight and balance about its centre of mass. Such lifts exist if and
    only if, about every line through two points of attachment, the members beyond it can carry the load's moment (the
    dual of that linear program has its corners there), and all together its weight. One or two members cannot hold a
    load level in general: it hangs below them as it will, and their lifts need only add up.
    """
    lifts = [_spare_lift_n(team, index) for index in range(len(team.members))]
    most_n = max(sum(lifts), 0.0)
    if len(lifts) >= 3:
        center = team.load.center_of_mass_m
        points = [member.rigging.load_point_m for member in team.members]
        for (ax, ay, _), (bx, by, _) in itertools.permutations(points, 2):
            across = (ay - by, bx - ax)

            def arm(p: tuple[float, float, float], across=across, ax=ax, ay=ay) -> float:
                return across[0] * (p[0] - ax) + across[1] * (p[1] - ay)

            if arm(center) > 0.0:
                moment = sum(lift * max(arm(p), 0.0) for lift, p in zip(lifts, points, strict=True))
                most_n = min(most_n, moment / arm(center))
    return max(most_n, 0.0) / GRAVITY_MPS2


def _spare_lift_n(team: Team, index: int) -> float:
    """Lift that a member has left for the load: its thrust with reserve, less its own weight and its cable's."""
    member = team.members[index]
    cable_n = team.cable.linear_density_kgpm * member.rigging.cable_length_m * GRAVITY_MPS2
    return member.vehicle.max_thrust_n / RESERVE - member.vehicle.weight_n - cable_n


def _outside(field: str, point_m: tuple[float, float, float], team: Team) -> Iterator[str]:
    for axis, place, side in zip("xyz", point_m, team.load.size_m, strict=True):
        if abs(place) > 0.5 * side + TOLERANCE_M:
            yield (
                f"{field} = {point_m} m lies outside the load: {axis} = {place:g} m"
                f" must be within ±{0.5 * side:g} m, half of load.size_m"
            )


def _too_heavy(team: Team, most_kg: float) -> str:
    members = len(team.members)
    full_n = sum(member.vehicle.max_thrust_n for member in team.members)
    own_n = sum(member.vehicle.weight_n for member in team.members)
    return (
        f"load.mass_kg = {team.load.mass_kg:g} kg is more than the team can hold level: at most {most_kg:.3g} kg"
        f" ({members} members with {full_n:.4g} N of thrust at a reserve of {RESERVE} and {own_n:.4g} N of own weight;"
        " the centre of mass must lie within the polygon of the points of attachment)"
    )
