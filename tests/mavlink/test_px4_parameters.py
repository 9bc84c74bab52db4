"""Loading parameters: all arrive with their values and types, whatever gets lost; what PX4 does not take is named."""

from __future__ import annotations

import contextlib
import math
import random
import struct

import pytest
from pymavlink.dialects.v20 import common
from standin import Standin, as_stored

from corvids.commands.flying.px4_check import check_px4
from corvids.commands.px4_params import load_into, parameters_of, sih_parameters_of
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.parameters import AT_ONCE, load_parameters
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")


class Talk:
    """A channel to a stand-in, in virtual time, on which every third packet is lost if ``lossy``."""

    def __init__(self, px4: Standin, lossy: bool = False, arms_s: float = math.inf) -> None:
        """``arms_s``: when somebody arms it [s]."""
        self.px4, self.now_s, self.arms_s = px4, 0.0, arms_s
        self.set_s: list[float] = []
        """When PX4 was told to set a parameter."""
        self._answers: list[bytes] = []
        self._lost, self._rng = 0.33 if lossy else 0.0, random.Random(0)

    def wait(self, until_s: float):
        while self.now_s < until_s:
            self.now_s += 0.01
            self.px4.armed |= self.now_s > self.arms_s
            if round(self.now_s / 0.01) % 100 == 1:
                yield self.px4.heartbeat()
            answers, self._answers = self._answers, []
            yield from (answer for answer in answers if self._rng.random() >= self._lost)

    def accept(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe=(0.0, 0.0)) -> None:
        if self._rng.random() >= self._lost:
            heard = len(self.px4.heard)
            self._answers += self.px4.take_in(packet, self.now_s)
            self.set_s += [self.now_s for m in self.px4.heard[heard:] if m.get_type() == "PARAM_SET"]


def fresh(parameters: dict[str, int | float]) -> Standin:
    """PX4 with those parameters, all zero."""
    px4 = Standin(boot_s=-100.0)
    for name, value in parameters.items():
        px4.parameters[name] = (0.0, common.MAV_PARAM_TYPE_INT32 if isinstance(value, int) else 9)
    return px4


def test_an_armed_vehicles_are_not_touched():
    px4 = fresh(sih_parameters_of(AIR))
    px4.armed = True
    with pytest.raises(CorvidsError, match="is armed"):
        load_into(Talk(px4), sih_parameters_of(AIR))
    assert not [m for m in px4.heard if m.get_type() == "PARAM_SET"]


@pytest.mark.parametrize("arms_s", [0.105 + 0.01 * step for step in range(10)])
def test_one_that_arms_meanwhile_is_left_alone_at_once(arms_s: float):
    """Its heartbeats come once a second: until the next one 90 were set."""
    wanted = sih_parameters_of(AIR)
    talk = Talk(fresh(wanted), arms_s=arms_s)
    with pytest.raises(CorvidsError, match="is armed"):
        load_into(talk, wanted)
    assert any(now_s < arms_s for now_s in talk.set_s)
    while_armed_s = [now_s for now_s in talk.set_s if now_s > arms_s]
    assert len(while_armed_s) <= AT_ONCE
    assert max(while_armed_s, default=arms_s) < arms_s + 0.01, "they were under way"


HOVER, LOSS, ACTION = AIR.px4.MPC_THR_HOVER, 0.2, 4


@pytest.mark.parametrize(
    ("hover", "loss_s", "action", "refused"),
    [
        (HOVER, LOSS, ACTION, ""),
        (HOVER, LOSS, 5, ""),  # hold, as px4-params --loss-action offers
        (HOVER, 0.1, ACTION, ""),
        (0.8 * HOVER, LOSS, ACTION, ""),
        (0.7 * HOVER, LOSS, ACTION, "MPC_THR_HOVER is 0.19, vehicle 'air' hovers at 0.271"),
        (1.3 * HOVER, LOSS, ACTION, "MPC_THR_HOVER"),
        (math.nan, LOSS, ACTION, "MPC_THR_HOVER"),
        (HOVER, 1.0, ACTION, "COM_OF_LOSS_T is 1 s"),
        (HOVER, 0.21, ACTION, "COM_OF_LOSS_T is 0.21 s: must be above 0 and at most 0.2 s"),
        (HOVER, 0.0, ACTION, "COM_OF_LOSS_T is 0 s"),
        (HOVER, math.nan, ACTION, "COM_OF_LOSS_T"),
        (HOVER, LOSS, 0, r"COM_OBL_RC_ACT is 0: must be 4 \(land\) or 5 \(hold\)"),  # as PX4 comes
        (HOVER, LOSS, 3, "COM_OBL_RC_ACT is 3"),
        (HOVER, LOSS, 7, "COM_OBL_RC_ACT is 7"),
    ],
)
def test_a_flight_begins_on_the_vehicle_that_it_is_for(
    hover: float, loss_s: float, action: int, refused: str
):
    """As vehicle `air`, an x500 was commanded a fifth of the thrust that it hovers with."""
    px4 = Standin(boot_s=-100.0)
    stored = {"MPC_THR_HOVER": hover, "COM_OF_LOSS_T": loss_s, "COM_OBL_RC_ACT": action}
    px4.parameters |= {name: as_stored(value) for name, value in stored.items()}
    with pytest.raises(CorvidsError, match=refused) if refused else contextlib.nullcontext():
        check_px4(Talk(px4, lossy=True), Peer(), AIR, 10.0)
    assert not [message for message in px4.heard if message.get_type() == "PARAM_SET"]


