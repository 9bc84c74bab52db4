"""Operators on rows compute what the scalar operations say, which numpy and torch's own functions tell here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corvids.controllers.spatial import Quat, Vec3
from corvids.deploy.contract import Tensor
from corvids.envs.compiled.tracing import Program
from corvids.training.onnx_graphs import to_onnx
from corvids.training.parity import Exported
from corvids.training.row_graph import RowGraph

ROWS = 7


class Function(torch.nn.Module):
    """Any function of rows as a module."""

    def __init__(self, function: Callable[..., tuple[torch.Tensor, ...]]) -> None:
        super().__init__()
        self.forward = function


def exported(
    function: Callable[..., tuple[torch.Tensor, ...]], widths: tuple[int, ...], answers: tuple[int, ...]
) -> tuple[onnx.ModelProto, Exported]:
    inputs = [Tensor(f"x{i}", (width,), "1", "", "") for i, width in enumerate(widths)]
    outputs = [Tensor(f"y{i}", (width,), "1", "", "") for i, width in enumerate(answers)]
    model = to_onnx(Function(function), inputs, outputs, "test")
    return model, Exported(model.SerializeToString())


def check(
    function: Callable[..., tuple[torch.Tensor, ...]], *rows: torch.Tensor, atol: float = 1e-5
) -> onnx.ModelProto:
    """Compare with the function on tensors of double precision, all rows at once and one by one."""
    wanted = function(*(row.double() for row in rows))
    model, graph = exported(
        function, tuple(row.shape[1] for row in rows), tuple(one.shape[1] for one in wanted)
    )
    given_rows = {f"x{i}": row.float() for i, row in enumerate(rows)}
    for answer in (graph(given_rows), graph.one_by_one(given_rows)):
        for name, one in zip(answer, wanted, strict=True):
            np.testing.assert_allclose(answer[name].numpy(), one.detach().numpy(), atol=atol, rtol=1e-5)
    return model


def uniform(seed: int, *shape: int, most: float = 2.0) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0) * most


FUNCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sums": lambda a, b: 3.0 * a - b / 4.0 + 0.5,
    "products": lambda a, b: (a - b) * (2.0 * a) * (-b),
    "quotients": lambda a, b: a / (1.0 + b.square()),
    "roots": lambda a, b: torch.sqrt(a * a + 0.1) + torch.rsqrt(b * b + 0.3),
    "limits": lambda a, b: torch.minimum(a, b) + torch.maximum(a, 0.3 * b) + (a - b).clamp(-0.5, 0.7),
    "rectified": lambda a, b: torch.relu(a - b) + torch.nn.functional.elu(b),
    "powers": lambda a, b: torch.exp(a) + torch.log1p(b.square()) + torch.log(a * a + 1.0),
    "angles": lambda a, b: torch.sin(a) + torch.cos(b) + torch.atan(a * b),
    "hyperbolic": lambda a, b: torch.tanh(a) + torch.atanh(0.9 * torch.sin(b)),
    "parts": lambda a, b: torch.floor(a) + torch.abs(b),
    "atan2": torch.atan2,
    "choices": lambda a, b: torch.where(a < b, a * b, torch.where((a >= 0.1) & (b > 0.2), a, -b)),
    "masks": lambda a, b: torch.where(~((a <= 0.0) | (b > 0.0)), 2.0, -1.0),
}


SUDDEN = {"parts", "atan2", "choices", "masks"}
"""Which answer quite something else after a rounding error."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_operation_is_what_it_is_on_tensors(name: str):
    check(lambda a, b: (FUNCTIONS[name](a, b),), uniform(1, ROWS, 5), uniform(2, ROWS, 5))


def test_angles_of_all_directions():
    directions = torch.tensor([(y, x) for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)])
    check(lambda y, x: (torch.atan2(y, x),), directions[:, :1], directions[:, 1:])


