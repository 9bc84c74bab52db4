"""Export writes a file that computes what was trained, or nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import policy_lab
import pytest
import torch
from policy_lab import BRIEF

from corvids.deploy.contract import BALL_FILTER, PolicyError
from corvids.deploy.policy import Policy, read_policy_file
from corvids.envs.environment import EnvConfig
from corvids.errors import CorvidsError
from corvids.training import export as export_module
from corvids.training.checkpoint import load_checkpoint
from corvids.training.export import add_evaluation, export_policy, vehicle_record
from corvids.training.onnx_graphs import IR_VERSION, OPSET
from corvids.training.parity import TOLERANCE, Effort, Exported, check_parity
from corvids.training.policy_module import PolicyModule
from corvids.vehicle import VEHICLE_DIR, load_vehicle, save_vehicle

ENV = EnvConfig(task="juggle", vehicle="air")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return policy_lab.save_run(tmp_path_factory.mktemp("juggle") / "run", ENV, seed=5)


@pytest.fixture(scope="module")
def exported(run: Path) -> export_module.Export:
    return export_policy(run, run.parent / "juggle.onnx", BRIEF)


def test_the_graphs_are_small_and_load_in_old_runtimes(exported):
    model = onnx.load(exported.path)
    stage = onnx.load_model_from_string(exported.contract.stages[BALL_FILTER].onnx)
    for graph, most in ((model, 120), (stage, 75)):
        assert len(graph.graph.node) <= most
        assert graph.ir_version == IR_VERSION <= 9
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", OPSET)]
    assert exported.nodes == len(model.graph.node)


def test_the_file_says_nothing_of_the_machine_that_wrote_it(exported):
    content = exported.path.read_bytes()
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    assert b"site-packages" not in content and b".py" not in content


def test_the_contract_states_what_was_trained(run, exported):
    contract, config, air = (
        read_policy_file(exported.path).contract,
        load_checkpoint(run).config,
        load_vehicle("air"),
    )
    assert contract == exported.contract
    assert [tensor.name for tensor in contract.inputs] == [
        "pos_w", "vel_w", "quat_wb", "omega_b", "vehicle_age_s", "ball_pos_w", "ball_vel_w", "ball_age_s", "command",
        "memory", "actions",
    ]  # fmt: skip
    assert contract.task == "juggle" and contract.control_hz == 50.0
    assert contract.command == ("place_x_w_m", "place_y_w_m", "place_z_w_m", "apex_m")
    assert contract.limits.thrust_n == (0.0, air.limits.thrust_max_n)
    assert contract.limits.hover_thrust_n == air.weight_n
    assert contract.vehicle.sha256 == hashlib.sha256((VEHICLE_DIR / "air.toml").read_bytes()).hexdigest()
    assert contract.vehicle.parameters["body"]["mass_kg"] == air.body.mass_kg
    assert contract.training.config["env"]["control_hz"] == 50 and contract.training.iterations == 1
    draws = config.env.randomization
    assert contract.latency.vehicle_age_s == (
        draws.vehicle_delay_s[0], draws.vehicle_delay_s[1] + draws.vehicle_period_s[1]
    )  # fmt: skip
    low, high = contract.stages[BALL_FILTER].rate_hz
    assert (1.0 / high, 1.0 / low) == pytest.approx(draws.ball_period_s)


def test_hover_thrust_and_zero_rates_are_action_zero(run, exported, tmp_path):
    """With a last layer of zeros the squashed action is 0: by the map's definition, the weight and no rates."""

    def silence(state: dict) -> None:
        for name in ("mlp.last", "mlp.last_bias"):
            state["actor_state_dict"][name].zero_()

    quiet = policy_lab.changed_checkpoint(run, tmp_path / "quiet.pt", silence)
    policy = Policy(read_policy_file(export_policy(quiet, tmp_path / "quiet.onnx", BRIEF).path))
    command = policy.step({name: np.full(array.shape, 0.3) for name, array in policy.inputs.items()})
    np.testing.assert_allclose(command.thrust_n, exported.contract.limits.hover_thrust_n, rtol=1e-6)
    np.testing.assert_array_equal(command.rate_b_radps, 0.0)


