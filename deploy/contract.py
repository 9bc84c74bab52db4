"""What a policy file says of itself: the JSON in the metadata of its ONNX graph.

The file's main graph goes from sensed state and task command to a CTBR command, or, where the file has an inner loop as
a stage, to an ACCBR command for that. Every tensor has rows, one per vehicle, as its first axis; shapes here leave that
axis out. Numbers that the policy carries from tick to tick are explicit pairs of an input and an output. A stage is a
second graph that runs at another rate: its bytes lie in the metadata.

Training writes a contract; the runtime refuses a file whose contract it does not understand.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from corvids.deploy import typed_json
from corvids.errors import CorvidsError

CONTRACT_VERSION = 1
"""Version of the contract that this module reads and writes."""
METADATA_KEY = "corvids"
"""Key of the contract in the ONNX file's ``metadata_props``."""
BALL_FILTER = "ball_filter"
"""Name of the stage that turns measured ball positions into an estimate."""
LOAD_FILTER = "load_filter"
"""Name of the stage that turns measured poses of a load into an estimate."""
INNER_LOOP = "inner_loop"
"""Name of the stage that turns an ACCBR command into CTBR, at the rate of the accelerometer."""


class PolicyError(CorvidsError):
    """A policy file that cannot be flown or written: says which, what is wrong with it, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One input or output of a graph, float32."""

    name: str
    shape: tuple[int, ...]
    """Shape of one row."""
    unit: str
    frame: str
    """Frame of reference, or empty."""
    meaning: str


SIGNALS = (
    Tensor("pos_w", (3,), "m", "world ENU", "vehicle position"),
    Tensor("vel_w", (3,), "m/s", "world ENU", "vehicle velocity"),
    Tensor("quat_wb", (4,), "1", "body FLU to world ENU", "attitude, unit quaternion, scalar part first"),
    Tensor("omega_b", (3,), "rad/s", "body FLU", "body rates"),
    Tensor("vehicle_age_s", (1,), "s", "", "age of the four above: now minus their stamp"),
    Tensor(
        "ball_pos_w",
        (3,),
        "m",
        "world ENU",
        "estimated position of the ball's centre at its last measurement",
    ),
    Tensor("ball_vel_w", (3,), "m/s", "world ENU", "estimated velocity of the ball at its last measurement"),
    Tensor(
        "ball_age_s", (1,), "s", "", "age of the ball estimate: now minus the stamp of its last measurement"
    ),
)
"""What a plant's sensors tell a policy; a policy without a ball lacks those of the ball."""
BALL_SIGNALS = frozenset({"ball_pos_w", "ball_vel_w", "ball_age_s"})
LOAD_SIGNALS = (
    Tensor("load_pos_w", (3,), "m", "world ENU", "estimated position of the load's pose point"),
    Tensor("load_vel_w", (3,), "m/s", "world ENU", "its estimated velocity"),
    Tensor("load_quat_wb", (4,), "1", "load's axes to world ENU", "estimated attitude of the load"),
    Tensor("load_omega_b", (3,), "rad/s", "load's axes", "its estimated angular velocity"),
    Tensor("load_age_s", (1,), "s", "", "age of the four above: now minus the stamp of the last measurement"),
    Tensor(
        "facts",
        (15,),
        "SI",
        "load's axes",
        "what a member is told of its team before flight, places from the load's pose point: own point of "
        "attachment, mean and second moments (xx, xy, yy) of all, number of members, load's mass, own cable's "
        "length, load's centre of mass",
    ),
)
"""What a member of a team is told of the load that they carry."""
COMMAND = "command"
"""Name of the input that holds the task command, whose components :attr:`Contract.command` names."""
OUTPUTS = (
    Tensor("thrust_n", (1,), "N", "body FLU, +z", "collective thrust"),
    Tensor("rate_b_radps", (3,), "rad/s", "body FLU", "commanded body rates"),
)
"""What a policy without an inner loop commands (CTBR)."""
ACCBR_OUTPUTS = (
    Tensor("accel_w_mps2", (3,), "m/s2", "world ENU", "wanted acceleration"),
    Tensor("turn_b_radps", (2,), "rad/s", "body FLU", "roll and pitch rate on top of the inner loop's"),
)
"""What a policy with an inner loop commands (ACCBR)."""
STAGE_INPUTS = (
    Tensor("measured_w", (3,), "m", "world ENU", "measured position of the ball's centre"),
    Tensor("elapsed_s", (1,), "s", "", "time since the measurement before; 0 at the first"),
)
STAGE_OUTPUTS = tuple(tensor for tensor in SIGNALS if tensor.name in ("ball_pos_w", "ball_vel_w"))
STAGES = {
    BALL_FILTER: (STAGE_INPUTS, STAGE_OUTPUTS),
    LOAD_FILTER: (
        (
            Tensor("measured_pos_w", (3,), "m", "world ENU", "measured position of the load's pose point"),
            Tensor("measured_quat_wb", (4,), "1", "load's axes to world ENU", "measured attitude"),
            Tensor("elapsed_s", (1,), "s", "", "time since the measurement before; 10 s at the first"),
        ),
        LOAD_SIGNALS[:4],
    ),
    INNER_LOOP: (
        (
            *ACCBR_OUTPUTS,
            Tensor("accelerometer_b", (3,), "m/s2", "body FLU", "specific force"),
            SIGNALS[2],
        ),
        OUTPUTS,
    ),
}
"""Inputs and outputs of the stages that a runtime knows, states apart."""
NEEDS = {
    **dict.fromkeys(BALL_SIGNALS, BALL_FILTER),
    **{tensor.name: LOAD_FILTER for tensor in LOAD_SIGNALS[:5]},
}
"""Which stage supplies a signal."""


