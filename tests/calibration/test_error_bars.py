"""Error bars hold what was planted as often as they say, where the noise is known."""

from __future__ import annotations

import numpy as np

from corvids.calibration.ball.calibration import tilt_of
from corvids.calibration.ball.hits import Hits
from corvids.calibration.statistics.covariance import left_out, left_out_rms, sandwich, scattered
from corvids.calibration.statistics.robust import robust_mean

UP = np.array([0.0, 0.0, 1.0])


def hits(rng: np.random.Generator, tilt: np.ndarray, count: int = 40) -> Hits:
    """Hits on a face that leans, whose own speed errs by 2 cm/s, with slips to one side: 0.3 m/s on average."""
    normal = np.array([*tilt, 1.0]) / np.sqrt(1.0 + tilt @ tilt)
    before = np.stack(
        (rng.normal(0.3, 0.1, count), rng.normal(-0.2, 0.1, count), rng.uniform(-4.0, -2.0, count)), -1
    )
    closing = before @ normal
    slip = before - closing[:, None] * normal
    change = -1.8 * closing[:, None] * normal - 0.25 * slip
    covariance = np.diag([0.02**2] * 3 + [0.004**2] * 3)
    noise = rng.multivariate_normal(np.zeros(6), covariance, count)
    return Hits(
        time_s=np.arange(count, dtype=float),
        centre_b_m=np.tile(0.04 * UP, (count, 1)),
        before_b_mps=before + noise[:, :3],
        change_b_mps=change + noise[:, 3:],
        covariance=np.tile(covariance, (count, 1, 1)),
        others=0,
        is_posed=True,
    )


def test_slips_that_err_do_not_lean_the_racket():
    """Were slips taken for exact, friction would come out 4 % too small, and the tilt with it: by 0.5 mrad here."""
    rng = np.random.default_rng(0)
    tilt = np.array([0.012, -0.008])
    found = [tilt_of(hits(rng, tilt), UP) for _ in range(150)]
    off = np.array([one[0] - tilt for one in found if one is not None])
    normal = off / np.array([one[1] for one in found if one is not None])
    assert np.abs(off.mean(axis=0)).max() < 1e-4
    assert 0.90 < np.mean(np.abs(normal) < 1.96) < 0.98


def test_a_mean_of_unequal_values_knows_its_error():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        stds = rng.uniform(0.5, 3.0, 12)
        mean, std = robust_mean(5.0 + stds * rng.normal(size=12), stds**-2.0)
        inside.append(abs(mean - 5.0) < 1.96 * std)
    assert 0.91 < np.mean(inside) < 0.99


def test_scatter_of_few_pieces_is_that_of_the_estimates():
    """Independent errors of one: the estimates' covariance is the inverse of the information."""
    rng = np.random.default_rng(2)
    slopes = rng.normal(size=(14, 6, 5))
    curvatures = np.einsum("nrp,nrq->npq", slopes, slopes)
    inverse = np.linalg.inv(curvatures.sum(axis=0))
    flat = slopes.reshape(-1, 5)
    found = np.zeros(5)
    for _ in range(500):
        errors = rng.normal(size=len(flat))
        left = (errors - flat @ (inverse @ (flat.T @ errors))).reshape(14, 6)
        scores = np.einsum("nrp,nr->np", slopes, left)
        found += np.diag(inverse @ scattered(scores, curvatures, inverse) @ inverse) / 500
    np.testing.assert_allclose(found, np.diag(inverse), rtol=0.15)


def test_what_lasts_from_piece_to_piece_widens_error_bars():
    """A mean of values of which neighbours share half: its variance is nearly twice that of independent ones."""
    rng = np.random.default_rng(3)
    pieces = 200
    curvatures = np.ones((pieces, 1, 1))
    inverse = np.array([[1.0 / pieces]])
    found = []
    for _ in range(200):
        fresh = rng.normal(size=pieces + 1)
        values = (fresh[1:] + fresh[:-1]) / np.sqrt(2.0)
        scores = (values - values.mean())[:, None]
        found.append((inverse @ scattered(scores, curvatures, inverse) @ inverse)[0, 0] * pieces)
    assert 1.35 < np.mean(found) < 2.0


def fitted(errors: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates (P,) of unknowns that are zero, and residuals (N, R), by linear least squares."""
    flat = slopes.reshape(-1, slopes.shape[-1])
    found = np.linalg.lstsq(flat, -errors.ravel(), rcond=None)[0]
    return found, errors + slopes @ found


def test_intervals_from_few_pieces_that_wander_hold_what_they_say():
    """Twenty pieces; what errs at a piece's end errs at the next one's beginning, the other way round."""
    rng = np.random.default_rng(4)
    slopes = rng.normal(1.0, 0.3, (20, 5, 2)) * np.array([1.0, -1.0, 1.0, -1.0, 1.0])[:, None] ** [0, 1]
    inside = []
    for _ in range(400):
        edges = rng.normal(0.0, 0.3, 21)
        errors = rng.normal(0.0, 1.0, (20, 5)) + (edges[1:] - edges[:-1])[:, None]
        found, left = fitted(errors, slopes)
        std = np.sqrt(np.diag(sandwich(left, slopes, np.full(2, 1e3))))
        inside.append(np.abs(found) < 1.96 * std)
    held = np.mean(inside, axis=0)
    assert ((held > 0.92) & (held < 0.98)).all(), held


def test_what_a_fit_to_the_others_predicts_is_what_such_a_fit_predicts():
    rng = np.random.default_rng(5)
    slopes, errors = rng.normal(size=(6, 4, 3)), rng.normal(size=(6, 4))
    _, left = fitted(errors, slopes)
    information = np.einsum("nrp,nrq->pq", slopes, slopes)
    told = left_out(left, slopes, information)
    for piece in range(6):
        others = [index for index in range(6) if index != piece]
        found, _ = fitted(errors[others], slopes[others])
        np.testing.assert_allclose(told[piece], errors[piece] + slopes[piece] @ found, rtol=1e-9)
    rms = left_out_rms(left.ravel(), slopes.reshape(-1, 3), 6)
    np.testing.assert_allclose(rms, np.sqrt(np.mean(told**2)), rtol=1e-9)