@pytest.mark.parametrize(
    "wanted", [parameters_of(AIR), sih_parameters_of(AIR), parameters_of(AIR, loss_action=5)]
)
def test_what_px4_params_loads_is_flown(wanted: dict[str, int | float]):
    px4 = fresh(wanted)
    load_into(Talk(px4), wanted)
    check_px4(Talk(px4), Peer(), AIR, 10.0)


def test_a_flight_that_hears_no_px4_of_its_system_says_so():
    px4 = Standin(boot_s=-100.0)
    with pytest.raises(CorvidsError, match="no PX4 was heard as MAVLink system 7"):
        check_px4(Talk(px4), Peer(PeerConfig(7)), AIR, 10.0)
    with pytest.raises(
        CorvidsError, match="system 1 says nothing of MPC_THR_HOVER, COM_OF_LOSS_T, COM_OBL_RC_ACT"
    ):
        check_px4(Talk(px4), Peer(), AIR, 10.0)


def test_only_a_heartbeat_tells_that_it_is_disarmed():
    wanted = sih_parameters_of(AIR)
    px4 = fresh(wanted)
    px4.heartbeat = lambda: px4.odometry(0.0)
    talk = Talk(px4)
    assert load_parameters(talk, Peer(), wanted, 5.0) == [*wanted]
    assert not talk.set_s


def test_one_that_is_not_heard_when_asked_gets_a_few_with_every_heartbeat():
    wanted = sih_parameters_of(AIR)
    talk = Talk(fresh(wanted))
    talk.px4.tells_at_once = False
    assert load_parameters(talk, Peer(), wanted, 30.0) == []
    told = [sum(second <= now_s < second + 1.0 for now_s in talk.set_s) for second in range(30)]
    assert max(told) == AT_ONCE


@pytest.mark.parametrize("lossy", [False, True])
def test_every_parameter_arrives(lossy: bool):
    wanted = sih_parameters_of(AIR)
    px4 = fresh(wanted)
    talk = Talk(px4, lossy)
    assert load_parameters(talk, Peer(), wanted, 30.0) == []
    for name, value in wanted.items():
        stored, kind = px4.parameters[name]
        found = struct.unpack("<i", struct.pack("<f", stored))[0] if kind == 6 else stored
        assert found == pytest.approx(value, rel=1e-6), name
    assert lossy or len(talk.set_s) < 2 * len(wanted), "not everything twice"


def test_what_px4_does_not_take_is_named():
    wanted = parameters_of(AIR)
    px4 = fresh(wanted)
    del px4.parameters["MC_YAW_TQ_CUTOFF"]
    with pytest.raises(CorvidsError, match="did not take MC_YAW_TQ_CUTOFF:"):
        load_into(Talk(px4), wanted)


def test_px4_is_made_to_save_before_it_may_be_started_anew():
    """PX4 v1.17, stopped right after the last one was set, was seen to come up with some at their defaults."""
    wanted = parameters_of(AIR)
    px4 = fresh(wanted)
    load_into(Talk(px4, lossy=True), wanted, save=True)
    saves = px4.commands(common.MAV_CMD_PREFLIGHT_STORAGE)
    assert {message.param1 for message in saves} == {1.0}
    last_set = max(i for i, m in enumerate(px4.heard) if m.get_type() == "PARAM_SET")
    assert px4.heard.index(saves[-1]) > last_set
    px4._obey = lambda message, now_s: px4.pack(
        common.MAVLink_command_ack_message(message.command, common.MAV_RESULT_TEMPORARILY_REJECTED)
    )
    with pytest.raises(CorvidsError, match="does not save them: is it disarmed"):
        load_into(Talk(px4), wanted, save=True)


def test_nobody_there_is_said_plainly():
    px4 = fresh({})
    px4.heartbeat = lambda: b""
    px4.take_in = lambda datagram, now_s: []
    with pytest.raises(CorvidsError, match="no PX4 was heard"):
        load_into(Talk(px4), parameters_of(AIR))
