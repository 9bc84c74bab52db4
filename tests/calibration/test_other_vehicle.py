"""The log of a vehicle unlike the file: what is far off is said; where its numbers make no flight, one line."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from flight_lab import fly

from corvids.calibration.flight.calibration import calibrate_records
from corvids.calibration.readers.record import FlightRecord
from corvids.calibration.statistics.projection import Comparison, Projection, solve
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")


@pytest.fixture(scope="module")
def record() -> FlightRecord:
    (flown,) = fly([AIR], 8.0, np.zeros(1), 3)
    return flown


def test_figures_far_off_the_file_are_remarked_upon(record: FlightRecord):
    heavy = dataclasses.replace(
        AIR.body,
        mass_kg=2.5 * AIR.body.mass_kg,
        inertia_kgm2=tuple(2.5 * one for one in AIR.body.inertia_kgm2),
    )
    assert calibrate_records(AIR, [record]).notes == ()
    (note,) = calibrate_records(dataclasses.replace(AIR, body=heavy), [record]).notes
    for said in (
        "accel_max_mps2 is 2.5 times",
        "roll_accel_max_radps2 is 2.5 times",
        "is the log of this vehicle?",
    ):
        assert said in note, note


def test_a_file_whose_numbers_make_no_flight_is_refused_in_one_line():
    """A simulation that runs away, as that of a 30 g file does with the commands of a vehicle of a kilogram."""

    def compare(theta: np.ndarray, local: torch.Tensor) -> Comparison:
        return Comparison(
            torch.full((2, 4), math.inf).double(), torch.ones(2, 4, 1).double(), torch.ones(2, 4, 1).double()
        )

    one = np.ones(1)
    problem = Projection(("x",), 0.0 * one, one, [slice(0, 4)], np.ones(4), one, 2, compare)
    with pytest.raises(CorvidsError, match="is the recording of this vehicle") as refusal:
        solve(problem, lambda text: None)
    assert "\n" not in str(refusal.value)
