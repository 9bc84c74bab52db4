"""PX4's parameters against those that are wanted, and which differences nobody must fly with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from corvids.commands.doctoring.line import Line

TOLERANCE = 1e-3
"""Relative difference at which a parameter counts as different."""
LOSS_ACTIONS = (4.0, 5.0)
"""Of COM_OBL_RC_ACT, those that px4-params offers."""
GRAVE = ("CA_", "MC_", "COM_", "THR_", "SIH_")
"""Beginnings of the names of parameters that must be as wanted; without an answer nobody knows that they are."""
EV_DELAY_OFF_MAX_MS = 20.0
"""EKF2_EV_DELAY: with more than this PX4 lays motion capture beside another moment's attitude and speed."""
HOVER_OFF_MAX = 0.25
"""MPC_THR_HOVER, relatively: PX4's own HOLD and LAND, which a flight falls back on, begin with this thrust."""


def parameter_lines(
    found: Mapping[str, float], wanted: Mapping[str, int | float], vehicle: str
) -> Iterator[Line]:
    """One line for every parameter that differs, and one for how many agree: no better than the worst of those."""
    agreeing, is_fatal = 0, False
    for name, value in wanted.items():
        has = found.get(name, math.nan)  # which agrees with nothing
        is_near = abs(has - value) <= TOLERANCE * max(abs(value), 1e-3)
        is_as_good = (name == "COM_OF_LOSS_T" and has <= value + 1e-6) or (
            name == "COM_OBL_RC_ACT" and has in LOSS_ACTIONS
        )
        if is_near or is_as_good:
            agreeing += 1
            continue
        grave = is_grave(name, has, value)
        is_fatal |= grave
        said, fix = "not answered", "listen longer: --seconds 15"
        if name in found:
            said = f"{has:.6g}"
            fix = f"param set {name} {value:.6g}, or load the file of: corvids px4-params"
            if name == "EKF2_EV_DELAY":
                fix += f"; if it was made with --ev-delay-ms {has:.6g}, tell doctor, too"
        yield Line(name, said, "no-go" if grave else "warn", fix)
    verdict = "go" if agreeing == len(wanted) else "no-go" if is_fatal else "warn"
    yield Line("parameters", f"{agreeing} of {len(wanted)} match {vehicle}", verdict)


def is_grave(name: str, has: float, wanted: float) -> bool:
    """Whether the parameter ``name`` must not be ``has`` where it differs from ``wanted``; NaN is not known."""
    if (
        name == "EKF2_EV_CTRL"
    ):  # bits: what of motion capture is fused; more of it than is asked for does less harm
        return not math.isfinite(has) or int(wanted) & ~int(has) != 0
    if name == "EKF2_EV_DELAY":
        return not abs(has - wanted) <= EV_DELAY_OFF_MAX_MS
    if name == "MPC_THR_HOVER":
        return not abs(has - wanted) <= HOVER_OFF_MAX * wanted
    return name.startswith(GRAVE)
