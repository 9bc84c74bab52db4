"""One tiny team policy for all tests of carrying: a random network on top of the law, exported as a trained one is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import policy_lab
import pytest
import torch

from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.training.export import export_policy
from corvids.training.presets import preset


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def run(tmp_path_factory) -> Path:
    env = dataclasses.replace(preset("carry", "quick").env, physics_hz=500)
    return policy_lab.save_run(tmp_path_factory.mktemp("carry") / "run", env, seed=3)


@pytest.fixture(scope="package")
def path(run: Path) -> Path:
    return export_policy(run, run.parent / "carry.onnx", policy_lab.BRIEF).path


@pytest.fixture(scope="package")
def file(path: Path) -> PolicyFile:
    return read_policy_file(path, "carry")
