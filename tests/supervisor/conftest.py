"""A supervisor, and what it sees."""

from __future__ import annotations

import pytest
from supervisor_lab import Scene, make_supervisor

from corvids.deploy.supervision.supervisor import Supervisor


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def supervisor() -> Supervisor:
    return make_supervisor()