@dataclasses.dataclass(frozen=True)
class State:
    """Numbers that a graph carries: what its output held at one call goes into its input at the next."""

    input: str
    output: str
    initial: tuple[float, ...]
    """One row of it at the start."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A graph that runs at another rate than the policy."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[State, ...]
    rate_hz: tuple[float, float]
    """Range of rates that it was trained for."""
    sha256: str
    """Of ``onnx``."""
    onnx: bytes


@dataclasses.dataclass(frozen=True)
class Limits:
    """Range of the commands."""

    thrust_n: tuple[float, float]
    """Least and largest collective thrust [N]."""
    hover_thrust_n: float
    """Weight of the vehicle [N]."""
    rate_max_radps: tuple[float, float, float]
    """Largest body rate about each axis [rad/s]."""
    tilt_max_rad: float
    """Largest tilt that the vehicle file allows [rad]; binds the fallback, not the policy."""
    accel_max_mps2: float = 0.0
    """Largest acceleration along each axis that an ACCBR policy commands [m/s²]; 0 for CTBR."""
    turn_max_radps: float = 0.0
    """Largest roll and pitch rate that it adds [rad/s]; 0 for CTBR."""

    def weighing(self, weight_n: float) -> Limits:
        """The same for a vehicle of that weight [N]: another's file, or one that bears something."""
        return dataclasses.replace(self, hover_thrust_n=weight_n)


@dataclasses.dataclass(frozen=True)
class Latency:
    """Latencies that the policy was trained for [s], smallest and largest."""

    vehicle_age_s: tuple[float, float]
    ball_age_s: tuple[float, float]
    """Of the measurements; (0, 0) without a ball."""
    command_delay_s: tuple[float, float]
    load_age_s: tuple[float, float] = (0.0, 0.0)
    """Of the measured poses of the load; (0, 0) without one."""


@dataclasses.dataclass(frozen=True)
class VehicleRecord:
    """The vehicle that the policy was trained for."""

    name: str
    sha256: str
    """Of the vehicle file."""
    parameters: dict[str, Any]
    """All its numbers, by section and field, SI."""


