"""Output-error fit of a load and its cables to a team's flight: simulate from motor commands, compare, adjust.

The stiffness may be orders of magnitude off the team file's, so a fit begins at the problem of several, each with the
cables' lengths that the recording shows at it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from corvids.calibration.covariance import sandwich
from corvids.calibration.projection import Projection, solve
from corvids.calibration.team_model import channels_of, compare_team, locals_of, row_slices
from corvids.calibration.team_parameters import TeamUnknowns
from corvids.calibration.team_pieces import TeamPieces
from corvids.controllers.spatial import Quat, Vec3
from corvids.team import Team

START_STRETCH_M = 0.03
"""A fit begins with cables that the load stretches by so much: soft ones forgive a start that is off."""
FIRST_NOISE = {"place": 0.02, "attitude": 0.05}
"""Standard deviations to begin with [m, rad]: far too large, so that the first pass is nearly linear."""


@dataclasses.dataclass(frozen=True)
class TeamFit:
    """What a fit found. Unknowns are ordered as ``names``."""

    names: tuple[str, ...]
    values: np.ndarray
    """Shape (P,)."""
    covariance: np.ndarray
    """Shape (P, P)."""
    prior_std: np.ndarray
    """Shape (P,): how well each was known before."""
    unknowns: TeamUnknowns
    """What they mean."""
    noise: dict[str, float]
    """Standard deviation of each compared signal's residuals, at the fit."""
    residuals: np.ndarray
    """Shape (N, R)."""
    pieces: TeamPieces

    def value(self, name: str) -> float:
        """The estimate of an unknown."""
        return float(self.values[self.names.index(name)])

    def std(self, name: str) -> float:
        """Its standard deviation."""
        index = self.names.index(name)
        return float(np.sqrt(self.covariance[index, index]))

    def informed(self, name: str) -> bool:
        """Whether the recording, rather than the prior, determines it."""
        return self.std(name) < 0.5 * float(self.prior_std[self.names.index(name)])


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
        found[f"tilt_x{index}_rad"] = found[f"tilt_y{index}_rad"] = 0.05
    return found


def fit_team(
    team: Team, pieces: TeamPieces, mass_known: bool, progress: Callable[[str], None] = lambda text: None
) -> TeamFit:
    """Fit load and cables to pieces of flight (at least one). ``progress`` is told how far it is."""
    unknowns = TeamUnknowns(team)
    stds = prior_std(team, mass_known)
    problem = _problem(unknowns, pieces, stds, START_STRETCH_M)
    theta = solve(problem, progress, passes=5, first_evaluations=12)
    residual, slopes = problem.evaluate(theta)
    return TeamFit(
        names=problem.names,
        values=theta,
        covariance=sandwich(residual, slopes, problem.rows, problem.prior_std),
        prior_std=problem.prior_std,
        unknowns=unknowns,
        noise=dict(zip(channels_of(len(team.members)), problem.spread(residual), strict=True)),
        residuals=residual * problem.sigma,
        pieces=pieces,
    )


def _problem(
    unknowns: TeamUnknowns, pieces: TeamPieces, stds: dict[str, float], stretch_m: float
) -> Projection:
    names, mean = unknowns.names, unknowns.start()
    mean[names.index("log_stiffness")] = unknowns.log_stiffness_of(stretch_m)
    for index, length_m in enumerate(measured_lengths_m(unknowns.team, pieces), 1):
        mean[names.index(f"length{index}_m")] = length_m - stretch_m
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
