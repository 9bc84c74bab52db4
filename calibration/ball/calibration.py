"""From a ball's trajectory to its drag and radius, the racket's restitution over its face, and the racket's normal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from corvids.calibration.ball.flights import Flights, fit_flights
from corvids.calibration.ball.hits import Hits, find_hits
from corvids.calibration.readers.ball_record import BallRecord
from corvids.calibration.statistics.estimates import Estimates, GroupEstimate
from corvids.calibration.statistics.robust import fit_observations, robust_mean
from corvids.vehicle import Vehicle

LEAST_HITS = 6
"""Fewer hits give no error bar worth the name."""
RING_M = 0.01
"""Width of the rings of the map of restitution."""
_MORE_HITS = "juggle, or drop the ball on the racket, at least 20 times"


@dataclasses.dataclass(frozen=True)
class Ring:
    """Restitution at one distance from the middle of the racket."""

    inner_m: float
    outer_m: float
    hits: int
    mean: float
    std: float
    """Of the mean."""


@dataclasses.dataclass(frozen=True)
class BallCalibration:
    """What a ball's trajectory tells."""

    record: BallRecord
    flights: Flights
    hits: Hits
    restitutions: np.ndarray
    """Shape (H,): of each hit."""
    figures: dict[str, GroupEstimate]
    """Drag and radius of the ball; the racket's restitution, inside and outside its sweet radius, and tilt; how the
    vertical leans in the recording's axes."""
    rings: tuple[Ring, ...]
    """The map over the racket; empty where its pose was not measured."""
    normal_b: np.ndarray | None
    """The racket's unit normal (3,), body; None where refused."""


def calibrate_ball(vehicle: Vehicle, record: BallRecord, ball_mass_kg: float) -> BallCalibration:
    """Fit a ball's trajectory. ``ball_mass_kg``: how much of the impulse the vehicle takes depends on it."""
    flights = fit_flights(record.ball_w)
    hits = find_hits(flights, record.pose, vehicle)
    normal = np.array([0.0, 0.0, 1.0]) if vehicle.racket is None else np.array(vehicle.racket.normal_b)
    tilt = tilt_of(hits, normal)
    if tilt is not None:
        normal = normal + tilt[0] @ _across(normal)
        normal = normal / np.linalg.norm(normal)
    restitutions = _restitutions(hits, normal, vehicle, ball_mass_kg)
    figures = {
        "ball_drag_per_m": _drag(flights),
        "ball_radius_m": _radius(hits, normal, vehicle),
        **_sweet_and_rim(hits, restitutions, normal, vehicle),
        **_tilt_figures(hits, tilt, flights.lean_std_rad),
        **_lean_figures(flights),
    }
    aligned = figures["racket_tilt_x_rad"].identified and figures["racket_tilt_y_rad"].identified
    rings = _rings(hits, restitutions, normal) if hits.is_posed else ()
    return BallCalibration(record, flights, hits, restitutions, figures, rings, normal if aligned else None)


def _drag(flights: Flights) -> GroupEstimate:
    value, std = flights.drag_per_m, flights.drag_std
    if not std < 0.3 * value:
        return GroupEstimate(
            value,
            std,
            False,
            f"{value:.2g} ± {std:.2g} 1/m is too uncertain (more than 30 %): throw the ball higher or further,"
            " at 4 m/s or more, a dozen times",
        )
    return GroupEstimate(value, std, True)


