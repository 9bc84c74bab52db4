"""A ball's trajectory taken apart into free flights between bounces; from all of them its drag, and where down is.

Each flight's initial state is an unknown of its own, eliminated in closed form; flights are simulated by the function
that trains policies (:func:`corvids.envs.physics.ball.step_flight`), all of them and their perturbed siblings in one
batch.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from corvids.calibration.readers.record import Channel
from corvids.calibration.statistics.covariance import left_out, student
from corvids.controllers.spatial import Vec3
from corvids.envs.physics.ball import Ball, BallParams, step_flight
from corvids.errors import CorvidsError
from corvids.vehicle import GRAVITY_MPS2

WINDOW_S = 0.06
"""Before and after a sample so much is looked at to tell whether the velocity jumps there."""
LEAST_JUMP_MPS = 0.5
"""Smaller jumps of the velocity are no bounce."""
LEAST_FLIGHT_S, LEAST_SAMPLES = 0.12, 10
"""Shorter flights are not used."""
DT_S = 0.004
"""Simulation step."""
_NUDGE = 1e-6
COMMON = 3
"""Unknowns of all flights together: drag [1/m], and how the recording leans about x and y [rad]."""


@dataclasses.dataclass(frozen=True)
class Flights:
    """F free flights and what they tell of the ball's drag."""

    time_s: list[np.ndarray]
    """Times of each flight's samples."""
    residual_m: list[np.ndarray]
    """Measured minus fitted position of each, (m, 3)."""
    first: np.ndarray
    """Shape (F, 6): position [m] and velocity [m/s] at each flight's first sample."""
    last: np.ndarray
    """Shape (F, 6): the same at its last sample."""
    follows: np.ndarray
    """Shape (F,): whether a bounce, and nothing else, lies between the flight before and this one."""
    drag_per_m: float
    """Quadratic drag ½ρC_dA/m."""
    drag_std: float
    """Its standard deviation."""
    noise_m: float
    """Standard deviation of a measured coordinate about its flight."""
    rms_m: float
    """Root mean square of the same, outliers and all."""
    rms_left_out_m: float
    """The same of each flight with the drag that all others tell."""
    velocity_std_mps: np.ndarray
    """Shape (F,): standard deviation of each flight's velocity, along each axis."""
    lean_rad: np.ndarray
    """Shape (2,): rotation about x and about y that brings the true vertical to the recording's z axis."""
    lean_std_rad: np.ndarray
    """Shape (2,): their standard deviations."""


def fit_flights(ball_w: Channel) -> Flights:
    """Segment a trajectory and fit it; raises :class:`CorvidsError` where there is no free flight."""
    spans, follows = _spans(ball_w)
    if not spans:
        raise CorvidsError(
            f"{ball_w.topic}: no free flight of {LEAST_FLIGHT_S} s: is the ball in flight, z up, and in metres?"
        )
    _check_gravity(ball_w, spans)
    problem = _Problem(ball_w, spans)
    bad = problem.unlike_flight()
    if bad.all():
        raise CorvidsError(f"{ball_w.topic}: no stretch of it is free flight; is z up, and is it in metres?")
    if bad.any():
        keep = np.flatnonzero(~bad)
        follows = np.array([follows[i] and i > 0 and not bad[i - 1] for i in keep])
        problem = _Problem(ball_w, [spans[i] for i in keep])
    common = np.zeros(COMMON)
    for _ in range(2):  # the second time with the noise that is left once drag and lean are in
        common = least_squares(
            problem.residual,
            common,
            jac=problem.jacobian,  # pyright: ignore[reportArgumentType]
            x_scale=0.01,
            loss="soft_l1",
            f_scale=4.0,
            xtol=1e-6,
        ).x
        problem.settle_noise(common)
    residual, slope = problem.evaluate(common)
    flat, slopes = residual.reshape(len(residual), -1), slope.reshape(len(residual), -1, COMMON)
    curvature = np.einsum("fmp,fmq->pq", slopes, slopes)
    inverse = np.linalg.pinv(curvature, hermitian=True)
    unseen = left_out(flat, slopes, curvature)
    sampled = 3.0 * float(problem.there.sum())
    # One long flight may tell nearly all of the drag, so that flights are too few to scatter: the noise of all samples
    # says it.
    variance = problem.long_run(residual) * inverse[0, 0] if len(flat) > 1 and inverse[0, 0] > 0.0 else np.inf
    first, last = problem.ends()
    return Flights(
        time_s=problem.times,
        residual_m=[residual[i, : len(t)] * problem.noise_m for i, t in enumerate(problem.times)],
        first=first,
        last=last,
        follows=np.asarray(follows, bool),
        drag_per_m=float(common[0]),
        drag_std=float(np.sqrt(variance)),
        noise_m=problem.noise_m,
        rms_m=problem.noise_m * float(np.sqrt((flat**2).sum() / sampled)),
        rms_left_out_m=problem.noise_m * float(np.sqrt((unseen**2).sum() / sampled)),
        # Drag and gravity are common to all flights, so each is a straight line but for them.
        velocity_std_mps=np.array([problem.noise_m / (np.std(t) * np.sqrt(len(t))) for t in problem.times]),
        lean_rad=common[1:],
        lean_std_rad=_scatter(flat, slopes, inverse)[1:],
    )


