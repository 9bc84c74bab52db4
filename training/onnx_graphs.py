"""From torch modules to small, self-contained ONNX graphs that years of ONNX Runtime versions load."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import torch

from corvids.deploy.contract import Tensor
from corvids.envs.compiled.traced_tensor import TracedTensor
from corvids.envs.compiled.tracing import Program, Term
from corvids.training.row_graph import RowGraph, variable_name

OPSET = 18
"""Operators that the graphs use: ONNX 1.13 (2022), ONNX Runtime 1.14 and later."""
IR_VERSION = 8
"""File format that belongs to them."""
ROWS = "n"
"""Name of the free first axis of every tensor."""


@torch.no_grad()
def to_onnx(
    module: torch.nn.Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str
) -> onnx.ModelProto:
    """The graph of ``module``, whose forward takes and returns these tensors (n, ·) in this order, with free rows.

    The module must be one that traced tensors go through (see :mod:`corvids.envs.compiled.traced_tensor`).
    """
    program = Program()
    widths = {tensor.name: tensor.shape[0] for tensor in inputs}
    given = [
        TracedTensor(program, [[program.variable(variable_name(tensor, i)) for i in range(width)]])
        for tensor, width in widths.items()
    ]
    terms = {
        tensor.name: _terms(program, tensor, answer)
        for tensor, answer in zip(outputs, module(*given), strict=True)
    }
    nodes, tensors = RowGraph(widths).model(terms)
    graph = onnx.helper.make_graph(nodes, name, _rows(inputs), _rows(outputs), tensors)
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="corvids",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _terms(program: Program, tensor: Tensor, answer: object) -> list[Term]:
    if not isinstance(answer, TracedTensor) or answer.shape != (1, *tensor.shape):
        found = f"one of shape {answer.shape}" if isinstance(answer, TracedTensor) else repr(answer)
        raise TypeError(f"{tensor.name!r} should be a traced row of {tensor.shape[0]} numbers, not {found}")
    return [term if isinstance(term, Term) else program.constant(float(term)) for term in answer.terms[0]]


def _rows(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
    return [
        onnx.helper.make_tensor_value_info(tensor.name, onnx.TensorProto.FLOAT, (ROWS, *tensor.shape))
        for tensor in tensors
    ]
