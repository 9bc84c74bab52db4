"""A traced function computes, compiled, what it computes on tensors."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import pytest
import torch

from corvids.controllers.spatial import Quat, Vec3, clip, larger, seldom, smaller, where
from corvids.envs.compiled.float_functions import on_floats
from corvids.envs.compiled.lanes import SCALARS, VECTORS
from corvids.envs.compiled.native_code import find_compiler, load
from corvids.envs.compiled.tracing import Program, Term

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


def run(code: str, inputs: int, results: int, given: torch.Tensor) -> torch.Tensor:
    """What statements on vectors make of ``given`` (inputs, n): (results, n); n is a multiple of the lanes."""
    library = load(
        f"using Real = double;{VECTORS}"
        'extern "C" void run(const Real* from, Real* to, long n) {'
        f"for (long k = 0; k < n; k += LANES) {{ Lanes in[{inputs}], out[{results}];"
        f"for (int i = 0; i < {inputs}; ++i) for (int j = 0; j < LANES; ++j) in[i][j] = from[i * n + k + j];"
        f"{code}"
        f"for (int i = 0; i < {results}; ++i) for (int j = 0; j < LANES; ++j) to[i * n + k + j] = out[i][j]; }}}}"
    )
    library.run.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_long]
    computed = torch.empty((results, given.shape[1]), dtype=given.dtype)
    library.run(given.data_ptr(), computed.data_ptr(), given.shape[1])
    return computed


def sometimes(x, y, z):
    """Where x > 2 something long is chosen, part of which is used elsewhere, too."""
    mask, root = seldom(x > 2.0), torch.sqrt(1.0 + y * y)
    far = root * z / (1.0 + z * z)
    return torch.where(mask, far, x), torch.where(mask, far - y, y), root * x


def test_what_is_known_decides_before_anything_is_written():
    program = Program()
    x = program.variable("in[0]")
    is_far: Any = x > 2.0
    true, false = program.constant(True), program.constant(False)
    assert program.apply("|", is_far, false) is is_far is program.apply("&", true, is_far)
    assert program.apply("|", true, is_far) is true
    assert program.apply("&", is_far, false) is false
    assert program.apply("where", false, 1.0, x) is x


@needs_compiler
def test_what_is_seldom_needed_is_passed_over_and_right_where_it_is_needed():
    program = Program()
    results = sometimes(*(program.variable(f"in[{i}]") for i in range(3)))
    code = program.statements(((f"out[{i}]", term) for i, term in enumerate(results)), with_branches=True)
    before, _, inside = code.partition("if (any(")
    assert "root" in before
    assert "/" not in before
    assert "/" in inside
    given = torch.randn(3, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given[0, :16] -= 10.0  # a vector in which the mask holds nowhere
    given[0, 20] = 3.0
    torch.testing.assert_close(run(code, 3, 3, given), torch.stack(sometimes(*given)), rtol=1e-12, atol=1e-12)


def test_what_follows_from_steady_variables_alone_is_told_apart():
    program = Program()
    x: Any = program.variable("x")
    mass: Any = program.variable("mass", is_steady=True)
    results = [("y", x / (mass * 2.0) + torch.sqrt(mass)), ("z", x - mass)]
    steady = program.steady(results)
    names = [f"kept[{index}]" for index in range(len(steady))]
    assert program.statements(zip(names, steady, strict=True)).count("mass") == 1
    for term, name in zip(steady, names, strict=True):
        program.recall(term, name)
    code = program.statements(results)
    assert code.count("kept[") == 2
    assert "/" not in code
    assert "root" not in code


@pytest.mark.parametrize("limit", [clip, lambda v, low, high: smaller(larger(v, low), high)])
@needs_compiler
def test_limits_are_kept_exactly_and_no_number_stays_none(limit):
    program = Program()
    term = limit(program.variable("in[0]"), -0.1, 0.3)
    code = program.statements([("out[0]", term)])
    assert "-" not in code.replace("-0.1", "")  # two operations, not six
    given = torch.tensor([[-1e9, -0.2, -0.1, 0.05, 0.3, 7.0, 1e9, math.nan] * 2], dtype=torch.float64)
    torch.testing.assert_close(run(code, 1, 1, given), given.clamp(-0.1, 0.3), rtol=0, atol=0, equal_nan=True)


@needs_compiler
def test_traced_code_computes_what_the_function_does():
    program = Program()
    results = everything(*(program.variable(f"in[{i} * n + k]") for i in range(3)))
    code = program.statements((f"out[{i} * n + k]", term) for i, term in enumerate(results))
    library = load(
        f'using Real = double;{SCALARS}\nextern "C" void run(const Real* in, Real* out, long n) {{'
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
    assert program.statements([("y", 0.0 * x)]) == "y = all(Real(0.0));"
    root: Any = torch.sqrt(two * 8.0)
    chosen: Any = torch.where(root > 3.0, root, -1.0)
    assert isinstance(chosen, Term)
    assert program.statements([("y", chosen)]) == "y = all(Real(4.0));"
    assert program.statements([("y", program.constant(math.inf))]) == "y = all(Real(INFINITY));"


def test_the_same_operation_is_done_once_and_what_is_not_needed_never():
    program = Program()
    x = program.variable("x")
    _ = x * 7.0
    assert program.statements([("y", (x - 1.0) * (x - 1.0)), ("z", 3.0)]).splitlines() == [
        "const auto t0 = x;",
        "const auto t4 = t0 - Real(1.0);",
        "const auto t5 = t4 * t4;",
        "y = t5;",
        "z = all(Real(3.0));",
    ]


def test_a_function_that_terms_do_not_know_and_a_branch_are_refused():
    x: Any = Program().variable("x")
    with pytest.raises(TypeError, match="exp"):
        torch.exp(x)
    with pytest.raises(TypeError, match=r"must not branch on it; use torch\.where"):
        bool(x > 0.0)


def test_on_floats_a_function_computes_what_it_does_on_tensors():
    traced = on_floats(everything, 3)
    given = torch.randn(3, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    computed = torch.tensor([traced(*column) for column in given.T.tolist()], dtype=torch.float64)
    torch.testing.assert_close(computed.T, torch.stack(everything(*given)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("given", [-1.0, 0.0, 2.0, math.inf, math.nan])
def test_on_floats_what_has_no_value_is_no_error(given):
    def without(x: Any) -> tuple[Any, ...]:
        return 1.0 / x, x / x, -3.0 / x, torch.sqrt(x), torch.rsqrt(x), torch.relu(x), clip(x, -0.5, 1.0)

    computed = torch.tensor(on_floats(without, 1)(given), dtype=torch.float64)
    expected = torch.stack(without(torch.tensor(given, dtype=torch.float64)))
    torch.testing.assert_close(computed, expected, equal_nan=True)