def _spans(ball_w: Channel) -> tuple[list[slice], np.ndarray]:
    """Samples of each flight, and whether it follows the one before by a bounce alone."""
    time, pos = ball_w.time_s, ball_w.values
    width = max(4, round(WINDOW_S / ball_w.interval_s) + 1)
    count = len(time)
    cuts = np.zeros(count - 1, int)  # between samples i and i+1: 1 a bounce, 2 a gap
    cuts[np.diff(time) > 3.5 * ball_w.interval_s] = 2
    if count > 2 * width:
        jump = _jumps(time, pos, width)
        speed = np.linalg.norm(jump, axis=-1)
        noise = 1.4826 * np.median(speed)
        for i in np.argsort(-speed):
            if speed[i] < max(LEAST_JUMP_MPS, 5.0 * noise):
                break
            around = slice(max(0, i - width), i + width + 1)
            if not (cuts[around] > 0).any():
                cuts[i] = 1
    edges = np.concatenate(([0], np.flatnonzero(cuts) + 1, [count]))
    kinds = np.concatenate(([2], cuts[cuts > 0]))
    spans, follows = [], []
    previous = False
    for begin, end, kind, next_kind in zip(edges[:-1], edges[1:], kinds, [*kinds[1:], 2], strict=True):
        # The sample next to a bounce may be on its other side; next to a gap, a bounce would not have been seen.
        span = slice(int(begin) + (1 if kind == 1 else width), int(end) - (1 if next_kind == 1 else width))
        usable = (
            span.stop - span.start >= LEAST_SAMPLES
            and time[span.stop - 1] - time[span.start] >= LEAST_FLIGHT_S
        )
        if usable:
            spans.append(span)
            follows.append(bool(kind == 1 and previous))
        previous = usable
    return spans, np.array(follows, bool)


def _jumps(time: np.ndarray, pos: np.ndarray, width: int) -> np.ndarray:
    """Shape (n - 1, 3): velocity after minus velocity before the middle between two samples; 0 near the ends."""
    windows = np.lib.stride_tricks.sliding_window_view
    times, places = windows(time, width), windows(pos, width, axis=0)
    jump = np.zeros((len(time) - 1, 3))
    middle = 0.5 * (time[1:] + time[:-1])
    inner = slice(width - 1, len(time) - width)
    ends = []
    for first in (0, width):  # windows that end at sample i, and that begin at sample i + 1
        chosen = slice(first, first + len(middle[inner]))
        since = times[chosen] - middle[inner, None]
        fallen = places[chosen] + np.array([0.0, 0.0, 0.5 * GRAVITY_MPS2])[:, None] * since[:, None] ** 2
        centred = since - since.mean(axis=-1, keepdims=True)
        ends.append((centred[:, None] * fallen).sum(axis=-1) / (centred**2).sum(axis=-1)[:, None])
    jump[inner] = ends[1] - ends[0]
    return jump


