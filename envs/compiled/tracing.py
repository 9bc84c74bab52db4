"""Terms: scalars that write down what is computed with them.

The physics is written once, on components that may be tensors, floats — or terms. A function that is given terms
leaves behind the list of its operations, which :meth:`Program.statements` renders as C++. Branch-free by design, it is
the same list whatever the values; only what is :func:`~corvids.controllers.spatial.seldom` needed is passed over.
"""

from __future__ import annotations

import math
from collections import defaultdict
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
    "elu": lambda a: a if a > 0.0 else math.expm1(a),
    "sqrt": math.sqrt,
    "rsqrt": lambda a: 1.0 / math.sqrt(a),
    "where": lambda mask, a, b: a if mask else b,
    "larger": max,
    "smaller": min,
    "seldom": bool,
    **{
        name: getattr(math, name)
        for name in ("exp", "log", "log1p", "tanh", "atan", "atanh", "atan2", "sin", "cos", "floor")
    },
}
"""What an operation makes of numbers."""
_RENDERED = {
    "negative": "-{0}",
    "<": "less({0}, {1})",
    ">": "less({1}, {0})",
    "<=": "at_most({0}, {1})",
    ">=": "at_most({1}, {0})",
    "&": "both({0}, {1})",
    "|": "either({0}, {1})",
    "not": "no({0})",
    "abs": "magnitude({0})",
    "relu": "larger({0}, all(Real(0)))",
    "sqrt": "root({0})",
    "rsqrt": "Real(1) / root({0})",
    "where": "choose({0}, {1}, {2})",
    "larger": "larger({0}, {1})",
    "smaller": "smaller({0}, {1})",
    "seldom": "{0}",
    **{
        name: name + "({0})"
        for name in ("exp", "log", "log1p", "tanh", "atan", "atanh", "sin", "cos", "floor")
    },
    "atan2": "atan2({0}, {1})",
}
"""Operations in C++; those that are not here are written between their two operands."""

TRUTHS = frozenset(("<", ">", "<=", ">=", "&", "|", "not", "seldom"))
"""Operations whose result is a truth value."""


def evaluated(operation: str, *numbers: Any) -> Any:
    """What an operation makes of numbers that are known."""
    return _EVALUATED[operation](*numbers)


