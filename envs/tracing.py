"""Terms: scalars that write down what is computed with them.

The physics is written once, on components that may be tensors, floats — or terms. A function that is given terms
leaves behind the list of its operations, which :meth:`Program.statements` renders as C++. Branch-free by design, it is
the same list whatever the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch

_EVALUATED: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "negative": lambda a: -a,
    "not": lambda a: not a,
    "abs": abs,
    "relu": lambda a: max(a, 0.0),
    "sqrt": math.sqrt,
    "rsqrt": lambda a: 1.0 / math.sqrt(a),
    "where": lambda mask, a, b: a if mask else b,
}
"""What an operation makes of numbers."""
_RENDERED = {
    "negative": "-{0}",
    "not": "!{0}",
    "abs": "std::fabs({0})",
    "relu": "{0} < 0 ? 0 : {0}",  # this way round NaN stays NaN
    "sqrt": "std::sqrt({0})",
    "rsqrt": "1 / std::sqrt({0})",
    "where": "{0} ? {1} : {2}",
}
"""Operations in C++ that are not written between their two operands."""
_IS_TRUTH = frozenset(("<", ">", "<=", ">=", "&", "|", "not"))


class Term:
    """The result of one operation. It is used like a tensor, in arithmetic and in torch's functions."""

    __slots__ = ("arguments", "number", "operation", "program")

    def __init__(self, program: Program, operation: str, arguments: tuple[Any, ...], number: int) -> None:
        self.program, self.operation, self.arguments, self.number = program, operation, arguments, number

    def __add__(self, other: Any) -> Term:
        return self.program.apply("+", self, other)

    def __radd__(self, other: Any) -> Term:
        return self.program.apply("+", other, self)

    def __sub__(self, other: Any) -> Term:
        return self.program.apply("-", self, other)

    def __rsub__(self, other: Any) -> Term:
        return self.program.apply("-", other, self)

    def __mul__(self, other: Any) -> Term:
        return self.program.apply("*", self, other)

    def __rmul__(self, other: Any) -> Term:
        return self.program.apply("*", other, self)

    def __truediv__(self, other: Any) -> Term:
        return self.program.apply("/", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return self.program.apply("/", other, self)

    def __neg__(self) -> Term:
        return self.program.apply("negative", self)

    def __lt__(self, other: Any) -> Term:
        return self.program.apply("<", self, other)

    def __gt__(self, other: Any) -> Term:
        return self.program.apply(">", self, other)

    def __le__(self, other: Any) -> Term:
        return self.program.apply("<=", self, other)

    def __ge__(self, other: Any) -> Term:
        return self.program.apply(">=", self, other)

    def __and__(self, other: Any) -> Term:
        return self.program.apply("&", self, other)

    def __or__(self, other: Any) -> Term:
        return self.program.apply("|", self, other)

    def __invert__(self) -> Term:
        return self.program.apply("not", self)

    def __bool__(self) -> bool:
        raise TypeError("a term has no value yet: the physics must not branch on it; use torch.where")

    FUNCTIONS: ClassVar[dict[Any, str]] = {
        torch.abs: "abs",
        torch.relu: "relu",
        torch.sqrt: "sqrt",
        torch.rsqrt: "rsqrt",
        torch.where: "where",
    }
    """Torch's functions that terms know, besides ``zeros_like``."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        program = next(argument.program for argument in args if isinstance(argument, Term))
        if func is torch.zeros_like:
            return program.constant(0.0)
        if func not in cls.FUNCTIONS or kwargs:
            return NotImplemented
        return program.apply(cls.FUNCTIONS[func], *args)


class Program:
    """Operations in the order in which they were asked for, each but once."""

    def __init__(self) -> None:
        self._terms: dict[tuple[Any, ...], Term] = {}

    def variable(self, expression: str) -> Term:
        """What the C++ ``expression`` reads."""
        return self._term("variable", (expression,))

    def constant(self, value: float) -> Term:
        """A number (or a truth value) known when the program is written."""
        return self._term("constant", (type(value), value))

    def apply(self, operation: str, *operands: Any) -> Term:
        """``operation`` on terms and numbers; worked out now if all are known, or if one of them decides."""
        terms = [
            operand if isinstance(operand, Term) else self.constant(float(operand)) for operand in operands
        ]
        if all(term.operation == "constant" for term in terms):
            return self.constant(_EVALUATED[operation](*(term.arguments[1] for term in terms)))
        if operation in ("+", "*"):
            for term, other in (terms, terms[::-1]):
                value = term.arguments[1] if term.operation == "constant" else None
                if value == (0.0 if operation == "+" else 1.0):
                    return other
                if operation == "*" and value == 0.0:
                    return term
        return self._term(operation, tuple(terms))

    def statements(self, results: Iterable[tuple[str, Any]]) -> str:
        """C++ statements on scalars of type ``Real`` that assign to each place its term (or number).

        All variables are read before the first result is written.
        """
        results = [
            (place, term if isinstance(term, Term) else self.constant(float(term))) for place, term in results
        ]
        needed: set[int] = set()
        waiting = [term for _, term in results]
        while waiting:
            term = waiting.pop()
            if term.number not in needed:
                needed.add(term.number)
                waiting += [argument for argument in term.arguments if isinstance(argument, Term)]
        lines = [
            f"const {'bool' if term.operation in _IS_TRUTH else 'Real'} {_name(term)} = {_rendered(term)};"
            for term in self._terms.values()
            if term.number in needed and term.operation != "constant"
        ]
        return "\n".join(lines + [f"{place} = {_name(term)};" for place, term in results])

    def _term(self, operation: str, arguments: tuple[Any, ...]) -> Term:
        key = (operation, *arguments)
        if key not in self._terms:
            self._terms[key] = Term(self, operation, arguments, len(self._terms))
        return self._terms[key]


def _name(term: Term) -> str:
    if term.operation != "constant":
        return f"t{term.number}"
    value = term.arguments[1]
    return str(value).lower() if isinstance(value, bool) else f"Real({value!r})".replace("inf", "INFINITY")


def _rendered(term: Term) -> str:
    if term.operation == "variable":
        return term.arguments[0]
    names = [_name(argument) for argument in term.arguments]
    return _RENDERED.get(term.operation, f"{{0}} {term.operation} {{1}}").format(*names)
