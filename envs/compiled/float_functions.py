"""Functions of single numbers: the traced physics as plain Python, for one world that is flown as time passes.

An operation of torch takes microseconds on however few numbers, one of Python a few dozen nanoseconds on one, and no
compiler is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from corvids.envs.compiled.tracing import Program, Term, evaluated


def on_floats(function: Callable[..., Iterable[Any]], arguments: int) -> Callable[..., tuple[Any, ...]]:
    """``function``, written on scalars that may be tensors, as one of as many floats as it has ``arguments``.

    Where there is no value it is infinite, or not a number, as among tensors: nothing is raised.
    """
    program = Program()
    names = [f"a{number}" for number in range(arguments)]
    results = [
        result if isinstance(result, Term) else program.constant(float(result))
        for result in function(*map(program.variable, names))
    ]
    lines = [
        f"    {_named(term)} = {_rendered(term)}"
        for term in program.needed(results)
        if term.operation not in ("constant", "variable")
    ]
    answer = "".join(f"{_named(term)}, " for term in results)
    scope: dict[str, Any] = {"inf": math.inf, "nan": math.nan, "quotient": _quotient, "value": _value}
    exec("\n".join([f"def traced({', '.join(names)}):", *lines, f"    return ({answer})"]), scope)
    return scope["traced"]


def _quotient(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        return math.copysign(math.inf, b) * a if a else math.nan


def _value(operation: str, *numbers: float) -> Any:
    try:
        return evaluated(operation, *numbers)
    except (ZeroDivisionError, OverflowError):
        return math.inf
    except ValueError:
        return math.nan


_RENDERED = {
    "/": "quotient({0}, {1})",
    "negative": "-{0}",
    "not": "not {0}",
    "relu": "0.0 if {0} < 0.0 else {0}",
    "where": "{1} if {0} else {2}",
    "larger": "{1} if {0} < {1} else {0}",
    "smaller": "{1} if {1} < {0} else {0}",
    "seldom": "{0}",
    **{
        operation: f"{{0}} {operation} {{1}}" for operation in ("+", "-", "*", "<", ">", "<=", ">=", "&", "|")
    },
}
"""Operations in Python; of the others, the value is asked for by name."""


def _rendered(term: Term) -> str:
    operands = [_named(operand) for operand in term.arguments]
    if term.operation in _RENDERED:
        return _RENDERED[term.operation].format(*operands)
    return f"value({term.operation!r}, {', '.join(operands)})"


def _named(term: Term) -> str:
    if term.operation == "constant":
        return f"({term.arguments[1]!r})"
    return str(term.arguments[0]) if term.operation == "variable" else f"t{term.number}"