def _check_gravity(ball_w: Channel, spans: list[slice]) -> None:
    """Refuse positions in other units than metres, or with another axis up: gravity says so."""
    falls = []
    for span in spans:
        since = ball_w.time_s[span] - ball_w.time_s[span].mean()
        falls.append(2.0 * np.polyfit(since, ball_w.values[span], 2)[0])
    fall = np.median(falls, axis=0)
    if not 0.5 * GRAVITY_MPS2 < -fall[2] < 1.5 * GRAVITY_MPS2:
        raise CorvidsError(
            f"{ball_w.topic}: between bounces the ball accelerates by"
            f" ({fall[0]:.3g}, {fall[1]:.3g}, {fall[2]:.3g}) m/s², not by about (0, 0, -9.8):"
            " say its unit in the mapping, and have z up"
        )


class _Problem:
    """Residuals of the drag, each flight's initial state eliminated."""

    def __init__(self, ball_w: Channel, spans: list[slice]) -> None:
        self.times = [ball_w.time_s[span] for span in spans]
        longest = max(map(len, self.times))
        self.since = np.zeros((len(spans), longest))
        self.measured = np.zeros((len(spans), longest, 3))
        self.there = np.zeros((len(spans), longest, 1))
        self.state = np.zeros((len(spans), 6))
        for i, span in enumerate(spans):
            length = span.stop - span.start
            self.since[i, :length] = ball_w.time_s[span] - ball_w.time_s[span.start]
            self.measured[i, :length] = ball_w.values[span]
            self.there[i, :length] = 1.0
            fit = np.polyfit(self.since[i, :length], ball_w.values[span], 2)
            self.state[i] = np.concatenate((fit[2], fit[1]))
        self.noise_m = 1.0
        self._own = np.zeros((len(spans), longest * 3, 6))
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.settle_noise(np.zeros(COMMON))

    def settle_noise(self, common: np.ndarray) -> None:
        """Take the measurements' noise from the residuals."""
        residual = self.evaluate(common)[0][self.there[..., 0] > 0]
        self.noise_m = max(float(1.4826 * np.median(np.abs(residual))) * self.noise_m, 1e-6)
        self._last = None

    def unlike_flight(self) -> np.ndarray:
        """Shape (F,): flights that free flight explains far worse than it explains the others."""
        residual, _ = self.evaluate(np.zeros(COMMON))
        rms = np.sqrt((residual**2).sum(axis=(1, 2)) / (3.0 * self.there.sum(axis=(1, 2))))
        return rms > max(5.0 * float(np.median(rms)), 5.0)

    def evaluate(self, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (F, m, 3) in standard deviations and their slopes (F, m, 3, 3) by what is common to all flights.

        Each flight's start is eliminated.
        """
        if self._last is None or not np.array_equal(self._last[0], common):
            self._project(common)  # the second projection is linear about the states of the first
            self._last = common.copy(), *self._project(common)
        return self._last[1], self._last[2]

    def residual(self, common: np.ndarray) -> np.ndarray:
        """All residuals in one row."""
        return self.evaluate(common)[0].ravel()

    def jacobian(self, common: np.ndarray) -> np.ndarray:
        """Their derivative, a column for each of what is common."""
        return self.evaluate(common)[1].reshape(-1, COMMON)

    def long_run(self, residual: np.ndarray, lags: int = 8) -> float:
        """Variance of a sum of neighbouring residuals (F, m, 3) per sample: what a slow slope sees of the noise."""
        found = float((residual**2).sum())
        for lag in range(1, lags + 1):
            weight = 2.0 * (1.0 - lag / (lags + 1.0))  # Bartlett's; samples beyond a flight's end are 0
            found += weight * float((residual[:, lag:] * residual[:, :-lag]).sum())
        freedom = 3.0 * float(self.there.sum()) - 6.0 * len(residual)  # each flight's start takes six
        return found / max(freedom, 1.0)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """States (F, 6) at the first and the last sample of each flight."""
        last = np.array([len(times) - 1 for times in self.times])
        path = self._simulate(self._last[0] if self._last else np.zeros(COMMON))[0]
        return self.state.copy(), path[np.arange(len(last)), last]

    def _project(self, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        paths = self._simulate(common)[..., :3]
        flights = len(self.state)
        error = ((self.measured - paths[0]) * self.there / self.noise_m).reshape(flights, -1)
        slopes = -(paths[1:] - paths[0]) * self.there / (_NUDGE * self.noise_m)
        slopes = slopes.reshape(COMMON + 6, flights, -1).transpose(1, 2, 0)
        by_common, own = slopes[..., :COMMON], slopes[..., COMMON:]
        q, r = np.linalg.qr(own)
        along = np.einsum("fml,fm->fl", q, error)
        self.state = self.state - np.linalg.solve(r, along[..., None])[..., 0]
        residual = error - np.einsum("fml,fl->fm", q, along)
        slope = by_common - q @ (q.transpose(0, 2, 1) @ by_common)
        return residual.reshape(self.measured.shape), slope.reshape(*self.measured.shape, COMMON)

    def _simulate(self, common: np.ndarray) -> np.ndarray:
        """Shape (10, F, m, 6): states at the sample times of each flight and its siblings (common, then start).

        A world that leans is turned upright, flown in, and turned back.
        """
        steps = int(np.ceil(self.since.max() / DT_S)) + 1
        siblings = 1 + COMMON + 6
        commons = np.tile(common, (siblings, 1))
        commons[1 : 1 + COMMON] += _NUDGE * np.eye(COMMON)
        start = np.tile(self.state, (siblings, 1, 1))
        for index in range(6):
            start[1 + COMMON + index, :, index] += _NUDGE
        turns = Rotation.from_rotvec(np.pad(commons[:, 1:], ((0, 0), (0, 1)))).as_matrix()
        upright = (start.reshape(siblings, -1, 3) @ turns).reshape(siblings, -1, 2, 3)
        pos_w, vel_w = (Vec3.unstack(torch.as_tensor(upright[:, :, part])) for part in (0, 1))
        none = torch.zeros_like(pos_w.x)
        # No ground below, no spin: neither is known.
        params = BallParams(1.0, -1e9, torch.as_tensor(commons[:, :1]), 0.0, 0.4, 0.0)
        ball = Ball(pos_w, vel_w, Vec3(none, none, none))
        path = [torch.as_tensor(upright)]
        with torch.inference_mode():
            for _ in range(steps):
                ball = step_flight(ball, Vec3(0.0, 0.0, 0.0), params, DT_S)
                path.append(torch.stack((ball.pos_w.stack(), ball.vel_w.stack()), -2))
        leaning = np.einsum("sij,tsfkj->tsfki", turns, torch.stack(path).numpy())
        return _between(leaning.reshape(*leaning.shape[:3], 6), self.since)


def _scatter(left: np.ndarray, slopes: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Standard deviations (P,) by how the scores of flights scatter: left (F, R), slopes (F, R, P).

    What pushes a ball aside that spins, or through air that moves, goes together within a flight.
    """
    flights, unknowns = slopes.shape[0], slopes.shape[-1]
    if flights <= unknowns:
        return np.full(unknowns, np.inf)
    scores = np.einsum("fmk,fm->fk", slopes, left)
    scatter = scores.T @ scores * (flights / (flights - unknowns))
    curvatures = np.einsum("fmk,fml->fkl", slopes, slopes)
    parts = np.einsum("qk,fkl,ql->fq", inverse, curvatures, inverse)
    freedom = parts.sum(axis=0) ** 2 / (parts**2).sum(axis=0) - unknowns
    return np.sqrt(np.diag(inverse @ scatter @ inverse)) * student(freedom)


def _between(path: np.ndarray, since: np.ndarray) -> np.ndarray:
    """States (S, F, m, 6) at times ``since`` (F, m) on a path (steps, S, F, 6), by cubic Hermite interpolation."""
    index = np.minimum((since / DT_S).astype(int), len(path) - 2)
    part = (since / DT_S - index)[..., None]
    flight = np.arange(since.shape[0])[:, None]
    a, b = (path[index + k, :, flight].transpose(2, 0, 1, 3) for k in (0, 1))
    pos_a, vel_a, pos_b, vel_b = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    p2, p3 = part**2, part**3
    pos = (
        (2 * p3 - 3 * p2 + 1) * pos_a
        + (p3 - 2 * p2 + part) * DT_S * vel_a
        + (3 * p2 - 2 * p3) * pos_b
        + (p3 - p2) * DT_S * vel_b
    )
    return np.concatenate((pos, vel_a + (vel_b - vel_a) * part), axis=-1)
