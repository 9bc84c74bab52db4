"""A policy flies the vehicle that it was trained for, by the numbers in its file, whatever else has that name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import policy_lab
import pytest

from corvids.commands.evaluating.trials import TrialsConfig, check, fly_trials
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.envs.plants.recording import Recorder
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle, save_vehicle


def sections(vehicle: Vehicle) -> Vehicle:
    """The vehicle without what is only told of its numbers."""
    return dataclasses.replace(vehicle, provenance={}, correlations={})


@pytest.fixture(scope="module")
def heavier() -> Vehicle:
    """What a calibration might have made of ``air``: it keeps its name."""
    air = load_vehicle("air")
    return dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=1.1 * air.body.mass_kg))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, heavier: Vehicle) -> PolicyFile:
    """A policy for it; its vehicle file is gone by now."""
    folder = tmp_path_factory.mktemp("calibrated")
    save_vehicle(heavier, folder / "new.toml")
    path = policy_lab.save_policy(folder, "juggle", str(folder / "new.toml"))
    (folder / "new.toml").unlink()
    return read_policy_file(path)


def test_its_numbers_are_those_that_were_trained_for(file: PolicyFile, heavier: Vehicle):
    assert vehicle_of(file) == sections(heavier) != sections(load_vehicle("air"))


def test_trials_are_flown_with_it_unless_another_is_named(file: PolicyFile, heavier: Vehicle):
    config = TrialsConfig(plant="native", trials=1, seconds=0.04)
    _, _, flown = fly_trials(file, config, progress=False)
    assert flown.body.mass_kg == heavier.body.mass_kg
    _, _, flown = fly_trials(file, dataclasses.replace(config, vehicle="air"), progress=False)
    assert flown == load_vehicle("air")


def test_what_flies_may_be_another_vehicle_than_is_believed(
    tmp_path: Path, file: PolicyFile, heavier: Vehicle
):
    """The same commands, meant for the file's vehicle, lift one of twice its mass less; its name changes nothing."""
    heavy = dataclasses.replace(
        heavier, body=dataclasses.replace(heavier.body, mass_kg=2.0 * heavier.body.mass_kg)
    )
    heights_m = {}
    for name, truth in (("same", heavier), ("heavy", heavy)):
        save_vehicle(truth, tmp_path / f"{name}.toml")
        config = TrialsConfig(plant="native", condition="nominal", trials=1, seconds=0.3)
        config = dataclasses.replace(config, truth=str(tmp_path / f"{name}.toml"))
        recorder = Recorder()
        _, _, flown = fly_trials(file, config, plant_recorder=recorder, progress=False)
        assert flown == sections(heavier)
        heights_m[name] = recorder.recording.pos_w[:, 2]
    recorder = Recorder()
    fly_trials(file, dataclasses.replace(config, truth=None), plant_recorder=recorder, progress=False)
    np.testing.assert_array_equal(recorder.recording.pos_w[:, 2], heights_m["same"])
    assert heights_m["heavy"][-1] < heights_m["same"][-1] - 0.05


def test_a_record_that_is_none_of_this_version_is_said_in_one_line(file: PolicyFile):
    record = file.contract.vehicle
    for parameters in ({}, record.parameters | {"wings": {}}, record.parameters | {"body": {"mass_kg": 1.0}}):
        other = dataclasses.replace(record, parameters=parameters)
        odd = dataclasses.replace(file, contract=dataclasses.replace(file.contract, vehicle=other))
        with pytest.raises(
            CorvidsError, match=r"record of the vehicle 'air' .* name the vehicle with"
        ) as caught:
            vehicle_of(odd)
        assert "\n" not in str(caught.value)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(CorvidsError, match="--seed -1: must be a whole number from 0"):
        check(TrialsConfig(seed=-1))
