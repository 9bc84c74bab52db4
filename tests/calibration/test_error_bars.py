"""Error bars hold what was planted as often as they say, where the noise is known."""

from __future__ import annotations

import numpy as np

from corvids.calibration.ball.calibration import tilt_of
from corvids.calibration.ball.hits import Hits
from corvids.calibration.statistics.covariance import scattered
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
