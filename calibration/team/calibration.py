"""From a team's recorded flight to its cables and its load: figures, each with its error bar or why it is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from corvids.calibration.readers.team_record import TeamRecord
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.calibration.team.fit import TeamFit, fit_team
from corvids.calibration.team.pieces import LENGTH_S, cut_team
from corvids.team import Team

WHAT = ("cable", "load")
"""What can be asked for: the cables, of a weighed load; or the load."""
MIN_PIECES = 16
"""Pieces of flight below which nothing is fitted."""
MAX_PIECES = 180
"""Of a longer flight so many pieces are used, evenly spread."""
LARGEST = {"log_stiffness": 0.25, "log_damping": 0.5, "log_mass": 0.1, "log_inertia": 0.3}
"""Largest relative standard deviation that counts as identified."""
LARGEST_LENGTH_M = 0.02
"""The same of a cable's length [m]."""
_SHAKE = "shake the drones up and down at 2 to 6 Hz by 1 m/s² for half a minute"
_SWING = "let the load swing by 10° or more and turn it about every axis, for half a minute"


@dataclasses.dataclass(frozen=True)
class TeamCalibration:
    """What a recording told."""

    record: TeamRecord
    figures: dict[str, GroupEstimate]
    """The figures that were asked for."""
    estimates: Estimates
    """Value and standard deviation of each number for the team file."""
    fit: TeamFit | None
    """The fit behind them; None where there was no flight to fit."""
    notes: tuple[str, ...]


def calibrate_team(
    team: Team, record: TeamRecord, what: str, progress: Callable[[str], None] = lambda text: None
) -> TeamCalibration:
    """Fit ``what`` (of ``WHAT``) of a team."""
    pieces = cut_team(record, team)
    if len(pieces) < MIN_PIECES:
        reason = (
            f"{LENGTH_S * len(pieces):g} s of unbroken flight with the load off the ground are less than"
            f" {LENGTH_S * MIN_PIECES:g} s; lift it and {_SHAKE if what == 'cable' else _SWING}"
        )
        figures = {name: GroupEstimate(None, None, False, reason) for name in _names(team, what)}
        return TeamCalibration(record, figures, {}, None, ())
    notes = []
    if len(pieces) > MAX_PIECES:
        notes.append(f"{MAX_PIECES} of {len(pieces)} pieces of flight are used, evenly spread")
        pieces = pieces.take(np.linspace(0, len(pieces) - 1, MAX_PIECES).round().astype(int))
    fit = fit_team(team, pieces, what == "cable", progress)
    figures = _cable_figures(fit) if what == "cable" else _load_figures(fit)
    return TeamCalibration(record, figures, _estimates(team, figures), fit, tuple(notes))


def _names(team: Team, what: str) -> list[str]:
    if what == "cable":
        lengths = [f"cable_length{index}_m" for index in range(1, len(team.members) + 1)]
        return ["axial_stiffness_n", "damping_time_s", *lengths]
    inertia = [f"inertia_{axis}_kgm2" for axis in "xyz"]
    return ["mass_kg", *inertia, *(f"center_of_mass_{axis}_m" for axis in "xyz")]


def _cable_figures(fit: TeamFit) -> dict[str, GroupEstimate]:
    team, unknowns = fit.unknowns.team, fit.unknowns
    stretch_m = math.exp(unknowns.log_stiffness_of(1.0) - fit.value("log_stiffness"))
    seen_m = fit.noise["load place z"]
    found = {
        "axial_stiffness_n": _factor(fit, "log_stiffness", team.cable.axial_stiffness_n, _SHAKE),
        "damping_time_s": _factor(fit, "log_damping", max(team.cable.damping_time_s, 1e-5), _SHAKE),
    }
    # A stretch that is no larger than what one position is known to is taken for a cable that does not stretch.
    if stretch_m < seen_m or not found["axial_stiffness_n"].identified:
        reason = (
            f"the load's weight stretches a cable by {1e3 * stretch_m:.2g} mm, where a position is known to"
            f" {1e3 * seen_m:.2g} mm; measure it on a pull bench, or carry a heavier load and {_SHAKE}"
        )
        found = {
            name: dataclasses.replace(one, identified=False, reason=reason) for name, one in found.items()
        }
    for index in range(1, len(team.members) + 1):
        value, std = fit.value(f"length{index}_m"), fit.std(f"length{index}_m")
        good = std < LARGEST_LENGTH_M
        reason = "" if good else f"{value:.4g} ± {std:.2g} m is too uncertain; {_SHAKE}"
        found[f"cable_length{index}_m"] = GroupEstimate(value, std, good, reason)
    return found


def _load_figures(fit: TeamFit) -> dict[str, GroupEstimate]:
    load = fit.unknowns.team.load
    found = {"mass_kg": _factor(fit, "log_mass", load.mass_kg, _SWING)}
    for axis, moment in zip("xyz", load.inertia_kgm2, strict=True):
        found[f"inertia_{axis}_kgm2"] = _factor(fit, f"log_inertia_{axis}", moment, _SWING)
    for axis, side in zip("xyz", load.size_m, strict=True):
        name, largest = f"center_{axis}_m", max(0.1 * side, 0.005)
        value, std = fit.value(name), fit.std(name)
        good = fit.informed(name) and std < largest
        reason = "" if good else f"{value:.3g} ± {std:.2g} m is too uncertain; {_SWING}"
        found[f"center_of_mass_{axis}_m"] = GroupEstimate(value, std, good, reason)
    return found


def _factor(fit: TeamFit, name: str, nominal: float, manoeuvre: str) -> GroupEstimate:
    """A number of the team file from the logarithm of its factor."""
    value = nominal * math.exp(fit.value(name))
    std = value * fit.std(name)
    if not fit.informed(name):
        reason = f"the recording does not tell it from the team file; {manoeuvre}"
        return GroupEstimate(None, None, False, reason)
    largest = next(limit for prefix, limit in LARGEST.items() if name.startswith(prefix))
    if not fit.std(name) < largest:
        return GroupEstimate(value, std, False, f"{value:.3g} ± {std:.2g} is too uncertain; {manoeuvre}")
    return GroupEstimate(value, std, True)


def _estimates(team: Team, figures: dict[str, GroupEstimate]) -> Estimates:
    """Numbers as the team file has them: axes gathered into vectors, those refused as they were."""
    found: Estimates = {}
    scalars = {
        "mass_kg": "load.mass_kg",
        "axial_stiffness_n": "cable.axial_stiffness_n",
        "damping_time_s": "cable.damping_time_s",
        **{
            f"cable_length{index + 1}_m": f"members[{index}].cable_length_m"
            for index in range(len(team.members))
        },
    }
    for name, where in scalars.items():
        one = figures.get(name)
        if one is not None and one.identified:
            found[where] = (one.value, one.std)
    for field, name in (("inertia_kgm2", "inertia_{}_kgm2"), ("center_of_mass_m", "center_of_mass_{}_m")):
        axes = [figures.get(name.format(axis)) for axis in "xyz"]
        if not any(one is not None and one.identified for one in axes):
            continue
        origin = team.provenance.get(f"load.{field}")
        values, stds = list(getattr(team.load, field)), [0.1 * abs(v) for v in getattr(team.load, field)]
        if origin is not None and origin.std is not None:
            stds = list(origin.std)
        for index, one in enumerate(axes):
            if one is not None and one.identified and one.value is not None and one.std is not None:
                values[index], stds[index] = one.value, one.std
        found[f"load.{field}"] = (tuple(values), tuple(stds))
    return found
