"""Reading policy files, refusing bad ones, and stepping the policy in them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import policy_lab
import pytest

from corvids.deploy.contract import METADATA_KEY, PolicyError
from corvids.deploy.policy import Policy, read_policy_file
from corvids.envs.mdp.actions import RATE_SHARE


def situations(policy: Policy, seed: int) -> dict[str, np.ndarray]:
    """Random inputs in which nothing is undefined (the apex is positive)."""
    rng = np.random.default_rng(seed)
    inputs = {name: rng.normal(0.0, 0.5, array.shape) for name, array in policy.inputs.items()}
    inputs["quat_wb"][:, 0] += 3.0
    inputs["quat_wb"] /= np.linalg.norm(inputs["quat_wb"], axis=1, keepdims=True)
    inputs["command"] = np.abs(inputs["command"]) + 0.3
    return inputs


def refuse(path: Path, message: str, task: str | None = None) -> None:
    with pytest.raises(PolicyError, match=re.escape(message)) as caught:
        read_policy_file(path, task)
    assert str(caught.value).startswith(str(path)), "names the file"
    assert "\n" not in str(caught.value), "in one line"


def test_a_file_that_is_not_there(tmp_path):
    refuse(tmp_path / "absent.onnx", "there is no such policy file")


def test_a_folder(tmp_path):
    refuse(tmp_path, "cannot be read")


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x89PNG\r\n" + bytes(200)])
def test_what_is_not_onnx(tmp_path, content):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(content)
    refuse(bad, "is not a whole ONNX file")


def test_half_a_file(tmp_path, path):
    half = tmp_path / "half.onnx"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuse(half, "is not a whole ONNX file")


def test_an_onnx_file_of_something_else(tmp_path, path):
    def strip(model: onnx.ModelProto) -> None:
        del model.metadata_props[:]

    refuse(policy_lab.changed_policy(path, tmp_path / "p.onnx", strip), f"has no metadata {METADATA_KEY!r}")


def test_a_policy_for_another_task(path):
    refuse(path, "is a policy for the task 'juggle'; wanted is one for 'hover'", "hover")


def test_another_contract_version(tmp_path, path):
    newer = policy_lab.with_metadata(
        path, tmp_path / "p.onnx", lambda text: text.replace('"version": 1', '"version": 2')
    )
    refuse(newer, "contract version 2, but this corvids reads 1")


def test_a_file_format_of_the_future(tmp_path, path):
    def age(model: onnx.ModelProto) -> None:
        model.ir_version = 99

    refuse(policy_lab.changed_policy(path, tmp_path / "p.onnx", age), "cannot load it")


def rename(old: str, new: str) -> Callable[[onnx.ModelProto], None]:
    """Rename a tensor wherever it stands in the graph."""

    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.name = new if value.name == old else value.name
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return change


def extra_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(onnx.helper.make_tensor_value_info("lidar", onnx.TensorProto.FLOAT, ["n", 9]))


def fixed_rows(model: onnx.ModelProto) -> None:
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[0].ClearField("dim_param")
    shape.dim[0].dim_value = 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename("vel_w", "velocity"), "the graph lacks the input 'vel_w'"),
        (rename("thrust_n", "thrust"), "the graph lacks the output 'thrust_n'"),
        (extra_input, "the graph has the input 'lidar', which its contract does not state"),
        (fixed_rows, "the graph's input 'pos_w' is tensor(float) [2, 3]"),
    ],
)
def test_a_graph_that_its_contract_does_not_describe(tmp_path, path, change, message):
    refuse(policy_lab.changed_policy(path, tmp_path / "p.onnx", change), message)


def test_weights_that_are_not_numbers(tmp_path, path):
    def poison(model: onnx.ModelProto) -> None:
        weight = policy_lab.first_weight(model)
        values = onnx.numpy_helper.to_array(weight).copy()
        values.flat[0] = np.nan
        weight.raw_data = values.tobytes()

    refuse(
        policy_lab.changed_policy(path, tmp_path / "p.onnx", poison), "is not finite in an ordinary situation"
    )


def test_rows_do_not_depend_on_each_other(file):
    """Eight vehicles in one call do what each does alone, over ticks in which states are fed back."""
    team, ones = Policy(file, 8), [Policy(file, 1) for _ in range(8)]
    for tick in range(5):
        inputs = situations(team, tick)
        together = team.step(inputs)
        for i, one in enumerate(ones):
            alone = one.step({name: array[i : i + 1] for name, array in inputs.items()})
            np.testing.assert_allclose(alone.thrust_n[0], together.thrust_n[i], rtol=0, atol=30.0 * 1e-6)
            np.testing.assert_allclose(
                alone.rate_b_radps[0], together.rate_b_radps[i], rtol=0, atol=20.0 * 1e-6
            )


def test_states_are_carried_and_reset_row_by_row(file):
    policy, fresh = Policy(file, 3), Policy(file, 3)
    inputs = situations(policy, 0)
    first = policy.step(inputs).thrust_n.copy()
    assert np.abs(policy.states["actions"]).max() > 0.0 and np.abs(policy.states["memory"]).max() > 0.0
    second = policy.step(inputs).thrust_n.copy()
    assert np.abs(second - first)[[0, 2]].min() > 1e-6, "the past matters"
    policy.reset(np.array([False, True, False]))
    third = policy.step(inputs).thrust_n.copy()
    assert third[1] == first[1] and third[0] != first[0]
    policy.reset()
    np.testing.assert_array_equal(policy.step(inputs).thrust_n, fresh.step(inputs).thrust_n)


def test_past_actions_are_newest_first(file):
    """Rates are a curve of the action alone: the history can be read off the commands."""
    policy = Policy(file)
    rate_max = np.array(policy.contract.limits.rate_max_radps)
    rates = [policy.step(situations(policy, seed)).rate_b_radps[0].copy() for seed in range(4)]
    history = policy.states["actions"].reshape(3, 4)
    curved = RATE_SHARE * history[:, 1:] + (1.0 - RATE_SHARE) * history[:, 1:] ** 3
    np.testing.assert_allclose(curved * rate_max, rates[:0:-1], rtol=0, atol=1e-5)


def test_commands_stay_within_the_limits(file):
    policy = Policy(file, 2000)
    inputs = {name: 30.0 * array for name, array in situations(policy, 1).items()}
    command, limits = policy.step(inputs), policy.contract.limits
    assert (
        command.thrust_n.min() >= limits.thrust_n[0] and command.thrust_n.max() <= limits.thrust_n[1] + 1e-5
    )
    assert (np.abs(command.rate_b_radps) <= np.array(limits.rate_max_radps) + 1e-5).all()


def test_a_step_is_quick(file):
    """Generous: the median is a twentieth of this. Counted is processor time, whatever else the machine does."""
    policy = Policy(file)
    inputs = situations(policy, 0)
    times = []
    for _ in range(300):
        began = time.thread_time()
        policy.step(inputs)
        times.append(time.thread_time() - began)
    assert np.median(times) < 1e-3


def test_flying_needs_no_torch(path):
    """The companion computer has numpy and onnxruntime, not torch and not onnx."""
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from corvids.deploy.policy import read_policy_file\n"
        "from corvids.deploy.pilot import Pilot\n"
        "import corvids.deploy.runtime\n"
        f"print(Pilot(read_policy_file({str(path)!r})).contract.task)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "juggle", done.stderr