def test_parity_of_a_longer_check(run, exported):
    checkpoint, air = load_checkpoint(run), load_vehicle("air")
    effort = Effort(states=1000, sequences=8, length=60)
    graphs = exported.path.read_bytes(), exported.contract.stages[BALL_FILTER].onnx
    policy = PolicyModule.of(checkpoint, air)
    assert isinstance(policy, PolicyModule)
    parity = check_parity(checkpoint.config.env, policy, *graphs, effort, seed=9)
    assert 0.0 < max(parity) <= TOLERANCE


def test_tasks_without_a_ball_ask_for_none(tmp_path):
    contract = read_policy_file(policy_lab.save_policy(tmp_path, "track", "crazyflie"), "track").contract
    assert not contract.stages
    assert not any("ball" in tensor.name for tensor in contract.inputs)
    assert contract.latency.ball_age_s == (0.0, 0.0)


def test_a_file_that_differs_is_found(run, exported, tmp_path):
    """One weight off by a hundredth: parity must see it, in every kind of comparison."""

    def nudge(model: onnx.ModelProto) -> None:
        weight = policy_lab.first_weight(model)
        values = onnx.numpy_helper.to_array(weight).copy()
        values.flat[3] += 0.01
        weight.raw_data = values.tobytes()

    checkpoint = load_checkpoint(run)
    policy = PolicyModule.of(checkpoint, load_vehicle("air"))
    assert isinstance(policy, PolicyModule)
    other = policy_lab.changed_policy(exported.path, tmp_path / "other.onnx", nudge).read_bytes()
    with pytest.raises(CorvidsError, match=r"parity: torch and onnxruntime .* differ by .* of full scale in"):
        check_parity(checkpoint.config.env, policy, other, None, BRIEF)


def test_without_parity_nothing_is_written(run, exported, tmp_path, monkeypatch):
    """The graph of another seed stands in for an exporter that went wrong; the file that was there stays."""
    out = tmp_path / "juggle.onnx"
    out.write_bytes(b"what was there")
    real = export_module.to_onnx

    def wrong(module, inputs, outputs, name):
        if isinstance(module, PolicyModule):
            with torch.no_grad():
                module.actor.mlp[0].weight[0, 0] += 0.5  # type: ignore[index, union-attr]
            graph = real(module, inputs, outputs, name)
            with torch.no_grad():
                module.actor.mlp[0].weight[0, 0] -= 0.5  # type: ignore[index, union-attr]
            return graph
        return real(module, inputs, outputs, name)

    monkeypatch.setattr(export_module, "to_onnx", wrong)
    with pytest.raises(CorvidsError, match=re.escape(f"{out}: not written: parity:")) as caught:
        export_policy(run, out, BRIEF)
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [out]


def refuse(source: Path, out: Path, message: str) -> None:
    with pytest.raises(CorvidsError, match=re.escape(message)) as caught:
        export_policy(source, out, BRIEF)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_run_that_is_not_there(tmp_path):
    refuse(tmp_path / "absent", tmp_path / "p.onnx", "no checkpoint there")


@pytest.mark.parametrize("content", [b"", b"plain text", b"PK\x03\x04half an archive"])
def test_what_is_not_a_checkpoint(tmp_path, content):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(content)
    refuse(bad, tmp_path / "p.onnx", "is not a checkpoint that `corvids train` wrote")


def test_a_checkpoint_of_something_else(tmp_path):
    torch.save({"model": {}}, tmp_path / "other.pt")
    refuse(tmp_path / "other.pt", tmp_path / "p.onnx", "it lacks 'config'")


