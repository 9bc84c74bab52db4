"""One policy file for all tests of the runtime: a random network, exported for the task juggle."""

from __future__ import annotations

from pathlib import Path

import policy_lab
import pytest

from corvids.deploy.policy import PolicyFile, read_policy_file


@pytest.fixture(scope="session")
def path(tmp_path_factory) -> Path:
    """The file; its run lies beside it, in the folder ``run``."""
    return policy_lab.save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def file(path: Path) -> PolicyFile:
    """The same, read and checked."""
    return read_policy_file(path, "juggle")
