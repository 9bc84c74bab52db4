"""Whether PX4 knows where it is, by whatever is to tell it."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator

from pymavlink.dialects.v20 import common

from corvids.commands.doctoring.line import Line
from corvids.commands.doctoring.streams import STATE_AGE_MAX_S
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.mavlink_state import AIDING
from corvids.deploy.px4.state import PLACE_STD_MAX_M

JUGGLING_STD_MAX_M = 0.05
"""Standard deviation of a coordinate of the vehicle's place beyond which juggling fails."""
USUAL_STD_MAX_M = 0.5
"""By satellites: a healthy estimator knows its place better without RTK, too [m]."""
AIDED_BY_SATELLITES = common.ESTIMATOR_PRED_POS_HORIZ_ABS
"""Bit of ESTIMATOR_STATUS by which PX4 v1.17 says that it fuses fixes, as AIDING's is for anything.

Nothing else tells: ODOMETRY comes all the same, is fresh, and for a vehicle that lies still its place is known to a
centimetre, for then PX4 makes believe that it sees the last one; and once it was told an origin, it has a place on the
globe for good."""
WAIT = "wait for a fix; see the receiver"


class Source(enum.Enum):
    """What is to tell PX4 where it is."""

    MOCAP = enum.auto()
    """Motion capture, which reaches it through a flight's keeper: as a rule not while doctor runs."""
    SATELLITES = enum.auto()
    """A receiver of satellite navigation, the vehicle's or the simulator's."""


def place_lines(peer: Peer, now_s: float, source: Source) -> Iterator[Line]:
    """The lines of state, place and globe."""
    is_by_satellites = source is Source.SATELLITES
    state = peer.reader.state
    # Of a place that it does not know, another line tells.
    age_s = now_s - (state.stamp_s if peer.reader.knows_place else state.attitude_stamp_s)
    if math.isnan(age_s):
        fix = WAIT if is_by_satellites else "the estimator has no position: motion capture, or GPS (--gnss)"
        yield Line("vehicle state", "none", "no-go", fix)
        return
    is_young = age_s <= STATE_AGE_MAX_S
    fix = "" if is_young else f"policies train with up to {1e3 * STATE_AGE_MAX_S:.0f} ms"
    yield Line("vehicle state", f"{1e3 * age_s:.0f} ms old", "go" if is_young else "warn", fix)
    yield from _by_satellites(peer) if is_by_satellites else _by_mocap(peer)
    if "GLOBAL_POSITION_INT" in peer.messages:
        yield Line("place on the globe", "known", "go")
    elif is_by_satellites:
        yield Line("place on the globe", "PX4 knows none", "no-go", WAIT)
    else:
        fix = "so PX4 cannot hold its position: corvids fly … --origin LATITUDE LONGITUDE HEIGHT"
        yield Line("place on the globe", "PX4 knows none", "warn", fix)


def _by_satellites(peer: Peer) -> Iterator[Line]:
    std_m = _std_m(peer)
    said = f"known to {100.0 * std_m:.0f} cm, says PX4"
    if _fuses(peer, AIDED_BY_SATELLITES) is False:
        yield Line("place", "PX4 takes in no fix", "no-go", WAIT)
    elif std_m > PLACE_STD_MAX_M:
        yield Line("place", said, "no-go", WAIT)
    elif math.isnan(std_m) or _fuses(peer, AIDED_BY_SATELLITES) is None:
        yield Line("place", "PX4 does not say how it knows it", "warn", "listen longer: --seconds 15")
    elif std_m > USUAL_STD_MAX_M:
        yield Line("place", said, "warn", f"worse than usual: {WAIT}")
    else:
        yield _known(std_m)


def _by_mocap(peer: Peer) -> Iterator[Line]:
    std_m, is_aided = _std_m(peer), _fuses(peer, AIDING)
    unaided = "nothing aids PX4 while doctor runs: motion capture reaches it in flight, through the keeper"
    if is_aided is False:
        yield Line("place", "PX4 takes in no pose", "warn", unaided)
    elif math.isnan(std_m):
        return
    elif is_aided is None and std_m > JUGGLING_STD_MAX_M:
        yield Line("place", f"known to {100.0 * std_m:.0f} cm, says PX4", "warn", unaided)
    elif std_m > USUAL_STD_MAX_M:
        fix = "too badly to hover: something aids PX4, but hardly motion capture"
        yield Line("place", f"known to {100.0 * std_m:.0f} cm, says PX4", "warn", fix)
    else:
        yield _known(std_m)


def _known(std_m: float) -> Line:
    """A place that PX4 has from outside."""
    is_sure = std_m <= JUGGLING_STD_MAX_M
    fix = "" if is_sure else "enough to hover; to juggle it takes motion capture, or RTK"
    return Line("place", f"known to {100.0 * std_m:.0f} cm, says PX4", "go" if is_sure else "warn", fix)


def _std_m(peer: Peer) -> float:
    """How well PX4 says that it knows the worst known coordinate of its place [m]; NaN where it does not say."""
    odometry = peer.messages.get("ODOMETRY")
    variances = [odometry.pose_covariance[index] for index in (0, 6, 11)] if odometry else [math.nan]
    is_said = all(0.0 < variance < math.inf for variance in variances)
    return math.sqrt(max(variances)) if is_said else math.nan


def _fuses(peer: Peer, bit: int) -> bool | None:
    """Whether PX4's estimator says that it takes that in; None where it says nothing."""
    status = peer.messages.get("ESTIMATOR_STATUS")
    return None if status is None else bool(status.flags & bit)
