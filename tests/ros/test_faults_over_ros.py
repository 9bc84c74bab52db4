"""The whole runtime in messages against a flying stand-in: the faults of the MAVLink tests, and it stays safe."""

from __future__ import annotations

import pytest
from fault_lab import KINDS, PHASES, CirclingPilot, check_safe, fault_in, flown
from message_px4 import MessagePx4
from virtual_dds import MESSAGES, VirtualDds

from corvids.deploy.supervision.reactions import State
from corvids_ros.message_link import MessageLink


def flight(
    kind: str, phase: str, seed: int, pilot: CirclingPilot | None = None
) -> tuple[VirtualDds, set[State]]:
    """Fly with that fault; the world at the end, and the supervisor's states."""
    dds = VirtualDds(MessagePx4(full_thrust_mps2=20.0), fault_in(kind, phase, seed), seed)
    link = MessageLink(dds.runtime, MESSAGES)
    link.connect_keeper(dds)
    return dds, flown(link, dds, pilot or CirclingPilot(), in_step=True)


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