def _offsets(hits: Hits, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height of the ball's centre over the racket's face, and distance from its axis, of each hit [m]."""
    height = hits.centre_b_m @ normal
    return height, np.linalg.norm(hits.centre_b_m - height[:, None] * normal, axis=-1)


def _radius(hits: Hits, normal: np.ndarray, vehicle: Vehicle) -> GroupEstimate:
    if not hits.is_posed:
        return GroupEstimate(
            None, None, False, "the racket's place is not in the log: measure the vehicle's pose, too"
        )
    if len(hits) < LEAST_HITS:
        return GroupEstimate(None, None, False, f"{len(hits)} hits on the racket; {_MORE_HITS}")
    height, _ = _offsets(hits, normal)
    value, std = robust_mean(height, np.full(len(height), 1e12))
    std = math.hypot(std, float(_placed(vehicle) @ np.abs(normal)))
    if not value > 0.0 or not std < 0.25 * value:
        return GroupEstimate(
            value, std, False, f"{value:.3g} ± {std:.2g} m: the racket's place is not known well enough"
        )
    return GroupEstimate(value, std, True)


def _placed(vehicle: Vehicle) -> np.ndarray:
    """Shape (3,): how well the vehicle file knows where the racket is [m], body."""
    origin = vehicle.provenance.get("racket.position_b_m")
    return np.zeros(3) if origin is None or origin.std is None else np.broadcast_to(origin.std, 3)


def _restitutions(hits: Hits, normal: np.ndarray, vehicle: Vehicle, ball_mass_kg: float) -> np.ndarray:
    """Coefficient of each hit: the impulse needs also the share of it that moves the vehicle."""
    closing = -(hits.before_b_mps @ normal)
    change = hits.change_b_mps @ normal
    if not hits.is_posed:
        return change / closing - 1.0
    body = vehicle.body
    middle = np.zeros(3) if vehicle.racket is None else np.array(vehicle.racket.position_b_m)
    height, _ = _offsets(hits, normal)
    point = middle + hits.centre_b_m - height[:, None] * normal
    lever = np.cross(point, normal)
    admittance = 1.0 / body.mass_kg + (lever**2 / np.array(body.inertia_kgm2)).sum(axis=-1)
    return change * (1.0 + ball_mass_kg * admittance) / closing - 1.0


def _sweet_and_rim(
    hits: Hits, restitutions: np.ndarray, normal: np.ndarray, vehicle: Vehicle
) -> dict[str, GroupEstimate]:
    _, aside = _offsets(hits, normal)
    sweet = math.inf if vehicle.racket is None or not hits.is_posed else vehicle.racket.sweet_radius_m
    # Hits so near to the sweet spot's edge may be on its other side.
    margin = max(0.5 * RING_M, 2.0 * float(_placed(vehicle)[:2].max()))
    found = {}
    for name, chosen, where in (
        ("racket_restitution", aside < sweet - margin, "inside"),
        ("racket_restitution_rim", aside > sweet + margin, "outside"),
    ):
        values = restitutions[chosen]
        if len(values) < LEAST_HITS:
            place = f"{len(values)} hits {where} the sweet radius"
            found[name] = GroupEstimate(None, None, False, f"{place} of {sweet:g} m; {_MORE_HITS}")
            continue
        value, std = robust_mean(values, _weights(hits, normal)[chosen])
        good = 0.0 < value <= 1.0 and std < 0.1 * value
        reason = "" if good else f"{value:.3g} ± {std:.2g} is no restitution known to 10 %; {_MORE_HITS}"
        found[name] = GroupEstimate(value, std, good, reason)
    return found


def _weights(hits: Hits, normal: np.ndarray) -> np.ndarray:
    """Shape (H,): inverse variance of each restitution by the noise of the velocities that it is a quotient of."""
    closing, change = hits.before_b_mps @ normal, hits.change_b_mps @ normal
    slopes = np.concatenate((-(change / closing**2)[:, None] * normal, (1.0 / closing)[:, None] * normal), -1)
    return 1.0 / np.maximum(np.einsum("np,npq,nq->n", slopes, hits.covariance, slopes), 1e-12)


def _rings(hits: Hits, restitutions: np.ndarray, normal: np.ndarray) -> tuple[Ring, ...]:
    _, aside = _offsets(hits, normal)
    rings = []
    for index in range(int(aside.max() / RING_M) + 1 if len(hits) else 0):
        inner, outer = index * RING_M, (index + 1) * RING_M
        chosen = (aside >= inner) & (aside < outer)
        if chosen.sum() >= 2:
            mean, std = robust_mean(restitutions[chosen], _weights(hits, normal)[chosen])
            rings.append(Ring(inner, outer, int(chosen.sum()), mean, std))
    return tuple(rings)


def _across(normal: np.ndarray) -> np.ndarray:
    """Shape (2, 3): the directions in the racket's plane nearest to the body's x and y."""
    x = np.array([1.0, 0.0, 0.0]) - normal[0] * normal
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(normal, x)))


def tilt_of(hits: Hits, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Tilt (2,) of the true normal from ``normal`` along the racket's axes, and its standard deviations; or None.

    The push is along the true normal; friction adds a push against the slip, in proportion to it, which is fitted too.
    """
    if len(hits) < LEAST_HITS or not hits.is_posed:
        return None
    axes = _across(normal)
    push, pushed = hits.change_b_mps @ normal, hits.change_b_mps @ axes.T
    closing, slip = hits.before_b_mps @ normal, hits.before_b_mps @ axes.T

    # The slip is measured, too, so it errs: each hit counts by the variance of its whole residual, in which the grip
    # itself is a factor. Were slips taken for exact, the grip would come out too small, and the tilt would make it up.
    def residual(unknown: np.ndarray) -> np.ndarray:
        tilt, grip = unknown[:2], unknown[2]
        left = pushed - push[:, None] * tilt + grip * (slip - closing[:, None] * tilt)
        pull = axes - tilt[:, None] * normal
        slopes = np.concatenate((grip * pull, pull), -1)
        factor = np.linalg.cholesky(slopes @ hits.covariance @ slopes.T)
        return np.linalg.solve(factor, left[..., None])[..., 0]

    value, covariance = fit_observations(residual, np.zeros(3))
    return value[:2], np.sqrt(np.diag(covariance)[:2])


def _tilt_figures(
    hits: Hits, tilt: tuple[np.ndarray, np.ndarray] | None, lean_std_rad: np.ndarray
) -> dict[str, GroupEstimate]:
    names = ("racket_tilt_x_rad", "racket_tilt_y_rad")
    if tilt is None:
        reason = (
            f"{len(hits)} hits on the racket; {_MORE_HITS}"
            if hits.is_posed
            else "the racket's pose is not in the log: measure the vehicle's pose, too"
        )
        return {name: GroupEstimate(None, None, False, reason) for name in names}
    found = {}
    # A vertical that is taken to lean by an angle more bends the flights before and after every hit, and turns the
    # change of velocity between them by as much: all hits err together, which their scatter does not show.
    common = float(np.sqrt((lean_std_rad**2).mean()))
    for name, value, scatter in zip(names, *tilt, strict=True):
        std = math.hypot(scatter, common)
        good = std < 0.02
        reason = "" if good else f"{value:.2g} ± {std:.2g} rad is known to a degree at best; {_MORE_HITS}"
        found[name] = GroupEstimate(float(value), float(std), bool(good), reason)
    return found


def _lean_figures(flights: Flights) -> dict[str, GroupEstimate]:
    found = {}
    for axis, value, std in zip("xy", flights.lean_rad, flights.lean_std_rad, strict=True):
        good = bool(std < 0.01)
        reason = (
            "" if good else f"{value:.2g} ± {std:.2g} rad is too uncertain; throw the ball up a dozen times"
        )
        found[f"frame_lean_{axis}_rad"] = GroupEstimate(float(value), float(std), good, reason)
    return found


def racket_estimates(vehicle: Vehicle, found: BallCalibration, what: Sequence[str]) -> Estimates:
    """Numbers of the vehicle file that ``what`` (``restitution``, ``align``) asks for and the recording supports."""
    estimates: Estimates = {}
    if vehicle.racket is None:
        return estimates
    if "restitution" in what:
        for field in ("restitution", "restitution_rim"):
            one = found.figures[f"racket_{field}"]
            if one.identified:
                estimates[f"racket.{field}"] = (one.value, one.std)
    if "align" in what and found.normal_b is not None:
        axes = _across(np.array(vehicle.racket.normal_b))
        stds = np.array([found.figures[f"racket_tilt_{axis}_rad"].std for axis in "xy"])
        spread = np.sqrt(((axes * stds[:, None]) ** 2).sum(axis=0))
        estimates["racket.normal_b"] = (tuple(found.normal_b.tolist()), tuple(spread.tolist()))
    return estimates
