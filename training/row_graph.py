"""From scalar operations to few ONNX operators on rows: what makes a policy file quick on a vehicle's processor.

An operator of ONNX Runtime costs about as much on one number as on a hundred, and a policy is written as hundreds of
small ones. So it is traced down to scalars (:mod:`corvids.envs.compiled.tracing`, which also makes the simulator's
kernels of it), and put together again: sums and multiples of numbers are columns of one matrix; of what remains,
whatever does the same at the same time (products, roots, …) is one operator, between two such matrices. Its network's
layers come out as what they were, those of several networks side by side as one that holds them all. The matrices are
mostly zeros, which costs a megabyte of file for what had been a tenth, and nothing else where few rows are asked for.

On rows ``(n, ·)``, which do not mix; but within a row, a number that is not finite is not finite in every sum of its
group, so what is traced must not count on passing one over.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from corvids.envs.compiled.tracing import Term, evaluated

_COMPARED = {"<": "Less", ">": "Greater", "<=": "LessOrEqual", ">=": "GreaterOrEqual"}
_OPERATORS = {
    "*": "Mul", "/": "Div", "larger": "Max", "elu": "Elu", "sqrt": "Sqrt",
    "exp": "Exp", "log": "Log", "abs": "Abs", "tanh": "Tanh", "atanh": "Atanh", "atan": "Atan", "sin": "Sin",
    "cos": "Cos", "floor": "Floor", "reciprocal": "Reciprocal", "where": "Where", **_COMPARED,
}  # fmt: skip
_ALIKE = {"&": "*", "|": "larger"}
"""What truth values, which are 0 and 1 here, are joined by."""
_NODE_US, _WEIGHT_US, _CHOSEN_US, _PART_US = 0.35, 6.5e-5, 7.5e-3, 0.09
"""What an operator costs, each number of its matrix, each column that it picks out, and each part that is put beside
others [microseconds, one row, on a processor of 2021]: only ratios matter, and hardly."""
_TINY = 1e-30
"""Length below which a vector has no direction."""
BEAM = 12
"""Orders of operators that are looked at side by side."""


class Sum(NamedTuple):
    """A number: multiples of results, by their index, and a constant."""

    weights: Mapping[int, float]
    constant: float

    @property
    def is_constant(self) -> bool:
        """Whether nothing varies in it."""
        return not self.weights


class Result(NamedTuple):
    """What one operation other than adding makes of sums."""

    operation: str
    operands: tuple[Sum, ...]


class RowGraph:
    """A graph under construction, from inputs by name, each as wide as told."""

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self._inputs = dict(inputs)
        self._results: list[Result | None] = []
        self._places: dict[str, int] = {}
        for name, width in inputs.items():
            for column in range(width):
                self._places[variable_name(name, column)] = len(self._results)
                self._results.append(None)
        self._given = len(self._results)
        self._sums: dict[int, Sum] = {}
        self._known: dict[tuple[str, tuple[object, ...]], int] = {}

    def model(
        self, outputs: Mapping[str, Sequence[Term]]
    ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Nodes and matrices that compute the outputs, each a row of terms, from the inputs."""
        answers = list(itertools.chain.from_iterable(outputs.values()))
        terms = answers[0].program.needed(answers)
        uses = Counter(argument.number for term in terms for argument in _operands(term))
        left = uses + Counter(term.number for term in answers)
        for term in terms:
            one = self._sum(term)
            if uses[term.number] > 1 and len(one.weights) > 1:
                # Worked out once, as in what is exported: a difference of large numbers that many look at keeps its
                # digits. What only one looks at becomes part of that.
                one = self._result("sum", [one])
            self._sums[term.number] = one
            for argument in _operands(term):
                left[argument.number] -= 1
                if not left[argument.number]:  # a network's partial sums would fill the memory
                    del self._sums[argument.number]
        wanted = [self._sums[term.number] for row in outputs.values() for term in row]
        writer = _Writer(self._inputs, self._results, self._given)
        for operation, members in self._groups(wanted):
            writer.add(operation, members)
        writer.answer({name: len(row) for name, row in outputs.items()}, wanted)
        return writer.nodes, writer.tensors

    def _sum(self, term: Term) -> Sum:
        operation, arguments = term.operation, term.arguments
        if operation == "constant":
            return Sum({}, float(arguments[1]))
        if operation == "variable":
            return Sum({self._places[arguments[0]]: 1.0}, 0.0)
        operands = [self._sums[argument.number] for argument in _operands(term)]
        if operation == "+":
            return _added(operands[0], operands[1], 1.0)
        if operation == "-":
            return _added(operands[0], operands[1], -1.0)
        if operation == "negative":
            return _times(operands[0], -1.0)
        if operation == "seldom":
            return operands[0]
        if operation == "not":
            return _added(Sum({}, 1.0), operands[0], -1.0)
        if operation == "*" and operands[1].is_constant:
            return _times(operands[0], operands[1].constant)
        if operation == "*" and operands[0].is_constant:
            return _times(operands[1], operands[0].constant)
        if operation == "*" and any(_is_multiple(one) for one in operands):
            factor = math.prod(_multiple(one) for one in operands)
            return _times(self._result("*", [_times(one, 1.0 / _multiple(one)) for one in operands]), factor)
        if operation == "/" and operands[1].is_constant:
            if operands[1].constant == 0.0:
                raise ValueError("what is to be exported divides by zero, whatever it is given")
            return _times(operands[0], 1.0 / operands[1].constant)
        if operation == "where" and operands[1].is_constant and operands[2].is_constant:
            chosen, otherwise = operands[1].constant, operands[2].constant
            step = chosen - otherwise
            if math.isfinite(step) and np.float32(otherwise) + np.float32(step) == np.float32(chosen):
                return _added(Sum({}, otherwise), operands[0], step)
        if operation == "rsqrt":
            return self._result("reciprocal", [self._result("sqrt", operands)])
        if operation == "log1p":  # good to an absolute rounding error, as all sums are
            return self._result("log", [_added(operands[0], Sum({}, 1.0), 1.0)])
        if operation == "relu":
            return self._larger(operands[0], Sum({}, 0.0))
        if operation == "smaller":  # an operation less means groups less
            return _times(self._larger(*(_times(one, -1.0) for one in operands)), -1.0)
        if operation == "atan2":
            return self._angle(*operands)
        operation = _ALIKE.get(operation, operation)
        if operation not in _OPERATORS:
            raise TypeError(f"a policy file has no operator for {term.operation!r}")
        return self._result(operation, operands)

    def _result(self, operation: str, operands: Sequence[Sum]) -> Sum:
        if all(one.is_constant for one in operands):
            numbers = [one.constant for one in operands]
            return Sum({}, 1.0 / numbers[0] if operation == "reciprocal" else evaluated(operation, *numbers))
        key = (operation, tuple((tuple(sorted(one.weights.items())), one.constant) for one in operands))
        if key not in self._known:
            self._known[key] = len(self._results)
            self._results.append(Result(operation, tuple(operands)))
        return Sum({self._known[key]: 1.0}, 0.0)

    def _larger(self, a: Sum, b: Sum) -> Sum:
        return self._result("larger", [a, b])

    def _angle(self, y: Sum, x: Sum) -> Sum:
        """atan2, for which ONNX has no operator, by the angle from the nearer axis, in -45°..45°."""
        none = Sum({}, 0.0)
        across, along = self._result("abs", [y]), self._result("abs", [x])
        longer = self._larger(self._larger(across, along), Sum({}, _TINY))
        shorter = _times(self._larger(_times(across, -1.0), _times(along, -1.0)), -1.0)
        angle = self._result("atan", [self._result("/", [shorter, longer])])
        is_steep, is_behind = self._result(">", [across, along]), self._result("<", [x, none])
        for mask, turn in ((is_steep, 0.5 * math.pi), (is_behind, math.pi)):
            angle = self._result("where", [mask, _added(Sum({}, turn), angle, -1.0), angle])
        return self._result("where", [self._result("<", [y, none]), _times(angle, -1.0), angle])

    def _groups(self, wanted: Iterable[Sum]) -> list[tuple[str, list[int]]]:
        """Which results to compute together, in an order with few groups.

        Whatever is ready of one operation is one group; which operation comes next is searched for by looking at the
        most promising orders side by side, those whose longest chain of what is left to do is shortest.
        """
        needed = self._needed(wanted)
        uses = {index: _used(self._results[index]) & needed.keys() for index in needed}
        height = dict.fromkeys(needed, 1)
        for index in sorted(needed, reverse=True):
            for before in uses[index]:
                height[before] = max(height[before], height[index] + 1)
        waits_for = {index: sum(1 << before for before in uses[index]) for index in needed}
        everything = sum(1 << index for index in needed)
        orders: dict[int, tuple[tuple[str, list[int]], ...]] = {0: ()}
        while everything not in orders:
            following: dict[int, tuple[tuple[str, list[int]], ...]] = {}
            for done, order in orders.items():
                ready: dict[str, list[int]] = {}
                for index, others in waits_for.items():
                    if not done >> index & 1 and not others & ~done:
                        ready.setdefault(needed[index], []).append(index)
                for operation, members in ready.items():
                    after = done | sum(1 << index for index in members)
                    following.setdefault(after, (*order, (operation, members)))

            def left(done: int) -> tuple[int, int]:
                heights = [height[index] for index in needed if not done >> index & 1]
                return max(heights, default=0), len(heights)

            orders = {done: following[done] for done in sorted(following, key=left)[:BEAM]}
        return list(orders[everything])

    def _needed(self, wanted: Iterable[Sum]) -> dict[int, str]:
        """Results that the sums are made of, in order, with their operations."""
        found: dict[int, str] = {}
        waiting = [index for one in wanted for index in one.weights]
        while waiting:
            index = waiting.pop()
            result = self._results[index]
            if result is not None and index not in found:
                found[index] = result.operation
                waiting += _used(result)
        return dict(sorted(found.items()))


