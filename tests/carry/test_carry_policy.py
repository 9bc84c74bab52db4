"""A team's policy file: what it holds, that it computes what was trained, and how a member flies it alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import policy_lab
import pytest
from policy_lab import BRIEF

from corvids.deploy.contract import INNER_LOOP, LOAD_FILTER, Contract, PolicyError
from corvids.deploy.inner_loop import InnerLoop
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.envs.mdp.goal_path import COMMAND
from corvids.envs.mdp.team_facts import FACTS, team_facts
from corvids.errors import CorvidsError
from corvids.team import load_team, save_team
from corvids.training.checkpoint import load_checkpoint
from corvids.training.export import export_policy
from corvids.training.policy_module import TeamPolicyModule
from corvids.training.presets import preset
from corvids.training.team_parity import check_team_parity
from corvids.vehicle import GRAVITY_MPS2, load_vehicle, save_vehicle

FACTS3 = team_facts(load_team("falcon3")).numpy()
GOAL = np.array([0.0, 0.0, 1.0, 1.0, *(0.0,) * 9, *(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0) * 3])


def readings(rows: int = 3, load_s: float = 0.0, **changes: Any) -> Any:
    """Members at rest around a load at (0, 0, 1), all seen at time 0."""
    given = {
        "stamp_s": np.zeros(rows),
        "pos_w": np.tile((0.3, 0.2, 2.0), (rows, 1)),
        "vel_w": np.zeros((rows, 3)),
        "quat_wb": np.tile((1.0, 0.0, 0.0, 0.0), (rows, 1)),
        "omega_b": np.zeros((rows, 3)),
        "load_stamp_s": np.full((rows, 1), load_s),
        "load_pos_w": np.tile((0.0, 0.0, 1.0), (rows, 1, 1)),
        "load_quat_wb": np.tile((1.0, 0.0, 0.0, 0.0), (rows, 1, 1)),
    }
    return SimpleNamespace(**{**given, **changes})


def test_the_file_holds_everything_that_a_member_runs(file: PolicyFile):
    contract = file.contract
    assert contract.is_accbr and set(contract.stages) == {LOAD_FILTER, INNER_LOOP}
    assert contract.command == COMMAND and contract.vehicle.name == "falcon"
    assert contract.stages[INNER_LOOP].rate_hz == (500.0, 500.0)
    facts = next(tensor for tensor in contract.inputs if tensor.name == "facts")
    assert facts.shape == (len(FACTS),)
    assert contract.latency.load_age_s == (0.01, 0.05)
    assert contract.limits.accel_max_mps2 == 6.0
    for stage in contract.stages.values():
        assert len(onnx.load_model_from_string(stage.onnx).graph.node) <= 95


def test_a_team_with_a_vehicle_file_of_its_own_gets_that_vehicles_inner_loop(tmp_path: Path):
    """It is named as the shipped one, as after a calibration, but heavier."""
    team, falcon = load_team("falcon3"), load_vehicle("falcon")
    heavier = dataclasses.replace(
        falcon, body=dataclasses.replace(falcon.body, mass_kg=1.1 * falcon.body.mass_kg)
    )
    save_vehicle(heavier, tmp_path / "mine.toml")
    save_team(team, ["mine.toml"] * 3, tmp_path / "team.toml")
    env = preset("carry", "quick").env
    env = dataclasses.replace(env, carry=dataclasses.replace(env.carry, team=str(tmp_path / "team.toml")))
    run = policy_lab.save_run(tmp_path / "run", env)
    contract = export_policy(run, tmp_path / "carry.onnx", BRIEF).contract
    assert contract.limits.hover_thrust_n == pytest.approx(heavier.weight_n)
    assert contract.stages[INNER_LOOP].states[0].initial[0] == pytest.approx(heavier.weight_n)
    save_team(team, ["mine.toml", "falcon", "mine.toml"], tmp_path / "team.toml")
    with pytest.raises(
        CorvidsError, match=r"has several kinds of members \(.*mine.toml, and member 1 falcon\)"
    ):
        export_policy(run, tmp_path / "mixed.onnx", BRIEF)


def test_parity_finds_a_stage_that_differs(run: Path, file: PolicyFile):
    checkpoint = load_checkpoint(run)
    policy = TeamPolicyModule.of_team(checkpoint)
    graphs = {name: stage.onnx for name, stage in file.contract.stages.items()}
    model = onnx.load_model_from_string(graphs[INNER_LOOP])
    for number in model.graph.initializer:
        value = onnx.numpy_helper.to_array(number)
        if value.dtype == np.float32:
            number.CopyFrom(onnx.numpy_helper.from_array((value * 1.01).astype(np.float32), number.name))
    graphs[INNER_LOOP] = model.SerializeToString()
    with pytest.raises(CorvidsError, match=r"parity: .*inner loop"):
        check_team_parity(checkpoint.config.env, policy, file.onnx, graphs, BRIEF)


def test_a_changed_stage_is_refused(path: Path, tmp_path: Path):
    def swap(text: str) -> str:
        contract = Contract.from_json(text)
        stage = dataclasses.replace(contract.stages[LOAD_FILTER], onnx=contract.stages[INNER_LOOP].onnx)
        return dataclasses.replace(contract, stages={**contract.stages, LOAD_FILTER: stage}).to_json()

    other = policy_lab.with_metadata(path, tmp_path / "other.onnx", swap)
    with pytest.raises(PolicyError, match="stage 'load_filter' was changed after export"):
        read_policy_file(other)


def test_a_member_decides_alone(file: PolicyFile):
    """A row's command does not change with the other rows, nor with their number."""
    team, alone = Pilot(file, 3, facts=FACTS3), Pilot(file, 1, facts=FACTS3[1:2])
    for tick in range(3):
        one = team.decide(readings(load_s=0.01 * tick), 0.01 * tick, GOAL)
        shifted = readings(1, load_s=0.01 * tick)
        other = alone.decide(shifted, 0.01 * tick, GOAL)
        assert one.by_policy.all() and other.by_policy.all()
        np.testing.assert_allclose(one.order[0][1], other.order[0][0], atol=1e-4)
        np.testing.assert_allclose(one.order[1][1], other.order[1][0], atol=1e-4)
        assert np.abs(one.order[0]).max() <= 6.0 and np.ptp(one.order[0], axis=0).max() > 0.1


