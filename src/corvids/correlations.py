"""Correlations between the numbers of a vehicle file: what makes their standard deviations one joint distribution.

A calibration knows thrust per mass far better than thrust or mass; only with their correlation do draws from the file
know that, too. In TOML, one line a pair of numbers that have standard deviations::

    [correlations]
    "body.mass_kg, rotors.thrust_coeff_ns2prad2" = 0.998

A number within a vector is named by its axis: ``body.inertia_kgm2.z``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from corvids.errors import CorvidsError
from corvids.quantities import Provenance, format_value, nearest

Correlations = Mapping[tuple[str, str], float]
"""Correlation coefficient by the names of two numbers, in alphabetical order."""
AXES = "xyz"


def numbers(provenance: Mapping[str, Provenance]) -> dict[str, float]:
    """Standard deviation of each number that has one, by its name; vectors axis by axis."""
    found = {}
    for where, origin in provenance.items():
        if isinstance(origin.std, (tuple, list)):
            if len(origin.std) == len(AXES) and not isinstance(origin.std[0], (tuple, list)):
                found.update(
                    {f"{where}.{axis}": float(std) for axis, std in zip(AXES, origin.std, strict=True)}
                )
        elif origin.std is not None:
            found[where] = float(origin.std)
    return found


def read_correlations(table: Any, provenance: Mapping[str, Provenance]) -> dict[tuple[str, str], float]:
    """The section ``[correlations]`` of a parsed TOML file, which may be missing (None)."""
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise CorvidsError(f"[correlations] = {reprlib.repr(table)} must be a section")
    found = {}
    for key, value in table.items():
        pair = tuple(sorted(part.strip() for part in key.split(",")))
        if len(pair) != 2 or pair[0] == pair[1]:
            raise CorvidsError(f'correlations: {key!r} must name two numbers, like "{_EXAMPLE}"')
        found[pair[0], pair[1]] = value
    check_correlations(found, provenance)
    return {pair: float(value) for pair, value in found.items()}


def check_correlations(
    correlations: Mapping[tuple[str, str], Any], provenance: Mapping[str, Provenance]
) -> None:
    """Refuse a correlation of a number without standard deviation, and one that is no correlation."""
    known = numbers(provenance)
    for pair, value in correlations.items():
        for name in pair:
            if name not in known:
                raise CorvidsError(
                    f"correlations: {name!r} is no number with a standard deviation{nearest(name, list(known))}"
                )
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1.0 <= value <= 1.0:
            raise CorvidsError(
                f"correlations: {', '.join(pair)} = {reprlib.repr(value)} must be a number from -1 to 1"
            )


def format_correlations(correlations: Correlations) -> Iterator[str]:
    """The section as TOML, line by line; nothing where there is no correlation."""
    if correlations:
        yield "[correlations]"
    for pair, value in sorted(correlations.items()):
        yield f'"{", ".join(pair)}" = {format_value(value)}'


_EXAMPLE = "body.mass_kg, rotors.thrust_coeff_ns2prad2"