class _Writer:
    """Writes nodes. A block is a tensor of rows whose columns are results."""

    def __init__(self, inputs: Mapping[str, int], results: Sequence[Result | None], given: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._results = results
        self._blocks: dict[str, list[int]] = {}
        self._block_of: dict[int, str] = {}
        self._column: dict[int, int] = {}
        self._joined: dict[tuple[str, ...], str] = {}
        self._numbers: dict[str, itertools.count[int]] = {}
        name = next(iter(inputs))
        if len(inputs) > 1:
            name = self._node("Concat", list(inputs), "inputs", axis=1)
        self._is_block(name, range(given))

    def add(self, operation: str, members: list[int]) -> None:
        """A group of results of one operation."""
        rows = [self._results[index] for index in members]
        operands = list(zip(*(row.operands for row in rows if row is not None), strict=True))
        if operation == "sum":
            self._is_block(self._row(operands[0], as_block=True), members)
            return
        operator = _OPERATORS[operation]
        if operation == "*" and all(a == b for a, b in zip(*operands, strict=True)):
            squared = self._row(operands[0])
            given = [squared, squared]
        else:
            given = [self._row(operand) for operand in operands]
        if operation == "where":
            half = self._tensor("half", np.float32(0.5))
            given[0] = self._node("Greater", [given[0], half], "mask")
        name = self._node(operator, given, operator.lower())
        if operation in _COMPARED:
            name = self._node("Cast", [name], "truth", to=onnx.TensorProto.FLOAT)
        self._is_block(name, members)

    def answer(self, widths: Mapping[str, int], wanted: Sequence[Sum]) -> None:
        """Outputs by name, side by side in ``wanted``."""
        whole = self._row(wanted, as_block=all(one.is_constant for one in wanted))
        parts = self._tensor("widths", np.array(list(widths.values()), np.int64))
        self.nodes.append(onnx.helper.make_node("Split", [whole, parts], list(widths), axis=1))

    def _row(self, sums: Sequence[Sum], as_block: bool = False) -> str:
        """The tensor (n, sums); constants alone are one (sums,), unless they must be a block."""
        constants = np.array([one.constant for one in sums])
        names = self._sources(sums)
        if not names and not as_block:
            return self._tensor("constant", constants.astype(np.float32))
        names = names or tuple(self._blocks)[:1]  # for its rows
        if len(names) == 1 and not constants.any() and not as_block:
            columns = [next(iter(one.weights), -1) for one in sums]
            is_it = all(one.weights == {i: 1.0} for one, i in zip(sums, columns, strict=True))
            if is_it and self._blocks[names[0]] == columns:
                return names[0]
        chosen = not constants.any() and all(list(one.weights.values()) == [1.0] for one in sums)
        names = self._joined_by(names, 0 if chosen else len(sums))
        start, starts = 0, {}
        for name in names:
            starts[name] = start
            start += len(self._blocks[name])
        if chosen and _WEIGHT_US * start > _CHOSEN_US:
            places = [next(iter(one.weights)) for one in sums]
            columns = np.array([starts[self._block_of[index]] + self._column[index] for index in places])
            return self._node(
                "Gather", [self._join(names), self._tensor("columns", columns)], "chosen", axis=1
            )
        matrix: NDArray[np.float64] = np.zeros((start, len(sums)))
        for column, one in enumerate(sums):
            for index, weight in one.weights.items():
                matrix[starts[self._block_of[index]] + self._column[index], column] = weight
        given = [self._join(names), self._tensor("weights", matrix.astype(np.float32))]
        if constants.any():
            return self._node("Gemm", [*given, self._tensor("offset", constants.astype(np.float32))], "sum")
        return self._node("MatMul", given, "sum")

    def _sources(self, sums: Iterable[Sum]) -> tuple[str, ...]:
        """Blocks that hold what the sums are made of."""
        names = {self._block_of[index] for one in sums for index in one.weights}
        return tuple(name for name in self._blocks if name in names)

    def _width(self, names: Iterable[str]) -> int:
        return sum(len(self._blocks[name]) for name in names)

    def _joined_by(self, names: tuple[str, ...], columns: int) -> tuple[str, ...]:
        """These blocks, or such that they are among and that lie side by side already, if that costs less."""

        def cost(key: tuple[str, ...]) -> float:
            width = self._width(key)
            new = 0.0 if len(key) == 1 or key in self._joined else _NODE_US + _PART_US * len(key)
            return new + _WEIGHT_US * width * columns

        return min([names, *(key for key in self._joined if set(names) < set(key))], key=cost)

    def _join(self, names: tuple[str, ...]) -> str:
        if len(names) == 1:
            return names[0]
        if names not in self._joined:
            self._joined[names] = self._node("Concat", list(names), "side_by_side", axis=1)
        return self._joined[names]

    def _is_block(self, name: str, members: Iterable[int]) -> None:
        self._blocks[name] = list(members)
        for column, index in enumerate(self._blocks[name]):
            self._block_of[index], self._column[index] = name, column

    def _node(self, operator: str, inputs: list[str], kind: str, **attributes: int) -> str:
        name = self._new(kind)
        node = onnx.helper.make_node(operator, inputs, [name], name=name)
        node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def _tensor(self, kind: str, values: NDArray[np.float32] | NDArray[np.int64] | np.float32) -> str:
        name = self._new(kind)
        self.tensors.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def _new(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers.setdefault(kind, itertools.count()))}"


def variable_name(name: str, column: int) -> str:
    """What the term for one column of an input is called."""
    return f"{name}[{column}]"


def _added(a: Sum, b: Sum, share: float) -> Sum:
    weights = dict(a.weights)
    for index, weight in b.weights.items():
        total = weights.get(index, 0.0) + share * weight
        if total == 0.0:
            weights.pop(index, None)
        else:
            weights[index] = total
    return Sum(weights, a.constant + share * b.constant)


def _times(one: Sum, factor: float) -> Sum:
    if factor == 0.0:
        return Sum({}, 0.0)
    return Sum({index: weight * factor for index, weight in one.weights.items()}, one.constant * factor)


def _is_multiple(one: Sum) -> bool:
    """Whether it is a result, but times something."""
    return _multiple(one) != 1.0


def _multiple(one: Sum) -> float:
    return next(iter(one.weights.values())) if len(one.weights) == 1 and one.constant == 0.0 else 1.0


def _used(result: Result | None) -> set[int]:
    return set() if result is None else {index for one in result.operands for index in one.weights}


def _operands(term: Term) -> list[Term]:
    return [argument for argument in term.arguments if isinstance(argument, Term)]
