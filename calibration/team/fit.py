"""Output-error fit of a load and its cables to a team's flight: simulate from motor commands, compare, adjust.

The stiffness may be orders of magnitude off the team file's, so a fit begins with short pieces, whose oscillations have
no time to part from the recorded ones, and with the cables' lengths that the recording shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from corvids.calibration.statistics.projection import Fit, Projection, solve
from corvids.calibration.team.model import channels_of, compare_team, locals_of, row_slices
from corvids.calibration.team.parameters import TeamUnknowns
from corvids.calibration.team.pieces import TeamPieces
from corvids.controllers.spatial import Quat, Vec3
from corvids.team import Team

START_STRETCH_M = 0.03
"""A fit begins with cables that the load stretches by so much: soft ones forgive a start that is off."""
SHORT = 0.6
"""A fit begins with this part of every piece."""
HOOK_STD_M = 0.002
"""How well a cable's place on the load is known, where the team file does not say."""
FIRST_NOISE = {"place": 0.02, "attitude": 0.05}
"""Standard deviations to begin with [m, rad]: far too large, so that the first pass is nearly linear."""


@dataclasses.dataclass(frozen=True)
class TeamFit(Fit):
    """What a fit of a team's flight found."""

    unknowns: TeamUnknowns
    """What its unknowns mean."""
    pieces: TeamPieces


def prior_std(team: Team, mass_known: bool) -> dict[str, float]:
    """How far each unknown may be from the team file. ``mass_known``: the load was weighed."""
    weighed = team.provenance.get("load.mass_kg")
    relative = 0.01 if weighed is None or weighed.std is None else weighed.std / team.load.mass_kg
    found = {
        "log_mass": relative if mass_known else 1.0,
        **{f"log_inertia_{axis}": 1.0 for axis in "xyz"},
        **{
            f"center_{axis}_m": max(0.3 * side, 0.005)
            for axis, side in zip("xyz", team.load.size_m, strict=True)
        },
        "log_stiffness": 3.0,
        "log_damping": 2.0,
        "delay_s": 0.01,
    }
    for index, member in enumerate(team.members, 1):
        origin = member.vehicle.provenance.get("rotors.thrust_coeff_ns2prad2")
        std = None if origin is None else origin.std
        found[f"length{index}_m"] = 0.1
        found[f"log_thrust{index}"] = (
            0.05 if std is None else max(std / member.vehicle.rotors.thrust_coeff_ns2prad2, 0.02)
        )
        hook = team.provenance.get(f"members[{index - 1}].load_point_m")
        spread_m = np.broadcast_to(HOOK_STD_M if hook is None or hook.std is None else hook.std, 3)
        for axis, one in zip("xyz", spread_m, strict=True):
            found[f"hook_{axis}{index}_m"] = max(float(one), 1e-5)
        found[f"tilt_x{index}_rad"] = found[f"tilt_y{index}_rad"] = 0.05
    return found


def fit_team(
    team: Team, pieces: TeamPieces, mass_known: bool, progress: Callable[[str], None] = lambda text: None
) -> TeamFit:
    """Fit load and cables to pieces of flight (at least one). ``progress`` is told how far it is."""
    unknowns = TeamUnknowns(team)
    stds = prior_std(team, mass_known)
    # How far two oscillations of different stiffness part grows with time: short pieces lead to it, long ones tell it.
    short = pieces.first(round(SHORT * (pieces.load_pose.shape[1] - 1)))
    begun = solve(_problem(unknowns, short, stds), progress, first_evaluations=12)
    problem = _problem(unknowns, pieces, stds)
    theta = solve(problem, progress, begun, first_evaluations=12)
    found = problem.found(theta, channels_of(len(team.members)))
    return TeamFit(**found, unknowns=unknowns, pieces=pieces)


def _problem(unknowns: TeamUnknowns, pieces: TeamPieces, stds: dict[str, float]) -> Projection:
    names, mean = unknowns.names, unknowns.start()
    mean[names.index("log_stiffness")] = unknowns.log_stiffness_of(START_STRETCH_M)
    for index, length_m in enumerate(measured_lengths_m(unknowns.team, pieces), 1):
        mean[names.index(f"length{index}_m")] = length_m - START_STRETCH_M
    channels, rows = channels_of(len(unknowns.team.members)), row_slices(pieces)
    sigma = np.empty(rows[-1].stop)
    for channel, span in zip(channels, rows, strict=True):
        sigma[span] = FIRST_NOISE[channel.split()[-2]]
    return Projection(
        names,
        mean,
        np.array([stds[name] for name in names]),
        rows,
        sigma,
        locals_of(len(unknowns.team.members)),
        len(pieces),
        lambda theta, local: compare_team(unknowns, pieces, theta, local),
        settling=1,
    )


def measured_lengths_m(team: Team, pieces: TeamPieces) -> list[float]:
    """Median distance of each cable's ends."""
    load = pieces.load_pose
    turn = Quat(*np.moveaxis(load[..., 3:], -1, 0))
    lengths = []
    for index, member in enumerate(team.members):
        hook = np.stack(tuple(turn.rotate(Vec3(*member.rigging.load_point_m))), -1) + load[..., :3]
        attitude = Quat(*np.moveaxis(pieces.quat_wb[index][:, :: pieces.every], -1, 0))
        end = np.stack(tuple(attitude.rotate(Vec3(*member.rigging.drone_point_m))), -1)
        end = end + pieces.drone_pos[index]
        lengths.append(float(np.median(np.linalg.norm(end - hook, axis=-1))))
    return lengths
