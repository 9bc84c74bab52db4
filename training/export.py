"""From a training run to one policy file, which is written only if it computes what was trained."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from google.protobuf.message import DecodeError

import corvids
from corvids.controllers.ball_filter import UNKNOWN_BALL
from corvids.controllers.packing import leaves
from corvids.deploy.contract import (
    BALL_FILTER,
    COMMAND,
    CONTRACT_VERSION,
    METADATA_KEY,
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
from corvids.envs.task import Task
from corvids.envs.tasks import TEAM_TASKS
from corvids.errors import CorvidsError
from corvids.training.checkpoint import Checkpoint, load_checkpoint
from corvids.training.onnx_graphs import to_onnx
from corvids.training.parity import THOROUGH, Effort, Parity, check_parity
from corvids.training.policy_module import BallFilterModule, PolicyModule
from corvids.vehicle import VEHICLE_DIR, Vehicle, load_vehicle


class Export(NamedTuple):
    """What an export made."""

    path: Path
    contract: Contract
    nodes: int
    """Operators in the main graph."""
    parity: Parity
    seconds: float


def export_policy(run: Path, out: Path, effort: Effort = THOROUGH) -> Export:
    """Write the policy of a run's folder (or of a checkpoint file) to ``out``, or raise :class:`CorvidsError`.

    ``effort`` is how much parity is checked. A file already there is replaced whole or not at all.
    """
    began = time.perf_counter()
    if out.is_dir() or not out.parent.is_dir():
        raise CorvidsError(
            f"{out}: cannot be written: name a file in a folder that exists, such as juggle.onnx"
        )
    checkpoint = load_checkpoint(run)
    if checkpoint.config.env.task in TEAM_TASKS:
        raise CorvidsError(
            f"{run}: is a run of {checkpoint.config.env.task!r}; this version exports tasks of a single vehicle"
        )
    vehicle = load_vehicle(checkpoint.config.env.vehicle)
    policy = PolicyModule.of(checkpoint, vehicle)
    contract, model = _policy_graph(policy, checkpoint, vehicle)
    stage = contract.stages.get(BALL_FILTER)
    try:
        graph, filter_graph = model.SerializeToString(), stage.onnx if stage else None
        parity = check_parity(checkpoint.config.env, policy, graph, filter_graph, effort)
    except CorvidsError as error:
        raise CorvidsError(f"{out}: not written: {error}") from None
    _write(model, contract, out)
    return Export(out, contract, len(model.graph.node), parity, time.perf_counter() - began)


def add_evaluation(path: Path, plant: str, condition: str, summary: dict[str, Any]) -> None:
    """Put an evaluation's figures into a policy file's contract; its graphs stay as they are."""
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror or error}") from None
    except DecodeError:
        raise PolicyError(f"{path}: is not a whole ONNX file; `corvids export` writes one") from None
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            contract = Contract.from_json(entry.value)
            results = {**contract.evaluation.get(plant, {}), condition: summary}
            evaluation = {**contract.evaluation, plant: results}
            _write(model, dataclasses.replace(contract, evaluation=evaluation), path)
            return
    raise PolicyError(f"{path}: has no metadata {METADATA_KEY!r}, so it is not a policy of corvids")


def _policy_graph(
    policy: PolicyModule, checkpoint: Checkpoint, vehicle: Vehicle
) -> tuple[Contract, onnx.ModelProto]:
    task = policy.task
    command = Tensor(
        COMMAND, (len(task.COMMAND),), "SI", "world ENU", "task command: " + ", ".join(task.COMMAND)
    )
    known = {tensor.name: tensor for tensor in (*SIGNALS, command)}
    states = (
        State("memory", "memory_next", (0.0,) * task.MEMORY),
        State("actions", "actions_next", (0.0,) * policy.actions),
    )
    meanings = ("what the task keeps from tick to tick", "past actions within -1..1, newest first, 4 each")
    before = [Tensor(s.input, (len(s.initial),), "1", "", m) for s, m in zip(states, meanings, strict=True)]
    after = [Tensor(s.output, (len(s.initial),), "1", "", m) for s, m in zip(states, meanings, strict=True)]
    inputs, outputs = (*(known[name] for name in policy.inputs), *before), (*OUTPUTS, *after)
    contract = Contract(
        version=CONTRACT_VERSION,
        corvids=corvids.__version__,
        task=task.NAME,
        control_hz=float(checkpoint.config.env.control_hz),
        command=task.COMMAND,
        inputs=inputs,
        outputs=outputs,
        states=states,
        stages={BALL_FILTER: _ball_stage(checkpoint)} if task.WITH_BALL else {},
        limits=Limits(
            (0.0, vehicle.limits.thrust_max_n),
            vehicle.weight_n,
            vehicle.limits.rate_max_radps,
            vehicle.limits.tilt_max_rad,
        ),
        latency=_latency(checkpoint, task),
        vehicle=_vehicle_record(checkpoint.config.env.vehicle, vehicle),
        training=Training(
            checkpoint.iterations, checkpoint.git_revision, dataclasses.asdict(checkpoint.config)
        ),
    )
    contract = Contract.from_json(contract.to_json())  # as a runtime will read it, or refuse it
    return contract, to_onnx(policy, inputs, outputs, f"corvids_{task.NAME}")


def _ball_stage(checkpoint: Checkpoint) -> Stage:
    initial = tuple(float(leaf) for leaf in leaves(UNKNOWN_BALL))
    state = State("estimate", "estimate_next", initial)
    meaning = (
        "position, velocity, variances along an axis (position, covariance, velocity), outliers in a row"
    )
    inputs = (*STAGE_INPUTS, Tensor(state.input, (len(initial),), "SI", "world ENU", meaning))
    outputs = (*STAGE_OUTPUTS, Tensor(state.output, (len(initial),), "SI", "world ENU", meaning))
    module = BallFilterModule(checkpoint.config.env.ball_filter)
    graph = to_onnx(module, inputs, outputs, f"corvids_{BALL_FILTER}").SerializeToString(deterministic=True)
    shortest, longest = checkpoint.config.env.randomization.ball_period_s
    sha256 = hashlib.sha256(graph).hexdigest()
    return Stage(inputs, outputs, (state,), (1.0 / longest, 1.0 / shortest), sha256, graph)


def _latency(checkpoint: Checkpoint, task: Task) -> Latency:
    draws = checkpoint.config.env.randomization

    def ages(delay_s: tuple[float, float], period_s: tuple[float, float]) -> tuple[float, float]:
        return delay_s[0], delay_s[1] + period_s[1]

    return Latency(
        ages(draws.vehicle_delay_s, draws.vehicle_period_s),
        ages(draws.ball_delay_s, draws.ball_period_s) if task.WITH_BALL else (0.0, 0.0),
        draws.command_delay_s,
    )


def _vehicle_record(name_or_path: str, vehicle: Vehicle) -> VehicleRecord:
    shipped = VEHICLE_DIR / f"{name_or_path}.toml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    parameters = dataclasses.asdict(dataclasses.replace(vehicle, provenance={}))
    del parameters["provenance"]
    return VehicleRecord(vehicle.name, hashlib.sha256(path.read_bytes()).hexdigest(), parameters)


def _write(model: onnx.ModelProto, contract: Contract, out: Path) -> None:
    """Write the graph with this contract, whole or not at all."""
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, METADATA_KEY: contract.to_json()})
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(model.SerializeToString(deterministic=True))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CorvidsError(f"{out}: cannot be written: {error.strerror or error}") from None