@dataclasses.dataclass(frozen=True)
class Training:
    """Where the policy comes from."""

    iterations: int
    git_revision: str
    """Commit that trained it, with ``+`` if the working tree was changed; empty outside git."""
    config: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Contract:
    """Everything that a policy file says of itself."""

    version: int
    corvids: str
    """Version of corvids that wrote the file."""
    task: str
    control_hz: float
    """Rate at which the main graph runs."""
    command: tuple[str, ...]
    """Components of the input ``command``; a name ends in frame and unit."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[State, ...]
    stages: dict[str, Stage]
    limits: Limits
    latency: Latency
    vehicle: VehicleRecord
    training: Training
    evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Results by plant and condition; added after training."""

    @property
    def is_accbr(self) -> bool:
        """Whether the main graph commands acceleration and added rates, for the inner loop that the file holds."""
        return INNER_LOOP in self.stages

    def to_json(self) -> str:
        """The text that goes into the file."""
        return json.dumps(typed_json.write(self), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Contract:
        """The contract in ``text``; raises :class:`PolicyError` where this version does not understand it."""
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise PolicyError(f"metadata {METADATA_KEY!r} is not JSON: {error}") from None
        version = parsed.get("version") if isinstance(parsed, dict) else None
        if version != CONTRACT_VERSION:
            raise PolicyError(
                f"contract version {version!r}, but this corvids reads {CONTRACT_VERSION}: "
                "export the policy again with this version, or fly it with the one that wrote it"
            )
        try:
            contract = typed_json.read(Contract, parsed)
        except ValueError as error:
            raise PolicyError(f"metadata {METADATA_KEY!r}: {error}") from None
        for problem in contract.problems():
            raise PolicyError(problem)
        return contract

    def problems(self) -> Iterator[str]:
        """What contradicts itself, or asks for what no runtime can do."""
        if self.control_hz <= 0.0:
            yield f"control_hz = {self.control_hz} must be positive"
        known = (*SIGNALS, *LOAD_SIGNALS, Tensor(COMMAND, (len(self.command),), "", "", ""))
        if {state.input for state in self.states} & {signal.name for signal in known}:
            yield "main graph: a state has the name of a signal"
        wanted = ACCBR_OUTPUTS if self.is_accbr else OUTPUTS
        yield from _tensor_problems("main graph", self.inputs, known, self.outputs, wanted, self.states)
        for tensor in sorted(self.inputs, key=lambda tensor: tensor.name):
            if NEEDS.get(tensor.name, BALL_FILTER) not in self.stages and tensor.name in NEEDS:
                yield f"input {tensor.name!r} needs the stage {NEEDS[tensor.name]!r}, which the file lacks"
        for name, stage in self.stages.items():
            if name not in STAGES:
                yield f"unknown stage {name!r}; this corvids runs: {', '.join(STAGES)}"
                continue
            if hashlib.sha256(stage.onnx).hexdigest() != stage.sha256:
                yield f"stage {name!r} was changed after export: its graph does not match its sha256"
            needed, given = STAGES[name]
            for missing in {tensor.name for tensor in needed} - {tensor.name for tensor in stage.inputs}:
                yield f"stage {name!r}: input {missing!r} is missing"
            yield from _tensor_problems(
                f"stage {name!r}", stage.inputs, needed, stage.outputs, given, stage.states
            )
        low, high = self.limits.thrust_n
        if not 0.0 <= low < self.limits.hover_thrust_n < high:
            yield f"limits.thrust_n = {[low, high]} must enclose the weight, {self.limits.hover_thrust_n} N"
        if min(*self.limits.rate_max_radps, self.limits.tilt_max_rad) <= 0.0:
            yield "limits.rate_max_radps and limits.tilt_max_rad must be positive"
        if self.is_accbr and min(self.limits.accel_max_mps2, self.limits.turn_max_radps) <= 0.0:
            yield "limits.accel_max_mps2 and limits.turn_max_radps must be positive where there is an inner loop"


def _tensor_problems(
    graph: str,
    inputs: tuple[Tensor, ...],
    known: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    wanted: tuple[Tensor, ...],
    states: tuple[State, ...],
) -> Iterator[str]:
    """Inputs must be ``known`` or states', outputs ``wanted`` and states', all in their shapes."""
    carried = {name: (len(state.initial),) for state in states for name in (state.input, state.output)}
    may = {tensor.name: tensor.shape for tensor in known}
    must = {tensor.name: tensor.shape for tensor in wanted}
    for tensor in inputs:
        shape = may.get(tensor.name, carried.get(tensor.name))
        if shape is None:
            yield f"{graph}: unknown input {tensor.name!r}; this corvids can supply: {', '.join(may)}"
        elif shape != tensor.shape:
            yield f"{graph}: input {tensor.name!r} has rows of shape {tensor.shape}, must be {shape}"
    shapes = {tensor.name: tensor.shape for tensor in outputs}
    for name, shape in {**must, **{s.output: carried[s.output] for s in states}}.items():
        if shapes.pop(name, None) != shape:
            yield f"{graph}: output {name!r} is missing or not of row shape {shape}"
    for name in shapes:
        yield f"{graph}: unknown output {name!r}; there may be: {', '.join(must)}, and states"
    for name in (state.input for state in states):
        if name not in {tensor.name for tensor in inputs}:
            yield f"{graph}: state {name!r} is not among the inputs"
