"""The simulated flight beside the measured one: its derivatives, and how commands reach the rotors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from flight_lab import fly, planted_vehicle

from corvids.calibration.flight.model import LOCALS, compare, predict
from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import cut
from corvids.calibration.readers.record import Channel
from corvids.vehicle import load_vehicle


@pytest.fixture(scope="module")
def record():
    file = load_vehicle("air")
    (one,) = fly([planted_vehicle(file, np.random.default_rng(0))], 3.0, np.array([0.003]), 0)
    return one


def test_derivatives_of_a_flight_are_those_of_automatic_differentiation(record):
    """Along a random direction in all unknowns; a difference over a millionth errs by about that of each signal."""
    airframe = Airframe(load_vehicle("air"))
    pieces = cut(record, length_s=0.2).take(np.arange(2))
    start, free = airframe.start()._replace(delay_s=0.002), airframe.free()
    local = torch.full((2, LOCALS), 0.01, dtype=torch.float64)
    quotient = compare(airframe, pieces, start, free, local)

    rng = np.random.default_rng(1)
    along = dict(zip(free, rng.uniform(-1.0, 1.0, len(free)) * 0.1, strict=True))
    along_local = torch.as_tensor(rng.uniform(-1.0, 1.0, (2, LOCALS)))
    with forward_ad.dual_level():

        def dual(value: float, slope: float) -> torch.Tensor:
            return forward_ad.make_dual(
                torch.full((1, 1), value, dtype=torch.float64), torch.full((1, 1), slope).double()
            )

        slopes = along | {"log_tau_fall": along["log_tau_rise"]}
        unknown = start._replace(
            **{name: dual(getattr(start, name), slope) for name, slope in slopes.items()}
        )
        corrections = [
            forward_ad.make_dual(local[None, :, index], along_local[None, :, index])
            for index in range(LOCALS)
        ]
        value, exact = forward_ad.unpack_dual(
            predict(airframe, pieces, unknown, corrections, on_tensors=True)
        )
    assert exact is not None
    found = torch.einsum(
        "nrg,g->nr", quotient.by_global, torch.tensor(list(along.values())).double()
    ) + torch.einsum("nrl,nl->nr", quotient.by_local, along_local)
    torch.testing.assert_close(value[0], quotient.error)
    torch.testing.assert_close(found, exact[0], rtol=1e-4, atol=1e-4)


def test_a_held_command_takes_effect_to_the_microsecond(record):
    """A command that changes from 0.2 to 0.6 in the middle of a step, and a delay that moves the change."""
    change_s = float(record.gyro_b.time_s[400]) + 0.001
    step = Channel("planted", "1", np.array([0.0, change_s]), np.array([[0.2] * 4, [0.6] * 4]))
    piece = cut(record, length_s=0.2).take(slice(0, 1))
    begin = float(record.gyro_b.time_s[395])
    piece = type(piece)(**{**vars(piece), "commands": (step,), "start_s": np.array([begin])})
    means, slopes = piece.held(lambda command: command, 0.0005, lead=3, parts=2)
    # Parts of 2 ms that end 2, 4, … ms after the begin; the change comes 21.5 ms after it.
    after_ms = 1e3 * (change_s + 0.0005 - begin)
    assert after_ms == pytest.approx(21.5, abs=1e-6)
    ends_ms = 2.0 * np.arange(-5, means.shape[1] - 5)
    share = np.clip((ends_ms - after_ms) / 2.0, 0.0, 1.0)
    np.testing.assert_allclose(means[0, :, 0], 0.2 + 0.4 * share, atol=1e-9)
    inside = (share > 0.0) & (share < 1.0)
    assert inside.sum() == 1
    np.testing.assert_allclose(slopes[0, :, 0], np.where(inside, -0.4 / 0.002, 0.0), atol=1e-9)
