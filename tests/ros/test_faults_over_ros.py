"""The whole runtime in messages against a flying stand-in: the faults of the MAVLink tests, and it stays safe."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import pytest
from fault_lab import FENCE, KINDS, LIMITS, PHASES, REHEARSED_S, CirclingPilot, check_safe
from message_px4 import MessagePx4
from virtual_dds import MESSAGES, VirtualDds

from corvids.deploy.fallback import Fallback
from corvids.deploy.pilot import Pilot
from corvids.deploy.px4.flight import Px4Flight
from corvids.deploy.px4.thrust import ThrustMap
from corvids.deploy.runtime import fly
from corvids.deploy.supervision.checks import Word
from corvids.deploy.supervision.envelope import envelope_of
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Supervisor
from corvids_ros.message_link import MessageLink


@pytest.fixture(autouse=True)
def _there_is_time_to_rehearse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corvids.deploy.px4.flight.SPARE_S", REHEARSED_S)


def flight(
    kind: str, phase: str, seed: int, pilot: CirclingPilot | None = None
) -> tuple[VirtualDds, set[State]]:
    """Fly for 20 s with that fault; the world at the end, and the supervisor's states."""
    pilot = pilot or CirclingPilot()
    start_s = PHASES[phase] + 0.013 * seed
    fault = dataclasses.replace(KINDS[kind], start_s=start_s, end_s=start_s + KINDS[kind].end_s)
    dds = VirtualDds(MessagePx4(full_thrust_mps2=20.0), fault, seed)
    link = MessageLink(dds.runtime, MESSAGES)
    link.connect_keeper(dds)
    supervisor = Supervisor(envelope_of(LIMITS), Fallback(LIMITS), FENCE)
    said = {1.0: Word.ARM, 2.2: Word.ENGAGE, 12.0: Word.LAND}
    visited = set()

    def words(state: State) -> frozenset[Word]:
        visited.add(state)
        return frozenset(said.pop(moment) for moment in [*said] if moment <= dds.now_s)

    plant = Px4Flight(
        link,
        supervisor,
        cast(Pilot, pilot),
        ThrustMap(20.0, 0.0, 0.0, 0.0),
        hover_thrust_n=9.80665,
        in_step=True,
        rehearses=True,
        words=words,
    )
    fly(cast(Pilot, pilot), plant, lambda now_s: np.array([0.0, 0.0, 1.5]), seconds=20.0, guard=plant.guard)
    dds.pause(3.0)  # the runtime has ended: what happens to a vehicle that was left alone
    return dds, visited


def test_without_a_fault_it_flies_and_lands():
    dds, visited = flight("duplicates", "landing", 0, pilot := CirclingPilot())
    check_safe(dds.px4)
    assert visited >= {State.READY, State.ARMED, State.ENGAGING, State.POLICY, State.LANDING}
    assert not dds.px4.armed
    assert dds.px4.farthest_m > 0.8, "the policy circled"
    assert pilot.rehearsals > 500, "rehearsals are part of the faults' flights"
    assert dds.px4.resumed == 0
    assert dds.px4.intrusions <= 3, "but for what was under way, nobody speaks where PX4's own controllers do"


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_while_the_policy_flies(kind: str):
    dds, visited = flight(kind, "policy", 0)
    check_safe(dds.px4)
    assert State.POLICY in visited


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_over_ros_in_every_phase(kind: str, phase: str, seed: int):
    dds, _ = flight(kind, phase, seed)
    check_safe(dds.px4)