@given(st.integers(0, 2**31), st.integers(1, 25))
def test_any_chain_of_operations(seed: int, length: int):
    """Random programs, whose every number may be taken up again later."""
    rng = np.random.default_rng(seed)
    operations = [function for name, function in FUNCTIONS.items() if name not in SUDDEN]
    steps = [
        (rng.integers(len(operations)), *rng.integers(0, 4 + n, 2), rng.uniform(-2, 2)) for n in range(length)
    ]

    def run(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        numbers = [*x.split(1, dim=1), *y.split(1, dim=1)]
        for which, a, b, factor in steps:
            numbers.append(torch.tanh(operations[which](numbers[a], numbers[b] * factor)))
        return torch.cat(numbers[-3:], dim=1), torch.cat((numbers[0], numbers[-1], numbers[-1]), dim=1)

    check(run, uniform(seed, ROWS, 1), uniform(seed + 1, ROWS, 3), atol=2e-4)


def test_rows_do_not_mix():
    _, graph = exported(lambda a: (torch.tanh(a * a - a),), (3,), (3,))
    rows = uniform(0, ROWS, 3)
    alone = graph({"x0": rows})["y0"]
    rows[2] = math.nan
    beside = graph({"x0": rows})["y0"]
    assert beside[2].isnan().all()
    others = [row for row in range(ROWS) if row != 2]
    torch.testing.assert_close(beside[others], alone[others], rtol=0.0, atol=0.0)


def test_a_network_stays_a_matrix_a_layer():
    """What it is given is scaled by the first."""
    net = torch.nn.Sequential(torch.nn.Linear(9, 16), torch.nn.ELU(), torch.nn.Linear(16, 4)).double()
    model = check(lambda a: (net(a * 2.0 - 1.0),), uniform(0, ROWS, 9))
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Elu", "Gemm", "Split"]


def test_a_rotation_takes_few_operators():
    """Of 70 scalar ones: the products of the quaternion's numbers, a matrix, their products with the vector."""

    def rotated(quat: torch.Tensor, vector: torch.Tensor) -> tuple[torch.Tensor, ...]:
        turned = Quat(*quat.split(1, dim=1)).matrix().rotate(Vec3(*vector.split(1, dim=1)))
        return (torch.cat(tuple(turned), dim=1),)

    quat = torch.nn.functional.normalize(uniform(0, ROWS, 4))
    model = check(rotated, quat, uniform(1, ROWS, 3))
    assert len(model.graph.node) <= 12


def test_a_difference_of_large_numbers_that_two_look_at_keeps_its_digits():
    """Places 3 km away: what is worked out once is the difference, not a sum of multiples of kilometres."""

    def waves(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        off = x[:, :1] - x[:, 1:]
        return (torch.tanh(0.1 * off) + torch.sin(0.3 * off),)

    here = torch.tensor([[3000.3, 3000.31], [-2999.9, -2999.98]])
    _, graph = exported(waves, (2,), (1,))
    torch.testing.assert_close(graph({"x0": here})["y0"], waves(here)[0], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(("chosen", "otherwise"), [(1e-3, 1e9), (0.1, 1e6), (0.5, math.inf), (2.0, -1.0)])
def test_a_choice_of_two_numbers_is_one_of_them(chosen: float, otherwise: float):
    _, graph = exported(lambda a: (torch.where(a > 0.0, chosen, otherwise),), (2,), (2,))
    answer = graph({"x0": torch.tensor([[1.0, -1.0]])})["y0"]
    assert answer.tolist() == [[pytest.approx(chosen, rel=1e-6), otherwise]]


def test_what_does_not_depend_on_anything_has_as_many_rows():
    def known(a: torch.Tensor) -> tuple[torch.Tensor, ...]:
        none = a - a
        return torch.sqrt(none + 4.0), (a * none) * a + torch.minimum(none, none + 1.0)

    check(known, uniform(0, ROWS, 3))
    with pytest.raises(ValueError, match="divides by zero"):
        exported(lambda a: (a / (a - a),), (1,), (1,))


def test_a_network_of_other_kind_is_refused():
    with pytest.raises(TypeError, match=r"alpha of 1 only, not 0\.5"):
        exported(lambda a: (torch.nn.functional.elu(a, 0.5),), (1,), (1,))
    with pytest.raises(TypeError, match="'y0' should be a traced row of 2 numbers, not one of shape"):
        exported(lambda a: (a,), (1,), (2,))


def test_what_has_no_operator_is_said():
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (torch.erf(x),)

    with pytest.raises(TypeError, match="do not know torch's 'erf'"):
        to_onnx(Odd(), [Tensor("x", (1,), "1", "", "")], [Tensor("y", (1,), "1", "", "")], "odd")
    program = Program()
    quoted = program.quote("cube({0})", program.variable("x[0]"))  # the simulator's kernels may hold such
    with pytest.raises(TypeError, match=r"a policy file has no operator for 'quoted'"):
        RowGraph({"x": 1}).model({"y": [quoted]})
