"""From torch modules to small, self-contained ONNX graphs that years of ONNX Runtime versions load."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence

import onnx
import torch

from corvids.deploy.contract import Tensor

OPSET = 18
"""Operators that the graphs use: ONNX 1.13 (2022), ONNX Runtime 1.14 and later."""
IR_VERSION = 8
"""File format that belongs to them."""
ROWS = "n"
"""Name of the free first axis of every tensor."""


def to_onnx(
    module: torch.nn.Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str
) -> onnx.ModelProto:
    """The graph of ``module``, whose forward takes and returns these tensors in this order, with free rows."""
    rows = torch.export.Dim(ROWS)
    example = tuple(torch.full((2, *tensor.shape), 0.5) for tensor in inputs)
    with _quiet():
        program = torch.onnx.export(
            _Rows(module),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in inputs],
            output_names=[tensor.name for tensor in outputs],
            dynamic_shapes=(tuple({0: rows} for _ in inputs),),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    model.ir_version = IR_VERSION
    model.graph.name, model.doc_string = name, ""
    # What the exporter remembers of the source code, and of the folders it lay in, has no place in the file.
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


class _Rows(torch.nn.Module):
    """Gives any module the signature whose dynamic shapes one tuple describes."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.module(*tensors)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of optional packages and of its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
