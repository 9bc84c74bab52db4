"""A contract survives its JSON, and one that a runtime cannot honour is refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from corvids.deploy.contract import (
    BALL_FILTER,
    CONTRACT_VERSION,
    OUTPUTS,
    SIGNALS,
    STAGE_INPUTS,
    STAGE_OUTPUTS,
    Contract,
    Latency,
    Limits,
    PolicyError,
    Stage,
    State,
    Tensor,
    Training,
    VehicleRecord,
)


def state(name: str, width: int) -> tuple[Tensor, Tensor, State]:
    before, after = (Tensor(n, (width,), "1", "", "") for n in (name, f"{name}_next"))
    return before, after, State(before.name, after.name, (0.5,) * width)


def contract() -> Contract:
    memory, memory_next, carried = state("memory", 2)
    estimate, estimate_next, held = state("estimate", 10)
    graph = b"\x00\xffgraph"
    stage = Stage(
        (*STAGE_INPUTS, estimate), (*STAGE_OUTPUTS, estimate_next), (held,), (100.0, 130.0),
        hashlib.sha256(graph).hexdigest(), graph,
    )  # fmt: skip
    return Contract(
        version=CONTRACT_VERSION,
        corvids="0.1",
        task="juggle",
        control_hz=50.0,
        command=("place_x_w_m", "apex_m"),
        inputs=(*SIGNALS, Tensor("command", (2,), "SI", "", ""), memory),
        outputs=(*OUTPUTS, memory_next),
        states=(carried,),
        stages={BALL_FILTER: stage},
        limits=Limits((0.0, 24.0), 10.8, (6.0, 6.0, 2.0), 0.8),
        latency=Latency((0.01, 0.08), (0.01, 0.08), (0.0, 0.012)),
        vehicle=VehicleRecord("air", "0" * 64, {"body": {"mass_kg": 1.0975}}),
        training=Training(800, "abc+", {"worlds": 2048}),
        evaluation={"mujoco": {"noisy": {"hits_mean": 512.5}}},
    )


def test_a_contract_survives_its_json():
    assert Contract.from_json(contract().to_json()).to_json() == contract().to_json()
    back = Contract.from_json(contract().to_json())
    assert back == contract()
    assert back.stages[BALL_FILTER].onnx == b"\x00\xffgraph"


def test_what_has_a_default_may_be_missing():
    text = json.loads(contract().to_json())
    del text["evaluation"]
    for name in ("accel_max_mps2", "turn_max_radps"):
        del text["limits"][name]
    assert Contract.from_json(json.dumps(text)) == dataclasses.replace(contract(), evaluation={})


def put(path: str, value: Any) -> Callable[[dict], None]:
    """Set a field, named by a path with dots."""
    *outer, last = path.split(".")

    def change(table: dict) -> None:
        for key in outer:
            table = table[int(key) if key.isdigit() else key]
        table[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Callable[[dict], None]:
    *outer, last = path.split(".")

    def change(table: dict) -> None:
        for key in outer:
            table = table[key]
        if isinstance(table, list):
            del table[int(last)]
        else:
            del table[last]

    return change


REFUSED: list[tuple[Callable[[dict], None], str]] = [
    (put("version", CONTRACT_VERSION + 1), "contract version 2, but this corvids reads 1"),
    (put("version", "1"), "contract version '1'"),
    (drop("version"), "contract version None"),
    (drop("task"), "task is missing"),
    (put("colour", "black"), "colour is unknown"),
    (put("control_hz", "fast"), "control_hz = 'fast' must be a finite number"),
    (put("control_hz", float("nan")), "control_hz = nan must be a finite number"),
    (put("control_hz", 0), "control_hz = 0.0 must be positive"),
    (put("limits.rate_max_radps", [6.0, 6.0]), "limits.rate_max_radps = [6.0, 6.0] must be"),
    (put("limits.thrust_n", [12.0, 24.0]), "limits.thrust_n = [12.0, 24.0] must enclose the weight"),
    (put("limits.tilt_max_rad", 0.0), "must be positive"),
    (put("inputs.0.name", "lidar"), "unknown input 'lidar'; this corvids can supply: pos_w"),
    (put("inputs.2.shape", [3]), "input 'quat_wb' has rows of shape (3,), must be (4,)"),
    (put("command", ["apex_m"]), "input 'command' has rows of shape (2,), must be (1,)"),
    (drop("outputs.0"), "output 'thrust_n' is missing"),
    (put("outputs.1.shape", [4]), "output 'rate_b_radps' is missing or not of row shape (3,)"),
    (drop("outputs.2"), "output 'memory_next' is missing"),
    (drop("inputs.9"), "state 'memory' is not among the inputs"),
    (put("states.0.initial", [0.0]), "input 'memory' has rows of shape (2,), must be (1,)"),
    (put("states.0.input", "pos_w"), "a state has the name of a signal"),
    (put("stages", {}), "input 'ball_age_s' needs the stage 'ball_filter'"),
    (put("stages.ball_filter.onnx", "QUJD"), "stage 'ball_filter' was changed after export"),
    (put("stages.ball_filter.onnx", "not base64!"), "must be base64"),
    (drop("stages.ball_filter.inputs.1"), "stage 'ball_filter': input 'elapsed_s' is missing"),
    (drop("stages.ball_filter.outputs.1"), "stage 'ball_filter': output 'ball_vel_w' is missing"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_a_runtime_cannot_honour_is_refused(change: Callable[[dict], None], message: str):
    table = json.loads(contract().to_json())
    change(table)
    with pytest.raises(PolicyError, match=re.escape(message)) as caught:
        Contract.from_json(json.dumps(table))
    assert "\n" not in str(caught.value)


def test_an_unknown_stage_is_refused():
    other = dataclasses.replace(
        contract(), stages={**contract().stages, "kite_filter": contract().stages[BALL_FILTER]}
    )
    with pytest.raises(PolicyError, match="unknown stage 'kite_filter'; this corvids runs: ball_filter"):
        Contract.from_json(other.to_json())


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_not_a_contract_is_refused(text: str):
    with pytest.raises(PolicyError):
        Contract.from_json(text)