class Term:
    """The result of one operation. It is used like a tensor, in arithmetic and in torch's functions."""

    __slots__ = ("arguments", "is_steady", "number", "operation", "program")

    def __init__(
        self, program: Program, operation: str, arguments: tuple[Any, ...], number: int, is_steady: bool
    ) -> None:
        self.program, self.operation, self.arguments, self.number = program, operation, arguments, number
        self.is_steady = is_steady

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

    def seldom(self) -> Term:
        """See :func:`corvids.controllers.spatial.seldom`."""
        return self.program.apply("seldom", self)

    def __bool__(self) -> bool:
        raise TypeError("a term has no value yet: the physics must not branch on it; use torch.where")

    FUNCTIONS: ClassVar[dict[Any, str]] = {
        torch.abs: "abs",
        torch.atan2: "atan2",
        torch.relu: "relu",
        torch.sqrt: "sqrt",
        torch.rsqrt: "rsqrt",
        torch.where: "where",
        torch.sin: "sin",
        torch.cos: "cos",
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

    def variable(self, expression: str, is_steady: bool = False) -> Term:
        """What the C++ ``expression`` reads; ``is_steady`` says that it stays the same from run to run."""
        return self._term("variable", (expression,), is_steady)

    def constant(self, value: float) -> Term:
        """A number (or a truth value) known when the program is written."""
        return self._term("constant", (type(value), value), True)

    def apply(self, operation: str, *operands: Any) -> Term:
        """``operation`` on terms and numbers; worked out now if all are known, or if one of them decides."""
        terms = [
            operand if isinstance(operand, Term) else self.constant(float(operand)) for operand in operands
        ]
        if all(_is_known(term) for term in terms):
            return self.constant(evaluated(operation, *(term.arguments[1] for term in terms)))
        if operation in ("+", "*"):
            for term, other in (terms, terms[::-1]):
                value = term.arguments[1] if _is_known(term) else None
                if value == (0.0 if operation == "+" else 1.0):
                    return other
                if operation == "*" and value == 0.0:
                    return term
        if operation in ("&", "|"):
            for term, other in (terms, terms[::-1]):
                if _is_known(term):
                    return other if bool(term.arguments[1]) == (operation == "&") else term
        if operation == "where" and _is_known(terms[0]):
            return terms[1] if terms[0].arguments[1] else terms[2]
        if operation == "/" and terms[1].is_steady and not terms[0].is_steady:
            return self.apply("*", terms[0], self.apply("/", 1.0, terms[1]))
        if operation in ("+", "-") and terms[1].operation == "relu":
            limited = self._limited(operation, *terms)
            if limited is not None:
                return limited
        return self._term(operation, tuple(terms))

    def quote(self, code: str, *terms: Term) -> Term:
        """The C++ expression ``code``, whose ``{0}``, ``{1}`` … are the terms."""
        return self._term("quoted", (code, *terms), all(term.is_steady for term in terms))

    def steady(self, results: Iterable[tuple[str, Any]]) -> list[Term]:
        """What of ``results`` can be worked out from steady variables alone, as far as the rest needs it."""
        return [
            term
            for term in self.needed(
                [term for _, term in results if isinstance(term, Term)], past_steady=False
            )
            if term.is_steady and term.operation not in ("constant", "variable")
        ]

    def recall(self, term: Term, expression: str) -> None:
        """From now on, what the C++ ``expression`` reads takes the place of working ``term`` out."""
        term.operation, term.arguments = "variable", (expression,)

    def statements(self, results: Iterable[tuple[str, Any]], with_branches: bool = False) -> str:
        """C++ statements on scalars of type ``Real`` (or on vectors of them) that assign to each place its term.

        All variables are read before the first result is written. They call what :data:`SCALARS` defines; and, only
        ``with_branches`` to pass over what is seldom needed, ``any(mask)``.
        """
        results = [
            (place, term if isinstance(term, Term) else self.constant(float(term))) for place, term in results
        ]
        needed = self.needed([term for _, term in results])
        guards = _guards(needed, [term for _, term in results]) if with_branches else {}
        guarded: dict[int, list[Term]] = defaultdict(list)
        chosen: dict[int, list[Term]] = defaultdict(list)
        for term in needed:
            guard = guards.get(term.number)
            if guard is not None:
                guarded[guard].append(term)
            elif with_branches and _seldom_mask(term) is not None:
                chosen[term.arguments[0].number].append(term)
        lines: list[str] = []
        for term in needed:
            if term.operation == "constant" or guards.get(term.number) is not None:
                continue
            mask = _seldom_mask(term) if with_branches else None
            if mask is None:
                lines.append(_declared(term))
            elif term is chosen[mask.number][-1]:
                lines += _branch(mask, chosen[mask.number], guarded[mask.number])
        return "\n".join(lines + [f"{place} = {_operand(term)};" for place, term in results])

    def needed(self, wanted: list[Term], past_steady: bool = True) -> list[Term]:
        """``wanted`` and what they are made of, in order; what steady terms are made of only if ``past_steady``."""
        found: dict[int, Term] = {}
        waiting = list(wanted)
        while waiting:
            term = waiting.pop()
            if term.number not in found:
                found[term.number] = term
                if past_steady or not term.is_steady:
                    waiting += [argument for argument in term.arguments if isinstance(argument, Term)]
        return [found[number] for number in sorted(found)]

    def _limited(self, operation: str, value: Term, excess: Term) -> Term | None:
        """``a + relu(b - a)`` is the larger of the two, ``a - relu(a - b)`` the smaller."""
        over = excess.arguments[0]
        if over.operation != "-" or over.arguments[1 if operation == "+" else 0] is not value:
            return None
        other = over.arguments[0 if operation == "+" else 1]
        # Of two operands the first one's NaN stays NaN, so a number that is known stands second.
        pair = (other, value) if _is_known(value) else (value, other)
        return self._term("larger" if operation == "+" else "smaller", pair)

    def _term(self, operation: str, arguments: tuple[Any, ...], is_steady: bool | None = None) -> Term:
        key = (operation, *arguments)
        if key not in self._terms:
            if is_steady is None:
                is_steady = all(argument.is_steady for argument in arguments)
            self._terms[key] = Term(self, operation, arguments, len(self._terms), is_steady)
        return self._terms[key]


def _is_known(term: Term) -> bool:
    return term.operation == "constant"


def _seldom_mask(term: Term) -> Term | None:
    mask = term.arguments[0]
    return mask if term.operation == "where" and mask.operation == "seldom" else None


def _guards(needed: list[Term], results: list[Term]) -> dict[int, int | None]:
    """By term number: the seldom mask without which the term is not needed, if there is one."""
    uses: dict[int, set[int | None]] = defaultdict(set)
    for term in results:
        uses[term.number].add(None)
    guards: dict[int, int | None] = {}
    for term in reversed(needed):
        guard = next(iter(uses[term.number])) if len(uses[term.number]) == 1 else None
        guards[term.number] = guard
        mask = _seldom_mask(term)
        for position, argument in enumerate(term.arguments):
            if isinstance(argument, Term):
                is_chosen = guard is None and position == 1
                uses[argument.number].add(mask.number if is_chosen and mask is not None else guard)
    return guards


def _branch(mask: Term, chosen: list[Term], guarded: list[Term]) -> list[str]:
    """Statements that choose, wherever ``mask`` holds, and work out what is chosen only if it holds anywhere."""
    return [
        *(f"auto {_name(term)} = {_operand(term.arguments[2])};" for term in chosen),
        f"if (any({_name(mask)})) {{",
        *(_declared(term) for term in guarded if term.operation != "constant"),
        *(f"{_name(term)} = {_rendered(term)};" for term in chosen),
        "}",
    ]


def _declared(term: Term) -> str:
    return f"const auto {_name(term)} = {_rendered(term)};"


def _name(term: Term) -> str:
    if term.operation != "constant":
        return f"t{term.number}"
    value = term.arguments[1]
    return str(value).lower() if isinstance(value, bool) else f"Real({value!r})".replace("inf", "INFINITY")


def _operand(term: Term) -> str:
    """As an argument of a function: of the type that variables have."""
    return f"all({_name(term)})" if _is_known(term) else _name(term)


def _rendered(term: Term) -> str:
    if term.operation == "variable":
        return term.arguments[0]
    if term.operation == "quoted":
        return term.arguments[0].format(*map(_name, term.arguments[1:]))
    if term.operation not in _RENDERED:
        return f"{_name(term.arguments[0])} {term.operation} {_name(term.arguments[1])}"
    return _RENDERED[term.operation].format(*(_operand(argument) for argument in term.arguments))
