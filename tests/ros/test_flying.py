"""The flight's thread, in virtual time: its grid, its statistics, its record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from message_px4 import MessagePx4
from ros_lab import POLICY
from test_messages import DEFAULTS
from virtual_dds import MESSAGES, VirtualDds

from corvids.commands.flying.replay import replay
from corvids.deploy.flight_log import FlightLog, read_flight_log
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.pilot import Decision
from corvids.deploy.policy import read_policy_file
from corvids.deploy.px4.flight import BallSource
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.runtime import Tick
from corvids.deploy.supervision.envelope import Triple
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle, save_vehicle
from corvids_ros.flying import FlyingVehicle
from corvids_ros.legs import Legs
from corvids_ros.message_link import MessageLink
from corvids_ros.settings import Settings

SECONDS = 25.0
"""Longer than two legs."""


class StillBall:
    """Seen in one place, whenever it is asked for."""

    def measure(self, now_s: float, state: VehicleState) -> list[tuple[float, Triple]]:
        return [(now_s, (0.0, 0.0, 2.0))]


def fly_for(seconds: float, path: Path, ball: BallSource) -> tuple[FlyingVehicle, FlightLog]:
    """On the ground for so long, recorded."""
    dds = VirtualDds(MessagePx4(20.0))
    settings = Settings({**DEFAULTS, "policy": str(POLICY), "keeper": False, "record": str(path)})
    flying = FlyingVehicle(settings, MessageLink(dds.runtime, MESSAGES), ball, None, lambda entry: None)
    flying.start("")
    while dds.now_s < seconds and not flying.has_failed:
        time.sleep(0.01)
    flying.close()
    return flying, read_flight_log(path)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[FlyingVehicle, FlightLog]:
    return fly_for(SECONDS, tmp_path_factory.mktemp("flown") / "flight.mcap", StillBall())


def test_every_tick_answers_a_state_of_its_own(flown: tuple[FlyingVehicle, FlightLog]):
    _, log = flown
    steps_s = np.diff(log.now_s)
    assert log.now_s[-1] - log.now_s[0] > SECONDS - 1.0
    assert steps_s.min() > 0.5 * 0.02, f"at {log.now_s[steps_s.argmin()]:.3f} s"
    assert (np.diff(log.seen["stamp_s"][50:]) > 0.0).all()


def test_statistics_are_the_last_legs(flown: tuple[FlyingVehicle, FlightLog]):
    leg = flown[0].legs.last
    assert leg
    assert leg.ticks == pytest.approx(500, abs=2), "10 s of them"
    assert leg.skipped == 0
    assert 0.0 < leg.compute_median_s <= leg.compute_max_s


def ticks(seconds: float, late_s: float = 0.0, compute_s: float = 0.001) -> Iterator[Tick]:
    """Of so long, 50 a second, the fifth of them late; the policy flies in every other."""
    readings: Any = None
    for index in range(round(50 * seconds)):
        decision = Decision((np.zeros(1), np.zeros((1, 3))), np.array([index % 2 == 0]), {})
        yield Tick(0.02 * index, late_s if index == 4 else 0.0, readings, 0.0, decision, compute_s)


def test_a_leg_has_statistics_of_its_own():
    legs = Legs(0.02)
    for tick in ticks(10.0, late_s=0.05, compute_s=0.003):
        legs.note(tick)
    assert legs.last is None, "it is not over"
    for tick in ticks(10.02):
        legs.note(tick._replace(now_s=tick.now_s + 10.0))
        assert legs.last
        if tick.now_s < 9.99:
            assert legs.last[:2] == (500, 2)
            assert legs.last.compute_median_s == legs.last.compute_max_s == 0.003
    assert legs.last
    assert legs.last[:2] == (500, 0)
    assert legs.last.by_policy.tolist() == [0.5]
    assert legs.last.compute_max_s == 0.001


def test_a_record_says_what_the_policy_was_given_and_answered_and_whose_it_is(
    flown: tuple[FlyingVehicle, FlightLog],
):
    _, log = flown
    assert len(log.policy_s) == len(log.now_s)
    assert log.inputs["pos_w"].shape == (len(log.policy_s), 3)
    assert log.by_policy.mean() > 0.9
    assert log.about["task"] == "juggle"
    again = replay(log, read_policy_file(POLICY, "juggle"))
    assert np.array_equal(again[log.by_policy], log.answers[log.by_policy]), "what was fit to fly"


def test_a_record_says_how_motion_capture_fares(tmp_path: Path):
    _, log = fly_for(3.0, tmp_path / "flight.mcap", MocapInput(1, 2))
    assert len(log.mocap) == pytest.approx(3, abs=1)
    assert "accepted" in log.mocap[0]


def test_a_heavier_vehicle_is_held_by_its_own_weight(tmp_path: Path):
    air = load_vehicle("air")
    heavy = dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=1.2 * air.body.mass_kg))
    save_vehicle(heavy, tmp_path / "heavy.toml")
    settings = Settings({**DEFAULTS, "policy": str(POLICY), "vehicle": str(tmp_path / "heavy.toml")})
    link = MessageLink(VirtualDds(MessagePx4(20.0)).runtime, MESSAGES)
    flying = FlyingVehicle(settings, link, StillBall(), None, lambda entry: None)
    place, level = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]])
    thrust_n, _ = flying.supervisor._handover._fallback.command(place, place, level, place)
    assert thrust_n[0] == pytest.approx(heavy.weight_n)


def test_a_task_command_begins_with_a_place_to_hold():
    names = ("place_x_w_m", "place_y_w_m", "place_z_w_m", "apex_m")
    settings = Settings(DEFAULTS)
    assert settings.command(names) == [0.0, 0.0, 1.5, 0.5]
    assert settings.command(names, [2.5, -2.5, 0.5, 0.5]) == [2.5, -2.5, 0.5, 0.5]
    for place_w in ([2.6, 0.0, 1.5], [0.0, 0.0, 0.4], [0.0, 0.0, 3.6]):
        with pytest.raises(CorvidsError, match=r"not well within the fence; the nearest place is"):
            settings.command(names, [*place_w, 0.5])
    with pytest.raises(CorvidsError, match="has 0 components"):
        settings.command(names, [])
