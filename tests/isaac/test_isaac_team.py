"""Teams with Isaac Lab's bodies and our cables must carry as they do natively."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.envs.engines.native_team import NativeTeam
from corvids.envs.engines.team_engine import Bodies, TeamState
from corvids.envs.plants.team_conditions import CONDITIONS, TeamTrials, draw
from corvids.team import load_team

pytestmark = pytest.mark.isaac
FALCON3 = load_team("falcon3")


def flown(engine, trials: TeamTrials, ticks: int) -> tuple[TeamState, np.ndarray]:
    """Where the trials' starts go under a twentieth more thrust than they hang with, and rates that change often.

    And the mean tension of every cable meanwhile.
    """
    engine.reset(trials.start, trials.params, trials.thrust_n)
    rng, rows = np.random.default_rng(0), len(trials.thrust_n)
    total_n, rates = np.zeros(rows), np.zeros((rows, 3))
    for tick in range(ticks):
        if tick % 100 == 0:
            rates = 0.5 * rng.normal(size=(rows, 3))
        engine.step(1.05 * trials.thrust_n, rates)
        total_n += engine.state.tension_n
    return engine.state, total_n / ticks


def test_two_seconds_of_carrying_agree():
    """The load is thrown about, cables go slack and taut again: what README says, by two thirds more.

    Measured: drones within 0.8 mm and 0.14°, the load within 1.2 mm and 0.27°.
    """
    from corvids.envs.isaac.team_engine import IsaacTeam

    trials = draw(CONDITIONS["step"], FALCON3, 4, 0)
    (native, native_n), (isaac, isaac_n) = (
        flown(kind(FALCON3, 4), trials, 1000) for kind in (NativeTeam, IsaacTeam)
    )
    assert np.abs(native.load.omega_b).max() > 2.0
    assert np.abs(native.load.pos_w - trials.start.load.pos_w).max() > 0.3
    for ours, theirs in ((native.drones, isaac.drones), (native.load, isaac.load)):
        assert np.linalg.norm(ours.pos_w - theirs.pos_w, axis=1).max() < 0.002
        assert _apart_deg(ours, theirs).max() < 0.5
    np.testing.assert_allclose(isaac_n, native_n, rtol=0.01)


def test_a_lost_member_and_its_cut_cable_fall_alike_and_lie_on_the_ground():
    """3 s after the loss of all thrust the vehicle lies at its clearance; with its cable cut it pulls at nothing."""
    from corvids.envs.isaac.team_engine import IsaacTeam

    trials = draw(CONDITIONS["lost-cut"], FALCON3, 1, 0)
    lost = trials.chosen.reshape(-1)
    ends = []
    for kind in (NativeTeam, IsaacTeam):
        engine = kind(FALCON3, 1)
        engine.reset(trials.start, trials.params, trials.thrust_n)
        engine.lose(lost, lost)
        for _ in range(750):
            engine.step(trials.thrust_n, np.zeros((3, 3)))
        ends.append(engine.state)
    native, isaac = ends
    clearance_m = float(trials.params.drones.vehicle.ground_clearance_m[0, 0])
    np.testing.assert_allclose(isaac.drones.pos_w[lost, 2], clearance_m, atol=1e-3)
    np.testing.assert_allclose(isaac.drones.pos_w, native.drones.pos_w, atol=0.05)
    assert isaac.tension_n[lost] == pytest.approx(0.0, abs=1e-6)


def test_drawn_loads_are_as_heavy_as_they_were_drawn():
    """Half again the file's mass, though Isaac Lab's body has the file's: it moves as natively, not as the file's."""
    from corvids.envs.isaac.team_engine import IsaacTeam

    heavy = draw(CONDITIONS["heavy50"], FALCON3, 2, 0)
    light = heavy.params.load._replace(mass_kg=heavy.params.load.mass_kg / 1.5)
    lighter = heavy._replace(params=heavy.params._replace(load=light))
    native, other, isaac = (
        flown(kind(FALCON3, 2), trials, 250)[0].load.pos_w
        for kind, trials in ((NativeTeam, heavy), (NativeTeam, lighter), (IsaacTeam, heavy))
    )
    assert np.linalg.norm(native - other, axis=1).min() > 0.05
    np.testing.assert_allclose(isaac, native, atol=0.002)


def _apart_deg(ours: Bodies, theirs: Bodies) -> np.ndarray:
    cosine = np.abs(np.sum(ours.quat_wb * theirs.quat_wb, axis=1))
    return np.degrees(2.0 * np.arccos(np.minimum(cosine, 1.0)))
