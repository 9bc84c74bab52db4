"""A policy file, read and checked, and the policy in it, ready to fly ``rows`` vehicles at once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corvids.deploy.contract import METADATA_KEY, Contract, PolicyError, Stage
from corvids.deploy.graph import Array, Graph, GraphFailure, open_session

_PROBE_ROWS = 2


class Command(NamedTuple):
    """What a policy without an inner loop wants. Views of arrays that the next step overwrites."""

    thrust_n: Array
    """Collective thrust [N], (rows,)."""
    rate_b_radps: Array
    """Body rates [rad/s, FLU], (rows, 3)."""


@dataclasses.dataclass(frozen=True)
class PolicyFile:
    """A policy file that was understood: its contract is valid, its graphs fit it and compute finite numbers."""

    path: Path
    contract: Contract
    onnx: bytes


def read_policy_file(path: str | os.PathLike[str], task: str | None = None) -> PolicyFile:
    """Read and check a policy file, for ``task`` if one is named; raises :class:`PolicyError` in one line."""
    path = Path(path)
    try:
        onnx = path.read_bytes()
    except FileNotFoundError:
        raise PolicyError(f"{path}: there is no such policy file; `corvids export` writes one") from None
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        metadata = open_session(onnx).get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise PolicyError(f"has no metadata {METADATA_KEY!r}, so it is not a policy of corvids")
        contract = Contract.from_json(metadata[METADATA_KEY])
        if task is not None and contract.task != task:
            raise PolicyError(f"is a policy for the task {contract.task!r}; wanted is one for {task!r}")
        _probe(Graph(onnx, contract.inputs, contract.outputs, contract.states, _PROBE_ROWS), "main graph")
        for name, stage in contract.stages.items():
            _probe(stage_graph(stage, _PROBE_ROWS), f"stage {name!r}")
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None
    except (GraphFailure, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: is damaged: {str(error).splitlines()[0]}") from None
    return PolicyFile(path, contract, onnx)


def stage_graph(stage: Stage, rows: int) -> Graph:
    """The graph of a stage for ``rows`` vehicles."""
    return Graph(stage.onnx, stage.inputs, stage.outputs, stage.states, rows)


def _probe(graph: Graph, name: str) -> None:
    """Refuse a graph that turns an ordinary situation into something that is not a number."""
    if "quat_wb" in graph.inputs:
        graph.inputs["quat_wb"][:, 0] = 1.0
    for signal, array in graph.inputs.items():
        if signal != "quat_wb":
            array[1] += 0.1
    graph.run()
    for output, array in graph.outputs.items():
        if not np.isfinite(array).all():
            raise PolicyError(
                f"{name}: output {output!r} is not finite in an ordinary situation; train again"
            )


class Policy:
    """The policy of a file, and what it remembers, for ``rows`` vehicles."""

    def __init__(self, file: PolicyFile, rows: int = 1) -> None:
        contract = file.contract
        self.contract, self.rows = contract, rows
        self._graph = Graph(file.onnx, contract.inputs, contract.outputs, contract.states, rows)
        carried = {state.input: state.output for state in contract.states}
        self.inputs: dict[str, Array] = {n: a for n, a in self._graph.inputs.items() if n not in carried}
        """Arrays (rows, ·) of the last step's inputs, without states."""
        self.states: dict[str, Array] = {n: self._graph.inputs[n] for n in carried}
        """Arrays (rows, ·) of what is remembered; may be written in place."""
        self._carry = [(self._graph.inputs[i], self._graph.outputs[o]) for i, o in carried.items()]
        outputs = self._graph.outputs
        if contract.is_accbr:
            self._order: tuple[Array, Array] = outputs["accel_w_mps2"], outputs["turn_b_radps"]
        else:
            self._order = outputs["thrust_n"][:, 0], outputs["rate_b_radps"]

    def step(self, inputs: Mapping[str, ArrayLike]) -> Command:
        """As :meth:`advance`, of a policy that commands thrust and rates."""
        return Command(*self.advance(inputs))

    def advance(self, inputs: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
        """The command at a control tick; ``inputs`` by the contract's names, (rows, ·). Raises GraphFailure.

        Collective thrust [N] (rows,) and body rates [rad/s] (rows, 3); or, of a policy with an inner loop, acceleration
        [m/s², world] (rows, 3) and added roll and pitch rates [rad/s] (rows, 2). Both are views that the next step
        overwrites.
        """
        self.show(inputs)
        self._graph.run()
        for state, following in self._carry:
            state[...] = following
        return self._order

    def show(self, inputs: Mapping[str, ArrayLike]) -> None:
        """Let :attr:`inputs` be these, (rows, ·) each."""
        for name, array in self.inputs.items():
            array[...] = inputs[name]

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Forget the past of ``rows`` (mask, (rows,); all if None)."""
        self._graph.reset(rows)