def test_without_the_load_a_member_stays_where_it_is(file: PolicyFile):
    pilot = Pilot(file, 3, facts=FACTS3)
    assert pilot.decide(readings(), 0.0, GOAL).by_policy.all()
    nothing = {
        "load_stamp_s": np.zeros((3, 0)),
        "load_pos_w": np.zeros((3, 0, 3)),
        "load_quat_wb": np.zeros((3, 0, 4)),
    }
    decision = pilot.decide(readings(stamp_s=np.full(3, 0.5), **nothing), 0.5, GOAL)
    assert not decision.by_policy.any()
    np.testing.assert_allclose(decision.order[0], 0.0)
    pos_w = np.add(readings().pos_w, (0.1, 0.0, 0.0))
    decision = pilot.decide(readings(stamp_s=np.full(3, 0.51), pos_w=pos_w, **nothing), 0.51, GOAL)
    np.testing.assert_allclose(decision.order[0], [[-0.4, 0.0, 0.0]] * 3, atol=1e-6)


def test_a_team_without_facts_is_refused(file: PolicyFile):
    with pytest.raises(CorvidsError, match=r"facts of the team: none given; .* shape \(3, 15\)"):
        Pilot(file, 3)


class Hanging:
    """A plant that notes what it is sent; one member under a cable that pulls with ``pull_n`` straight down."""

    def __init__(self, pull_n: float, mass_kg: float) -> None:
        self.now_s, self.pull_n, self.mass_kg = 0.0, pull_n, mass_kg
        self.thrust_n, self.rates = mass_kg * GRAVITY_MPS2, np.zeros(3)
        self.quat = np.array([[1.0, 0.0, 0.0, 0.0]])

    def imu(self, until_s: float):
        self.now_s = until_s
        return np.array([[0.0, 0.0, (self.thrust_n - self.pull_n) / self.mass_kg]]), self.quat

    def receive(self, until_s: float):
        return readings(1)

    def send(self, thrust_n, rate_b_radps, /) -> None:
        self.thrust_n, self.rates = float(thrust_n[0]), rate_b_radps[0].copy()


def test_the_inner_loop_bears_the_cable_it_feels(file: PolicyFile):
    """Asked to stay, thrust converges to weight and pull (a share of a 1.4 kg load), whatever was believed before:

    to 95 % of the pull, since a member yields to the rest."""
    contract = file.contract
    mass_kg = contract.limits.hover_thrust_n / GRAVITY_MPS2
    plant = Hanging(4.6, mass_kg)
    loop = InnerLoop(plant, contract.stages[INNER_LOOP], contract.limits, 1)
    loop.send(np.zeros((1, 3)), np.zeros((1, 2)))
    loop.receive(1.0)
    assert plant.now_s == pytest.approx(1.0)
    assert plant.thrust_n == pytest.approx(contract.limits.hover_thrust_n + 0.95 * 4.6, rel=1e-3)
    np.testing.assert_allclose(plant.rates, 0.0, atol=1e-6)
    loop.send(np.array([[0.0, 0.0, 2.0]]), np.array([[0.5, -0.25]]))
    loop.receive(1.002)
    assert plant.thrust_n == pytest.approx(
        contract.limits.hover_thrust_n + 0.95 * 4.6 + 2.0 * mass_kg, rel=1e-2
    )
    np.testing.assert_allclose(plant.rates, (0.5, -0.25, 0.0), atol=1e-6)


def test_a_sample_that_is_no_number_is_levelled_by_the_fallback(file: PolicyFile):
    contract = file.contract
    plant = Hanging(4.6, 0.6)
    loop = InnerLoop(plant, contract.stages[INNER_LOOP], contract.limits, 1)
    plant.quat = np.full((1, 4), np.nan)
    loop.receive(0.01)
    assert plant.thrust_n == pytest.approx(contract.limits.hover_thrust_n)
    np.testing.assert_array_equal(plant.rates, 0.0)
    plant.quat = np.array([[1.0, 0.0, 0.0, 0.0]])
    loop.receive(1.0)
    assert plant.thrust_n > 9.0
