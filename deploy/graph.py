"""One ONNX graph, ready to run on a fixed number of rows without allocating: its tensors are fixed arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # pyright: ignore[reportAttributeAccessIssue]

from corvids.deploy.contract import PolicyError, State, Tensor

Array = NDArray[np.float32]
"""Rows of a tensor."""

_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class GraphFailure(RuntimeError):
    """ONNX Runtime could not run a graph; it had run before, when the file was checked."""


def open_session(onnx: bytes) -> ort.InferenceSession:
    """A session on one thread, which does not spin; raises :class:`PolicyError` for what is not an ONNX graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what goes wrong is raised, once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if not onnx:
            raise ort_errors.InvalidProtobuf()
        return ort.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # there is nothing to fall back to, and it would be said on standard output
    except ort_errors.InvalidProtobuf:
        raise PolicyError("is not a whole ONNX file; `corvids export` writes one") from None
    except (*_ORT_ERRORS, UnicodeDecodeError) as error:
        raise PolicyError(f"onnxruntime {ort.__version__} cannot load it: {_first_line(error)}") from None


def check_session(session: ort.InferenceSession, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Refuse a graph whose inputs and outputs are not those that its contract states."""
    for kind, nodes, stated in (
        ("input", session.get_inputs(), inputs),
        ("output", session.get_outputs(), outputs),
    ):
        actual = {node.name: node for node in nodes}
        for tensor in stated:
            if tensor.name not in actual:
                raise PolicyError(f"the graph lacks the {kind} {tensor.name!r}, which its contract states")
            node = actual.pop(tensor.name)
            if (
                isinstance(node.shape[0], int)
                or tuple(node.shape[1:]) != tensor.shape
                or node.type != "tensor(float)"
            ):
                raise PolicyError(
                    f"the graph's {kind} {tensor.name!r} is {node.type} {node.shape}; "
                    f"its contract states float rows of shape {tensor.shape}"
                )
        for name in actual:
            raise PolicyError(f"the graph has the {kind} {name!r}, which its contract does not state")


class Graph:
    """A graph with its arrays. Write :attr:`inputs` in place, :meth:`run`, read :attr:`outputs`."""

    def __init__(
        self,
        onnx: bytes,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        states: Sequence[State],
        rows: int,
    ) -> None:
        self.rows = rows
        self.inputs: dict[str, Array] = {t.name: np.zeros((rows, *t.shape), np.float32) for t in inputs}
        """Arrays (rows, ·) that the graph reads."""
        self.outputs: dict[str, Array] = {t.name: np.zeros((rows, *t.shape), np.float32) for t in outputs}
        """Arrays (rows, ·) that :meth:`run` overwrites."""
        self._initial = [(state.input, np.array(state.initial, np.float32)) for state in states]
        self._session = open_session(onnx)
        check_session(self._session, inputs, outputs)
        self._binding = self._session.io_binding()
        for name, array in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in self.outputs.items():
            self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self.reset()

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Put the states of ``rows`` (mask, (rows,); all if None) back to their initial values."""
        for name, initial in self._initial:
            self.inputs[name][... if rows is None else rows] = initial

    def run(self) -> None:
        """Compute :attr:`outputs`; states stay as they are. Raises :class:`GraphFailure`."""
        try:
            self._session.run_with_iobinding(self._binding)
        except (*_ORT_ERRORS, RuntimeError) as error:  # a node that fails raises the latter
            raise GraphFailure(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
