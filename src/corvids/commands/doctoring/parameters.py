"""PX4's parameters against those that are wanted, and which differences nobody must fly with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from corvids.commands.doctoring.line import Line, Verdict

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
        has = found.get(name, math.nan)
        verdict = verdict_of(name, has, value)
        if verdict == "go":
            agreeing += 1
            continue
        is_fatal |= verdict == "no-go"
        said, fix = "not answered", "listen longer: --seconds 15"
        if name in found:
            said = f"{has:.6g}"
            fix = f"param set {name} {value:.6g}, or load the file of: corvids px4-params"
            if name == "EKF2_EV_DELAY":
                fix += f"; if it was made with --ev-delay-ms {has:.6g}, tell doctor, too"
        yield Line(name, said, verdict, fix)
    verdict = "go" if agreeing == len(wanted) else "no-go" if is_fatal else "warn"
    yield Line("parameters", f"{agreeing} of {len(wanted)} match {vehicle}", verdict)


def verdict_of(name: str, has: float, wanted: float) -> Verdict:
    """Whether to fly with the parameter ``name`` at ``has`` where px4-params writes ``wanted``; NaN is not known.

    The doctor and a flight's own check both go by this.
    """
    if _agrees(name, has, wanted):
        return "go"
    return "no-go" if _is_grave(name, has, wanted) else "warn"


def _agrees(name: str, has: float, wanted: float) -> bool:
    """Whether it is as wanted, or as good; NaN agrees with nothing."""
    if name == "COM_OF_LOSS_T":  # sooner is as good, but at 0 every stream is lost at once
        return 0.0 < has <= wanted + 1e-6
    if name == "COM_OBL_RC_ACT":
        return has in LOSS_ACTIONS
    return abs(has - wanted) <= TOLERANCE * max(abs(wanted), 1e-3)


def _is_grave(name: str, has: float, wanted: float) -> bool:
    """Whether it must not be ``has`` where that does not agree."""
    if (
        name == "EKF2_EV_CTRL"
    ):  # bits: what of motion capture is fused; more of it than is asked for does less harm
        return not math.isfinite(has) or int(wanted) & ~int(has) != 0
    if name == "EKF2_EV_DELAY":
        return not abs(has - wanted) <= EV_DELAY_OFF_MAX_MS
    if name == "MPC_THR_HOVER":
        return not abs(has - wanted) <= HOVER_OFF_MAX * wanted
    return name.startswith(GRAVE)
