"""A traced function computes, compiled, what it computes on tensors."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import pytest
import torch

from corvids.controllers.spatial import Quat, Vec3, clip, larger, where
from corvids.envs.native_code import find_compiler, load
from corvids.envs.tracing import Program, Term

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")


def everything(x, y, z):
    """Every operation that terms know, once at least."""
    v = Vec3(x, y, z)
    is_far = (v.norm() > 1.5) & ~(torch.abs(x) <= 0.2) | (z >= 1.0)
    turned = Quat(1.0, 0.0, 0.0, 0.0).turned(v * 0.1).rotate(v)
    chosen = where(is_far, turned, -v)
    return (
        *chosen,
        clip(larger(x, y) / (2.0 + z * z), 0.0, 1.0 + y * y) - torch.rsqrt(1.0 + x * x),
        torch.where(x < y, 3.0 - x, torch.zeros_like(x)) + torch.relu(z) * 1.0,
    )


@needs_compiler
def test_traced_code_computes_what_the_function_does():
    program = Program()
    results = everything(*(program.variable(f"in[{i} * n + k]") for i in range(3)))
    code = program.statements((f"out[{i} * n + k]", term) for i, term in enumerate(results))
    library = load(
        '#include <cmath>\nusing Real = double;\nextern "C" void run(const Real* in, Real* out, long n) {'
        f"for (long k = 0; k < n; ++k) {{\n{code}\n}}}}"
    )
    library.run.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_long]
    given = torch.randn(3, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack(everything(*given))
    computed = torch.empty_like(expected)
    library.run(given.data_ptr(), computed.data_ptr(), given.shape[1])
    torch.testing.assert_close(computed, expected, rtol=1e-12, atol=1e-12)


def test_what_is_known_is_worked_out_at_once():
    program = Program()
    x: Any = program.variable("x")
    two: Any = program.constant(2.0)
    assert (x + 0.0, 1.0 * x, x * 1.0, 0 + x) == (x, x, x, x)
    assert program.statements([("y", 0.0 * x)]) == "y = Real(0.0);"
    root: Any = torch.sqrt(two * 8.0)
    chosen: Any = torch.where(root > 3.0, root, -1.0)
    assert isinstance(chosen, Term)
    assert program.statements([("y", chosen)]) == "y = Real(4.0);"
    assert program.statements([("y", program.constant(math.inf))]) == "y = Real(INFINITY);"


def test_the_same_operation_is_done_once_and_what_is_not_needed_never():
    program = Program()
    x = program.variable("x")
    _ = x * 7.0
    assert program.statements([("y", (x - 1.0) * (x - 1.0)), ("z", 3.0)]).splitlines() == [
        "const Real t0 = x;",
        "const Real t4 = t0 - Real(1.0);",
        "const Real t5 = t4 * t4;",
        "y = t5;",
        "z = Real(3.0);",
    ]


def test_a_function_that_terms_do_not_know_and_a_branch_are_refused():
    x: Any = Program().variable("x")
    with pytest.raises(TypeError, match="exp"):
        torch.exp(x)
    with pytest.raises(TypeError, match=r"must not branch on it; use torch\.where"):
        bool(x > 0.0)