class Surprise:
    """What a checkpoint from a stranger might carry: unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_checkpoint_cannot_run_code(run, tmp_path):
    target = tmp_path / "pwned"
    carrier = policy_lab.changed_checkpoint(
        run, tmp_path / "c.pt", lambda state: state.update(infos=Surprise(target))
    )
    refuse(carrier, tmp_path / "p.onnx", "is not a checkpoint that `corvids train` wrote")
    assert not target.exists()


def test_weights_that_are_not_finite(run, tmp_path):
    def poison(state: dict) -> None:
        state["actor_state_dict"]["mlp.first"][0, 0] = float("inf")

    bad = policy_lab.changed_checkpoint(run, tmp_path / "bad.pt", poison)
    refuse(bad, tmp_path / "p.onnx", "actor weight mlp.first is not finite")


def test_a_config_of_another_version(run, tmp_path):
    def extend(state: dict) -> None:
        state["config"]["env"]["gravity"] = 3.7

    newer = policy_lab.changed_checkpoint(run, tmp_path / "newer.pt", extend)
    refuse(newer, tmp_path / "p.onnx", "config.env.gravity is unknown to this version")


def test_an_actor_that_does_not_fit_its_config(run, tmp_path):
    def shrink(state: dict) -> None:
        state["config"]["network"]["actor"] = (8,)

    odd = policy_lab.changed_checkpoint(run, tmp_path / "odd.pt", shrink)
    refuse(odd, tmp_path / "p.onnx", "its actor is not the one of its own config")


def test_observations_of_another_version(run, tmp_path):
    """A task that has come to observe more than the network was trained on."""

    def widen(state: dict) -> None:
        actor = state["actor_state_dict"]
        for name in ("obs_normalizer._mean", "obs_normalizer._var", "obs_normalizer._std"):
            actor[name] = torch.cat((actor[name], actor[name][:, :1]), dim=1)
        actor["mlp.first"] = torch.cat((actor["mlp.first"], actor["mlp.first"][:, :1]), dim=1)

    wide = policy_lab.changed_checkpoint(run, tmp_path / "wide.pt", widen)
    refuse(wide, tmp_path / "p.onnx", "takes 56 numbers, but task 'juggle' now observes 55: train again")


def test_a_folder_that_is_not_there(run, tmp_path):
    refuse(run, tmp_path / "absent" / "p.onnx", "name a file in a folder that exists")
    with pytest.raises(CorvidsError, match="cannot be written"):
        export_policy(run, tmp_path, BRIEF)


def test_evaluations_are_added_without_touching_the_graphs(exported, tmp_path):
    path = tmp_path / "juggle.onnx"
    path.write_bytes(exported.path.read_bytes())
    add_evaluation(path, "mujoco", "noisy", {"hits_mean": 512.5})
    add_evaluation(path, "mujoco", "nominal", {"hits_mean": 1000.0})
    add_evaluation(path, "mujoco", "noisy", {"hits_mean": 640.0})
    contract = read_policy_file(path).contract
    assert contract.evaluation == {
        "mujoco": {"noisy": {"hits_mean": 640.0}, "nominal": {"hits_mean": 1000.0}}
    }
    assert dataclasses.replace(contract, evaluation={}) == exported.contract
    before, after = (onnx.load(p).graph.SerializeToString(deterministic=True) for p in (exported.path, path))
    assert before == after
    assert list(tmp_path.iterdir()) == [path]


def test_evaluations_are_refused_by_what_is_no_policy(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        add_evaluation(tmp_path / "absent.onnx", "native", "noisy", {})
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(PolicyError, match="is not a whole ONNX file"):
        add_evaluation(tmp_path / "text.onnx", "native", "noisy", {})


def test_one_by_one_is_row_by_row(exported):
    graph = Exported(exported.path.read_bytes())
    given = {tensor.name: torch.rand(5, *tensor.shape) for tensor in exported.contract.inputs}
    together, alone = graph(given), graph.one_by_one(given)
    for name in graph.outputs:
        torch.testing.assert_close(alone[name], together[name], rtol=0, atol=1e-4)


def test_a_calibrated_vehicle_is_recorded_by_its_numbers(tmp_path: Path):
    """Its errors and how they go together are the vehicle file's matter, whose hash is in the record."""
    air, path = load_vehicle("air"), tmp_path / "calibrated.toml"
    pair = ("body.mass_kg", "rotors.thrust_coeff_ns2prad2")
    save_vehicle(dataclasses.replace(air, correlations={pair: 0.5}), path)
    record = vehicle_record(str(path), load_vehicle(path))
    assert record.name == "air" and record.parameters["body"]["mass_kg"] == air.body.mass_kg
    assert "correlations" not in record.parameters and "provenance" not in record.parameters
