"""From a training run to one policy file, which is written only if it computes what was trained."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from google.protobuf.message import DecodeError

import corvids
from corvids.controllers.ball_filter import UNKNOWN_BALL
from corvids.controllers.load_filter import UNKNOWN_LOAD
from corvids.controllers.packing import leaves
from corvids.deploy.contract import (
    ACCBR_OUTPUTS,
    BALL_FILTER,
    COMMAND,
    CONTRACT_VERSION,
    INNER_LOOP,
    LOAD_FILTER,
    LOAD_SIGNALS,
    METADATA_KEY,
    OUTPUTS,
    SIGNALS,
    STAGES,
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
from corvids.envs.environment import PAST_ACTIONS
from corvids.envs.physics.inner_loop import compensation_gains
from corvids.envs.tasks import TEAM_TASKS
from corvids.errors import CorvidsError
from corvids.team import load_team, vehicle_references
from corvids.training.checkpoint import Checkpoint, load_checkpoint
from corvids.training.checks import check_config
from corvids.training.onnx_graphs import to_onnx
from corvids.training.parity import THOROUGH, Effort, Parity, check_parity
from corvids.training.policy_module import BallFilterModule, PolicyModule, TeamPolicyModule
from corvids.training.team_parity import check_team_parity
from corvids.training.team_stages import InnerLoopModule, LoadFilterModule
from corvids.vehicle import VEHICLE_DIR, Vehicle, load_vehicle
from corvids.whole_files import write_whole


class Export(NamedTuple):
    """What an export made."""

    path: Path
    contract: Contract
    nodes: int
    """Operators in the main graph."""
    parity: Parity
    seconds: float


def export_policy(
    run: Path, out: Path, effort: Effort = THOROUGH, *, law_near: float | None = None
) -> Export:
    """Write the policy of a run's folder (or of a checkpoint file) to ``out``, or raise :class:`CorvidsError`.

    ``effort`` is how much parity is checked. A file already there is replaced whole or not at all. ``law_near`` takes
    the place of the run's own :attr:`corvids.envs.mdp.carry_config.CarryConfig.law_near`.
    """
    began = time.perf_counter()
    if out.is_dir() or not out.parent.is_dir():
        raise CorvidsError(
            f"{out}: cannot be written: name a file in a folder that exists, such as juggle.onnx"
        )
    checkpoint = load_checkpoint(run)
    if law_near is not None:
        checkpoint = _left_to_the_law(checkpoint, law_near)
    name = _vehicle_name(checkpoint)
    vehicle = load_vehicle(name)
    policy = PolicyModule.of(checkpoint, vehicle)
    contract, model = _policy_graph(policy, checkpoint, name, vehicle)
    stages = {name: stage.onnx for name, stage in contract.stages.items()}
    try:
        graph = model.SerializeToString()
        if isinstance(policy, TeamPolicyModule):
            parity = check_team_parity(checkpoint.config.env, policy, graph, stages, effort)
        else:
            parity = check_parity(checkpoint.config.env, policy, graph, stages.get(BALL_FILTER), effort)
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


def _left_to_the_law(checkpoint: Checkpoint, law_near: float) -> Checkpoint:
    config = checkpoint.config
    if config.env.task not in TEAM_TASKS or not config.env.carry.guided:
        raise CorvidsError(
            f"{checkpoint.path}: no law guides what was trained there; export without --law-near"
        )
    carry = dataclasses.replace(config.env.carry, law_near=law_near)
    changed = dataclasses.replace(config, env=dataclasses.replace(config.env, carry=carry))
    check_config(changed)
    return checkpoint._replace(config=changed)


def _vehicle_name(checkpoint: Checkpoint) -> str:
    """Name or path of the vehicle that a policy is for; of a team, that of all its members."""
    env = checkpoint.config.env
    if env.task not in TEAM_TASKS:
        return env.vehicle
    first, *others = load_team(env.carry.team).members
    references = vehicle_references(env.carry.team)
    for number, (member, reference) in enumerate(zip(others, references[1:], strict=True), start=1):
        if member.vehicle != first.vehicle:
            raise CorvidsError(
                f"{checkpoint.path}: team {env.carry.team!r} has several kinds of members ({references[0]}, and member "
                f"{number} {reference}), but a policy file holds the inner loop of one: export from a run with one kind"
            )
    return references[0]


def _policy_graph(
    policy: PolicyModule | TeamPolicyModule, checkpoint: Checkpoint, name: str, vehicle: Vehicle
) -> tuple[Contract, onnx.ModelProto]:
    task, env = policy.task, checkpoint.config.env
    of_team = isinstance(policy, TeamPolicyModule)
    command = Tensor(
        COMMAND, (len(task.COMMAND),), "SI", "world ENU", "task command: " + ", ".join(task.COMMAND)
    )
    known = {tensor.name: tensor for tensor in (*SIGNALS, *LOAD_SIGNALS, command)}
    states = (
        State("memory", "memory_next", (0.0,) * task.MEMORY),
        State("actions", "actions_next", (0.0,) * policy.actions),
    )
    each = policy.actions // PAST_ACTIONS
    meanings = (
        "what the task keeps from tick to tick",
        f"past actions within -1..1, newest first, {each} each",
    )
    before = [Tensor(s.input, (len(s.initial),), "1", "", m) for s, m in zip(states, meanings, strict=True)]
    after = [Tensor(s.output, (len(s.initial),), "1", "", m) for s, m in zip(states, meanings, strict=True)]
    commands = ACCBR_OUTPUTS if of_team else OUTPUTS
    inputs, outputs = (*(known[name] for name in policy.inputs), *before), (*commands, *after)
    contract = Contract(
        version=CONTRACT_VERSION,
        corvids=corvids.__version__,
        task=task.NAME,
        control_hz=float(checkpoint.config.env.control_hz),
        command=task.COMMAND,
        inputs=inputs,
        outputs=outputs,
        states=states,
        stages=_stages(policy, checkpoint, vehicle),
        limits=Limits(
            (0.0, vehicle.limits.thrust_max_n),
            vehicle.weight_n,
            vehicle.limits.rate_max_radps,
            vehicle.limits.tilt_max_rad,
            *((env.carry.accel_max_mps2, env.carry.rate_max_radps) if of_team else ()),
        ),
        latency=_latency(checkpoint, policy),
        vehicle=vehicle_record(name, vehicle),
        training=Training(
            checkpoint.iterations, checkpoint.git_revision, dataclasses.asdict(checkpoint.config)
        ),
    )
    contract = Contract.from_json(contract.to_json())  # as a runtime will read it, or refuse it
    return contract, to_onnx(policy, inputs, outputs, f"corvids_{task.NAME}")


def _stages(
    policy: PolicyModule | TeamPolicyModule, checkpoint: Checkpoint, vehicle: Vehicle
) -> dict[str, Stage]:
    env = checkpoint.config.env
    if isinstance(policy, TeamPolicyModule):
        unknown = tuple(float(leaf) for leaf in leaves(UNKNOWN_LOAD))
        meaning = "position, velocity, attitude, angular velocity (load's axes)"
        load = _stage(
            LOAD_FILTER, LoadFilterModule(env.carry.load_filter), State("estimate", "estimate_next", unknown),
            meaning, _rates(env.carry.load_period_s),
        )  # fmt: skip
        at_rest = State("loop", "loop_next", (vehicle.weight_n, 0.0, 0.0, 0.0))
        meaning = "thrust that the rotors are believed to give [N], specific force from outside [m/s2, world]"
        rate_hz = float(env.physics_hz)
        gains = compensation_gains(vehicle, 1.0 / rate_hz)
        inner = _stage(INNER_LOOP, InnerLoopModule(gains), at_rest, meaning, (rate_hz, rate_hz))
        return {LOAD_FILTER: load, INNER_LOOP: inner}
    if not policy.task.WITH_BALL:
        return {}
    unknown = tuple(float(leaf) for leaf in leaves(UNKNOWN_BALL))
    meaning = (
        "position, velocity, variances along an axis (position, covariance, velocity), outliers in a row"
    )
    state = State("estimate", "estimate_next", unknown)
    rates = _rates(env.randomization.ball_period_s)
    return {BALL_FILTER: _stage(BALL_FILTER, BallFilterModule(env.ball_filter), state, meaning, rates)}


def _stage(
    name: str, module: torch.nn.Module, state: State, meaning: str, rate_hz: tuple[float, float]
) -> Stage:
    """The stage called ``name``, which carries one state."""
    given, answered = STAGES[name]
    width = (len(state.initial),)
    inputs = (*given, Tensor(state.input, width, "SI", "world ENU", meaning))
    outputs = (*answered, Tensor(state.output, width, "SI", "world ENU", meaning))
    graph = to_onnx(module, inputs, outputs, f"corvids_{name}").SerializeToString(deterministic=True)
    return Stage(inputs, outputs, (state,), rate_hz, hashlib.sha256(graph).hexdigest(), graph)


def _rates(period_s: tuple[float, float]) -> tuple[float, float]:
    shortest, longest = period_s
    return 1.0 / longest, 1.0 / shortest


def _latency(checkpoint: Checkpoint, policy: PolicyModule | TeamPolicyModule) -> Latency:
    draws, carry = checkpoint.config.env.randomization, checkpoint.config.env.carry
    of_team = isinstance(policy, TeamPolicyModule)

    def ages(delay_s: tuple[float, float], period_s: tuple[float, float]) -> tuple[float, float]:
        return delay_s[0], delay_s[1] + period_s[1]

    return Latency(
        ages(draws.vehicle_delay_s, draws.vehicle_period_s),
        ages(draws.ball_delay_s, draws.ball_period_s)
        if not of_team and policy.task.WITH_BALL
        else (0.0, 0.0),
        draws.command_delay_s,
        ages(carry.load_delay_s, carry.load_period_s) if of_team else (0.0, 0.0),
    )


def vehicle_record(name_or_path: str, vehicle: Vehicle) -> VehicleRecord:
    """The vehicle by its numbers alone: their errors and correlations stay in the file, whose hash is here."""
    shipped = VEHICLE_DIR / f"{name_or_path}.toml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    parameters = dataclasses.asdict(dataclasses.replace(vehicle, provenance={}, correlations={}))
    del parameters["provenance"], parameters["correlations"]
    return VehicleRecord(vehicle.name, hashlib.sha256(path.read_bytes()).hexdigest(), parameters)


def _write(model: onnx.ModelProto, contract: Contract, out: Path) -> None:
    """Write the graph with this contract, whole or not at all."""
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, METADATA_KEY: contract.to_json()})
    write_whole(out, model.SerializeToString(deterministic=True))
